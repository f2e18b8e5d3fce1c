import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { Random } from '../../src/graph/random.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { buildHead } from '../../src/passes/heads.ts';
import { logisticRegression } from '../../src/policies/logistic.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { fitConfidence, withTemperature } from '../../src/train/confidence.ts';
import { openFeatures } from '../../src/train/features.ts';
import { runHeads } from '../../src/train/outputs.ts';
import { syntheticData, syntheticHeads, syntheticModel } from './synthetic.ts';

const test = suite('train: confidence');

/** n points of f features, mean 3 and deviation 2; right with probability sigmoid(1 + Σ truth·z). */
function task(n: number, truth: readonly number[], seed = 1) {
  const random = new Random(seed, 'gates');
  const f = truth.length;
  const pooled = new Float32Array(n * f);
  const correct = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    let z = 1;
    for (let k = 0; k < f; k++) {
      const value = random.gaussian();
      z += truth[k]! * value;
      pooled[i * f + k] = 3 + 2 * value;
    }
    correct[i] = random.uniform() < 1 / (1 + Math.exp(-z)) ? 1 : 0;
  }
  return { pooled, correct };
}

test('logistic regression zeroes its gradient', () => {
  const { pooled, correct } = task(300, [1, -2, 0.5]);
  const rows = Float64Array.from(pooled, (v) => (v - 3) / 2);
  const some = Int32Array.from({ length: 300 }, (_, i) => i);
  const { weights, bias } = logisticRegression(rows, 3, correct, some, 3);
  const right = correct.reduce((a, b) => a + b, 0);
  const gradient = [...weights].map((w) => 3 * w).concat(0);
  for (const i of some) {
    const x = [...rows.subarray(3 * i, 3 * i + 3), 1];
    const z = x.reduce((sum, v, k) => sum + v * (weights[k] ?? bias), 0);
    const target = correct[i] ? (right + 1) / (right + 2) : 1 / (300 - right + 2);
    x.forEach((v, k) => {
      gradient[k]! += v * (1 / (1 + Math.exp(-z)) - target);
    });
  }
  for (const g of gradient) assert.ok(Math.abs(g) < 1e-4, `${gradient}`);
});

test('separable, one-sided and few samples have finite answers', () => {
  const some = Int32Array.of(0, 1, 2, 3);
  const rows = Float64Array.of(-2, -1, 1, 2);
  for (const correct of [
    [0, 0, 1, 1],
    [1, 1, 1, 1],
    [0, 0, 0, 0],
  ]) {
    const { weights, bias } = logisticRegression(rows, 1, correct, some, 0.01);
    assert.ok(Number.isFinite(weights[0]!) && Number.isFinite(bias));
    assert.ok(Math.abs(bias) < 10 && Math.abs(weights[0]!) < 100, `${weights} ${bias}`);
  }
});

test('confidence ranks right answers above wrong ones, in the graph, and is the same every time', async () => {
  const truth = Array.from({ length: 128 }, (_, i) => (i < 6 ? 1 : 0));
  const [head] = syntheticHeads('conv');
  const fitted = task(2000, truth);
  const wide = { ...head!, graph: buildHead('pool', [128], 4, { seed: 1, dropout: 0 }) };
  const gated = fitConfidence(wide, fitted.pooled, fitted.correct);
  assert.equal(fitConfidence(wide, fitted.pooled, fitted.correct), gated);
  const held = task(2000, truth, 2);
  const features = new Tensor('float32', held.pooled, [2000, 128]);
  const { confidence } = await withSession(makeModel(gated.graph), { threads: 1 }, (s) =>
    s.run({ features }),
  );
  const scores = confidence!.data as Float32Array;
  assert.ok(auroc(scores, held.correct) > 0.88, `${auroc(scores, held.correct)}`);
  const expected = scores.reduce((sum, c) => sum + c, 0) / 2000;
  const share = held.correct.reduce((a, b) => a + b, 0) / 2000;
  assert.ok(Math.abs(expected - share) < 0.03, `${expected} ${share}`);
});

test('a temperature divides the logits, and leaves answers and confidence alone', async () => {
  const features = new Tensor('float32', task(200, Array(128).fill(1)).pooled, [200, 128]);
  const [head] = syntheticHeads('conv');
  const before = { ...head!, graph: buildHead('pool', [128], 4, { seed: 1, dropout: 0 }) };
  const run = ({ graph }: typeof before) =>
    withSession(makeModel(graph), { threads: 1 }, (s) => s.run({ features }));
  for (const temperature of [0.37, 2.9]) {
    const [was, is] = [await run(before), await run(withTemperature(before, temperature))];
    const [old, divided] = [was.logits!.data as Float32Array, is.logits!.data as Float32Array];
    assert.ok(divided.every((z, at) => Math.abs(z * temperature - old[at]!) < 1e-5));
    assert.equal(argMaxRows(divided, 200), argMaxRows(old, 200));
    assert.equal(is.confidence!.data, was.confidence!.data);
  }
});

test('runHeads gives the outputs of each head, whatever the batches', async () => {
  const heads = syntheticHeads();
  const dataset = syntheticData(300);
  const options = { typed: syntheticModel(), modelHash: 'm', heads, dataset, session: { threads: 1 } };
  const source = await openFeatures(options);
  const all = await runHeads(heads, source, undefined, { session: { threads: 1 } });
  const some = await runHeads(heads, source, [299, 7], { session: { threads: 1 } });
  await source.close();
  assert.is(all.original.length, 300 * 4);
  assert.equal(
    all.logits.map((l) => l.length),
    [1200, 1200],
  );
  assert.equal(
    all.pooled.map((p) => p.length % 300),
    [0, 0],
  );
  for (const k of [0, 1]) {
    for (const [row, index] of [299, 7].entries()) {
      assert.ok(Math.abs(some.confidence[k]![row]! - all.confidence[k]![index]!) < 1e-4);
      for (let c = 0; c < 4; c++)
        assert.ok(Math.abs(some.logits[k]![4 * row + c]! - all.logits[k]![4 * index + c]!) < 1e-3);
    }
  }
});

/** Probability that a right answer scores above a wrong one. */
function auroc(scores: Float32Array, correct: Uint8Array): number {
  const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!);
  const right = correct.reduce((a, b) => a + b, 0);
  const ranks = order.reduce((sum, i, rank) => sum + (correct[i] ? rank + 1 : 0), 0);
  return (ranks - (right * (right + 1)) / 2) / (right * (correct.length - right));
}

test.run();
