import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { measure, searchPolicy } from '../../src/calibrate/index.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { featuresOf } from '../../src/policies/eenet-fit.ts';
import { assign, layoutOf, losses } from '../../src/policies/eenet-losses.ts';
import { POLICIES } from '../../src/policies/index.ts';
import { type FittedPolicy, fitPolicy, ownThresholds } from '../../src/predict/fitted-policy.ts';
import { outcomesAt } from '../../src/predict/outcomes.ts';
import type { Predictions } from '../../src/predict/predict.ts';
import { normal, ofOriginal, uniform } from '../calibrate/simulate.ts';
import { noise, tinyResidual } from '../models.ts';
import { byHand, COUNT, prepare, runLowered, samples } from '../passes/by-hand.ts';

const test = suite('policies: eenet');

const COST = ofOriginal([0.2, 0.45], [0.03, 0.02]);
const COSTS = [0.23, 0.5, 1.05];
const CLASSES = 4;

/**
 * Two exits and an original on four classes. Exits confuse classes 0 and 1 with high confidence, independently of each other, so that a second
 * vote tells more than the confidence does; of 2 and 3 they are less sure than they should be.
 */
function draw(n: number, seed: number): Predictions {
  const random = uniform(seed);
  const labels = Int32Array.from({ length: n }, () => Math.floor(random() * CLASSES));
  const logitsOf = (mixed: number, missed: number) => {
    const logits = new Float32Array(n * CLASSES);
    for (const [i, label] of labels.entries()) {
      const wrong = random() < (label < 2 ? mixed : missed);
      const answer = wrong ? label ^ 1 : label;
      const height = label < 2 ? 4 + normal(random) : (wrong ? 1 : 2) + 0.5 * normal(random);
      for (let c = 0; c < CLASSES; c++) logits[i * CLASSES + c] = 0.3 * normal(random);
      logits[i * CLASSES + answer]! += Math.max(1, height);
    }
    return logits;
  };
  const logits = [logitsOf(0.35, 0.1), logitsOf(0.25, 0.05)];
  const confidence = logits.map(() => new Float32Array(n));
  return { logits, confidence, original: logitsOf(0.05, 0.02), labels };
}

const dataOf = ({ logits, confidence, original, labels }: Predictions, budget: number) => ({
  exits: logits.map((l, k) => ({ logits: l, confidence: confidence[k]! })),
  original,
  labels,
  classes: CLASSES,
  costs: COSTS,
  budget,
});

/** Samples, and what is learned of them: a fit takes seconds. */
const BUDGET = 0.5;
const known = draw(3000, 5);
let learner: FittedPolicy | undefined;
const learned = () => {
  learner ??= fitPolicy('eenet', known, COST, BUDGET);
  return learner;
};

test('the gradient is that of the losses, each by its own weights', () => {
  const features = featuresOf(dataOf(draw(40, 1), 0.6), 2);
  const { size, scoreSize } = layoutOf(features);
  const theta = Float64Array.from(noise(size, 5), (v) => 0.7 * v);
  const some = Int32Array.from({ length: 30 }, (_, i) => (7 * i) % 40);
  const assigned = assign(features, theta, some);
  const { gradient } = losses(features, theta, some, assigned);
  const step = 1e-6;
  let largest = 0;
  for (let at = 0; at < size; at++) {
    const scoreWeight = at < features.exits * scoreSize;
    const exit = Math.floor(at / scoreSize);
    const at_ = (by: number) => {
      const moved = assign(features, theta.with(at, theta[at]! + by), some);
      // What one loss reads of the other, and what an exit reads of those before it, is held.
      const scores = scoreWeight
        ? assigned.scores.map((q, i) => (i % features.exits === exit ? moved.scores[i]! : q))
        : assigned.scores;
      const held = scoreWeight ? { ...assigned, scores } : { ...moved, scores };
      const found = losses(features, theta, some, held);
      return scoreWeight ? found.score : found.assignment;
    };
    const numeric = (at_(step) - at_(-step)) / (2 * step);
    assert.ok(Math.abs(numeric - gradient[at]!) < 1e-5 * (1 + Math.abs(numeric)), `weight ${at}`);
    largest = Math.max(largest, Math.abs(numeric));
  }
  assert.ok(largest > 0.01);
});

test('the losses are the equations', () => {
  const features = featuresOf(dataOf(draw(25, 2), 0.6), 1);
  const theta = Float64Array.from(noise(layoutOf(features).size, 6), (v) => 0.3 * v);
  for (let k = 0; k < features.exits; k++) theta[(k + 1) * layoutOf(features).scoreSize - 1] = 0.5;
  const everySample = Int32Array.from({ length: 25 }, (_, i) => i);
  const assigned = assign(features, theta, everySample);
  const [K, N] = [features.exits, 25];
  const r = (n: number, k: number) => assigned.assignments[n * (K + 1) + k]!;
  const q = (n: number, k: number) => assigned.scores[n * K + k]!;
  const rights = (n: number) => features.correct.map((c) => c[n]!);
  const wanted = (n: number, k: number) => {
    const sum = rights(n).reduce((a, b) => a + b);
    return sum === 0 ? 1 / (K + 1) : rights(n)[k]! / sum;
  };
  const all = [...everySample];
  const ks = Array.from({ length: K + 1 }, (_, k) => k);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const ce = -sum(all.flatMap((n) => ks.map((k) => wanted(n, k) * Math.log(r(n, k))))) / (N * (K + 1));
  const mean = sum(all.flatMap((n) => ks.map((k) => r(n, k) * COSTS[k]!))) / N;
  const staying = (n: number, k: number) => 1 - sum(ks.slice(0, k).map((j) => r(n, j)));
  const score = ks.slice(0, K).map((k) => {
    const total = sum(all.map((n) => staying(n, k)));
    return sum(
      all.map((n) => {
        assert.ok(q(n, k) > 0.01 && q(n, k) < 0.99, 'no clamp');
        return (-staying(n, k) / total) * Math.log(features.correct[k]![n] ? q(n, k) : 1 - q(n, k));
      }),
    );
  });
  const found = losses(features, theta, everySample, assigned);
  assert.ok(Math.abs(found.score - sum(score) / K) < 1e-12);
  assert.ok(Math.abs(found.assignment - (0.1 * ce + Math.abs(0.6 - mean) / 0.6)) < 1e-12);
});

test('its own thresholds keep the budget within 3 % on fresh samples', () => {
  const [seen, fresh] = [draw(3000, 3), draw(6000, 4)];
  const realised = [0.35, 0.8].map((budget) => {
    const fittedPolicy = fitPolicy('eenet', seen, COST, budget);
    const [thresholds] = ownThresholds(outcomesAt(seen, fittedPolicy), fittedPolicy);
    const { relativeCost } = measure(outcomesAt(fresh, fittedPolicy)(thresholds), COST, thresholds!);
    assert.ok(Math.abs(relativeCost / budget - 1) < 0.03, `${relativeCost} for ${budget}`);
    return relativeCost;
  });
  assert.ok(realised[1]! - realised[0]! > 0.4);
});

test('beats the largest probability where being right depends on the class and the vote', () => {
  const fresh = draw(3000, 6);
  const [wise, plain] = [learned(), fitPolicy('max-prob', known, COST, BUDGET)].map((fittedPolicy) => {
    const hull = searchPolicy(outcomesAt(known, fittedPolicy), COST, { target: 'accuracy' });
    const { thresholds } = hull.findLast((point) => point.relativeCost <= BUDGET)!;
    return measure(outcomesAt(fresh, fittedPolicy)(thresholds), COST, thresholds).accuracy;
  });
  assert.ok(wise! > plain! + 0.03, `${wise} against ${plain}`);
});

test('a search that is given its thresholds is never worse than they are', () => {
  const outcomes = outcomesAt(known, learned());
  const also = ownThresholds(outcomes, learned());
  const own = measure(outcomes(also[0]), COST, also[0]!);
  const hull = searchPolicy(outcomes, COST, { target: 'accuracy', caution: 0, also });
  const best = hull.findLast((point) => point.relativeCost <= own.relativeCost)!;
  assert.ok(best.accuracy >= own.accuracy);
  assert.equal(ownThresholds(outcomes, { policy: 'max-prob', parameters: {} }), []);
});

test('thresholds walk down the quantiles of the learned distribution', () => {
  const walk = (scores: number[][], shares: number[]) =>
    POLICIES.eenet.thresholds!(
      scores.map((s) => Float32Array.from(s)),
      { shares },
    );
  assert.equal(
    walk(
      [
        [0.75, 0.5, 0.25, 0],
        [0.75, 0.125, 0.5, 0.25],
      ],
      [0.25, 0.5, 0.25],
    ),
    [0.625, 0.1875],
  );
  assert.equal(walk([[0.5, Number.NaN, 0.5, 0.25]], [0.25, 0.75]), [0.375], 'equal scores leave together');
  assert.equal(walk([[0.5, 0.25]], [0.25, 0.75]), [1 - 2 ** -24], 'open, and no sample leaves');
  const [lowest] = walk([[0.5, Number.NaN]], [1, 0]);
  assert.ok(lowest! < 0.5, 'all samples');
});

test('the same twice, and scores stay below 1 whatever the logits', () => {
  const { parameters } = learned();
  assert.equal(JSON.stringify(POLICIES.eenet.fit!(dataOf(known, BUDGET))), JSON.stringify(parameters));
  const state = new Float32Array(2000 * (2 + CLASSES));
  const wild = [9, 10].map((seed) => noise(2000 * CLASSES, seed).map((v) => v * 60));
  for (const [exit, logits] of wild.entries()) {
    const place = { exit, exits: 2, classes: CLASSES, state, confidence: new Float32Array(2000) };
    const { score } = POLICIES.eenet.decide({ ...place, logits }, parameters);
    assert.ok(score.every((q) => q < 1));
    assert.ok(new Set(score).size > 100, 'and are told apart');
  }
});

test('a thousand classes are fitted in time', () => {
  const [n, classes] = [400, 1000];
  const logitsOf = (seed: number) => noise(n * classes, seed).map((v) => 4 * v);
  const labels = Int32Array.from({ length: n }, (_, i) => (i * 7) % classes);
  const started = process.cpuUsage();
  const exits = [1, 2].map((seed) => ({ logits: logitsOf(seed), confidence: new Float32Array(n) }));
  const { weight } = POLICIES.eenet.fit!({ exits, original: logitsOf(3), labels, classes, costs: COSTS });
  assert.ok(weight!.every(Number.isFinite));
  assert.ok(process.cpuUsage(started).user < 60e6);
});

test('in the latest operator set too', async () => {
  const { typed, heads } = await prepare(tinyResidual({ opset: 21 }));
  const { classes } = typed;
  const { logits, confidences } = await byHand(typed, heads, samples);
  const exits = heads.map((_, k) => ({ logits: logits[k]!, confidence: confidences[k]! }));
  const labels = Int32Array.from({ length: COUNT }, (_, i) => i % classes);
  const costs = [0.3, 0.5, 0.8, 1.1];
  const parameters = POLICIES.eenet.fit!({ exits, original: logits.at(-1)!, labels, classes, costs });
  const state = new Float32Array(COUNT * (exits.length + classes));
  const scores = exits.map(
    (e, exit) => POLICIES.eenet.decide({ ...e, exit, exits: exits.length, classes, state }, parameters).score,
  );
  const model = lowerExits(typed, heads, { policy: 'eenet', parameters });
  for (const [k, score] of scores.entries()) {
    const highest = 1 - 2 ** -24;
    const thresholds = scores.map((_, j) => (j < k ? highest : j === k ? -99 : 1));
    const got = await runLowered(model, samples, 7, thresholds);
    assert.ok(got.exits.every((exit) => exit === k));
    for (const [i, q] of score.entries()) assert.ok(Math.abs(got.confidences[i]! - q) < 1e-5);
  }
});

test.run();
