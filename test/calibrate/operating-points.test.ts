import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  interpolateHull,
  operatingPoints,
  pickAccuracyDrop,
  pickBudget,
  pickFloor,
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

test('a budget buys the best point it can pay', () => {
  assert.is(pickBudget(hull, 0.5), hull[1]);
  assert.is(pickBudget(hull, 0.69), hull[1]);
  assert.is(pickBudget(hull, 2), hull[3]);
});

test('a budget below the cheapest is refused, with the cheapest', () => {
  assert.throws(
    () => pickBudget(hull, 0.29),
    (error: { code: string; message: string }) =>
      error.code === 'budget-unreachable' && error.message.includes('0.300'),
  );
});

test('a drop is the cheapest within it', () => {
  const exact = hull[3]!;
  assert.is(pickAccuracyDrop(hull, exact, 0), exact);
  assert.is(pickAccuracyDrop(hull, exact, 0.005), hull[2]);
  assert.is(pickAccuracyDrop(hull, exact, 0.0449), hull[2]);
  assert.is(pickAccuracyDrop(hull, exact, 1, 'agreement'), hull[0]);
});

test('a floor is the cheapest above it, and says the best there is', () => {
  assert.is(pickFloor(hull, 0.9), hull[1]);
  assert.is(pickFloor(hull, 0.901), hull[2]);
  assert.is(pickFloor(hull, 0.99, 'agreement'), hull[2]);
  assert.throws(
    () => pickFloor(hull, 0.95),
    (error: { code: string; message: string }) =>
      error.code === 'accuracy-unreachable' && error.message.includes('0.9450'),
  );
});

test('points found elsewhere keep their names, a promise in place of what the data alone say', () => {
  const asked = {
    maxDrops: [0.05],
    found: new Map([
      ['drop-0.05', hull[2]!],
      ['budget-3ms', hull[0]!],
    ]),
  };
  const points = new Map(operatingPoints(hull, asked).map((p) => [p.name, p.relativeCost]));
  assert.is(
    new Map(operatingPoints(hull, { maxDrops: [0.05] }).map((p) => [p.name, p.relativeCost])).get(
      'drop-0.05',
    ),
    0.5,
  );
  assert.equal([points.get('drop-0.05'), points.get('budget-3ms')], [0.7, 0.3]);
});

test('names every standing and asked point once, cheapest first', () => {
  const all = searchThresholds(simulate(1000, 1), FIVE_EXITS, { target: 'accuracy' });
  const points = operatingPoints(all, { budgets: [0.6, 0.45], maxDrops: [0.005] });
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
  assert.equal(operatingPoints(all, { budgets: [0.6, 0.45], maxDrops: [0.005] }), points);
});

test('names may share thresholds', () => {
  const flat = [point(0.4, 0.9), point(1, 0.9)];
  assert.equal(
    operatingPoints(flat, {}).map((p) => [p.name, p.relativeCost]),
    [
      ['fast', 0.4],
      ['balanced', 0.4],
      ['accurate', 0.4],
      ['exact', 1],
    ],
  );
  assert.equal(
    operatingPoints([point(1, 0.9)], {}).map((p) => p.name),
    ['fast', 'balanced', 'accurate', 'exact'],
  );
});

test('close points get longer names', () => {
  const close = [point(0.501, 0.1), point(0.502, 0.2), point(0.503, 0.3), point(1, 0.9)];
  assert.equal(
    operatingPoints(close, {})
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
