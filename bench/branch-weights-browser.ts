/** How large the heap of onnxruntime-web grows for a model, in Chromium. For branch-weights.ts. */
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Feeds } from '../src/ort/session.ts';
import { openChromium } from '../test/browser/chromium.ts';

const RUNTIME = fileURLToPath(new URL('../node_modules/onnxruntime-web/dist', import.meta.url));
const TYPES: Readonly<Record<string, string>> = { mjs: 'text/javascript', wasm: 'application/wasm' };

/** Notes every memory that a module makes or brings. */
const WATCH = `
  window.memories = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct: (Memory, args) => { const memory = new Memory(...args); window.memories.push(memory); return memory; },
  });
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const inner = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const made = await inner.apply(WebAssembly, args);
      for (const value of Object.values((made.instance ?? made).exports))
        if (Object.prototype.toString.call(value) === '[object WebAssembly.Memory]') window.memories.push(value);
      return made;
    };
  }
`;

/** Megabytes after loading the model at each of \`paths\` and one run of its feeds, in a page of its own; undefined where there is no Chromium. */
export async function heapsInChromium(
  paths: readonly string[],
  feeds: readonly Feeds[],
): Promise<number[] | undefined> {
  const browser = await openChromium();
  if (!browser) return undefined;
  const server = createServer(({ url = '' }, response) => {
    const name = url.slice(1);
    const file = /^\d+$/.test(name) ? paths[Number(name)]! : `${RUNTIME}/${name}`;
    if (name === '') return void response.setHeader('content-type', 'text/html').end('<!doctype html>');
    response.setHeader('content-type', TYPES[name.split('.').at(-1)!] ?? 'application/octet-stream');
    createReadStream(file)
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const heaps: number[] = [];
  for (const [i, fed] of feeds.entries()) {
    const page = await browser.newPage();
    page.setDefaultTimeout(5 * 60_000);
    await page.addInitScript(WATCH);
    await page.goto(url);
    const inputs = Object.entries(fed).map(([name, { type, data, dims }]) => [
      name,
      type,
      Array.from(data as Float32Array, Number),
      dims,
    ]);
    const heap = await page.evaluate(`(async () => {
      const ort = await import('/ort.wasm.min.mjs');
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmPaths = '/';
      const session = await ort.InferenceSession.create('/${i}', { executionProviders: ['wasm'] });
      const feeds = ${JSON.stringify(inputs)}.map(([name, type, data, dims]) => [name, new ort.Tensor(
        type, type === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims)]);
      await session.run(Object.fromEntries(feeds));
      return Math.max(...window.memories.map((memory) => memory.buffer.byteLength));
    })()`);
    heaps.push((heap as number) / 2 ** 20);
    await page.close();
  }
  await browser.close();
  server.close();
  return heaps;
}
