/** Exported folders in Chromium, by the real library: a pipeline that is told nothing but the folder, against the same pipeline in Node. */
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportTransformers } from '../../src/commands/export-transformers.ts';
import { isFile } from '../../src/data/files.ts';
import { openChromium, openPage } from '../browser/chromium.ts';
import { noise } from '../models.ts';
import { type CompiledFolder, compilePictures, compileTexts, spreadPoint, textsOf } from './compiled.ts';
import { askLibrary, installLibrary } from './library.ts';

const test = suite('hub: pipelines in Chromium');
const browser = await openChromium();
const inBrowser = browser ? test : test.skip;
test.after(() => browser?.close());

type Scores = Readonly<Record<string, number>>;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
};

/** As a bundler would find the library; no option of the pipeline but where models and the WebAssembly lie, which else come from elsewhere. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>pipelines</title><link rel="icon" href="data:,">
<script type="importmap">{ "imports": {
  "@huggingface/transformers": "/library/@huggingface/transformers/dist/transformers.web.js",
  "onnxruntime-web/webgpu": "/library/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs",
  "onnxruntime-common": "/library/onnxruntime-common/dist/esm/index.js"
} }</script>
<script type="module">
  import { env, pipeline } from '@huggingface/transformers';
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.backends.onnx.wasm.wasmPaths = '/library/onnxruntime-web/dist/';
  globalThis.classify = async (task, model, items, classes) => {
    const run = await pipeline(task, model);
    const found = [];
    for (const item of items) {
      const scores = await run(item, { top_k: classes });
      found.push(Object.fromEntries([scores].flat().map(({ label, score }) => [label, score])));
    }
    return found;
  };
</script>`;

/** The page, the installed library and the files of `models`, at one address. */
async function serve(models: string): Promise<{ readonly url: string; close(): void }> {
  const roots: Readonly<Record<string, string>> = {
    '/library/': join(installLibrary(), 'node_modules'),
    '/models/': models,
  };
  const server = createServer(({ url = '/' }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://x').pathname)).replaceAll('\\', '/');
    if (path === '/') {
      response.writeHead(200, { 'content-type': TYPES['.html'] }).end(PAGE);
      return;
    }
    const root = Object.keys(roots).find((start) => path.startsWith(start));
    const file = root === undefined ? '' : join(roots[root]!, path.slice(root.length));
    if (!isFile(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => void server.close() };
}

/** What the pipeline of `task` says of `items`, in Chromium and in Node, of the package exported at its most lively point. */
async function assertSame(
  { model, out, manifest, at, remove }: CompiledFolder,
  task: string,
  inNode: readonly string[],
  inPage: readonly string[],
): Promise<void> {
  const folder = at('exported');
  await exportTransformers({ folder: out, out: folder, model, at: spreadPoint(manifest) });
  const classes = manifest.classes;
  const expected = await askLibrary<Scores[]>({ kind: 'classify', folder, items: inNode, task, classes });
  const served = await serve(at('.'));
  const { page, complaints } = await openPage(browser!, served.url);
  try {
    await page.waitForFunction('globalThis.classify !== undefined');
    const found = await page.evaluate(
      async ([task, items, classes]) =>
        await (
          globalThis as unknown as {
            classify(...given: unknown[]): Promise<Readonly<Record<string, number>>[]>;
          }
        ).classify(task, 'exported', items, classes),
      [task, inPage, classes] as const,
    );
    // A folder need not have what the library looks for besides.
    assert.equal(
      complaints.filter((text) => !text.includes('404')),
      [],
    );
    assert.is(found.length, inNode.length);
    for (const [i, scores] of expected.entries()) {
      const best = (all: Scores) => Object.entries(all).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
      assert.is(best(found[i]!), best(scores), `sample ${i}`);
      assert.equal(Object.keys(found[i]!).sort(), Object.keys(scores).sort());
      for (const [label, score] of Object.entries(scores))
        assert.ok(
          Math.abs(found[i]![label]! - score) < 1e-4,
          `sample ${i}, ${label}: ${found[i]![label]} for ${score}`,
        );
    }
    assert.ok(new Set(expected.map((scores) => JSON.stringify(scores))).size > 3, 'not all alike');
  } finally {
    await page.close();
    served.close();
    remove();
  }
}

inBrowser('pictures of the model’s own size: labels and scores of every class', async () => {
  const compiled = await compilePictures();
  const files = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const bytes = Buffer.from(Uint8Array.from(noise(192, n), (v) => 128 + 127 * v * (n % 2 ? 0.2 : 1)));
      await sharp(bytes, { raw: { width: 8, height: 8, channels: 3 } })
        .png()
        .toFile(compiled.at(`${n}.png`));
      return `${n}.png`;
    }),
  );
  const urls = files.map((name) => `/models/${name}`);
  await assertSame(compiled, 'image-classification', files.map(compiled.at), urls);
});

inBrowser('texts of any length: labels and scores of every class', async () => {
  const texts = textsOf(12, 5);
  await assertSame(await compileTexts(), 'text-classification', texts, texts);
});

test.run();
