import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { partition, samplesWithin, subset } from '../../src/data/index.ts';
import { Random, shuffled } from '../../src/graph/random.ts';
import { fails, freshFolder, input, npy, openAt, put } from './fixtures.ts';

const test = suite('data: partition and random');

/** Sample i is the number i; class 0 holds 700 samples, 1 holds 250, 2 holds 50. */
async function numbered() {
  const folder = freshFolder();
  const labels = Int32Array.from({ length: 1000 }, (_, i) => (i % 20 === 0 ? 2 : i % 4 === 1 ? 1 : 0));
  put(
    join(folder, 'x.npy'),
    npy(
      '<i4',
      [1000, 1],
      Int32Array.from(labels, (_, i) => i),
    ),
  );
  put(join(folder, 'y.npy'), npy('<i4', [1000], labels));
  return openAt(folder, input(1));
}

const FRACTIONS = { train: 0.7, validation: 0.1, calibration: 0.1, test: 0.1 };

test('parts are disjoint, complete, stratified and repeatable', async () => {
  const data = await numbered();
  const parts = partition(data, FRACTIONS, 7);
  const all: number[] = [];
  for (const [split, part] of Object.entries(parts)) {
    const share = FRACTIONS[split as keyof typeof FRACTIONS];
    const values = await part.read(Int32Array.from({ length: part.size }, (_, i) => i));
    all.push(...values);
    assert.ok(Math.abs(part.size - 1000 * share) <= 1);
    for (const [label, count] of [700, 250, 50].entries()) {
      const got = part.labels.filter((l) => l === label).length;
      assert.ok(Math.abs(got - count * share) <= 2, `${split} class ${label}: ${got}`);
    }
    assert.equal(
      [...part.labels],
      [...values].map((i) => data.labels[i]),
    );
  }
  assert.equal(
    all.sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  const again = partition(data, FRACTIONS, 7);
  assert.equal([again.train.hash, again.test.hash], [parts.train.hash, parts.test.hash]);
  assert.is.not(partition(data, FRACTIONS, 8).test.hash, parts.test.hash);
  assert.is.not(parts.test.hash, parts.calibration.hash);
  assert.is(partition(data, { some: 0.25 }, 1).some.size, 250);
  await data.close();
});

test('refusals of a split', async () => {
  const data = await numbered();
  await fails(() => partition(data, { a: 0.6, b: 0.6 }, 1), 'bad-fractions', 'a 0.6');
  await fails(() => partition(data, { a: 1, b: 0 }, 1), 'bad-fractions');
  await fails(
    () => partition(subset(data, [0, 1]), { a: 0.98, b: 0.02 }, 1),
    'empty-dataset',
    'too few samples (2) for a part of them to be the b split',
  );
  await data.close();
});

test('a subset of a subset', async () => {
  const data = await numbered();
  const part = subset(subset(data, [10, 20, 30, 40]), [3, 1]);
  assert.equal([...(await part.read([0, 1, 0]))], [40, 20, 40]);
  assert.equal(new Float32Array((await part.readRecords([1])).buffer), Float32Array.from([20]));
  await part.close();
  assert.equal([...(await data.read([5]))], [5]);
  let thrown: unknown;
  try {
    await part.read([2]);
  } catch (error) {
    thrown = error;
  }
  assert.instance(thrown, RangeError);
  await data.close();
});

test('random streams', () => {
  assert.equal(shuffled(50, 3), shuffled(50, 3));
  assert.not.equal(shuffled(50, 3), shuffled(50, 4));
  assert.not.equal(shuffled(50, 3, 'epoch', 1), shuffled(50, 3, 'epoch', 2));
  assert.equal(
    [...shuffled(50, 3)].sort((a, b) => a - b),
    [...Array(50).keys()],
  );
  const random = new Random(1, 'moments');
  const normals = Array.from({ length: 20000 }, () => random.gaussian());
  const mean = normals.reduce((a, b) => a + b) / normals.length;
  const variance = normals.reduce((a, b) => a + b * b, 0) / normals.length - mean ** 2;
  assert.ok(Math.abs(mean) < 0.03 && Math.abs(variance - 1) < 0.05, `${mean} ${variance}`);
  const uniforms = Array.from({ length: 20000 }, () => random.uniform());
  assert.ok(uniforms.every((u) => u >= 0 && u < 1));
  assert.ok(Math.abs(uniforms.reduce((a, b) => a + b) / 20000 - 0.5) < 0.01);
});

test('a part knows which samples of the whole it is', async () => {
  const data = await numbered();
  const { calibration, test: other } = partition(data, FRACTIONS, 7);
  const { half } = partition(calibration, { half: 0.5 }, 1);
  const picks = samplesWithin(half, data)!;
  assert.equal(
    [...(await half.read(Int32Array.from({ length: half.size }, (_, i) => i)))],
    [...(await data.read(picks))],
  );
  assert.equal([...samplesWithin(half, calibration)!].length, half.size);
  assert.equal([...samplesWithin(data, data)!].slice(0, 3), [0, 1, 2]);
  assert.is(samplesWithin(half, other), undefined);
  await data.close();
});

test.run();
