/** Policies compared on the same samples: which one loses least at the costs that are asked for. */
import { type CostModel, interpolateHull, measure, searchPolicy } from './calibrate/index.ts';
import { shuffled } from './data/index.ts';
import { OfframpError } from './errors.ts';
import { type Decider, fitPolicy, type Judged, ownThresholds, rowsOf, viewOf } from './judge.ts';
import { POLICY_NAMES, type PolicyName, policyOf } from './policies/index.ts';

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
  readonly decider: Decider;
  readonly range: CostRange;
  /** Best first. A policy that could not be fitted is not there. */
  readonly compared: readonly ComparedPolicy[];
}

export interface ChoiceOptions {
  readonly target: 'accuracy' | 'agreement';
  /** Average costs that are asked for; the whole curve counts when there are none. */
  readonly budgets: readonly number[];
  /** Whether the exits have confidence heads. */
  readonly haveConfidence: boolean;
  /** Weight of the open exits in the last answer, whichever policy is taken. */
  readonly last?: number | undefined;
  /** All of them by default. */
  readonly policies?: readonly PolicyName[];
  readonly seed: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The range reaches this far beyond what is asked for. */
const BEYOND = 0.05;
const GRID = 41;

/**
 * Every policy is fitted on `validation`. Thresholds are then searched on one half of `calibration` and the curve is measured on the
 * other, both ways round, so that no policy is compared on samples that anything in it was fitted on.
 */
export function choosePolicy(
  validation: Judged,
  calibration: Judged,
  costs: CostModel,
  options: ChoiceOptions,
): PolicyChoice {
  const range = rangeOf(costs, options.budgets);
  const { policies = POLICY_NAMES, haveConfidence } = options;
  const names = policies.filter((name) => haveConfidence || !policyOf(name).readsConfidence);
  const [first, second] = halvesOf(calibration, options.seed);
  const entries = names.flatMap((policy, done) => {
    options.onProgress?.(done, names.length);
    const found = fitted(policy, validation, costs, options.budgets[0]);
    if (!found) return [];
    const decider = { ...found, last: options.last };
    const [one, other] = [
      [first, second],
      [second, first],
    ].map(([search, report]) => curveOver(range, search!, report!, decider, costs, options.target));
    const curve = one!.map((value, i) => (value + other![i]!) / 2);
    return [{ decider, policy, curve, mean: curve.reduce((sum, value) => sum + value, 0) / GRID }];
  });
  options.onProgress?.(names.length, names.length);
  const ranked = entries.toSorted((a, b) => b.mean - a.mean);
  const compared = ranked.map(({ policy, curve, mean }) => ({ policy, curve, mean }));
  return { decider: ranked[0]!.decider, range, compared };
}

/** Undefined for a policy that these samples are not enough for. */
function fitted(
  policy: PolicyName,
  validation: Judged,
  costs: CostModel,
  budget: number | undefined,
): Decider | undefined {
  try {
    return fitPolicy(policy, validation, costs, budget);
  } catch (error) {
    if (error instanceof OfframpError) return undefined;
    throw error;
  }
}

function rangeOf({ prefix, head }: CostModel, budgets: readonly number[]): CostRange {
  const cheapest = Math.min(...prefix.map((way, k) => way + head[k]!));
  if (budgets.length === 0) return [cheapest, 1];
  return [Math.max(cheapest, Math.min(...budgets) - BEYOND), Math.min(1, Math.max(...budgets) + BEYOND)];
}

function halvesOf(judged: Judged, seed: number): [Judged, Judged] {
  const order = shuffled(judged.labels.length, seed, 'policies');
  const middle = order.length >> 1;
  return [rowsOf(judged, order.slice(0, middle)), rowsOf(judged, order.slice(middle))];
}

/** The target on `report` at `GRID` even costs, by thresholds searched on `search`. */
function curveOver(
  [least, most]: CostRange,
  search: Judged,
  report: Judged,
  decider: Decider,
  costs: CostModel,
  target: ChoiceOptions['target'],
): number[] {
  const searched = viewOf(search, decider);
  const reported = viewOf(report, decider);
  const hull = searchPolicy(searched, costs, { target, also: ownThresholds(searched, decider) });
  const points = hull.map(({ thresholds }) => measure(reported(thresholds), costs, thresholds));
  return Array.from({ length: GRID }, (_, i) => {
    const cost = least + ((most - least) * i) / (GRID - 1);
    return interpolateHull(points, cost)[target];
  });
}
