/** Reads what cifar10.ts kept and judges a policy on it at given honest costs: calibrated on one part, reported on the other. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize } from 'node:v8';
import { measure, searchPolicy } from '../src/calibrate/index.ts';
import type { Candidate, CostModel, ExitOutcomes, Outcomes, OutcomesAt } from '../src/calibrate/types.ts';
import { type PolicyName, policyOf } from '../src/policies/index.ts';
import { type FittedPolicy, fitFinalAnswer, fitPolicy, ownThresholds } from '../src/predict/fitted-policy.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import type { HeadPredictions, Predictions } from '../src/predict/predict.ts';

export interface Kept {
  readonly costs: CostModel;
  readonly calibration: HeadPredictions;
  readonly test: HeadPredictions;
  readonly seconds: number;
}

/** The runs of `model` in `folder`, by seed. */
export function readKept(folder: string, model: string): Kept[] {
  const names = readdirSync(folder).filter((name) => name.startsWith(`${model}-`));
  return names.sort().map((name) => deserialize(readFileSync(join(folder, name))) as Kept);
}

/** Per sample, at `budget`: what the original got right and the early exits did not (1, 0 or −1), and disagreement. */
export interface AtBudget {
  readonly lost: Float64Array;
  readonly disagreed: Float64Array;
}

/** Threshold vectors to choose from, found on one part. */
export type Finder = (
  view: OutcomesAt<ExitOutcomes>,
  costs: CostModel,
) => readonly Pick<Candidate, 'thresholds'>[];

const searched: Finder = (view, costs) => searchPolicy(view, costs, { target: 'accuracy' });

export interface Way {
  /** How thresholds are found; searched when left out. */
  readonly find?: Finder;
  /** Whether the open exits join the last answer. */
  readonly ensembled?: boolean;
}

const fitted = new WeakMap<Predictions, Map<string, FittedPolicy>>();

/** `fitPolicy`, remembered: a fit under a budget takes seconds. */
function fittedOnce(
  policy: PolicyName,
  fit: Predictions,
  costs: CostModel,
  budget: number | undefined,
): FittedPolicy {
  const known = fitted.get(fit) ?? new Map<string, FittedPolicy>();
  fitted.set(fit, known);
  const key = policyOf(policy).thresholds ? `${policy} ${budget}` : policy;
  const fittedPolicy = known.get(key) ?? fitPolicy(policy, fit, costs, budget);
  known.set(key, fittedPolicy);
  return fittedPolicy;
}

const weights = new WeakMap<Predictions, number>();

/** `fitLastAnswer`, remembered. */
function weightOnce(fit: Predictions): number {
  const weight = weights.get(fit) ?? fitFinalAnswer(fit);
  weights.set(fit, weight);
  return weight;
}

/**
 * `policy` fitted and calibrated on `fit` and reported on `report`: every point's realised cost there, blended linearly at every budget. A
 * policy that brings thresholds for a budget is fitted for each.
 */
export function judgeBudgets(
  policy: PolicyName,
  fit: Predictions,
  report: Predictions,
  costs: CostModel,
  budgets: readonly number[],
  way: Way = {},
): Map<number, AtBudget> {
  if (policyOf(policy).thresholds && budgets.length > 1)
    return new Map(budgets.flatMap((b) => [...judgeBudgets(policy, fit, report, costs, [b], way)]));
  const { find = searched, ensembled = false } = way;
  const final = ensembled ? weightOnce(fit) : undefined;
  const fittedPolicy = { ...fittedOnce(policy, fit, costs, budgets[0]), final };
  const view = outcomesAt(report, fittedPolicy);
  const hull = find(outcomesAt(fit, fittedPolicy), costs)
    .map(({ thresholds }) => ({
      thresholds,
      cost: measure(view(thresholds), costs, thresholds).relativeCost,
    }))
    .sort((a, b) => a.cost - b.cost);
  return new Map(
    budgets.map((budget) => {
      const above = hull.find((p) => p.cost >= budget) ?? hull.at(-1)!;
      const below = hull.findLast((p) => p.cost <= budget) ?? hull[0]!;
      const share = above.cost > below.cost ? (budget - below.cost) / (above.cost - below.cost) : 0;
      const [a, b] = [below, above].map((p) => lossesAt(view, p.thresholds));
      const blend = (from: Float64Array, to: Float64Array) =>
        from.map((v, i) => (1 - share) * v + share * to[i]!);
      return [budget, { lost: blend(a!.lost, b!.lost), disagreed: blend(a!.disagreed, b!.disagreed) }];
    }),
  );
}

/** `policy` fitted on `fit` for `budget`, at the thresholds that its fit brings: reported on `report`, with the cost realised there. */
export function judgeOwnThresholds(
  policy: PolicyName,
  fit: Predictions,
  report: Predictions,
  costs: CostModel,
  budget: number,
): AtBudget & { readonly cost: number } {
  const fittedPolicy = fittedOnce(policy, fit, costs, budget);
  const [thresholds] = ownThresholds(outcomesAt(fit, fittedPolicy), fittedPolicy);
  const view = outcomesAt(report, fittedPolicy);
  const cost = measure(view(thresholds), costs, thresholds!).relativeCost;
  return { ...lossesAt(view, thresholds!), cost };
}

function lossesAt(view: OutcomesAt<ExitOutcomes>, thresholds: readonly number[]): AtBudget {
  const outcomes = view(thresholds);
  const { labels, original } = outcomes;
  const given = answers(outcomes, thresholds);
  return {
    lost: Float64Array.from(labels, (label, i) => Number(original[i] === label) - Number(given[i] === label)),
    disagreed: Float64Array.from(given, (answer, i) => Number(answer !== original[i])),
  };
}

function answers(
  { scores, answers, original, final = original }: Outcomes,
  thresholds: readonly number[],
): Int32Array {
  return final.map((full, i) => {
    const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
    return k < 0 ? full : answers[k]![i]!;
  });
}

export const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((a, b) => a + b, 0) / values.length;
export const deviation = (values: readonly number[]) => {
  const m = mean(values);
  return Math.sqrt(values.reduce((s, v) => s + (v - m) ** 2, 0) / Math.max(1, values.length - 1));
};
export const accuracy = (answers: ArrayLike<number>, labels: Int32Array) =>
  mean(labels.map((l, i) => Number(answers[i] === l)));
export const points = (v: number) => (100 * v).toFixed(2).replace('-', '−');
