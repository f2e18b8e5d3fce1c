/** What `load` says where there is no model. That it opens one: test/emit/stub-runs.test.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serializeModel } from '../../src/parser/index.ts';
import { openSession } from '../../src/runtime/session.ts';
import { tinyResidual } from '../models.ts';

const test = suite('runtime: a model that is not found');
const PAGE = '<!doctype html>\n<title>Our shop</title>';
const REMEDY =
  '. Where a bundler has left model.onnx behind, have it put the file there, or say where it is: load(ort, { url }), { path } or { bytes }';

const server = createServer((request, response) => {
  response.statusCode = request.url === '/page/model.onnx' ? 200 : 404;
  response.end(`\n${PAGE}`);
});
let address: string;
const folder = mkdtempSync(join(tmpdir(), 'offramp-load-'));

test.before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.after(() => {
  server.close();
  rmSync(folder, { recursive: true });
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

test('a file that is there and no model: what it is instead, of a path and of bytes alike', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n';
  const whole = serializeModel(tinyResidual());
  const cases: [string | Uint8Array, string][] = [
    ['', 'does not load: it is empty'],
    [pointer, 'does not load: it is a Git LFS pointer in place of the model, which `git lfs pull` fetches'],
    [whole.subarray(0, 3000), 'does not load: it is no ONNX model, or not all of one: copy model.onnx'],
    ['no model at all', 'does not load: it is no ONNX model, or not all of one: copy model.onnx'],
  ];
  for (const [i, [content, said]] of cases.entries()) {
    const file = join(folder, `${i}.onnx`);
    writeFileSync(file, content);
    for (const source of [undefined, { path: file }, { bytes: new Uint8Array(readFileSync(file)) }]) {
      const error = await refused(pathToFileURL(file).href, source);
      assert.is(error.code, 'not-a-model', error.message);
      assert.match(error.message, said);
      assert.is(error.message.includes(file), source === undefined || 'path' in source, error.message);
    }
  }
});

test('a file that is not there, and one that cannot be read as one', async () => {
  const absent = await refused(undefined, { path: join(folder, 'none.onnx') });
  assert.is(absent.code, 'model-missing');
  assert.match(absent.message, /^there is no file .*none\.onnx$/);
  assert.is((await refused(pathToFileURL(join(folder, 'none.onnx')).href)).code, 'model-missing');
  const isFolder = await refused(undefined, { path: folder });
  assert.is(isFolder.code, 'not-a-model');
  assert.match(isFolder.message, `${folder}, does not load: it is a folder: name the file in it`);
});

test('a place that is none, and two places', async () => {
  for (const [source, said] of [
    [{ path: 5 }, 'Pets.load: path: the name of a file expected, got 5'],
    [{ path: '' }, 'path: the name of a file expected, got ""'],
    [{ path: pathToFileURL(folder) }, 'path: the name of a file expected, got URL'],
    [{ path: 'model.onnx', url: 'model.onnx' }, 'from one place, not from path and url'],
  ] as const) {
    const error = await refused(undefined, source as never);
    assert.is(error.code, 'bad-call');
    assert.match(error.message, said);
  }
});

test('load without ONNX Runtime, or with something else as the model', async () => {
  for (const ort of [null, {}, 'ort']) {
    const error = await refused(undefined, {}, ort);
    assert.instance(error, TypeError);
    assert.is(error.code, 'bad-call');
    assert.match(error.message, 'Pets.load takes the module of ONNX Runtime');
  }
  const error = await refused(undefined, null);
  assert.is(error.code, 'bad-call');
  assert.match(error.message, 'not null');
});

test.run();

const refusal = async (own: string | undefined, source: unknown = {}) => (await refused(own, source)).message;

/** `own`: what import.meta.url makes of `./model.onnx`. */
async function refused(
  own: string | undefined,
  source: unknown = {},
  runtime: unknown = ort,
): Promise<Error & { code?: string }> {
  const facts = { owner: 'Pets', sessionOptions: { logSeverityLevel: 4 as const }, inputs: [], outputs: [] };
  // An empty base, as esbuild leaves it in formats without import.meta.
  const file = () => new URL(own ?? './model.onnx', own ? undefined : (undefined as never));
  try {
    await openSession(runtime as typeof ort, source as object, { ...facts, file });
  } catch (error) {
    return error as Error;
  }
  return assert.unreachable('a session opened') as never;
}
