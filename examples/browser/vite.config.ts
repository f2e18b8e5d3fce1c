/**
 * Builds the page for one compiled package: what `npm run demo` wrote, or the folder that OFFRAMP_PACKAGE names, of the client of a split
 * as well, which asks OFFRAMP_SERVER unless the page's URL says otherwise. OFFRAMP_PICTURES names pictures for it to open with, in one
 * folder a class. Those that the demo's code draws come with the demo's model only; they would mean nothing to another.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin, type UserConfig } from 'vite';
import { offline } from './offline.ts';
import { drawnSamples, picturesIn } from './samples.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SAMPLES = 'virtual:samples';

const { OFFRAMP_PACKAGE: named, OFFRAMP_PICTURES: pictures } = process.env;
const folder = named ? resolve(named) : resolve(ROOT, 'out/demo');
const entry = resolve(folder, 'index.js');

export default defineConfig(({ isPreview }) => {
  // What is built already needs no package.
  if (!isPreview && !existsSync(entry))
    throw new Error(`${folder} holds no compiled package: npm run demo, or name one in OFFRAMP_PACKAGE`);
  return CONFIG;
});

const CONFIG: UserConfig = {
  envPrefix: 'OFFRAMP_SERVER',
  // Relative, so that dist/ works wherever it is put.
  base: './',
  resolve: { alias: { 'compiled-package': entry } },
  plugins: [samplesModule(), offline()],
  worker: { format: 'es' },
  server: { fs: { allow: [ROOT, folder, ...(pictures ? [resolve(pictures)] : [])] } },
};

/** `import samples from 'virtual:samples'`: class names, and URLs of pictures. */
function samplesModule(): Plugin {
  return {
    name: SAMPLES,
    resolveId: (source) => (source === SAMPLES ? `\0${SAMPLES}` : undefined),
    async load(id) {
      if (id !== `\0${SAMPLES}`) return undefined;
      if (pictures) {
        const files = picturesIn(resolve(pictures));
        const imports = files.map(({ file }, i) => `import url${i} from ${JSON.stringify(`${file}?url`)};\n`);
        const list = files.map(({ name }, i) => `{ name: ${JSON.stringify(name)}, url: url${i} }`);
        return `${imports.join('')}export default [${list.join(', ')}]`;
      }
      const urls = (isOfDemo() ? await drawnSamples() : []).map(({ name, png }) => ({
        name,
        url: `data:image/png;base64,${png.toString('base64')}`,
      }));
      return `export default ${JSON.stringify(urls)}`;
    },
  };
}

/** Whether the package is of the model that the demo compiles. */
function isOfDemo(): boolean {
  const demo = resolve(ROOT, 'examples/demo/base.onnx');
  // It is in clones of the repository only.
  if (!existsSync(demo)) return false;
  const { source } = JSON.parse(readFileSync(resolve(folder, 'manifest.json'), 'utf8'));
  return source.sha256 === createHash('sha256').update(readFileSync(demo)).digest('hex');
}
