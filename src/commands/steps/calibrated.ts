import type { Goals } from '../../calibrate/goals.ts';
import type { ExitOutcomes, OutcomesAt } from '../../calibrate/index.ts';
import type { Dataset } from '../../data/index.ts';
import type { Network } from '../../networks/chain.ts';
import type { Runtime } from '../../passes/place-weights.ts';
import { outcomesAt } from '../../predict/outcomes.ts';
import type { Predictions } from '../../predict/predict.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';
import type { ChosenPoints } from './choose-points.ts';
import type { ChosenPolicy } from './choose-policy.ts';

/** Exits with a policy and thresholds, and the samples that are reported: what there is to lower, time and describe. */
export interface Calibrated {
  readonly exits: ReadyExits;
  readonly goals: Goals;
  readonly chosen: ChosenPolicy;
  readonly points: ChosenPoints;
  /** Networks that no named point uses, and which are not in the file. */
  readonly leftOut?: readonly Network[];
  readonly reported: Reported;
  /** Which ONNX Runtime the model is written for; `native` when left out. */
  readonly runtime?: Runtime | undefined;
}

/** The samples that figures are measured on: the test split, or without one those that thresholds were searched on. */
export interface Reported {
  readonly dataset: Dataset;
  readonly predictions: Predictions;
  readonly outcomes: OutcomesAt<ExitOutcomes>;
  readonly isTest: boolean;
}

export async function reportedSamples(
  { splits: { test } }: CompileContext,
  exits: ReadyExits,
  { policy, searched }: ChosenPolicy,
): Promise<Reported> {
  const { dataset, predictions } = test
    ? { dataset: test.dataset, predictions: await exits.predict(test.dataset, 'predicting test') }
    : searched;
  return { dataset, predictions, outcomes: outcomesAt(predictions, policy), isTest: test !== undefined };
}
