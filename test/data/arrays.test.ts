import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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
  rowsOf,
  tokenInputs,
} from './fixtures.ts';

const test = suite('data: arrays');
const LABELS = Uint8Array.from([0, 2, 1, 2]);
const X = pixels(4 * 2 * 3 * 3);

function npz(arrays: Record<string, Uint8Array>, level: 0 | 6 = 6): string {
  const named = Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes]));
  return put(join(freshFolder(), 'data.npz'), zipSync(named, { level }));
}

test('IDX, packed or not', async () => {
  const x = pixels(4 * 5 * 6);
  for (const gz of [true, false]) {
    const path = putIdx(freshFolder(), [4, 5, 6], x, LABELS, gz);
    for (const spec of [input(5, 6), input(1, 5, 6), input(5, 6, 1), input(30)]) {
      const data = await openAt(path, spec, { preset: 'mnist' });
      assert.equal([...data.labels], [0, 2, 1, 2]);
      assert.equal(await data.readRecords([0, 1, 2, 3]), x);
      const expected = Float32Array.from(x.subarray(30, 60), (v) => (v / 255 - 0.1307) / 0.3081);
      assert.equal(await data.read([1]), expected);
      const mirrored = await data.read([1], { mirror: true, dx: 0, dy: 0 });
      assert.equal([...mirrored.subarray(0, 6)], [...expected.subarray(0, 6)].reverse());
      await data.close();
    }
  }
});

test('IDX files that are wrong', async () => {
  const folder = freshFolder();
  const path = putIdx(folder, [4, 5, 6], pixels(120), LABELS);
  await fails(() => openAt(path, input(28, 28)), 'sample-shape-mismatch', '[5, 6]', '[28, 28]');
  await fails(
    () => openAt(path, input(5, 6), {}, { classes: 2 }),
    'label-out-of-range',
    'sample 1',
    'label 2',
  );
  await fails(
    () => openAt(join(folder, 'a-labels-idx1-ubyte.gz'), input(5, 6)),
    'unknown-data-format',
    'npz',
  );
  unlinkSync(join(folder, 'a-labels-idx1-ubyte.gz'));
  await fails(() => openAt(path, input(5, 6)), 'labels-file-missing', join(folder, 'a-labels-idx1-ubyte.gz'));

  put(join(folder, 'a-labels-idx1-ubyte'), idx([3], LABELS.subarray(0, 3)));
  await fails(() => openAt(path, input(5, 6)), 'label-count-mismatch', '3', '4');
  put(join(folder, 'a-labels-idx1-ubyte'), idx([4], LABELS));
  await (await openAt(path, input(5, 6))).close();
  put(path, readFileSync(path).subarray(0, 90));
  await fails(() => openAt(path, input(5, 6)), 'bad-data-file', path);
  put(path, 'no gzip');
  await fails(() => openAt(path, input(5, 6)), 'bad-data-file', path);
});

test('npz: uint8 in either order, stored or deflated', async () => {
  const hwc = (n: number, c: number, y: number, x: number) => X[((n * 2 + y) * 3 + x) * 3 + c]!;
  for (const level of [0, 6] as const) {
    const path = npz(
      { x: npy('|u1', [4, 2, 3, 3], X), y: npy('<i8', [4, 1], BigInt64Array.from([0n, 2n, 1n, 2n])) },
      level,
    );
    const planar = await openAt(path, input(3, 2, 3), { layout: 'NCHW' });
    const expected = [0, 1, 2].flatMap((c) => [0, 1].flatMap((y) => [0, 1, 2].map((x) => hwc(3, c, y, x))));
    assert.equal([...(await planar.read([3]))], expected);
    assert.equal([...planar.labels], [0, 2, 1, 2]);
    await planar.close();
    const same = await openAt(path, input(2, 3, 3));
    assert.equal([...(await same.read([0, 1, 2, 3]))], [...X]);
    await same.close();
    await fails(() => openAt(path, input(3, 3, 3), { layout: 'NCHW' }), 'sample-shape-mismatch', '[2, 3, 3]');
    await fails(() => openAt(path, input(3, 3, 2), { layout: 'NCHW' }), 'sample-shape-mismatch');
  }
});

test('float samples of the exact shape pass through unchanged', async () => {
  const x = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i) * 1e-3);
  const y = npy('<f8', [2], Float64Array.from([1, 0]));
  const doubles = Float64Array.from(x);
  const swapped = new Uint8Array(x.buffer.slice(0));
  for (let i = 0; i < swapped.length; i += 4) swapped.subarray(i, i + 4).reverse();
  for (const array of [
    npy('<f4', [2, 6], x),
    npy('>f4', [2, 6], swapped),
    npy('<f8', [2, 6], doubles),
    npy('<f4', [2, 1, 6], x),
  ]) {
    const data = await openAt(npz({ x: array, y }), input(6));
    assert.equal(await data.read([0, 1]), x);
    assert.equal(data.recordType, 'float');
    assert.not(data.isImage);
    await fails(() => data.read([0], { mirror: true, dx: 0, dy: 0 }), 'view-needs-image');
    await data.close();
  }
  const scaled = await openAt(npz({ x: npy('<f4', [2, 6], x), y }), input(6), {
    scale: 2,
    mean: [0.5],
    std: [4],
  });
  assert.equal(
    await scaled.read([1]),
    Float32Array.from(x.subarray(6), (v) => (v / 2 - 0.5) / 4),
  );
  await scaled.close();
});

test('other element types become float32', async () => {
  const y = npy('|u1', [1], new Uint8Array(1));
  const cases: [Uint8Array, number[]][] = [
    [npy('<i4', [1, 3], Int32Array.from([-1, 2 ** 24, 7])), [-1, 2 ** 24, 7]],
    [npy('<i8', [1, 3], BigInt64Array.from([5n, -6n, 0n])), [5, -6, 0]],
    [npy('<f2', [1, 3], Uint16Array.from([0x3c00, 0xc100, 0x0001])), [1, -2.5, 2 ** -24]],
    [npy('|b1', [1, 3], Uint8Array.from([1, 0, 1])), [1, 0, 1]],
  ];
  for (const [x, expected] of cases) {
    const data = await openAt(npz({ x, y }), input(3));
    assert.equal([...(await data.read([0]))], expected);
    await data.close();
  }
  const large = npz({ x: npy('<i4', [1, 2], Int32Array.from([0, 2 ** 24 + 1])), y });
  await fails(() => openAt(large, input(2)), 'bad-data-file', 'element 1');
});

test('one colour per channel axis, also for floats', async () => {
  const x = Float32Array.from({ length: 12 }, (_, i) => i);
  const path = npz({ x: npy('<f4', [1, 3, 2, 2], x), y: npy('|u1', [1], new Uint8Array(1)) });
  const data = await openAt(path, input(3, 2, 2), { mean: [1, 2, 3], std: [2] });
  assert.equal(
    [...(await data.read([0]))],
    [...x].map((v, i) => (v - 1 - Math.floor(i / 4)) / 2),
  );
  await data.close();
});

test('npy pairs: folder, prefix, the file itself', async () => {
  const folder = freshFolder();
  for (const prefix of ['', 'train_']) {
    put(join(folder, `${prefix}x.npy`), npy('|u1', [4, 18], X));
    put(join(folder, `${prefix}y.npy`), npy('<i4', [4], Int32Array.from(LABELS)));
  }
  for (const path of [folder, join(folder, 'train'), join(folder, 'train_'), join(folder, 'train_x.npy')]) {
    const data = await openAt(path, input(18));
    assert.equal([...data.labels], [0, 2, 1, 2]);
    await data.close();
  }
});

async function sizeOf(path: string): Promise<number> {
  const data = await openAt(path, input(18));
  await data.close();
  return data.size;
}

test('which arrays of an npz', async () => {
  const half = (from: number, to: number) => npy('|u1', [to - from, 18], X.subarray(from * 18, to * 18));
  const y = (from: number, to: number) => npy('|u1', [to - from], LABELS.subarray(from, to));
  const keras = npz({ x_train: half(0, 3), y_train: y(0, 3), x_test: half(3, 4), y_test: y(3, 4) });
  await fails(() => openAt(keras, input(18)), 'ambiguous-arrays', '#train');
  assert.is(await sizeOf(`${keras}#train`), 3);
  assert.is(await sizeOf(`${keras}#test`), 1);
  await fails(() => openAt(`${keras}#other`, input(18)), 'arrays-missing', 'x_other', 'x_test');
  assert.is(await sizeOf(npz({ x_test: half(3, 4), y_test: y(3, 4) })), 1);
  await fails(() => openAt(npz({ x: half(0, 4) }), input(18)), 'arrays-missing', 'arrays x and y');
});

const TOKENS = tokenInputs(2, 'ids', 'mask');
const IDS = npy('<i8', [3, 2], BigInt64Array.from([1n, 2n, 3n, 4n, 5n, 6n]));
const MASK = npy('|u1', [3, 2], Uint8Array.from([1, 1, 1, 0, 0, 0]));
const ROWS = [
  [1, 2, 1, 1],
  [3, 4, 1, 0],
  [5, 6, 0, 0],
];

test('an array for each input', async () => {
  const labels = npy('|u1', [3], LABELS.subarray(0, 3));
  const folder = freshFolder();
  put(join(folder, 'ids.npy'), IDS);
  put(join(folder, 'mask.npy'), MASK);
  put(join(folder, 'label.npy'), labels);
  for (const path of [
    folder,
    npz({ ids: IDS, mask: MASK, y: labels }),
    `${npz({ ids_test: IDS, mask_test: MASK, labels_test: labels })}#test`,
  ]) {
    const data = await openFor(path, TOKENS);
    assert.equal([...data.labels], [0, 2, 1]);
    assert.equal(await rowsOf(data), ROWS);
  }
  const one = await openFor(npz({ ids: IDS, y: labels }), TOKENS.slice(0, 1));
  assert.equal(
    await rowsOf(one),
    ROWS.map((row) => row.slice(0, 2)),
  );
});

test('arrays for each input that are wrong', async () => {
  const y = npy('|u1', [3], LABELS.subarray(0, 3));
  const open = (arrays: Record<string, Uint8Array>) => () => openFor(npz(arrays), TOKENS);
  await fails(open({ ids: IDS, y }), 'arrays-missing', 'ids, mask', 'it has ids, y');
  const narrow = npy('|u1', [3, 1], new Uint8Array(3));
  await fails(open({ ids: IDS, mask: narrow, y }), 'sample-shape-mismatch', '[1]', 'mask', '[2]');
  const short = npy('|u1', [2, 2], new Uint8Array(4));
  await fails(open({ ids: IDS, mask: short, y }), 'bad-data-file', '(mask)', '2 samples', '3');
  const large = npy('<i8', [3, 2], BigInt64Array.from([1n, 2n, 3n, 4n, 5n, 2n ** 24n + 1n]));
  await fails(open({ ids: large, mask: MASK, y }), 'bad-data-file', '(ids)', 'element 5', '2^24');
});

test('arrays that are wrong', async () => {
  const x = npy('|u1', [4, 18], X);
  const y = npy('|u1', [4], LABELS);
  const open = (x: Uint8Array, y: Uint8Array, classes?: number) => () =>
    openAt(npz({ x, y }), input(18), {}, { classes });
  await fails(open(x, npy('|u1', [3], LABELS.subarray(0, 3))), 'label-count-mismatch');
  await fails(open(x, npy('<f4', [4], Float32Array.from([0, 1, 1.5, 2]))), 'bad-labels', 'label 2 is 1.5');
  await fails(open(x, npy('|u1', [4, 3], new Uint8Array(12))), 'bad-labels', '[4, 3]');
  await fails(
    open(x, npy('|i1', [4], Int8Array.from([0, 0, 0, -1]))),
    'label-out-of-range',
    'sample 3',
    '-1',
  );
  await fails(open(x, y, 2), 'label-out-of-range', 'sample 1');
  await fails(open(npy('|u1', [4, 18], X, true), y), 'bad-data-file', 'Fortran');
  await fails(open(npy('|O', [4, 18], X), y), 'bad-data-file', 'numbers');
  await fails(open(npy('|u1', [4], X), y), 'bad-data-file', 'no axis');
  await fails(open(new Uint8Array(200), y), 'bad-data-file', '.npy');
  await fails(open(npy('|u1', [4, 18], X.subarray(1)), y), 'bad-data-file', 'too early');
  await fails(open(npy('|u1', [0, 18], X), npy('|u1', [0], LABELS)), 'empty-dataset');
  await fails(() => openAt(put(join(freshFolder(), 'a.npz'), 'no zip'), input(18)), 'bad-data-file', 'zip');
  await fails(() => openAt(join(freshFolder(), 'gone'), input(18)), 'data-not-found', 'gone', 'npz');
});

test.run();
