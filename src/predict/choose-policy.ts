/** Chooses a policy: the most accurate at the costs asked for, on samples that thresholds were not searched on. */
import {
  type Candidate,
  type CostModel,
  type CrossFit,
  cheapestCost,
  crossFit,
  type Fold,
  interpolateHull,
  type OutcomesAt,
  searchPolicy,
} from '../calibrate/index.ts';
import { OfframpError } from '../errors/index.ts';
import { shuffled } from '../graph/random.ts';
import { POLICY_NAMES, type PolicyName, policyOf } from '../policies/index.ts';
import { type FittedPolicy, fitPolicy, ownThresholds } from './fitted-policy.ts';
import { outcomesAt } from './outcomes.ts';
import type { Predictions } from './predict.ts';

/** Costs relative to the original, between which policies are compared. */
export type CostRange = readonly [least: number, most: number];

export interface ComparedPolicy {
  readonly policy: PolicyName;
  /** The target at `GRID` even costs over the range. */
  readonly curve: readonly number[];
  /** Its mean: the area under the curve of target against cost, by its width. */
  readonly mean: number;
}

export interface PolicyChoice {
  readonly fittedPolicy: FittedPolicy;
  /** Estimates on samples that neither the choice nor the search used: each fold by the policy that the others choose. */
  readonly unseen: CrossFit;
  readonly range: CostRange;
  /** Best first. A policy that could not be fitted is not there. */
  readonly compared: readonly ComparedPolicy[];
}

type Target = 'accuracy' | 'agreement';

export interface ChoiceOptions {
  readonly target: Target;
  /** Average costs that are asked for; the whole curve counts when there are none. */
  readonly budgets: readonly number[];
  /** Whether the exits have confidence heads. */
  readonly haveConfidence: boolean;
  /** Weight of the open exits in the final answer, whichever policy is chosen. */
  readonly final?: number | undefined;
  /** All of them by default. */
  readonly policies?: readonly PolicyName[];
  readonly seed: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The range reaches this far beyond what is asked for. */
const BEYOND = 0.05;
const GRID = 41;

/** Folds of the calibration samples: each search uses four fifths of them. */
const FOLDS = 5;

/** `samples` dealt into folds by `seed`: fewer than five where there are fewer samples. */
export function foldsOf(samples: number, seed: number): Int32Array[] {
  const order = shuffled(samples, seed, 'folds');
  const count = Math.min(FOLDS, samples);
  return Array.from({ length: count }, (_, f) => order.filter((_, i) => i % count === f).sort());
}

/** The search for the thresholds of `fittedPolicy`. */
export const searchFor = (
  outcomes: OutcomesAt,
  fittedPolicy: FittedPolicy,
  costs: CostModel,
  target: Target,
): Candidate[] => searchPolicy(outcomes, costs, { target, also: ownThresholds(outcomes, fittedPolicy) });

/** Cross-fitted candidates of `fittedPolicy` on `predictions`: each fold measured at thresholds searched without it. */
export const crossFitted = (
  predictions: Predictions,
  fittedPolicy: FittedPolicy,
  costs: CostModel,
  target: Target,
  seed: number,
) =>
  crossFit(
    outcomesAt(predictions, fittedPolicy),
    (outcomes) => searchFor(outcomes, fittedPolicy, costs, target),
    costs,
    {
      target,
      folds: foldsOf(predictions.labels.length, seed),
    },
  );

/**
 * Every policy is fitted on `validation`. Thresholds are then searched on `calibration` without one fold and the curve is measured on that
 * fold, for each of them, so that no policy is compared on samples that anything in it was fitted on.
 */
export function choosePolicy(
  validation: Predictions,
  calibration: Predictions,
  costs: CostModel,
  options: ChoiceOptions,
): PolicyChoice {
  const range = rangeOf(costs, options.budgets);
  const { policies = POLICY_NAMES, haveConfidence, target, seed } = options;
  const names = policies.filter((name) => haveConfidence || !policyOf(name).readsConfidence);
  const entries = names.flatMap((policy, done) => {
    options.onProgress?.(done, names.length);
    const found = fitted(policy, validation, costs, options.budgets[0]);
    if (!found) return [];
    const fittedPolicy = { ...found, final: options.final };
    const folds = crossFitted(calibration, fittedPolicy, costs, target, seed);
    return [{ fittedPolicy, policy, folds, curves: folds.map((fold) => curveOver(range, fold, target)) }];
  });
  options.onProgress?.(names.length, names.length);
  const ranked = rank(entries);
  const compared = ranked.map(({ policy, curves }) => {
    const curve = meanOf(curves);
    return { policy, curve, mean: mean(curve) };
  });
  // On the folds that it was chosen by, the best policy looks better than it is: each fold takes the best of the others.
  const unseen = ranked[0]!.folds.map((_, f) => rank(entries, f)[0]!.folds[f]!);
  return { fittedPolicy: ranked[0]!.fittedPolicy, unseen, range, compared };
}

/** Best mean curve first; `without` leaves out a fold. */
function rank<E extends { readonly curves: readonly number[][] }>(
  entries: readonly E[],
  without?: number,
): E[] {
  const means = new Map(entries.map((e) => [e, mean(meanOf(e.curves.filter((_, f) => f !== without)))]));
  return entries.toSorted((a, b) => means.get(b)! - means.get(a)!);
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanOf = (curves: readonly number[][]) => curves[0]!.map((_, i) => mean(curves.map((c) => c[i]!)));

/** Undefined for a policy that these samples are not enough for. */
function fitted(
  policy: PolicyName,
  validation: Predictions,
  costs: CostModel,
  budget: number | undefined,
): FittedPolicy | undefined {
  try {
    return fitPolicy(policy, validation, costs, budget);
  } catch (error) {
    if (error instanceof OfframpError) return undefined;
    throw error;
  }
}

function rangeOf(costs: CostModel, budgets: readonly number[]): CostRange {
  const cheapest = cheapestCost(costs);
  if (budgets.length === 0) return [cheapest, 1];
  return [Math.max(cheapest, Math.min(...budgets) - BEYOND), Math.min(1, Math.max(...budgets) + BEYOND)];
}

/** The target on the samples of `fold` at `GRID` even costs. */
function curveOver([least, most]: CostRange, { candidates }: Fold, target: Target): number[] {
  return Array.from({ length: GRID }, (_, i) => {
    const cost = least + ((most - least) * i) / (GRID - 1);
    return interpolateHull(candidates, cost)[target];
  });
}
