/** A policy with the parameters that were fitted for it. */
import { type CostModel, leavingCosts, type OutcomesAt } from '../calibrate/index.ts';
import { fitFinal, withEnsemble } from '../policies/final-answer.ts';
import { type Policy, type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { exitsOf, type Predictions } from './predict.ts';

/** A policy and what was fitted for it. */
export interface FittedPolicy {
  readonly policy: PolicyName;
  readonly parameters: PolicyParameters;
  /** Weight of the open exits in the final answer; the original alone answers when it is 0 or left out. */
  readonly final?: number | undefined;
}

/** The policy that runs at the exits: with a final answer that is an ensemble, its state also carries the sum of the exits' logits. */
export function policyIn({ policy, final }: FittedPolicy): Policy {
  return final ? withEnsemble(policyOf(policy)) : policyOf(policy);
}

/** `policy` with its parameters fitted on `validation`; those that are fitted for a mean relative cost are for `budget`. */
export function fitPolicy(
  policy: PolicyName,
  validation: Predictions,
  cost: CostModel,
  budget?: number | undefined,
): FittedPolicy {
  const { labels, original } = validation;
  const exits = exitsOf(validation);
  const classes = original.length / labels.length;
  const data = { exits, original, labels, classes, costs: leavingCosts(cost), budget };
  return { policy, parameters: policyOf(policy).fit?.(data) ?? {} };
}

/** The weight of the open exits in an ensembled final answer, fitted on `predictions`. */
export function fitFinalAnswer(predictions: Predictions): number {
  const { labels, original } = predictions;
  return fitFinal({
    exits: exitsOf(predictions),
    original,
    labels,
    classes: original.length / labels.length,
  });
}

/** The thresholds that the policy's own fit implies on `outcomes`; none for most policies. */
export function ownThresholds(outcomes: OutcomesAt, { policy, parameters }: FittedPolicy): number[][] {
  const own = policyOf(policy).thresholds?.(outcomes().scores, parameters);
  return own ? [own] : [];
}
