/** Real-time control: a moving average of cost or latency kept at a target by moving along the operating points. */
import { unknownIn } from './values.ts';

/** Exactly one target: the mean relative cost of a sample, or the mean milliseconds a sample takes. */
export type GovernorTarget =
  | { readonly targetRelativeCost: number; readonly targetLatencyMs?: never }
  | { readonly targetLatencyMs: number; readonly targetRelativeCost?: never };

export type GovernorOptions<Name extends string> = GovernorTarget & {
  /** The floor: the cheapest operating point it may go to; the cheapest of all by default. */
  readonly fastest?: Name;
  /** The dearest operating point it may go to; the dearest of all by default. */
  readonly slowest?: Name;
  /** Samples that the moving average reaches back, about; 1,000 by default. */
  readonly window?: number;
};

/** Deviation from the target, as a share of it, at which nothing is done. */
const DEADBAND = 0.03;
/**
 * Deviation, as a share of the target, beyond which nothing has to be made good: time at a bound is not paid back for
 * ever.
 */
const MEMORY = 0.25;
/** Parts of the window that a point is kept for at least. */
const STEPS_A_WINDOW = 8;
/** A call that takes this many times what its work takes on average is an outlier, and left out … */
const OUTLIER = 4;
/** … unless there was one among this many calls before it. */
const OUTLIER_CALLS = 8;
/** Calls that the pace is averaged over. */
const PACE_CALLS = 16;

/** An exponential moving average that is right from the first value on: what came before counts nothing, not zero. */
class MovingAverage {
  /** NaN before the first value. */
  value = Number.NaN;
  #weight = 0;
  readonly #window: number;
  readonly #least: number;
  readonly #most: number;

  /** Over about `window` counts; the average is kept within `least` and `most`. */
  constructor(window: number, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY) {
    this.#window = window;
    this.#least = least;
    this.#most = most;
  }

  /** `value` stands for `count` of them. */
  add(value: number, count: number): void {
    const kept = (1 - 1 / this.#window) ** count;
    this.#weight = this.#weight * kept + 1 - kept;
    const before = Number.isNaN(this.value) ? value : this.value;
    const moved = before + ((1 - kept) / this.#weight) * (value - before);
    this.value = Math.min(Math.max(moved, this.#least), this.#most);
  }
}

/**
 * Classifies at the operating point that keeps a moving average at its target, under changing load and changing
 * difficulty.
 *
 * A relay with hysteresis: when the average leaves the target by more than 3 % and the point in force is not bringing
 * it back by itself, the governor moves one point, and then stays for at least an eighth of the window. Between two
 * points that straddle the target it goes to and fro, so that the average meets it; where the target is out of reach it
 * stays at its bound. What it remembers of a deviation is bounded by 25 %, so it does not pay back for long what it
 * could not help. A call counts as an eighth of the window at most, however large its batch.
 */
export class Governor<
  Name extends string,
  Input,
  Results extends readonly { readonly relativeCost: number }[],
> {
  readonly #classify: (input: Input, options: { readonly at: Name }) => Promise<Results>;
  readonly #clock: () => number;
  /** Within the bounds, cheapest first. */
  readonly #names: readonly Name[];
  readonly #target: number;
  readonly #timed: boolean;
  /** Samples that a point is kept for at least. */
  readonly #stay: number;
  #at: number;
  #stayed = 0;
  readonly #average: MovingAverage;
  /** The average that is steered: bounded. */
  readonly #balance: MovingAverage;
  /** Of the point in force alone. */
  #present: MovingAverage;
  /** Milliseconds that a relative cost of 1 takes. */
  readonly #pace = new MovingAverage(PACE_CALLS);
  #callsSinceOutlier = Number.POSITIVE_INFINITY;

  /**
   * `classify` takes the samples of one call; `points` say what a sample costs on average at each; `clock` counts
   * milliseconds. Throws a TypeError when the options are no such object, a RangeError when the target is no positive number, or the bounds are no points in their
   * order.
   */
  constructor(
    classify: (input: Input, options: { readonly at: Name }) => Promise<Results>,
    points: Readonly<Record<Name, { readonly relativeCost: number }>>,
    options: GovernorOptions<Name>,
    clock: () => number = () => performance.now(),
  ) {
    const problem = unknownIn(options, [
      'targetRelativeCost',
      'targetLatencyMs',
      'fastest',
      'slowest',
      'window',
    ]);
    if (problem !== undefined) throw new TypeError(`a governor's options: ${problem}`);
    const { targetRelativeCost, targetLatencyMs, window = 1000 } = options;
    if ((targetRelativeCost === undefined) === (targetLatencyMs === undefined))
      throw new RangeError('a governor takes one target: targetRelativeCost or targetLatencyMs');
    const target = targetRelativeCost ?? targetLatencyMs!;
    if (!(target > 0) || target === Number.POSITIVE_INFINITY)
      throw new RangeError(`a governor's target is a positive number, not ${target}`);
    if (!(window >= STEPS_A_WINDOW) || window === Number.POSITIVE_INFINITY)
      throw new RangeError(`a governor's window is ${STEPS_A_WINDOW} samples or more, not ${window}`);
    const all = (Object.keys(points) as Name[]).sort(
      (a, b) => points[a].relativeCost - points[b].relativeCost,
    );
    const placeOf = (name: Name) => {
      if (all.includes(name)) return all.indexOf(name);
      throw new RangeError(`no operating point "${name}"; there are ${all.join(', ')}`);
    };
    const { fastest = all[0]!, slowest = all.at(-1)! } = options;
    const [from, to] = [placeOf(fastest), placeOf(slowest)];
    if (from > to) throw new RangeError(`"${fastest}" is dearer than "${slowest}"`);
    this.#classify = classify;
    this.#clock = clock;
    this.#names = all.slice(from, to + 1);
    this.#target = target;
    this.#timed = targetLatencyMs !== undefined;
    this.#stay = window / STEPS_A_WINDOW;
    // Costs are known beforehand; times are not, so with them it begins where they are shortest.
    const affordable = this.#names.filter((name) => points[name].relativeCost <= target).length;
    this.#at = this.#timed ? 0 : Math.max(affordable - 1, 0);
    this.#average = new MovingAverage(window);
    this.#balance = new MovingAverage(window, target * (1 - MEMORY), target * (1 + MEMORY));
    this.#present = new MovingAverage(this.#stay);
  }

  /** The operating point in force. */
  get at(): Name {
    return this.#names[this.#at]!;
  }

  /**
   * The moving average that is kept at the target: relative cost, or milliseconds, a sample. NaN before the first call.
   * Lone calls of more than four times the usual time are not in it.
   */
  get average(): number {
    return this.#average.value;
  }

  /** Classifies at the point in force. Calls may overlap; milliseconds are then those of each call by itself. */
  async classify(input: Input): Promise<Results> {
    const point = this.#at;
    const began = this.#clock();
    const results = await this.#classify(input, { at: this.at });
    const milliseconds = this.#clock() - began;
    const cost = results.reduce((sum, { relativeCost }) => sum + relativeCost, 0);
    if (results.length === 0 || (this.#timed && this.#isOutlier(milliseconds / cost))) return results;
    this.#learn(point, (this.#timed ? milliseconds : cost) / results.length, results.length);
    return results;
  }

  /** Whether a call of this pace stands alone. A lasting change of load is believed from its second call on. */
  #isOutlier(pace: number): boolean {
    this.#callsSinceOutlier++;
    const lone = this.#callsSinceOutlier > OUTLIER_CALLS;
    const odd = pace > OUTLIER * this.#pace.value;
    if (odd) this.#callsSinceOutlier = 0;
    if (!(odd && lone)) this.#pace.add(pace, 1);
    return odd && lone;
  }

  /** `spent` a sample on average by `samples` that were classified at `point`. */
  #learn(point: number, spent: number, samples: number): void {
    const count = Math.min(samples, this.#stay);
    this.#average.add(spent, count);
    this.#balance.add(spent, count);
    if (point !== this.#at) return;
    this.#present.add(spent, count);
    this.#stayed += count;
    if (this.#stayed < this.#stay) return;
    const [balance, present] = [this.#balance.value / this.#target, this.#present.value / this.#target];
    if (balance > 1 + DEADBAND && present > 1) this.#move(-1);
    else if (balance < 1 - DEADBAND && present < 1) this.#move(1);
  }

  #move(by: 1 | -1): void {
    const to = this.#at + by;
    if (to < 0 || to >= this.#names.length) return;
    this.#at = to;
    this.#stayed = 0;
    this.#present = new MovingAverage(this.#stay);
  }
}
