import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { uniforms } from '../../src/graph/random.ts';
import { chiSquaredTail, ExitStatistics, gammaTail } from '../../src/runtime/exit-statistics.ts';

const test = suite('runtime: exit statistics');

/** Critical values of chi-squared as every table prints them, by degrees of freedom: at 0.95, 0.05, 0.01 and 0.001. */
const TABLE: Record<number, readonly [number, number, number, number]> = {
  1: [0.00393, 3.841, 6.635, 10.828],
  2: [0.103, 5.991, 9.21, 13.816],
  3: [0.352, 7.815, 11.345, 16.266],
  4: [0.711, 9.488, 13.277, 18.467],
  5: [1.145, 11.07, 15.086, 20.515],
  10: [3.94, 18.307, 23.209, 29.588],
  30: [18.493, 43.773, 50.892, 59.703],
  100: [77.929, 124.342, 135.807, 149.449],
};

test('the tail of chi-squared is that of the tables', () => {
  for (const [degrees, values] of Object.entries(TABLE))
    for (const [i, level] of [0.95, 0.05, 0.01, 0.001].entries()) {
      const tail = chiSquaredTail(values[i]!, Number(degrees));
      assert.ok(Math.abs(tail / level - 1) < 0.005, `${degrees} degrees: ${tail} at ${values[i]}`);
    }
});

test('the incomplete gamma function is its closed forms', () => {
  for (const x of [1e-6, 0.01, 0.5, 1, 1.9, 2.1, 3, 7.5, 20, 80]) {
    const close = (found: number, wanted: number) =>
      assert.ok(Math.abs(found - wanted) <= 1e-13 * wanted + 1e-15, `${found} ≠ ${wanted} at ${x}`);
    close(gammaTail(1, x), Math.exp(-x));
    close(gammaTail(2, x), (1 + x) * Math.exp(-x));
    close(gammaTail(4, x), (1 + x + x ** 2 / 2 + x ** 3 / 6) * Math.exp(-x));
    // Q(a + 1, x) = Q(a, x) + x^a e^-x / Γ(a + 1), from Γ(3/2) = √π / 2.
    close(gammaTail(1.5, x), gammaTail(0.5, x) + 2 * Math.sqrt(x / Math.PI) * Math.exp(-x));
  }
  assert.is(gammaTail(3, 0), 1);
  assert.is(chiSquaredTail(0, 3), 1);
  assert.ok(chiSquaredTail(1e6, 3) < 1e-300);
});

const POINTS = {
  fast: { exitShares: [0.6, 0.2, 0.1, 0.1] },
  accurate: { exitShares: [0.3, 0.3, 0.1, 0.3] },
};
const MANY = 1e9;

/** The exit of a sample of uniform `u`, and a cost to go with it. */
function sampleOf(shares: readonly number[], u: number) {
  let exit = 0;
  for (let sum = shares[0]!; u >= sum && exit < shares.length - 1; sum += shares[exit]!) exit++;
  return { exit, relativeCost: (exit + 1) / shares.length };
}

/** A stream of `count` samples with these shares, recorded as of the point `at`. */
function stream(
  statistics: ExitStatistics<'fast' | 'accurate'>,
  at: 'fast' | 'accurate' | undefined,
  shares: readonly number[],
  count: number,
  next: () => number,
): void {
  for (let i = 0; i < count; i += 10)
    statistics.record(
      Array.from({ length: 10 }, () => sampleOf(shares, next())),
      at,
    );
}

test('counts, mean cost and a new start', () => {
  const statistics = new ExitStatistics(POINTS, 100);
  assert.equal(statistics.counts, [0, 0, 0, 0]);
  assert.ok(Number.isNaN(statistics.meanRelativeCost));
  statistics.record(
    [
      { exit: 0, relativeCost: 0.25 },
      { exit: 3, relativeCost: 1.05 },
    ],
    'fast',
  );
  statistics.record([{ exit: 0, relativeCost: 0.25 }]);
  assert.equal(statistics.counts, [2, 0, 0, 1]);
  assert.is(statistics.samples, 3);
  assert.is(statistics.meanRelativeCost, 1.55 / 3);
  statistics.reset();
  assert.is(statistics.samples, 0);
  assert.equal(statistics.counts, [0, 0, 0, 0]);
});

test('drift is tested once the window is full, on samples at operating points alone, and the oldest leave it', () => {
  const statistics = new ExitStatistics(POINTS, MANY, { window: 200 });
  const next = uniforms(5);
  stream(statistics, undefined, [0, 0, 0, 1], 1000, next);
  stream(statistics, 'fast', [0, 0, 0, 1], 190, next);
  assert.is(statistics.drift, undefined);
  stream(statistics, 'fast', [0, 0, 0, 1], 10, next);
  assert.equal(statistics.drift!.observed, [0, 0, 0, 200]);
  assert.equal(statistics.drift!.expected, [120, 40, 20, 20]);
  assert.ok(statistics.drift!.alarm);
  stream(statistics, 'fast', POINTS.fast.exitShares, 200, next);
  assert.is(statistics.drift!.alarm, false);
  assert.is(statistics.samples, 1400);
  statistics.reset();
  assert.is(statistics.drift, undefined);
});

test('the statistic is Pearson’s', () => {
  const statistics = new ExitStatistics({ only: { exitShares: [0.5, 0.3, 0.2] } }, MANY, { window: 100 });
  const exits = [...Array(40).fill(0), ...Array(40).fill(1), ...Array(20).fill(2)] as number[];
  statistics.record(
    exits.map((exit) => ({ exit, relativeCost: 1 })),
    'only',
  );
  const { statistic, pValue, cells } = statistics.drift!;
  assert.ok(Math.abs(statistic - (100 / 50 + 100 / 30)) < 1e-5);
  assert.ok(Math.abs(pValue - Math.exp(-statistic / 2)) < 1e-12);
  assert.equal(cells, [[0], [1], [2]]);
});

test('exits that few samples are expected at are looked at with their neighbours', () => {
  const cellsOf = (exitShares: readonly number[]) => {
    const statistics = new ExitStatistics({ only: { exitShares } }, MANY, { window: 100 });
    statistics.record(Array(100).fill({ exit: 0, relativeCost: 1 }), 'only');
    return statistics.drift!.cells;
  };
  assert.equal(cellsOf([0.25, 0.25, 0.25, 0.25]), [[0], [1], [2], [3]]);
  assert.equal(cellsOf([0.02, 0.02, 0.46, 0.5]), [[0, 1, 2], [3]]);
  assert.equal(cellsOf([0.5, 0.44, 0.02, 0.04]), [[0], [1], [2, 3]]);
  assert.equal(cellsOf([0.5, 0.46, 0.02, 0.02]), [[0], [1, 2, 3]]);
  assert.equal(cellsOf([0, 0, 0, 1]), [[0, 1, 2, 3]]);
});

test('where nearly all samples are expected at one exit, a handful elsewhere is an alarm, one or two are not', () => {
  const elsewhere = (count: number) => {
    const statistics = new ExitStatistics({ only: { exitShares: [0, 0, 1] } }, 3000);
    statistics.record(Array(1000 - count).fill({ exit: 2, relativeCost: 1 }), 'only');
    statistics.record(Array(count).fill({ exit: 0, relativeCost: 1 }), 'only');
    return statistics.drift!;
  };
  assert.is(elsewhere(0).pValue, 1);
  assert.is(elsewhere(2).alarm, false);
  assert.is(elsewhere(6).alarm, true);
  // Poisson with mean 1/3: P(X ≥ 2) = 1 − e^−λ (1 + λ).
  assert.ok(Math.abs(elsewhere(2).pValue - (1 - Math.exp(-1 / 3) * (4 / 3))) < 1e-12);
});

/** Alarms in `windows` windows of their own of a stationary stream, the shares themselves measured on `measured` samples. */
function falseAlarms(alarmLevel: number, measured: number, windows: number, mixed: boolean): number {
  const next = uniforms(17);
  const window = 500;
  let alarms = 0;
  for (let w = 0; w < windows; w++) {
    const shares = (truth: readonly number[]) => {
      const counts = truth.map(() => 0);
      for (let i = 0; i < measured; i++) counts[sampleOf(truth, next()).exit]!++;
      return counts.map((count) => count / measured);
    };
    const fast = { exitShares: measured === MANY ? POINTS.fast.exitShares : shares(POINTS.fast.exitShares) };
    const accurate = mixed ? { exitShares: shares(POINTS.accurate.exitShares) } : POINTS.accurate;
    const statistics = new ExitStatistics({ fast, accurate }, measured, { window, alarmLevel });
    const half = mixed ? window / 2 : 0;
    stream(statistics, 'accurate', POINTS.accurate.exitShares, half, next);
    stream(statistics, 'fast', POINTS.fast.exitShares, window - half, next);
    alarms += Number(statistics.drift!.alarm);
  }
  return alarms;
}

test('a stationary stream raises as many false alarms as the level says, however few samples the shares were measured on', () => {
  // Bounds: 4 standard deviations of a binomial around its mean.
  const around = (alarms: number, windows: number, level: number) => {
    const mean = windows * level;
    assert.ok(
      Math.abs(alarms - mean) < 4 * Math.sqrt(mean * (1 - level)),
      `${alarms} of ${windows} at ${level}`,
    );
  };
  around(falseAlarms(0.05, MANY, 2000, false), 2000, 0.05);
  around(falseAlarms(0.01, MANY, 2000, false), 2000, 0.01);
  around(falseAlarms(0.05, 1000, 2000, false), 2000, 0.05);
  assert.ok(falseAlarms(0.001, 1000, 2000, false) <= 9);
});

test('a stream that goes to and fro between operating points raises no more', () => {
  const alarms = falseAlarms(0.05, 1000, 2000, true);
  assert.ok(alarms <= 139 && alarms > 20, `${alarms}`);
});

test('a stream that has shifted raises the alarm in its first window', () => {
  const next = uniforms(23);
  let found = 0;
  for (let w = 0; w < 100; w++) {
    const statistics = new ExitStatistics(POINTS, 3000);
    stream(statistics, 'fast', [0.52, 0.22, 0.12, 0.14], 1000, next);
    found += Number(statistics.drift!.alarm);
  }
  assert.ok(found >= 90, `${found} of 100`);
});

test('odd windows and levels are refused', () => {
  assert.throws(() => new ExitStatistics(POINTS, 10, { window: 0 }), RangeError);
  assert.throws(() => new ExitStatistics(POINTS, 10, { window: 1.5 }), RangeError);
  assert.throws(
    () => new ExitStatistics(POINTS, 10, { alarmLevel: 0 }),
    /the alarm level is between 0 and 1, not 0/,
  );
});

test.run();
