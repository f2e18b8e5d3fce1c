/** Step 1 of 5: which policy decides when a sample leaves, with its parameters, fitted on the validation split. */

import { type Goals, HALVES } from '../../calibrate/goals.ts';
import type { CrossFit } from '../../calibrate/index.ts';
import { type Dataset, partition } from '../../data/index.ts';
import type { PolicyComparison } from '../../emit/manifest.ts';
import { info } from '../../errors/notes.ts';
import { choosePolicy as comparePolicies, crossFitted } from '../../predict/choose-policy.ts';
import { type FittedPolicy, fitFinalAnswer, fitPolicy } from '../../predict/fitted-policy.ts';
import type { Predictions } from '../../predict/predict.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';

export interface ChosenPolicy {
  readonly policy: FittedPolicy;
  /** How it compared with the others; undefined when it was asked for by name. */
  readonly comparison: PolicyComparison | undefined;
  /** The samples that thresholds are searched on, and what the exits answer there. */
  readonly searched: { readonly dataset: Dataset; readonly predictions: Predictions };
  /** Calibration samples that the search never sees, on which drops are tested; undefined when none is promised. */
  readonly promise: Dataset | undefined;
  /** The search repeated without a fifth of the samples each, and what it gives on that fifth. */
  readonly unseen: CrossFit;
}

/** Digits kept in the manifest: curves are only drawn. */
const CURVE_DIGITS = 5;

/** Fits the policy that is asked for; `auto` takes the one that does best on samples it has not seen. */
export async function choosePolicy(
  context: CompileContext,
  exits: ReadyExits,
  goals: Goals,
): Promise<ChosenPolicy> {
  const { costs, seed } = context;
  const { target, budgets } = goals;
  const halves =
    goals.confidence === undefined ? undefined : partition(exits.calibration.dataset, HALVES, seed);
  const dataset = halves?.search ?? exits.calibration.dataset;
  const predictions = await exits.predict(dataset, 'predicting calibration');
  const validated =
    exits.validation && (await exits.predict(exits.validation.dataset, 'predicting validation'));
  const found = { searched: { dataset, predictions }, promise: halves?.promise };
  const final = goals.final === 'ensembled' ? fitFinalAnswer(validated ?? predictions) : undefined;
  if (goals.policy !== 'auto') {
    const fitted = validated
      ? fitPolicy(goals.policy, validated, costs, budgets[0])
      : { policy: goals.policy, parameters: {} };
    const policy = { ...fitted, final };
    const unseen = crossFitted(predictions, policy, costs, target, seed);
    return { ...found, policy, unseen, comparison: undefined };
  }
  // `auto` compares policies that learn, so there is a validation split (`ready-exits.ts`).
  const { fittedPolicy, unseen, range, compared } = comparePolicies(validated!, predictions, costs, {
    target,
    budgets,
    haveConfidence: exits.heads.every(({ graph }) => graph.outputs.some((v) => v.name === 'confidence')),
    final,
    seed,
    onProgress: context.progress('comparing', 'policies'),
  });
  const [from, to] = range.map((cost) => cost.toFixed(2));
  const means = compared.map((c) => `${c.policy} ${(100 * c.mean).toFixed(2)} %`).join(', ');
  context.events.onNote?.(
    info(
      'policies-compared',
      `Mean ${target} at costs of ${from} to ${to}: ${means}. The policy is ${fittedPolicy.policy}.`,
    ),
  );
  const policies = compared.map(({ policy, mean, curve }) => {
    return { policy, mean, curve: curve.map((value) => Number(value.toFixed(CURVE_DIGITS))) };
  });
  return { ...found, policy: fittedPolicy, unseen, comparison: { costs: range, policies } };
}
