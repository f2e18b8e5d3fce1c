/**
 * Builds the page for one compiled package: what `npm run demo` wrote, or the folder that OFFRAMP_PACKAGE names. The
 * pictures that the demo's code draws come with the demo's package only; they would mean nothing to another model.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { drawnSamples } from './samples.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SAMPLES = 'virtual:samples';

const named = process.env.OFFRAMP_PACKAGE;
const folder = named ? resolve(named) : resolve(ROOT, 'out/demo');
const entry = resolve(folder, 'index.js');
if (!existsSync(entry)) {
  throw new Error(`${folder} holds no compiled package: npm run demo, or name one in OFFRAMP_PACKAGE`);
}

export default defineConfig({
  // Relative, so that dist/ works wherever it is put.
  base: './',
  resolve: { alias: { 'compiled-package': entry } },
  plugins: [samplesModule()],
  server: { fs: { allow: [ROOT, folder] } },
});

/** `import samples from 'virtual:samples'`: names, and PNG as data URLs. */
function samplesModule(): Plugin {
  return {
    name: SAMPLES,
    resolveId: (source) => (source === SAMPLES ? `\0${SAMPLES}` : undefined),
    async load(id) {
      if (id !== `\0${SAMPLES}`) return undefined;
      const samples = named ? [] : await drawnSamples();
      const urls = samples.map(({ name, png }) => ({
        name,
        url: `data:image/png;base64,${png.toString('base64')}`,
      }));
      return `export default ${JSON.stringify(urls)}`;
    },
  };
}
