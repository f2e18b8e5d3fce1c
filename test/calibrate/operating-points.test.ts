import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  interpolateHull,
  operatingPoints,
  pickAccuracyDrop,
  pickBest,
  pickBudget,
  pickFloor,
  type Searched,
} from '../../src/calibrate/operating-points.ts';
import { searchThresholds } from '../../src/calibrate/search.ts';
import type { Candidate } from '../../src/calibrate/types.ts';
import { FIVE_EXITS, simulate } from './simulate.ts';

const test = suite('calibrate: operating points');

const point = (relativeCost: number, accuracy: number): Candidate => ({
  relativeCost,
  accuracy,
  agreement: accuracy + 0.05,
  exitShares: [1, 0],
  thresholds: [1 - relativeCost],
});
const hull = [point(0.3, 0.8), point(0.5, 0.9), point(0.7, 0.94), point(1, 0.945)];

/** Two folds of 500 samples on which each of `points` changes what `changes` says: [losses, gains, relative cost]. */
const foldsOf = (points: readonly Candidate[], changes: readonly (readonly [number, number, number])[]) =>
  [0, 1].map(() => ({
    samples: 500,
    candidates: points.map((p, i) => {
      const [losses, gains, relativeCost] = changes[i]!;
      return { ...p, nominalCost: p.relativeCost, relativeCost, losses: losses / 2, gains: gains / 2 };
    }),
  }));
/** On samples not searched the hull loses 14.8, 5, and 0.4 points, and costs a little more. */
const unseen = foldsOf(hull, [
  [150, 2, 0.31],
  [60, 10, 0.51],
  [10, 6, 0.71],
  [0, 0, 1],
]);
const searched = { hull, unseen };
/** Folds on which `points` do as they do where they were found. */
const asSeen = (points: readonly Candidate[]) =>
  foldsOf(
    points,
    points.map((p) => [Math.round(1000 * (points.at(-1)!.accuracy - p.accuracy)), 0, p.relativeCost]),
  );

test('a budget buys the best point that can be paid on samples not searched', () => {
  assert.is(pickBudget(searched, 0.511), hull[1], '(1000 · 0.51 + 1) / 1001');
  assert.is(pickBudget(searched, 0.51), hull[0], 'it costs as much on others, and one more may come');
  assert.is(pickBudget(searched, 2), hull[3]);
  assert.is(pickBudget(searched, 0.305), hull[0], 'the cheapest there is');
});

test('a budget below the cheapest is refused, with the cheapest', () => {
  assert.throws(
    () => pickBudget(searched, 0.29),
    (error: { code: string; message: string }) =>
      error.code === 'budget-unreachable' && error.message.includes('0.300'),
  );
});

test('a drop is the cheapest within it on samples not searched, one more loss reckoned with', () => {
  assert.is(pickAccuracyDrop(searched, 0), hull[3]);
  assert.is(pickAccuracyDrop(searched, 0.0049), hull[3]);
  assert.is(pickAccuracyDrop(searched, 0.005), hull[2], '(10 - 6 + 1) / 1000');
  assert.is(pickAccuracyDrop(searched, 0.0509), hull[2]);
  assert.is(pickAccuracyDrop(searched, 0.051), hull[1]);
  assert.is(pickAccuracyDrop(searched, 1), hull[0]);
});

test('what is within again beyond the first point that is not counts as luck', () => {
  const lucky = foldsOf(hull, [
    [4, 4, 0.3],
    [60, 10, 0.5],
    [10, 6, 0.7],
    [0, 0, 1],
  ]);
  assert.is(pickAccuracyDrop({ hull, unseen: lucky }, 0.005), hull[2]);
});

test('a floor is the cheapest above it; the error states the best there is', () => {
  assert.is(pickFloor(searched, 0.894), hull[1]);
  assert.is(pickFloor(searched, 0.9), hull[2]);
  assert.is(pickFloor(searched, 0.945), hull[3]);
  const better = { hull, unseen: foldsOf(hull, [[9, 3, 0.3], [2, 9, 0.5], [2, 8, 0.7], [0, 0, 1]]) }; // biome-ignore format: a table
  assert.is(pickFloor(better, 0.95), hull[1], 'six more right of a thousand');
  assert.throws(
    () => pickFloor(better, 0.96),
    (error: { code: string; message: string }) =>
      error.code === 'accuracy-unreachable' && error.message.includes('0.9510'),
  );
});

test('best is the most accurate, where one is more accurate than exact beyond chance', () => {
  assert.is(pickBest(searched), undefined);
  const gains = (n: number) => ({ hull, unseen: foldsOf(hull, [[9, 3, 0.3], [0, n, 0.5], [0, n, 0.7], [0, 0, 1]]) }); // biome-ignore format: a table
  assert.is(pickBest(gains(4)), undefined, '4 of 4 is one time in 16');
  assert.is(pickBest(gains(6)), hull[1], '6 of 6 is one time in 64, and the cheaper of equals');
  assert.is(pickBest({ hull, unseen: [] }), undefined);
  const names = (searched: Searched) => operatingPoints(searched, {}).map(({ name }) => name);
  assert.ok(names(gains(6)).includes('best') && !names(searched).includes('best'));
});

test('points found elsewhere keep their names, a guarantee in place of the estimate from the data alone', () => {
  const asked = {
    maxDrops: [0.05],
    found: new Map([
      ['drop-0.05', hull[1]!],
      ['budget-3ms', hull[0]!],
    ]),
  };
  const points = new Map(operatingPoints(searched, asked).map((p) => [p.name, p.relativeCost]));
  assert.is(
    new Map(operatingPoints(searched, { maxDrops: [0.05] }).map((p) => [p.name, p.relativeCost])).get(
      'drop-0.05',
    ),
    0.7,
  );
  assert.equal([points.get('drop-0.05'), points.get('budget-3ms')], [0.5, 0.3]);
});

test('names every standing and asked point once, cheapest first', () => {
  const all = searchThresholds(simulate(1000, 1), FIVE_EXITS, { target: 'accuracy' });
  const known = { hull: all, unseen: asSeen(all) };
  const points = operatingPoints(known, { budgets: [0.6, 0.45], maxDrops: [0.005] });
  const names = points.map((p) => p.name);
  for (const name of ['fast', 'balanced', 'accurate', 'exact', 'budget-0.6', 'budget-0.45', 'drop-0.005'])
    assert.is(names.filter((n) => n === name).length, 1, name);
  assert.is(new Set(names).size, names.length);
  assert.ok(points.length <= 24, `${points.length}`);
  assert.is(points[0]!.relativeCost, all[0]!.relativeCost);
  assert.is(names.at(-1), 'exact');
  points.slice(1).forEach((p, i) => {
    assert.ok(p.relativeCost >= points[i]!.relativeCost);
  });
  assert.equal(operatingPoints(known, { budgets: [0.6, 0.45], maxDrops: [0.005] }), points);
});

test('names may share thresholds', () => {
  const flat = [point(0.4, 0.9), point(1, 0.9)];
  assert.equal(
    operatingPoints({ hull: flat, unseen: asSeen(flat) }, {}).map((p) => [p.name, p.relativeCost]),
    [
      ['fast', 0.4],
      ['balanced', 0.4],
      ['accurate', 0.4],
      ['exact', 1],
    ],
  );
  assert.equal(
    operatingPoints({ hull: [point(1, 0.9)], unseen: [] }, {}).map((p) => p.name),
    ['fast', 'balanced', 'accurate', 'exact'],
  );
});

test('close points get longer names', () => {
  const close = [point(0.501, 0.1), point(0.502, 0.2), point(0.503, 0.3), point(1, 0.9)];
  assert.equal(
    operatingPoints({ hull: close, unseen: asSeen(close) }, {})
      .map((p) => p.name)
      .filter((name) => name.startsWith('cost-')),
    ['cost-0.50', 'cost-0.502', 'cost-0.503'],
  );
});

test('interpolates between measured points, in any order, and holds beyond the ends', () => {
  const between = interpolateHull([...hull].reverse(), 0.6);
  assert.ok(Math.abs(between.accuracy - 0.92) < 1e-12);
  assert.ok(Math.abs(between.agreement - 0.97) < 1e-12);
  assert.is(interpolateHull(hull, 0.5).accuracy, 0.9);
  assert.equal([interpolateHull(hull, 0.1).accuracy, interpolateHull(hull, 3).accuracy], [0.8, 0.945]);
});

test.run();
