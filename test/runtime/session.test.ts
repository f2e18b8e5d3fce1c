/** What `load` says where there is no model. That it opens one: test/emit/stub-runs.test.ts. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openSession } from '../../src/runtime/session.ts';

const test = suite('runtime: a model that is not found');
const PAGE = '<!doctype html>\n<title>Our shop</title>';
const REMEDY =
  '. Where a bundler has left model.onnx behind, have it put the file there, or say where it is: load(ort, { url }), { path } or { bytes }';

const server = createServer((request, response) => {
  response.statusCode = request.url === '/page/model.onnx' ? 200 : 404;
  response.end(`\n${PAGE}`);
});
let address: string;

test.before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.after(() => {
  server.close();
});

test('the package’s own: where it was looked for, and what to do', async () => {
  const absent = `${address}/absent/model.onnx`;
  const page = `${address}/page/model.onnx`;
  assert.is(await refusal(absent), `could not fetch ${absent}: 404 Not Found${REMEDY}`);
  assert.is(await refusal(page), `there is no model at ${page}: a page (HTML) comes from there${REMEDY}`);
  assert.is(
    await refusal('http://127.0.0.1:1/model.onnx'),
    `could not fetch http://127.0.0.1:1/model.onnx: fetch failed${REMEDY}`,
  );
  const file = await refusal('file:///nowhere/at-all/model.onnx');
  assert.match(file, '/nowhere/at-all/model.onnx');
  assert.ok(file.endsWith(REMEDY), file);
});

test('the package’s own, where a bundle is no ES module: that nothing says where', async () => {
  assert.is(
    await refusal(undefined),
    'Pets does not know where its model.onnx is: import.meta.url says no place, as in bundles that are not ES modules; say where it is: load(ort, { url }), { path } or { bytes }',
  );
});

test('one that the caller names: without advice about bundlers', async () => {
  const page = `${address}/page/model.onnx`;
  assert.is(
    await refusal(undefined, { url: page }),
    `there is no model at ${page}: a page (HTML) comes from there`,
  );
  assert.not.match(await refusal(undefined, { path: '/nowhere/model.onnx' }), 'bundler');
});

test('a file that is there and no model keeps the runtime’s own words', async () => {
  assert.not.match(await refusal(import.meta.url), 'bundler');
});

test.run();

/** `own`: what import.meta.url makes of `./model.onnx`. */
async function refusal(own: string | undefined, source = {}): Promise<string> {
  const facts = { owner: 'Pets', sessionOptions: { logSeverityLevel: 4 as const }, inputs: [], outputs: [] };
  // An empty base, as esbuild leaves it in formats without import.meta.
  const file = () => new URL(own ?? './model.onnx', own ? undefined : (undefined as never));
  try {
    await openSession(ort, source, { ...facts, file });
  } catch (error) {
    return (error as Error).message;
  }
  return assert.unreachable('a session opened') as never;
}
