import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { measure } from '../../src/calibrate/measure.ts';
import { searchThresholds, worthOf } from '../../src/calibrate/search.ts';
import { searchPolicy } from '../../src/calibrate/search-policy.ts';
import { type Candidate, CLOSED, type Measured, type Outcomes } from '../../src/calibrate/types.ts';
import { HIGHEST_OPEN } from '../../src/policies/index.ts';
import { FIVE_EXITS, ofOriginal, simulate, uniform } from './simulate.ts';

const test = suite('calibrate: search');

const PLAIN = { target: 'accuracy', caution: 0 } as const;
const PRICES = [0.01, 0.1, 0.3, 0.7, 1.5, 4, 20];

/** The height at `cost` of the upper concave hull of measured points. */
function heightAt(points: readonly Measured[], cost: number): number {
  const cheaper = points.filter((p) => p.relativeCost <= cost);
  const dearer = points.filter((p) => p.relativeCost > cost);
  const flat = Math.max(...cheaper.map((p) => p.accuracy));
  const chords = cheaper.flatMap((a) =>
    dearer.map(
      (b) =>
        a.accuracy +
        ((cost - a.relativeCost) / (b.relativeCost - a.relativeCost)) * (b.accuracy - a.accuracy),
    ),
  );
  return chords.reduce((most, chord) => Math.max(most, chord), flat);
}

/** Outcomes drawn without any sense, with few distinct scores, so that many tie. */
function arbitrary(samples: number, exits: number, levels: number, seed: number): Outcomes {
  const random = uniform(seed);
  const draw = () => Int32Array.from({ length: samples }, () => Math.floor(random() * 2));
  return {
    scores: Array.from({ length: exits }, () =>
      Float32Array.from({ length: samples }, () => Math.floor(random() * (levels + 1)) / levels),
    ),
    answers: Array.from({ length: exits }, draw),
    original: draw(),
    labels: new Int32Array(samples),
  };
}

const twoExits = ofOriginal([0.3, 0.6], [0.05, 0.04]);

function everyCombination({ scores }: Outcomes): number[][] {
  const cuts = scores.map((score) => [-1, ...score, CLOSED]);
  return cuts[0]!.flatMap((a) => (cuts[1] ?? [undefined]).map((b) => (b === undefined ? [a] : [a, b])));
}

test('finds the Lagrangian optimum of every combination of thresholds, on small data', () => {
  for (let seed = 0; seed < 200; seed++) {
    const exits = 1 + (seed % 2);
    const outcomes = arbitrary(3 + (seed % 6), exits, seed % 3 === 0 ? 3 : 1000, seed);
    const cost = { ...twoExits, exits: twoExits.exits.slice(0, exits) };
    const all = everyCombination(outcomes).map((t) => measure(outcomes, cost, t));
    const hull = searchThresholds(outcomes, cost, PLAIN);
    for (const price of PRICES) {
      const value = (p: Measured) => p.accuracy - price * p.relativeCost;
      const wanted = Math.max(...all.map(value));
      const got = Math.max(...hull.map(value));
      assert.ok(got >= wanted - 1e-9, `seed ${seed}, price ${price}: ${got} < ${wanted}`);
    }
  }
});

test('is what it says: measured, rising in cost and worth, from cheapest to exact', () => {
  for (const options of [PLAIN, { target: 'accuracy' }, { target: 'agreement' }] as const) {
    const outcomes = simulate(400, 4);
    const hull = searchThresholds(outcomes, FIVE_EXITS, options);
    for (const { thresholds, ...measured } of hull) {
      assert.equal(measured, measure(outcomes, FIVE_EXITS, thresholds));
      assert.equal(thresholds, [...Float32Array.from(thresholds)]);
    }
    assert.equal(hull.at(-1)!.thresholds, [1, 1, 1, 1, 1]);
    assert.ok(Math.abs(hull[0]!.relativeCost - 0.259) < 1e-9);
    hull.slice(1).forEach((point, i) => {
      assert.ok(point.relativeCost > hull[i]!.relativeCost);
      if (i < hull.length - 2) assert.ok(worthOf(point, options) > worthOf(hull[i]!, options));
    });
  }
});

test('no worse on its own data than one threshold for all, or than MSDNet', () => {
  for (const seed of [5]) {
    const outcomes = simulate(1000, seed);
    const hull = searchThresholds(outcomes, FIVE_EXITS, PLAIN);
    const rivals = [...oneForAll(), ...geometric(outcomes)];
    for (const thresholds of rivals) {
      const rival = measure(outcomes, FIVE_EXITS, thresholds);
      if (rival.relativeCost > 1) continue;
      assert.ok(heightAt(hull, rival.relativeCost) >= rival.accuracy - 1e-3, `${thresholds}`);
    }
  }
});

const oneForAll = () => Array.from({ length: 100 }, (_, n) => FIVE_EXITS.exits.map(() => 0.3 + 0.007 * n));

/** Thresholds of budgeted batch classification as MSDNet's `adaptive_inference.py` finds them, for p = 0.05 … 1.95. */
function geometric({ scores, labels }: Outcomes): number[][] {
  const exits = scores.length;
  return Array.from({ length: 39 }, (_, n) => {
    const ratio = (n + 1) / 20;
    const weights = Array.from({ length: exits + 1 }, (_, k) => ratio ** (k + 1));
    const total = weights.reduce((a, b) => a + b);
    const gone = new Set<number>();
    return scores.map((score, k) => {
      const staying = [...labels.keys()].filter((i) => !gone.has(i)).sort((a, b) => score[b]! - score[a]!);
      const leaving = staying.slice(0, Math.floor((labels.length * weights[k]!) / total));
      for (const i of leaving) gone.add(i);
      return leaving.length > 0 ? Math.min(score[leaving.at(-1)!]! - 1e-7, 1 - 1e-7) : CLOSED;
    });
  });
}

for (const [what, upper, hull] of [
  ['equal scores, and those that rounding may swap, leave together', 0.5 + 2 ** -22, [[-1, 1], [CLOSED, 0]]],
  ['thresholds part neighbours in single precision', 0.5 + 2 ** -20, [[-1, 1], [0.5 + 2 ** -21, 0.5], [CLOSED, 0]]],
] as const) // biome-ignore format: a table
  test(what, () => {
    const outcomes: Outcomes = {
      scores: [Float32Array.of(upper, upper, 0.5, 0.5)],
      answers: [Int32Array.of(0, 0, 1, 1)],
      original: Int32Array.of(0, 0, 0, 0),
      labels: Int32Array.of(0, 0, 0, 0),
    };
    const found = searchThresholds(outcomes, ofOriginal([0.5], [0.01]), PLAIN);
    assert.equal(
      found.map((p) => [p.thresholds[0], p.exitShares[0]]),
      hull,
    );
  });

test('scores of 1 can leave alone, and all samples can leave when all are 1', () => {
  const outcomes: Outcomes = {
    scores: [Float32Array.of(1, 1, 0.9)],
    answers: [Int32Array.of(0, 0, 1)],
    original: Int32Array.of(0, 0, 0),
    labels: Int32Array.of(0, 0, 0),
  };
  const cost = ofOriginal([0.5], [0.01]);
  const some = searchThresholds(outcomes, cost, PLAIN).map((p) => p.exitShares[0]);
  assert.equal(some, [1, 2 / 3, 0]);
  const ones = { ...outcomes, scores: [Float32Array.of(1, 1, 1)] };
  assert.equal(
    searchThresholds(ones, cost, PLAIN).map((p) => p.thresholds[0]),
    [-1, CLOSED],
  );
});

test('NaN stays to the end and pays every head', () => {
  const outcomes = simulate(400, 8);
  for (let i = 0; i < 40; i++) for (const score of outcomes.scores) score[i] = Number.NaN;
  const hull = searchThresholds(outcomes, FIVE_EXITS, PLAIN);
  const cheapest = hull[0]!;
  assert.is(cheapest.exitShares[5], 0.1);
  assert.ok(Math.abs(cheapest.relativeCost - (0.039 + 0.9 * 0.22 + 0.1)) < 1e-9);
  const unscored = { ...outcomes, scores: outcomes.scores.map((s) => s.map(() => Number.NaN)) };
  assert.equal(
    searchThresholds(unscored, FIVE_EXITS, PLAIN).map((p) => p.relativeCost),
    [1],
  );
});

test('opens no exit that costs more than the original', () => {
  const dear = ofOriginal([0.95], [0.2]);
  const hull = searchThresholds(arbitrary(20, 1, 100, 9), dear, PLAIN);
  assert.equal(
    hull.map((p: Candidate) => p.thresholds),
    [[CLOSED]],
  );
});

test('neighbours are within 0.005 of cost, unless a handful of samples is all that parts them', () => {
  const samples = 1500;
  const hull = searchThresholds(simulate(samples, 10), FIVE_EXITS, { target: 'agreement' });
  hull.slice(1).forEach((point, i) => {
    const before = hull[i]!;
    if (point.relativeCost - before.relativeCost <= 0.0051) return;
    const gained = Math.round((point.agreement - before.agreement) * samples);
    assert.ok(gained <= 5, `${before.relativeCost} to ${point.relativeCost}: ${gained} samples`);
  });
});

test('seven exits are worth as much as every second of them', () => {
  const world = {
    skill: [5, 5.5, 6, 6.5, 7, 8, 9, 10],
    spread: 6,
    shared: 0.97,
    sharedLuck: 0.97,
    blur: 2.5,
    classes: 10,
  };
  const cost = ofOriginal([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], new Array<number>(7).fill(0.03));
  const outcomes = simulate(150, 11, world);
  const hull = searchThresholds(outcomes, cost, PLAIN);
  const four = [0, 2, 4, 6];
  const some = searchThresholds(
    {
      ...outcomes,
      scores: four.map((k) => outcomes.scores[k]!),
      answers: four.map((k) => outcomes.answers[k]!),
    },
    { ...cost, exits: four.map((k) => cost.exits[k]!) },
    PLAIN,
  );
  for (const point of some) assert.ok(heightAt(hull, point.relativeCost) >= point.accuracy - 1e-9);
});

test('gives the same thresholds every time and leaves its input alone', () => {
  const outcomes = simulate(200, 12);
  const first = searchThresholds(outcomes, FIVE_EXITS, { target: 'accuracy' });
  assert.equal(searchThresholds(outcomes, FIVE_EXITS, { target: 'accuracy' }), first);
  assert.equal(outcomes, simulate(200, 12));
});

/** Outcomes whose second exit is surer, and of another mind, while the first is open. */
function withEnsemble(samples: number, seed: number): (thresholds?: readonly number[]) => Outcomes {
  const all = arbitrary(samples, 2, 1000, seed);
  const other = arbitrary(samples, 2, 1000, seed + 1000);
  const alone = {
    ...all,
    scores: [all.scores[0]!, other.scores[1]!],
    answers: [all.answers[0]!, other.answers[1]!],
  };
  return (thresholds) => (thresholds && thresholds[0]! >= CLOSED ? alone : all);
}

/** Outcomes whose last answer depends on which exits are open. */
function ensembledFinal(samples: number, seed: number): (thresholds?: readonly number[]) => Outcomes {
  const all = arbitrary(samples, 2, 1000, seed);
  const sets = [1, 2, 3].map((set) => arbitrary(samples, 2, 1000, seed + 1000 * set).original);
  const known = [all, ...sets.map((final) => ({ ...all, final }))];
  return (thresholds = [0, 0]) =>
    known[thresholds.reduce((set, t, k) => set + (t < CLOSED ? 2 ** k : 0), 0)]!;
}

for (const [what, draw] of Object.entries({
  'scores depend': withEnsemble,
  'the final answer depends': ensembledFinal,
}))
  test(`where ${what} on which exits are open, every set of open exits is searched and measured as it runs`, () => {
    for (let seed = 0; seed < 60; seed++) {
      const outcomes = draw(3 + (seed % 5), seed);
      const found = searchPolicy(outcomes, twoExits, PLAIN);
      assert.equal(found.at(-1)!.thresholds, [CLOSED, CLOSED]);
      assert.is(found.at(-1)!.agreement, 1);
      for (const { thresholds, accuracy, relativeCost } of found) {
        const again = measure(outcomes(thresholds), twoExits, thresholds);
        assert.equal([again.accuracy, again.relativeCost], [accuracy, relativeCost]);
      }
      const sets = [
        [0, 0],
        [0, CLOSED],
        [CLOSED, 0],
        [CLOSED, CLOSED],
      ].map(outcomes);
      const all = [...new Set(sets)]
        .flatMap(everyCombination)
        .map((thresholds) => thresholds.map((t) => (t === CLOSED ? t : Math.min(t, HIGHEST_OPEN))))
        .map((t) => measure(outcomes(t), twoExits, t))
        .filter((p) => p.relativeCost <= 1);
      for (const price of PRICES) {
        const best = (points: readonly Measured[]) =>
          Math.max(...points.map((p) => p.accuracy - price * p.relativeCost));
        assert.ok(best(found) >= best(all) - 1e-9, `seed ${seed}, price ${price}`);
      }
    }
  });

test.run();
