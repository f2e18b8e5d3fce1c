/** Monitoring: where samples leave, what they cost, and whether that is still what calibration measured. */

/** Whether the exits of the last samples are those of the calibrated operating points. */
export interface Drift {
  /** True when `pValue` is below the alarm level. */
  readonly alarm: boolean;
  /** Probability of deviating at least as much by chance. It is of one look: every window has a chance of its own. */
  readonly pValue: number;
  /** Pearson's chi-squared over `cells`, corrected for the shares being measured themselves. */
  readonly statistic: number;
  /**
   * Exits by ordinal (the full path last) that were looked at together, so that 5 samples or more are expected in each
   * cell.
   */
  readonly cells: readonly (readonly number[])[];
  /** Samples of the window that left at each exit (the full path last), and how many the operating points led to expect. */
  readonly observed: readonly number[];
  readonly expected: readonly number[];
}

export interface StatisticsOptions {
  /** Samples that a judgement of drift looks back at; 1,000 by default. */
  readonly window?: number;
  /** Probability of an alarm where nothing has changed, a look; 0.001 by default. */
  readonly alarmLevel?: number;
}

/** Cells with fewer expected samples than this are pooled with their neighbours (Cochran's rule). */
const LEAST_EXPECTED = 5;

/** Counts exits. Nothing here throws once it is made. Logged, it shows what it has counted. */
export class ExitStatistics<Name extends string> {
  readonly #names: readonly Name[];
  /** [points, K + 1] */
  readonly #shares: readonly (readonly number[])[];
  readonly #measuredSamples: number;
  readonly #alarmLevel: number;
  readonly #counts: number[];
  #cost = 0;
  /** The window as a ring: exit and operating point of each of its samples. */
  readonly #exits: Int32Array;
  readonly #points: Int32Array;
  /** Samples that were judged since the start; the ring's place is the remainder. */
  #judged = 0;

  /**
   * `points` have the share of samples that left at each exit (the full path last), measured on `measuredSamples`
   * samples. Throws a RangeError for a window below 1 sample or an alarm level outside 0 to 1.
   */
  constructor(
    points: Readonly<Record<Name, { readonly exitShares: readonly number[] }>>,
    measuredSamples: number,
    options: StatisticsOptions = {},
  ) {
    const { window = 1000, alarmLevel = 0.001 } = options;
    if (!Number.isInteger(window) || window < 1)
      throw new RangeError(`the window is a whole number of samples, not ${window}`);
    if (!(alarmLevel > 0 && alarmLevel < 1))
      throw new RangeError(`the alarm level is between 0 and 1, not ${alarmLevel}`);
    this.#names = Object.keys(points) as Name[];
    this.#shares = this.#names.map((name) => points[name].exitShares);
    this.#measuredSamples = measuredSamples;
    this.#alarmLevel = alarmLevel;
    this.#counts = this.#shares[0]!.map(() => 0);
    this.#exits = new Int32Array(window);
    this.#points = new Int32Array(window);
    // Node's console.log looks for this, and shows no getters without it.
    Object.defineProperty(this, Symbol.for('nodejs.util.inspect.custom'), { value: () => this.toJSON() });
  }

  /** Samples since the start. */
  get samples(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** [K + 1]: samples since the start that left at each exit, the full path last. */
  get counts(): readonly number[] {
    return [...this.#counts];
  }

  /** Mean cost of a sample since the start as a share of the original model's; NaN before the first. */
  get meanRelativeCost(): number {
    return this.#cost / this.samples;
  }

  /**
   * Undefined until the window is full. Samples of several operating points may be in it: what is expected is the sum
   * over samples of their own point's shares. Pearson's statistic of such a mixture is smaller by chance than
   * chi-squared (a sum of unlike trials varies less than one of like trials: W. Hoeffding, Ann. Math. Statist. 27,
   * 1956), so alarms are at most as frequent as the level says.
   */
  get drift(): Drift | undefined {
    const window = this.#exits.length;
    if (this.#judged < window) return undefined;
    const observed = this.#counts.map(() => 0);
    const expected = this.#counts.map(() => 0);
    for (const exit of this.#exits) observed[exit]!++;
    const uses = this.#names.map(() => 0);
    for (const point of this.#points) uses[point]!++;
    for (const [point, shares] of this.#shares.entries())
      for (const [exit, share] of shares.entries()) expected[exit]! += uses[point]! * share;

    const cells = pooled(expected);
    const sum = (counts: readonly number[], cell: readonly number[]) =>
      cell.reduce((total, exit) => total + counts[exit]!, 0);
    // Shares measured on m samples vary themselves: the difference has the variance of the window's times 1 + window / m.
    const statistic =
      cells.reduce((total, cell) => {
        const wanted = sum(expected, cell);
        return total + (sum(observed, cell) - wanted) ** 2 / wanted;
      }, 0) /
      (1 + window / this.#measuredSamples);
    const pValue =
      cells.length > 1 ? chiSquaredTail(statistic, cells.length - 1) : this.#rare(observed, expected);
    return { alarm: pValue < this.#alarmLevel, pValue, statistic, cells, observed, expected };
  }

  /**
   * Counts samples that were classified at the operating point `at`; those of other thresholds (no `at`) are not judged
   * for drift.
   */
  record(results: readonly { readonly exit: number; readonly relativeCost: number }[], at?: Name): void {
    const point = at === undefined ? -1 : this.#names.indexOf(at);
    for (const { exit, relativeCost } of results) {
      this.#counts[exit]!++;
      this.#cost += relativeCost;
      if (point < 0) continue;
      const place = this.#judged++ % this.#exits.length;
      this.#exits[place] = exit;
      this.#points[place] = point;
    }
  }

  /** What it has counted, as a plain object, which `JSON.stringify` and Node's `console.log` show. */
  toJSON(): {
    samples: number;
    counts: readonly number[];
    meanRelativeCost: number;
    drift: Drift | undefined;
  } {
    const { samples, counts, meanRelativeCost, drift } = this;
    return { samples, counts, meanRelativeCost, drift };
  }

  /** Starts again from nothing. */
  reset(): void {
    this.#counts.fill(0);
    this.#cost = 0;
    this.#judged = 0;
  }

  /**
   * All samples are expected at one exit but for a few: the probability that so many are elsewhere, as a Poisson
   * variable. Its mean is what was measured and one sample more, for what `measuredSamples` could have missed.
   */
  #rare(observed: readonly number[], expected: readonly number[]): number {
    const usual = expected.indexOf(Math.max(...expected));
    const others = (counts: readonly number[]) =>
      counts.reduce((total, count, exit) => (exit === usual ? total : total + count), 0);
    const missed = this.#exits.length / this.#measuredSamples;
    return others(observed) === 0 ? 1 : 1 - gammaTail(others(observed), others(expected) + missed);
  }
}

/** Neighbouring exits together, so that each cell expects enough samples. */
function pooled(expected: readonly number[]): number[][] {
  const cells: number[][] = [];
  let cell: number[] = [];
  let total = 0;
  for (const [exit, count] of expected.entries()) {
    cell.push(exit);
    total += count;
    if (total < LEAST_EXPECTED) continue;
    cells.push(cell);
    cell = [];
    total = 0;
  }
  if (cells.length === 0) return [cell];
  cells.at(-1)!.push(...cell);
  return cells;
}

/** Probability that chi-squared with `degrees` of freedom is `statistic` or more. */
export function chiSquaredTail(statistic: number, degrees: number): number {
  return gammaTail(degrees / 2, statistic / 2);
}

/**
 * The regularised upper incomplete gamma function Q(a, x), for 2a whole: by the series of the lower one (DLMF 8.11.4)
 * below a + 1, by its continued fraction (DLMF 8.9.2, evaluated as W. J. Lentz does) above.
 */
export function gammaTail(a: number, x: number): number {
  if (x <= 0) return 1;
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; term > sum * Number.EPSILON; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return Math.max(0, 1 - scale * sum);
  }
  let upper = Number.MAX_VALUE;
  let lower = 1 / (x + 1 - a);
  let fraction = lower;
  for (let n = 1; n < 1000; n++) {
    const numerator = n * (a - n);
    const denominator = x + 2 * n + 1 - a;
    lower = 1 / (numerator * lower + denominator);
    upper = denominator + numerator / upper;
    const step = lower * upper;
    fraction *= step;
    if (Math.abs(step - 1) < Number.EPSILON) break;
  }
  return scale * fraction;
}

/** ln Γ(a) for 2a whole, by Γ(a + 1) = a Γ(a) from Γ(1) = 1 or Γ(½) = √π. */
function logGamma(a: number): number {
  let log = Number.isInteger(a) ? 0 : Math.log(Math.PI) / 2;
  for (let factor = Number.isInteger(a) ? 1 : 0.5; factor < a; factor++) log += Math.log(factor);
  return log;
}
