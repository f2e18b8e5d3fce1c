/** Named operating points, chosen from what the search found. */
import { accuracyUnreachable, budgetUnreachable, unknownPoint } from '../errors/index.ts';
import { type CrossFit, costOfBest, costOfBudget, costOfDrop, estimates } from './cross-fit.ts';
import type { Candidate, Measured } from './types.ts';

export interface NamedPoint extends Candidate {
  /** `fast`, `balanced`, `accurate`, `best`, `exact`, `budget-0.6`, `budget-3ms`, `accuracy-0.92`, `drop-0.005` or `cost-0.53`. */
  readonly name: string;
}

/** The candidates of a search, and cross-fitted estimates of such candidates on samples that were not searched. */
export interface Searched {
  /** As `searchPolicy` returns it: cheapest first, exact last. */
  readonly hull: readonly Candidate[];
  /** From the same samples, target and costs; empty where there were too few samples. */
  readonly unseen: CrossFit;
}

export interface PointOptions {
  /** What drops are counted in; accuracy by default. */
  readonly target?: 'accuracy' | 'agreement';
  /** Largest mean relative costs wanted. */
  readonly budgets?: readonly number[];
  /** Largest losses of the target wanted, as fractions. */
  readonly maxDrops?: readonly number[];
  /** Least values of the target wanted, as fractions. */
  readonly floors?: readonly number[];
  /** Points found elsewhere, by name: budgets of time; and guarantees, which replace the estimate of a drop from the calibration data alone. */
  readonly found?: ReadonlyMap<string, Candidate>;
}

export const MOST_POINTS = 24;

/** Largest loss of the target on new samples, as a fraction, that each standing name stands for. */
export const NAMED_DROPS = { fast: 0.03, balanced: 0.01, accurate: 0.002 } as const;

/** Names that every compiled model has. */
export const STANDING_NAMES: readonly string[] = [...Object.keys(NAMED_DROPS), 'exact'];

/** The most accurate setting, of models that have one more accurate than the original. */
export const BEST = 'best';

/** Whether a point was asked for or has a standing name; the others sample the curve between them. */
export const isNamed = (name: string): boolean => !name.startsWith(CURVE);
const CURVE = 'cost-';

/** The point called `name`. Throws `unknown-operating-point`. */
export function pointNamed<P extends { readonly name: string }>(points: readonly P[], name: string): P {
  const point = points.find((p) => p.name === name);
  if (point) return point;
  throw unknownPoint(
    name,
    points.map((p) => p.name),
  );
}

/** Name of the point for an asked budget. */
export const budgetName = (budget: number): string => `budget-${budget}`;
/** Name of the point for an asked mean latency. */
export const timeBudgetName = (milliseconds: number): string => `budget-${milliseconds}ms`;
/** Name of the point for an asked least value of the target. */
export const floorName = (floor: number): string => `accuracy-${floor}`;
/** Name of the point for an asked loss. */
export const dropName = (drop: number): string => `drop-${drop}`;

/**
 * The best candidate that costs at most `budget` relative to the original on samples that were not searched. Throws `budget-unreachable`
 * where even the cheapest costs more.
 */
export function pickBudget({ hull, unseen }: Searched, budget: number): Candidate {
  if (hull[0]!.relativeCost > budget) throw budgetUnreachable(budget, hull[0]!.relativeCost);
  return costing(hull, costOfBudget(unseen, budget) ?? (unseen.length > 0 ? 0 : budget));
}

/** The cheapest candidate that, on samples that were not searched, loses at most `maxDrop` (a fraction) of `exact`'s target. */
export function pickAccuracyDrop({ hull, unseen }: Searched, maxDrop: number): Candidate {
  return costing(hull, costOfDrop(unseen, maxDrop) ?? 1);
}

/**
 * The cheapest candidate whose target, on samples that were not searched, is at least `floor` (a fraction). Throws
 * `accuracy-unreachable`.
 */
export function pickFloor(
  { hull, unseen }: Searched,
  floor: number,
  target: 'accuracy' | 'agreement' = 'accuracy',
): Candidate {
  const exact = hull.at(-1)![target];
  const cost = costOfDrop(unseen, exact - floor + Number.EPSILON);
  if (cost !== undefined) return costing(hull, cost);
  const gain = estimates(unseen).reduce((most, p) => Math.max(most, (p.gains - p.losses - 1) / p.samples), 0);
  throw accuracyUnreachable(floor, exact + gain, target);
}

/** The most accurate candidate on samples that were not searched; undefined where none is better than exact, beyond chance. */
export function pickBest({ hull, unseen }: Searched): Candidate | undefined {
  const cost = costOfBest(unseen);
  return cost === undefined ? undefined : costing(hull, cost);
}

/** The dearest of `hull` that cost at most `cost` on the samples searched; the cheapest where none does. */
const costing = (hull: readonly Candidate[], cost: number): Candidate =>
  hull.findLast((candidate) => candidate.relativeCost <= cost) ?? hull[0]!;

/**
 * About 24 points of the hull, evenly in cost, cheapest first, together with the standing names, those asked for, and `best` where there is
 * one. Every name is there once, even when two stand for the same thresholds.
 */
export function operatingPoints(searched: Searched, options: PointOptions): NamedPoint[] {
  const { hull } = searched;
  const { target = 'accuracy', budgets = [], floors = [], maxDrops = [], found = new Map() } = options;
  const named = new Map<string, Candidate>();
  for (const drop of maxDrops) named.set(dropName(drop), pickAccuracyDrop(searched, drop));
  for (const floor of floors) named.set(floorName(floor), pickFloor(searched, floor, target));
  for (const budget of budgets) named.set(budgetName(budget), pickBudget(searched, budget));
  for (const [name, point] of found) named.set(name, point);
  for (const [name, drop] of Object.entries(NAMED_DROPS)) named.set(name, pickAccuracyDrop(searched, drop));
  const best = pickBest(searched);
  if (best) named.set(BEST, best);
  named.set('exact', hull.at(-1)!);
  const chosen = new Set(named.values());
  for (const point of evenly(hull, MOST_POINTS - chosen.size)) {
    if (!chosen.has(point)) named.set(freeName(point.relativeCost, named), point);
  }
  return [...named]
    .map(([name, point]) => ({ name, ...point }))
    .sort((a, b) => a.relativeCost - b.relativeCost || rank(a.name) - rank(b.name));
}

/** Accuracy and agreement at `cost`, linear between the neighbouring measured points; the nearest point's outside their range. */
export function interpolateHull(
  points: readonly Measured[],
  cost: number,
): Pick<Measured, 'accuracy' | 'agreement' | 'relativeCost'> {
  const sorted = points.toSorted((a, b) => a.relativeCost - b.relativeCost);
  const above = sorted.find((point) => point.relativeCost >= cost) ?? sorted.at(-1)!;
  const below = sorted.findLast((point) => point.relativeCost <= cost) ?? sorted[0]!;
  const gap = above.relativeCost - below.relativeCost;
  const share = gap > 0 ? (cost - below.relativeCost) / gap : 0;
  const blend = (a: number, b: number) => a + share * (b - a);
  return {
    accuracy: blend(below.accuracy, above.accuracy),
    agreement: blend(below.agreement, above.agreement),
    relativeCost: blend(below.relativeCost, above.relativeCost),
  };
}

/** At most `most` points of `hull`, its ends among them, each nearest to one of `most` evenly spaced costs. */
function evenly(hull: readonly Candidate[], most: number): Candidate[] {
  if (hull.length <= most) return [...hull];
  const first = hull[0]!.relativeCost;
  const step = (hull.at(-1)!.relativeCost - first) / (most - 1);
  const distance = (point: Candidate, cost: number) => Math.abs(point.relativeCost - cost);
  const nearest = (cost: number) => hull.reduce((a, b) => (distance(b, cost) < distance(a, cost) ? b : a));
  return [...new Set(Array.from({ length: Math.max(most, 2) }, (_, n) => nearest(first + n * step)))];
}

/** `cost-0.53`, with more digits where that name is used. */
function freeName(cost: number, used: ReadonlyMap<string, unknown>): string {
  let digits = 2;
  while (used.has(`${CURVE}${cost.toFixed(digits)}`)) digits++;
  return `${CURVE}${cost.toFixed(digits)}`;
}

/** Among equal costs: the point as such, then what was asked for, then standing names. */
function rank(name: string): number {
  const standing = [...STANDING_NAMES.slice(0, -1), BEST, 'exact'].indexOf(name);
  return standing < 0 ? (isNamed(name) ? 1 : 0) : 2 + standing;
}
