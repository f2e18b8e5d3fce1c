/** Writes service-worker.js of the built page: what it keeps is every file that was built. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

export function offline(): Plugin {
  return {
    name: 'offline',
    apply: 'build',
    generateBundle: {
      // After Vite has added index.html.
      order: 'post',
      handler(_, bundle) {
        const hash = createHash('sha256');
        for (const file of Object.keys(bundle).sort()) {
          const output = bundle[file]!;
          hash.update(file).update(output.type === 'chunk' ? output.code : output.source);
        }
        // index.html is mostly asked for as its folder.
        const files = ['./', ...Object.keys(bundle).sort()];
        const facts = { FILES: files, HASH: hash.digest('hex').slice(0, 16) };
        const lines = Object.entries(facts).map(
          ([name, value]) => `const ${name} = ${JSON.stringify(value)};\n`,
        );
        const source = lines.join('') + readFileSync(new URL('service-worker.js', import.meta.url), 'utf8');
        this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
      },
    },
  };
}
