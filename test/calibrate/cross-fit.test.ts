/** Names keep their promise on new samples: simulated draws of calibration samples, and a pool that knows the truth. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { costOfBudget, costOfDrop, crossFit, estimates } from '../../src/calibrate/cross-fit.ts';
import { measure } from '../../src/calibrate/measure.ts';
import { pickAccuracyDrop, pickBudget } from '../../src/calibrate/operating-points.ts';
import { searchThresholds } from '../../src/calibrate/search.ts';
import { type Candidate, type Outcomes, pickSamples } from '../../src/calibrate/types.ts';
import { shuffled } from '../../src/graph/random.ts';
import { foldsOf } from '../../src/predict/choose-policy.ts';
import { simulate, TEXT_LIKE, TWO_EXITS } from './simulate.ts';

const test = suite('calibrate: cross-fit');
const options = { target: 'accuracy' } as const;
const search = (outcomes: Outcomes) => searchThresholds(outcomes, TWO_EXITS, options);

function searched(outcomes: Outcomes, seed: number) {
  const folds = foldsOf(outcomes.labels.length, seed);
  const unseen = crossFit(
    () => outcomes,
    (outcomes) => search(outcomes()),
    TWO_EXITS,
    { ...options, folds },
  );
  return { hull: search(outcomes), unseen };
}

test('in the mean over draws, points lose and cost at most what their names say; the best of many settings does not', () => {
  const [DRAWS, SAMPLES, POOL] = [40, 500, 20_000];
  const pool = simulate(POOL, 7, TEXT_LIKE);
  const exact = measure(pool, TWO_EXITS, [1, 1]).accuracy;
  const lost = { kept: [] as number[], before: [] as number[] };
  const cost: number[] = [];
  for (let draw = 0; draw < DRAWS; draw++) {
    const found = searched(pickSamples(pool, shuffled(POOL, draw).slice(0, SAMPLES)), draw);
    const truth = ({ thresholds }: Candidate) => measure(pool, TWO_EXITS, thresholds);
    lost.kept.push(exact - truth(pickAccuracyDrop(found, 0.01)).accuracy);
    const seen = found.hull.find((p) => p.accuracy >= found.hull.at(-1)!.accuracy - 0.01)!;
    lost.before.push(exact - truth(seen).accuracy);
    cost.push(truth(pickBudget(found, 0.6)).relativeCost);
  }
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  const error = (values: readonly number[]) =>
    Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)) / values.length);
  assert.ok(mean(lost.kept) <= 0.01 + 2 * error(lost.kept), `${mean(lost.kept)}`);
  assert.ok(mean(lost.before) > 0.01 + 4 * error(lost.before), `${mean(lost.before)} would have been kept`);
  assert.ok(mean(cost) <= 0.6 + 2 * error(cost), `${mean(cost)}`);
  assert.ok(mean(cost) > 0.58, 'the budget is used');
});

test('every sample is measured once, by thresholds that were searched without it', () => {
  const outcomes = simulate(50, 3, TEXT_LIKE);
  const folds = foldsOf(50, 1);
  assert.equal(
    [...folds.flatMap((fold) => [...fold])].sort((a, b) => a - b),
    [...outcomes.labels.keys()],
  );
  const asked: number[][] = [];
  const spied = crossFit(
    () => outcomes,
    (outcomes) => {
      const some = outcomes();
      asked.push([...some.scores[0]!]);
      return search(some);
    },
    TWO_EXITS,
    { ...options, folds },
  );
  const scores = [...outcomes.scores[0]!];
  for (const [f, fold] of folds.entries()) {
    assert.is(spied[f]!.samples, fold.length);
    assert.equal(
      asked[f],
      scores.filter((_, i) => !fold.includes(i)),
    );
    const held = pickSamples(outcomes, fold);
    const others = search(
      pickSamples(
        outcomes,
        Int32Array.from(scores.keys()).filter((i) => !fold.includes(i)),
      ),
    );
    for (const [c, { thresholds, relativeCost }] of others.entries()) {
      const { nominalCost, losses, gains, ...figures } = spied[f]!.candidates[c]!;
      const { accuracy } = measure(held, TWO_EXITS, [1, 1]);
      assert.equal(figures, measure(held, TWO_EXITS, thresholds));
      assert.is(nominalCost, relativeCost);
      assert.is(losses - gains, Math.round(fold.length * (accuracy - figures.accuracy)));
    }
  }
});

test('too few samples to hold any out: only exact is safe, and budgets go by what was searched', () => {
  const folds = crossFit(
    () => simulate(1, 1),
    () => assert.unreachable() as never,
    TWO_EXITS,
    {
      ...options,
      folds: foldsOf(1, 1),
    },
  );
  assert.equal(folds, []);
  assert.is(costOfDrop(folds, 0.03), 1);
  assert.is(costOfDrop(folds, -0.01), undefined);
  assert.is(costOfBudget(folds, 0.5), undefined);
  assert.equal(estimates(folds), []);
});

test.run();
