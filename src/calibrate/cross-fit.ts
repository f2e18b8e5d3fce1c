/**
 * Cross-fitting (Stone 1974): every sample is measured at settings that were searched without it. On the samples that it was chosen on, the
 * best of many settings looks better than it is; operating points are therefore chosen by these figures.
 */
import { changesOf } from './guarantee.ts';
import { measure } from './measure.ts';
import { isMoreOften } from './paired.ts';
import {
  type Candidate,
  type CostModel,
  type Measured,
  type Outcomes,
  type OutcomesAt,
  pickSamples,
} from './types.ts';

/** Candidates cheapest first, exact last, as `searchPolicy` returns them. */
export type Searcher = (outcomes: OutcomesAt) => readonly Candidate[];

/** One candidate of a search, on the samples that were held out of it. */
export interface HeldOut extends Measured {
  /** Relative cost on the samples that were searched. */
  readonly nominalCost: number;
  /** Samples held out that the original has right and the answer wrong, and the other way round; of `agreement`: that differ, and 0. */
  readonly losses: number;
  readonly gains: number;
}

/** The candidates found without the samples of one fold, cheapest first, measured on those samples. */
export interface Fold {
  readonly samples: number;
  readonly candidates: readonly HeldOut[];
}

export type CrossFit = readonly Fold[];

export interface CrossFitOptions {
  readonly target: 'accuracy' | 'agreement';
  /** Disjoint sets of samples; fewer than two give no estimates. */
  readonly folds: readonly Int32Array[];
}

/** Searches once without each fold and measures the candidates on that fold. */
export function crossFit(
  outcomes: OutcomesAt,
  search: Searcher,
  cost: CostModel,
  { target, folds }: CrossFitOptions,
): CrossFit {
  if (folds.length < 2) return [];
  return folds.map((fold) => {
    const others = folds.flatMap((rows) => (rows === fold ? [] : [...rows])).sort((a, b) => a - b);
    const held = restricted(outcomes, fold);
    const candidates = search(restricted(outcomes, Int32Array.from(others)));
    return {
      samples: fold.length,
      candidates: candidates.map(({ thresholds, relativeCost }) => {
        const outcomes = held(thresholds);
        const { losses, gains } = changesOf(outcomes, thresholds, target);
        return { ...measure(outcomes, cost, thresholds), nominalCost: relativeCost, losses, gains };
      }),
    };
  });
}

/** `outcomes` of samples `rows` alone. The same outcomes stay the same object: `searchPolicy` compares them. */
function restricted(outcomes: OutcomesAt, rows: Int32Array): OutcomesAt {
  const known = new Map<Outcomes, Outcomes>();
  return (thresholds) => {
    const all = outcomes(thresholds);
    const some = known.get(all) ?? pickSamples(all, rows);
    known.set(all, some);
    return some;
  };
}

/** Candidates of one nominal cost on the held-out samples of all folds together: of each fold the dearest that costs no more. */
export interface Estimate {
  readonly nominalCost: number;
  readonly samples: number;
  readonly losses: number;
  readonly gains: number;
  /** Mean relative cost of the samples. */
  readonly relativeCost: number;
}

/** At every nominal cost that occurs, dearest (exact) first. */
export function estimates(folds: CrossFit): Estimate[] {
  const costs = new Set(folds.flatMap(({ candidates }) => candidates.map((c) => c.nominalCost)));
  return [...costs].sort((a, b) => b - a).map((nominalCost) => estimateAt(folds, nominalCost));
}

function estimateAt(folds: CrossFit, nominalCost: number): Estimate {
  const sum = { samples: 0, losses: 0, gains: 0, cost: 0 };
  for (const { samples, candidates } of folds) {
    const point = costingAtMost(candidates, nominalCost);
    sum.samples += samples;
    sum.losses += point.losses;
    sum.gains += point.gains;
    sum.cost += point.relativeCost * samples;
  }
  const { cost, ...counts } = sum;
  return { nominalCost, ...counts, relativeCost: cost / sum.samples };
}

/** The dearest of `candidates` (cheapest first) at or below `nominalCost`; the cheapest where there is none. */
function costingAtMost(candidates: readonly HeldOut[], nominalCost: number): HeldOut {
  return candidates.findLast((c) => c.nominalCost <= nominalCost) ?? candidates[0]!;
}

/**
 * The least nominal cost at which the target falls by at most `maxDrop` (a fraction; below 0 a gain is asked for), going from exact downwards;
 * 1, which is exact, where nothing cheaper does; undefined where not even exact does.
 *
 * The walk ends before (losses - gains + 1) / n first exceeds `maxDrop`. Along it n·drop is, to first order, the compensator of
 * losses - gains, so at the first step that ends it both have the same mean (optional stopping), and as that step is mostly by one
 * sample, the mean drop is at most `maxDrop`. The 1 is what conformal risk control adds (Angelopoulos et al. 2022, theorem 1),
 * which has the same mean for losses that only rise. Taking the cheapest point within `maxDrop` anywhere, instead of before the first that is
 * not, would be a choice by luck again.
 */
export function costOfDrop(folds: CrossFit, maxDrop: number): number | undefined {
  let found = maxDrop >= 0 ? 1 : undefined;
  for (const { nominalCost, samples, losses, gains } of estimates(folds)) {
    if (nominalCost >= 1) continue;
    const within = losses - gains + 1 <= maxDrop * samples + 1e-9;
    if (within) found = nominalCost;
    else if (found !== undefined) break;
  }
  return found;
}

/**
 * The largest nominal cost up to which candidates cost at most `budget` on samples not searched; undefined where not even the cheapest do.
 * As in conformal risk control, one more sample is counted, which costs as much as the original.
 */
export function costOfBudget(folds: CrossFit, budget: number): number | undefined {
  let found: number | undefined;
  for (const { nominalCost, samples, relativeCost } of estimates(folds).reverse()) {
    if (samples * relativeCost + 1 > budget * (samples + 1)) break;
    found = nominalCost;
  }
  return found;
}

/**
 * The nominal cost of most gains over losses, the least of equals; undefined unless choosing so makes more right than the original. That is
 * tested on each fold with the cost that the other folds choose: one-sided, given how many answers change (McNemar 1947).
 */
export function costOfBest(folds: CrossFit): number | undefined {
  const best = (some: CrossFit) =>
    estimates(some).reduce((a, b) => (b.gains - b.losses >= a.gains - a.losses ? b : a)).nominalCost;
  if (folds.length < 2) return undefined;
  let losses = 0;
  let gains = 0;
  for (const fold of folds) {
    const own = costingAtMost(fold.candidates, best(folds.filter((other) => other !== fold)));
    losses += own.losses;
    gains += own.gains;
  }
  return isMoreOften({ onlyA: losses, onlyB: gains }) ? best(folds) : undefined;
}
