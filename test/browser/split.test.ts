/** A split's client in Chromium: its fetch, its CORS, its onnxruntime-web, against a server on another origin. */
import { cpSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freshFolder } from '../data/fixtures.ts';
import { flat, pause, type Subject, samples, subject } from '../emit/split-client.ts';
import { SIZE } from '../emit/split-parts.ts';
import { openChromium, openPage } from './chromium.ts';
import { type Served, serveFiles } from './serve.ts';

const test = suite('browser: a split');
const browser = await openChromium();
const inBrowser = browser ? test : test.skip;

/** What the page has: classifies, and says how. */
const PAGE = `
import * as ort from 'onnxruntime-web/wasm';
import { Pets } from 'pets';
ort.env.wasm.wasmPaths = '/';
ort.env.wasm.numThreads = 1;
const models = {};
const modelOf = async (server) =>
  (models[server] ??= Pets.load(ort, { server, url: '/model.onnx', timeoutMs: 5000, sessionOptions: { executionProviders: ['wasm'] } }));
window.classify = async (server, input, at) => {
  const model = await modelOf(server);
  const results = await model.classify(Float32Array.from(input), { at });
  return results.map(({ exit, where, scores, confidence }) => ({ exit, where, scores: [...scores], confidence }));
};
window.aborted = async (server, input) => {
  const model = await modelOf(server);
  try {
    return await model.classify(Float32Array.from(input), { signal: AbortSignal.timeout(200) });
  } catch (error) {
    return error.name;
  }
};
window.problem = async (server) => (await modelOf(server)).statistics.problem;
`;

let both: Subject;
let pages: Served;
test.before(async () => {
  if (!browser) return;
  both = await subject({ state: true, feature: 'float' });
  const folder = freshFolder();
  const dist = dirname(fileURLToPath(import.meta.resolve('onnxruntime-web/wasm')));
  const bundle = await build({
    stdin: { contents: PAGE, resolveDir: fileURLToPath(new URL('../..', import.meta.url)) },
    alias: { pets: join(both.home, 'index.js') },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  for (const file of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'])
    cpSync(join(dist, file), join(folder, file));
  cpSync(join(both.home, 'model.onnx'), join(folder, 'model.onnx'));
  writeFileSync(join(folder, 'page.js'), bundle.outputFiles[0]!.text);
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>',
  );
  pages = await serveFiles(folder, '/');
});
test.after(async () => {
  await browser?.close();
  await pages?.close();
  await both?.close();
});

interface Answer {
  readonly exit: number;
  readonly where: string;
  readonly scores: number[];
  readonly confidence: number;
}

async function onPage(
  act: (
    call: (name: string, ...args: unknown[]) => Promise<never>,
    context: { setOffline(is: boolean): Promise<void> },
  ) => Promise<void>,
): Promise<void> {
  const context = await browser!.newContext();
  const { page } = await openPage(context, pages.url);
  await page.waitForFunction('window.problem !== undefined');
  const call = (name: string, ...args: unknown[]) =>
    page.evaluate(`${name}(...${JSON.stringify(args)})`) as Promise<never>;
  await act(call, context);
  await context.close();
}

inBrowser(
  'batches of 1, 7 and 64 at every point, as bytes and in JSON: what the parts say by hand',
  async () => {
    await onPage(async (call) => {
      for (const isBinary of [true, false]) {
        both.server.metadata = isBinary ? { extensions: ['binary_tensor_data'] } : {};
        both.server.requests.length = 0;
        const server = `${both.server.url}/v2${isBinary ? '' : '?json'}`;
        for (const batch of [1, 7, 64])
          for (const at of ['fast', 'balanced', 'exact'] as const) {
            const input = samples(batch, batch);
            const answers: Answer[] = await call('classify', server, [...input], at);
            const expected = await both.byHand(input, at);
            assert.equal(
              answers.map(({ exit, where }) => [exit, where]),
              expected.map(({ exit, where }) => [exit, where]),
            );
            for (const [n, { scores, where }] of answers.entries())
              for (const [c, score] of scores.entries()) {
                // The rest is the same runtime; the front is another.
                const bound = where === 'server' ? 1e-5 : 1e-4;
                assert.ok(Math.abs(score - expected[n]!.scores[c]!) < bound, `${n}: ${score}`);
              }
          }
        assert.ok(both.server.requests.every((request) => request.isBinary === isBinary));
      }
    });
  },
);

inBrowser('offline and back: answered here meanwhile, by the server again', async () => {
  both.server.metadata = { extensions: ['binary_tensor_data'] };
  await onPage(async (call, context) => {
    const input = [...flat(0)];
    const whereNow = async () =>
      ((await call('classify', both.server.url, input, 'balanced')) as Answer[])[0]!.where;
    assert.is(await whereNow(), 'server');
    await context.setOffline(true);
    assert.is(await whereNow(), 'client, server unreachable');
    assert.match(await call('problem', both.server.url), /^the server cannot be reached: /);
    await context.setOffline(false);
    assert.is(await whereNow(), 'server');
    await both.server.stop();
    assert.is(await whereNow(), 'client, server unreachable');
    await both.server.start();
    assert.is(await whereNow(), 'server');
  });
});

inBrowser('headers that a page may not see or send, redirects, and waiting that is ended', async () => {
  await onPage(async (call) => {
    const { server } = both;
    const input = [...flat(0)];
    const ask = async () => ((await call('classify', server.url, input, 'balanced')) as Answer[])[0]!.where;
    server.hidesHeaders = true;
    assert.is(await ask(), 'client, server refused');
    assert.match(await call('problem', server.url), 'Access-Control-Expose-Headers');
    server.hidesHeaders = false;
    server.mood = (_, answer) => ({
      ...answer,
      status: 307,
      headers: { Location: '/elsewhere' },
      body: Buffer.of(),
    });
    assert.is(await ask(), 'client, server refused');
    assert.match(await call('problem', server.url), 'the server sends elsewhere');
    server.mood = () => undefined;
    assert.is(await call('aborted', server.url, input), 'TimeoutError');
    const last = server.requests.at(-1)!;
    for (let i = 0; i < 200 && !last.isGone(); i++) await pause(10);
    assert.ok(last.isGone(), 'the request has ended');
    server.mood = undefined;
    assert.is(await ask(), 'server');
    assert.is(last.inputs.find(({ name }) => name === 'pixels')!.bytes.length, SIZE);
  });
});

test.run();
