import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type InputSpec, partition } from '../../src/data/index.ts';
import {
  fails,
  freshFolder,
  idx,
  input,
  npy,
  openAt,
  openFor,
  pixels,
  put,
  putIdx,
  putImage,
  rowsOf,
  tokenInputs,
} from './fixtures.ts';

const test = suite('data: without labels');
const NONE = { labels: 'none' } as const;

/** Every format without labels; what a labelled file holds, must not matter. */
async function places(): Promise<Record<string, { path: string; spec: InputSpec }>> {
  const folder = freshFolder();
  const at = (name: string) => join(folder, name);
  await putImage(at('flat/1.png'), pixels(12, 1), [2, 2, 3]);
  await putImage(at('flat/2.png'), pixels(12, 2), [2, 2, 3]);
  await putImage(at('classes/b/1.png'), pixels(12, 1), [2, 2, 3]);
  await putImage(at('classes/a/2.png'), pixels(12, 2), [2, 2, 3]);
  put(at('classes/readme.txt'), 'beside the classes');
  put(at('a-images-idx3-ubyte'), idx([2, 2, 2], pixels(8)));
  put(at('arrays/x.npy'), npy('|u1', [2, 4], pixels(8)));
  put(at('a.jsonl'), '{"x": [1, 2]}\n{"x": [3, 4], "label": "odd"}');
  const columnData = [{ name: 'x', data: [1, 2] }];
  put(at('a.parquet'), new Uint8Array(parquetWriteBuffer({ columnData })));
  put(at('test_batch.bin'), pixels(2 * 3073));
  return {
    'flat folder': { path: at('flat'), spec: input(3, 2, 2) },
    'class folders': { path: at('classes'), spec: input(3, 2, 2) },
    idx: { path: at('a-images-idx3-ubyte'), spec: input(2, 2) },
    npy: { path: at('arrays'), spec: input(4) },
    jsonl: { path: at('a.jsonl'), spec: input(2) },
    parquet: { path: at('a.parquet'), spec: input(1) },
    cifar: { path: at('test_batch.bin'), spec: input(3, 32, 32) },
  };
}

test('no format needs labels, and those that are there do not count', async () => {
  for (const [name, { path, spec }] of Object.entries(await places())) {
    const data = await openAt(path, spec, {}, { ...NONE, classes: 1 });
    assert.equal([data.unlabelled, [...data.labels], data.classNames], [true, [-1, -1], undefined], name);
    assert.not(data.random);
    await data.close();
  }
});

test('with labels it is as it was, and other records', async () => {
  const path = putIdx(freshFolder(), [2, 2, 2], pixels(8), Uint8Array.from([1, 0]));
  const without = await openAt(path, input(2, 2), {}, NONE);
  const labelled = await openAt(path, input(2, 2));
  assert.equal([...labelled.labels], [1, 0]);
  assert.not(labelled.unlabelled);
  assert.is.not(labelled.hash, without.hash);
  assert.equal(await rowsOf(labelled), await rowsOf(without));
});

test('labels are required by default', async () => {
  const { jsonl, parquet, ...rest } = await places();
  for (const [name, code] of [
    ['flat folder', 'unknown-data-format'],
    ['npy', 'unknown-data-format'],
    ['idx', 'labels-file-missing'],
  ] as const)
    await fails(() => openAt(rest[name]!.path, rest[name]!.spec), code, "`labels: 'none'`");
  for (const { path, spec } of [jsonl!, parquet!])
    await fails(() => openAt(path, spec), 'label-missing', "`labels: 'none'`");
  const empty = freshFolder();
  await fails(() => openAt(empty, input(3, 2, 2), {}, NONE), 'empty-dataset', empty);
  mkdirSync(join(empty, 'k'));
  await fails(() => openAt(empty, input(3, 2, 2), {}, NONE), 'empty-dataset', empty);
});

test('parts of it are unlabelled too', async () => {
  const data = await openAt('random:20', input(2));
  const { some } = partition(data, { some: 0.5 }, 1);
  assert.equal([some.size, some.unlabelled, some.random], [10, true, true]);
  assert.match(some.hash, /^random-/);
  await data.close();
});

test('random images are uniform in [-1, 1] after preprocessing', async () => {
  for (const [spec, channels] of [
    [input(3, 8, 8), 'bgr'],
    [input(8, 8, 3), 'rgb'],
    [input(8, 8), undefined],
  ] as const) {
    const options = channels ? ({ preset: 'imagenet', channels } as const) : ({ preset: 'mnist' } as const);
    const data = await openAt('random', spec, options);
    assert.equal([data.size, data.random, data.unlabelled], [256, true, true]);
    assert.match(data.hash, /^random-[0-9a-f]{64}$/);
    const values = (await rowsOf(data)).flat();
    assert.ok(values.every((v) => Math.abs(v) < 1 + 1e-6));
    assert.ok(Math.abs(values.reduce((a, b) => a + b) / values.length) < 0.02);
    assert.ok(Math.abs(values.reduce((a, b) => a + b * b) / values.length - 1 / 3) < 0.02);
  }
});

test('random numbers suit their inputs, and differ between splits only', async () => {
  const inputs: InputSpec[] = [
    ...tokenInputs(4, 'input_ids'),
    { name: 'mask', dims: [4], dataType: 'bool' },
    { name: 'byte', dims: [2, 2], dataType: 'uint8' },
    { name: 'signal', dims: [8], dataType: 'float16' },
  ];
  const draw = async (path: string, split?: string) => rowsOf(await openFor(path, inputs, { split }));
  const rows = await draw('random:300', 'train');
  assert.is(rows.length, 300);
  const seen = (from: number, to: number) => [...new Set(rows.flatMap((row) => row.slice(from, to)))];
  assert.equal(seen(0, 8).sort(), [0, 1]);
  assert.ok(seen(8, 12).every((v) => Number.isInteger(v) && v >= 0 && v < 256) && seen(8, 12).length > 200);
  assert.ok(seen(12, 20).some((v) => v < -0.9) && seen(12, 20).every((v) => Math.abs(v) <= 1));
  assert.equal(await draw('random:10', 'train'), rows.slice(0, 10));
  assert.not.equal(await draw('random:10', 'test'), rows.slice(0, 10));
  await fails(() => draw('random:0'), 'empty-dataset', 'random:0');
  await fails(() => draw('random:many'), 'data-not-found', 'random:many');
  const text: InputSpec = { name: 'words', dims: [1], dataType: 'string' };
  await fails(() => openAt('random', text), 'unsupported-input-type', 'words');
});

test.run();
