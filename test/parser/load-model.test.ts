/** Models on disk: external data beside them, and graphs that break an invariant. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withSession } from '../../src/ort/session.ts';
import { readFunctions } from '../../src/parser/functions.ts';
import { loadModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { contains, int, len, message, model, node, smallest, value } from './proto.ts';

const test = suite('parser: load-model');

let root = '';
let folder = '';

test.before(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-')));
  folder = join(root, 'model');
  mkdirSync(join(folder, 'weights'), { recursive: true });
  writeFileSync(join(root, 'outside.bin'), new Uint8Array(64));
  writeFileSync(
    join(folder, 'w.bin'),
    Uint8Array.from({ length: 64 }, (_, i) => i),
  );
  writeFileSync(join(folder, 'weights', 'deep.bin'), new Uint8Array(64));
});

test.after(() => rmSync(root, { recursive: true }));

/** A float[4] tensor whose data are external. */
const external = (name: string, entries: Record<string, string>) =>
  message(
    int(1, 4),
    int(2, 1),
    len(8, name),
    ...Object.entries(entries).map(([key, text]) => len(13, len(1, key), len(2, text))),
    int(14, 1),
  );

const fields = [len(1, node('Add', ['x', 'w'], ['y'])), len(11, value('x')), len(12, value('y'))];

function save(bytes: Uint8Array, name = 'm.onnx'): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function codeOf(path: string, dataFolder?: string): Promise<string> {
  return loadModel(path, dataFolder).then(
    () => '',
    (error) => error.code ?? String(error),
  );
}

const located = (entries: Record<string, string>) => save(model(...fields, len(5, external('w', entries))));

test('external data are hashed after the model, each file once', async () => {
  const bytes = model(
    ...fields,
    len(5, external('w', { location: 'w.bin', offset: '16', length: '16' })),
    len(5, external('v', { location: 'w.bin' })),
    len(5, external('u', { location: 'weights/deep.bin' })),
  );
  const loaded = await loadModel(save(bytes));
  assert.equal(loaded.externalFiles, ['w.bin', 'weights/deep.bin']);
  assert.is(loaded.folder, folder);
  const files = [bytes, Uint8Array.from({ length: 64 }, (_, i) => i), new Uint8Array(64)];
  assert.is(loaded.sha256, createHash('sha256').update(Buffer.concat(files)).digest('hex'));
});

test('a Git LFS pointer in place of external data is called so', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 64\n';
  writeFileSync(join(folder, 'lfs.bin'), pointer);
  const error = await rejectsWith('external-data-missing', () =>
    loadModel(located({ location: 'lfs.bin', offset: '4096' })),
  );
  assert.match(error.message, '"lfs.bin", which is a Git LFS pointer');
});

test('external data in a node of a subgraph are followed', async () => {
  const constant = len(5, len(1, 'value'), len(5, external('c', { location: 'nowhere.bin' })), int(20, 4));
  const body = message(len(1, node('Constant', [], ['z'], constant)), len(12, value('z')));
  const branch = len(5, len(1, 'then_branch'), len(6, body), int(20, 5));
  const path = save(
    model(len(1, node('If', ['x'], ['y'], branch)), len(11, value('x')), len(12, value('y'))),
  );
  assert.is(await codeOf(path), 'external-data-missing');
});

const refused: readonly [what: string, entries: Record<string, string>, code: string][] = [
  ['a missing file', { location: 'nowhere.bin' }, 'external-data-missing'],
  ['a folder', { location: 'weights' }, 'external-data-missing'],
  ['a file too short for its length', { location: 'w.bin', offset: '56', length: '16' }, 'external-data-too-short'],
  ['a file too short for its dims', { location: 'w.bin', offset: '56' }, 'external-data-too-short'],
  ['a length that is not that of the dims', { location: 'w.bin', length: '12' }, 'malformed-tensor'],
  ['a path that climbs out', { location: '../outside.bin' }, 'external-data-outside'],
  ['a path that climbs out and back', { location: '../model/w.bin' }, 'external-data-outside'],
  ['a path that climbs out, on Windows', { location: '..\\outside.bin' }, 'external-data-outside'],
  ['an absolute path', { location: '/etc/hostname' }, 'external-data-outside'],
  ['an absolute path of Windows', { location: 'C:\\w.bin' }, 'external-data-outside'],
  ['the folder itself', { location: '.' }, 'external-data-outside'],
]; // biome-ignore format: a table

for (const [what, entries, code] of refused) {
  test(`${what}: ${code}`, async () => {
    assert.is(await codeOf(located(entries)), code);
  });
}

test('data may lie in another folder that is named, and then only there', async () => {
  const elsewhere = join(root, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'moved.bin'), new Uint8Array(64));
  const path = located({ location: 'moved.bin' });
  assert.is(await codeOf(path), 'external-data-missing');
  const { folder: named, externalFiles } = await loadModel(path, relative(process.cwd(), elsewhere));
  assert.equal([named, externalFiles], [elsewhere, ['moved.bin']]);
  assert.is(await codeOf(located({ location: 'w.bin' }), elsewhere), 'external-data-missing');
  assert.is(await codeOf(located({ location: '../model/w.bin' }), elsewhere), 'external-data-outside');
});

test('a link may not lead outside, as ONNX Runtime does not follow it; the model itself may be one', async () => {
  symlinkSync(join(root, 'outside.bin'), join(folder, 'link.bin'));
  assert.is(await codeOf(located({ location: 'link.bin' })), 'external-data-outside');
  const cache = join(root, 'cache');
  mkdirSync(cache);
  symlinkSync(located({ location: 'w.bin' }), join(cache, 'm.onnx'));
  assert.is(await codeOf(join(cache, 'm.onnx')), 'external-data-missing');
  assert.is(await codeOf(join(cache, 'm.onnx'), folder), '');
  symlinkSync(join(folder, 'w.bin'), join(cache, 'w.bin'));
  assert.is(await codeOf(join(cache, 'm.onnx')), 'external-data-outside');
  symlinkSync(folder, join(root, 'way'));
  assert.is(await codeOf(join(root, 'way', 'm.onnx')), '', 'a folder may be a link as a whole');
});

test('a model that is not there, or is a folder', async () => {
  assert.is(await codeOf(join(folder, 'nowhere.onnx')), 'unreadable-model');
  assert.is(await codeOf(folder), 'unreadable-model');
});

const io = [len(11, value('x')), len(12, value('y'))];
const relu = (from: string, to: string) => len(1, node('Relu', [from], [to]));
const weight = len(5, int(1, 1), int(2, 3), len(8, 'w'), len(9, Uint8Array.of(1)));

const broken: readonly [what: string, bytes: Uint8Array][] = [
  ['no outputs', model(relu('x', 'y'), len(11, value('x')))],
  ['an output made by nobody', model(...io)],
  ['an empty graph', model()],
  ['an input made by nobody', model(relu('z', 'y'), ...io)],
  ['a value made twice', model(relu('x', 'y'), relu('x', 'y'), ...io)],
  ['a cycle', model(relu('b', 'a'), relu('a', 'b'), relu('b', 'y'), ...io)],
  ['a cycle beside nodes in the wrong order', model(relu('a', 'y'), relu('x', 'a'), relu('c', 'b'), relu('b', 'c'), ...io)],
  ['an initializer given twice', model(relu('x', 'y'), weight, weight, ...io)],
  ['an initializer given twice that is an input', model(relu('x', 'y'), weight, weight, len(11, value('w')), ...io)],
  ['no operator set', message(int(1, 8), len(7, relu('x', 'y'), ...io))],
]; // biome-ignore format: a table

for (const [what, bytes] of broken) {
  test(`${what}: invalid-graph`, async () => {
    assert.is(await codeOf(save(bytes)), 'invalid-graph');
  });
}

test('nodes in the wrong order are sorted, and what was found in the file stays what it was', async () => {
  const bytes = model(relu('a', 'y'), relu('x', 'a'), ...io);
  const loaded = await loadModel(save(bytes));
  assert.equal(
    loaded.model.graph.nodes.flatMap((n) => n.outputs),
    ['a', 'y'],
  );
  assert.equal(loaded.bytes, Buffer.from(bytes));
  assert.is(loaded.sha256, createHash('sha256').update(bytes).digest('hex'));
  const written = serializeModel(loaded.model);
  for (const field of [relu('a', 'y'), relu('x', 'a'), ...io]) assert.ok(contains(written, field));
  await withSession(written, {}, async (session) => assert.equal(session.outputNames, ['y']));
});

test('the nodes of a local function are sorted', async () => {
  const op = (from: string, to: string) => len(7, node('Relu', [from], [to]));
  const body = len(25, len(1, 'F'), len(4, 'x'), len(5, 'y'), op('a', 'y'), op('x', 'a'), len(10, 'f'));
  const { model: loaded } = await loadModel(save(message(smallest, body)));
  assert.equal(
    readFunctions(loaded)[0]!.nodes.flatMap((n) => n.outputs),
    ['a', 'y'],
  );
});

test('the smallest model loads', async () => {
  assert.is(await codeOf(save(smallest)), '');
});

test.run();
