/** Thresholds for every cost at once: the hull between the cheapest way to answer and the original. */
import { HIGHEST_OPEN } from '../policies/index.ts';
import { Cascade, type Cuts } from './cascade.ts';
import { measure } from './measure.ts';
import { type Candidate, CLOSED, type CostModel, type Measured, type Outcomes } from './types.ts';

export interface SearchOptions {
  /** What an answer should equal: the label, or the original's answer. */
  readonly target: 'accuracy' | 'agreement';
  /**
   * Share of agreement in an answer's worth, in [0, 1]; 0.2 by default, 0 trusts the labels alone. Where an exit is right and the
   * original wrong on a few calibration samples, much of it is luck: on simulated data a little agreement loses less on fresh samples.
   */
  readonly caution?: number;
}

export const CHEAPEST_PRICE = 1e4;
const LEAST_PRICE = 1e-3;
const HULL_STEP = 0.02;
const FILL_STEP = 0.0025;
const MOST_ROUNDS = 12;
const NO_GAIN = 1e-12;

/** What a point is worth: (1 - caution)·target + caution·agreement. */
export function worthOf(point: Measured, { target, caution = 0.2 }: SearchOptions): number {
  return (1 - caution) * point[target] + caution * point.agreement;
}

/**
 * Operating points from the cheapest to exact (every exit closed, always last), cost and `worthOf` both strictly rising; only exact may be
 * worth no more than a cheaper one. The concave hull of (cost, worth) is found by dichotomy (Aneja & Nair 1979): the slope of
 * two neighbours is the price λ at which a point between them is looked for; gaps are then filled with the best points below the hull.
 */
export function searchThresholds(outcomes: Outcomes, cost: CostModel, options: SearchOptions): Candidate[] {
  return hullOf(outcomes, cost, options);
}

/** `open`: exits that stay open, whatever leaves there; the others stay closed. */
export function hullOf(
  outcomes: Outcomes,
  cost: CostModel,
  options: SearchOptions,
  open?: readonly boolean[],
): Candidate[] {
  const search = searchIn(outcomes, cost, options, open);
  const exact = search.add(outcomes.scores.map(() => CLOSED));
  const cheapest = search.solve(CHEAPEST_PRICE);
  refine(cheapest, exact, search);
  const hull = concaveHull(rising([...search.found.values()], exact));
  return [...rising([...hull, ...search.between(hull)], exact), exact].map(withoutWorth);
}

/** The search on `outcomes`; `open` as for `hullOf`. */
export function searchIn(
  outcomes: Outcomes,
  cost: CostModel,
  options: SearchOptions,
  open?: readonly boolean[],
): Search {
  const answers = [...outcomes.answers, outcomes.final ?? outcomes.original];
  const { target, caution = 0.2 } = options;
  const truth = target === 'accuracy' ? outcomes.labels : outcomes.original;
  const worths = answers.map((answer) =>
    Float64Array.from(
      answer,
      (a, i) => (1 - caution) * +(a === truth[i]) + caution * +(a === outcomes.original[i]),
    ),
  );
  const measured = (thresholds: readonly number[]) => {
    const found = measure(outcomes, cost, thresholds);
    return { ...found, thresholds, worth: worthOf(found, options) };
  };
  return new Search(new Cascade(outcomes.scores, worths, cost), measured, open);
}

export const withoutWorth = ({ worth: _, ...point }: Point): Candidate => point;

export interface Point extends Candidate {
  readonly worth: number;
}

const valueAt = (price: number, point: Point) => point.worth - price * point.relativeCost;
export const better = (price: number, a: Point, b: Point) =>
  valueAt(price, b) > valueAt(price, a) + NO_GAIN ? b : a;

/** Finds the points of the hull between `a` and `b`, cheaper first; they stay in `search.found`. */
export function refine(a: Point, b: Point, search: { readonly solve: (price: number) => Point }): void {
  const gap = b.relativeCost - a.relativeCost;
  if (gap < HULL_STEP) return;
  const price = Math.max((b.worth - a.worth) / gap, LEAST_PRICE);
  const found = search.solve(price);
  if (valueAt(price, found) <= Math.max(valueAt(price, a), valueAt(price, b)) + NO_GAIN) return;
  refine(a, found, search);
  refine(found, b, search);
}

export class Search {
  /** Every vector met, by its text. */
  readonly found = new Map<string, Point>();
  /** The exits that may be open. */
  private readonly allowed: readonly boolean[];
  /** The threshold of an exit at which no sample is to leave. */
  private readonly shut: number;

  /** `open`: exits that stay open while the others stay closed; each may be either when it is left out. */
  constructor(
    private readonly cascade: Cascade,
    private readonly measured: (thresholds: readonly number[]) => Point,
    private readonly open: readonly boolean[] | undefined,
  ) {
    this.allowed = open ?? new Array<boolean>(cascade.exits).fill(true);
    this.shut = open ? HIGHEST_OPEN : CLOSED;
  }

  add(thresholds: readonly number[]): Point {
    const key = thresholds.join();
    const point = this.found.get(key) ?? this.measured(thresholds);
    this.found.set(key, point);
    return point;
  }

  /**
   * The best point found for max worth - price·cost: of the points so far and of climbs from all exits closed, from all samples leaving at
   * the first exit, and from the best of these. Where exits may be closed, `toggleExits` goes on from there.
   */
  solve(price: number): Point {
    const closed = this.allowed.map(() => CLOSED);
    for (const start of [closed, closed.map(() => -1)]) this.climb(price, start, this.allowed);
    const best = [...this.found.values()].reduce((a, b) => better(price, a, b));
    const climbed = better(price, best, this.climb(price, best.thresholds, this.allowed));
    return this.open ? climbed : this.toggleExits(price, climbed);
  }

  /**
   * Opens and closes exits of `best` one by one and climbs, until no single change helps. All 2^K sets of open exits are worth at most 0.0002
   * more on simulated data.
   */
  private toggleExits(price: number, best: Point): Point {
    const { exits } = this.cascade;
    for (let k = 0, unhelpful = 0; unhelpful < exits; k = (k + 1) % exits) {
      const open = best.thresholds.map((t, j) => t < CLOSED !== (j === k));
      const next = better(price, best, this.climb(price, best.thresholds, open));
      unhelpful = next === best ? unhelpful + 1 : 0;
      best = next;
    }
    return best;
  }

  /** Coordinate ascent from `start` with an exact line search, among the exits that are `open`; each may still end up closed. */
  climb(price: number, start: readonly number[], open: readonly boolean[]): Point {
    const thresholds = start.map((t, k) => (open[k] ? Math.min(t, this.shut) : CLOSED));
    // The first exit whose threshold the round before moved: where none after it moves in this round, it and those before it have their cuts still.
    let first = -1;
    for (let round = 0, moved = true; moved && round < MOST_ROUNDS; round++) {
      const settled = first;
      moved = false;
      const choose = (k: number, cuts: Cuts) => {
        const threshold = this.bestCut(cuts, price);
        if (threshold !== thresholds[k]) [moved, first] = [true, k];
        thresholds[k] = threshold;
        return threshold;
      };
      this.cascade.backwards(thresholds, open, choose, (k) => !moved && k <= settled);
    }
    return this.add(thresholds);
  }

  /** arg-max over cuts of Σ_{leaving} (Δworth - price·Δcost), less what opening costs all who reach it; closing is worth 0. */
  private bestCut(cuts: Cuts, price: number): number {
    let best = this.open ? NO_GAIN : price * cuts.opening * cuts.reached + NO_GAIN;
    let threshold = this.shut;
    for (let p = 1; p <= cuts.length; p++) {
      const value = cuts.worth[p]! - price * cuts.cost[p]!;
      if (!(value > best)) continue;
      const candidate = cuts.threshold(p);
      if (candidate === CLOSED) continue;
      best = value;
      threshold = candidate;
    }
    return threshold;
  }

  /** Points in the gaps of `hull`, at most one a `FILL_STEP` of cost: a hull point with one open exit's threshold moved. */
  between(hull: readonly Point[]): Point[] {
    const { cascade } = this;
    const steps = new Map<number, { worth: number; thresholds: number[] }>();
    for (const from of hull) {
      const open = from.thresholds.map((t) => t < CLOSED);
      cascade.backwards(from.thresholds, open, (k, cuts) => {
        const now = from.thresholds[k]!;
        const cut = cuts.cutOf(now);
        const [worth, cost] = [cuts.worth[cut]!, cuts.cost[cut]!];
        for (let p = 1; p <= cuts.length; p++) {
          const step = Math.floor((from.relativeCost + (cuts.cost[p]! - cost) / cascade.samples) / FILL_STEP);
          const value = from.worth + (cuts.worth[p]! - worth) / cascade.samples;
          if (value <= (steps.get(step)?.worth ?? -Infinity) + NO_GAIN) continue;
          const threshold = cuts.threshold(p);
          if (threshold !== CLOSED)
            steps.set(step, { worth: value, thresholds: from.thresholds.with(k, threshold) });
        }
        return now;
      });
    }
    return [...steps.values()].map(({ thresholds }) => this.measured(thresholds));
  }
}

/** The points cheaper than `exact` that are worth more than everything cheaper, by cost. */
export function rising(points: readonly Point[], exact: Point): Point[] {
  const sorted = points.toSorted((a, b) => a.relativeCost - b.relativeCost || b.worth - a.worth);
  let most = -Infinity;
  return sorted.filter((point) => {
    if (point.relativeCost >= exact.relativeCost || point.worth <= most + NO_GAIN) return false;
    most = point.worth;
    return true;
  });
}

/** The upper concave hull of points sorted by cost (Andrew 1979, monotone chain). */
export function concaveHull(points: readonly Point[]): Point[] {
  const hull: Point[] = [];
  for (const point of points) {
    while (hull.length >= 2 && slope(hull.at(-2)!, hull.at(-1)!) <= slope(hull.at(-1)!, point)) hull.pop();
    hull.push(point);
  }
  return hull;
}

const slope = (a: Point, b: Point) => (b.worth - a.worth) / (b.relativeCost - a.relativeCost);
