/** The search where scores, or the final answer, depend on which exits are open. */
import { HIGHEST_OPEN } from '../policies/index.ts';
import { measure } from './measure.ts';
import {
  better,
  CHEAPEST_PRICE,
  concaveHull,
  hullOf,
  type Point,
  refine,
  rising,
  type Search,
  type SearchOptions,
  searchIn,
  withoutWorth,
  worthOf,
} from './search.ts';
import { type Candidate, CLOSED, type CostModel, type OutcomesAt } from './types.ts';

/** Prices at which sets of open exits are looked for: worth of the whole cost of the original. */
const SET_PRICES = [CHEAPEST_PRICE, 4, 1.5, 0.7, 0.35, 0.18, 0.09, 0.045, 0.02, 0.005];
/** Up to so many exits, every set is searched: 15 of them. */
const EVERY_SET = 4;

export interface PolicySearchOptions extends SearchOptions {
  /** Threshold vectors to consider beside those found. */
  readonly also?: readonly (readonly number[])[];
}

/**
 * `searchThresholds` where an exit's scores depend on which exits before it are open, or the final answer on which are at all. Up to
 * `EVERY_SET` exits, every set of open exits is searched by itself (2^K - 1 searches) and the best of all is kept; beyond, sets are
 * found by opening and closing exits (`SetSearch`).
 */
export function searchPolicy(
  outcomes: OutcomesAt,
  cost: CostModel,
  options: PolicySearchOptions,
): Candidate[] {
  const all = outcomes();
  const exits = all.scores.length;
  const outcomesOf = (open: readonly boolean[]) => outcomes(open.map((is) => (is ? HIGHEST_OPEN : CLOSED)));
  const { also = [] } = options;
  const alone = all.scores.map((_, k) => all.scores.map((_, j) => j === k));
  const independent = alone.every((open) => outcomesOf(open) === all);
  if (independent && also.length === 0) return hullOf(all, cost, options);
  const measured = (thresholds: readonly number[]): Candidate => ({
    thresholds,
    ...measure(outcomes(thresholds), cost, thresholds),
  });
  const valued = (point: Candidate): Point => ({ ...point, worth: worthOf(point, options) });
  const exact = valued(measured(all.scores.map(() => CLOSED)));
  const found = () => {
    if (independent) return hullOf(all, cost, options);
    if (exits > EVERY_SET) return hullOfSets();
    const sets = Array.from({ length: 2 ** exits - 1 }, (_, set) =>
      all.scores.map((_, k) => (((set + 1) >> k) & 1) === 1),
    );
    return sets.flatMap((open) => hullOf(outcomesOf(open), cost, options, open));
  };
  const hullOfSets = () => {
    const search = new SetSearch(cost, exact, (open) => searchIn(outcomesOf(open), cost, options, open));
    for (const price of SET_PRICES) search.visit(price);
    search.deepen();
    const hull = concaveHull(rising(search.points(), exact));
    return [...hull, ...search.between(hull)].map(withoutWorth);
  };
  // Found points that open no exit are left out: where a set of exits is searched, their final answer is an ensemble that exact is not.
  const open = found().filter(({ thresholds }) => thresholds.some((t) => t < CLOSED));
  const points = [...open, ...also.map(measured)].map(valued);
  return [...rising(points, exact), exact].map(withoutWorth);
}

/**
 * Sets of open exits. At each of some prices, exits are opened and closed from the best set so far, one or all of a network at a time, and
 * thresholds are climbed with the set held, until no change helps. What is found at one price is where the next begins.
 */
class SetSearch {
  private readonly known = new Map<string, Search>();
  /** Exits that are opened and closed together: each by itself, and all of a network. */
  private readonly changes: readonly (readonly number[])[];

  /** `searchOf`: the search with exactly the exits open that are. `exact`: the point of all exits closed. */
  constructor(
    cost: CostModel,
    private readonly exact: Point,
    private readonly searchOf: (open: readonly boolean[]) => Search,
  ) {
    const alone = Array.from({ length: cost.exits.length }, (_, k) => [k]);
    const networks = cost.networks.map((_, n) =>
      [...cost.exits.keys()].filter((k) => cost.exits[k]!.network === n),
    );
    this.changes = [...alone, ...networks.filter((own) => own.length > 1 && own.length < alone.length)];
    for (const own of this.changes) this.in(alone.map(([k]) => own.includes(k!))).solve(CHEAPEST_PRICE);
  }

  private in(open: readonly boolean[]): Search {
    const key = open.join();
    const search = this.known.get(key) ?? this.searchOf(open);
    this.known.set(key, search);
    return search;
  }

  points(): Point[] {
    return [this.exact, ...[...this.known.values()].flatMap((search) => [...search.found.values()])];
  }

  /** Looks for the best set at `price`. */
  visit(price: number): void {
    const { changes } = this;
    this.in(this.exact.thresholds.map(() => true)).solve(price);
    let best = this.points().reduce((a, b) => better(price, a, b));
    if (best !== this.exact) best = better(price, best, this.in(openIn(best)).solve(price));
    for (let c = 0, unhelpful = 0; unhelpful < changes.length; c = (c + 1) % changes.length) {
      const open = openIn(best).map((is, k) => is !== changes[c]!.includes(k));
      const next = open.includes(true)
        ? better(price, best, this.in(open).climb(price, best.thresholds, open))
        : best;
      unhelpful = next === best ? unhelpful + 1 : 0;
      best = next;
    }
  }

  /** Searches every set that is on the hull by itself. */
  deepen(): void {
    const hull = concaveHull(rising(this.points(), this.exact));
    for (const key of new Set(hull.map((point) => openIn(point).join()))) {
      const search = this.known.get(key)!;
      refine(search.solve(CHEAPEST_PRICE), this.exact, search);
    }
  }

  /** Points in the gaps of `hull`, with the sets of open exits that are on it. */
  between(hull: readonly Point[]): Point[] {
    return [...this.known].flatMap(([key, search]) =>
      search.between(hull.filter((point) => openIn(point).join() === key)),
    );
  }
}

const openIn = ({ thresholds }: Candidate) => thresholds.map((t) => t < CLOSED);
