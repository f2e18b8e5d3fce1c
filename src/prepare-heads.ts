/** Two ways to heads that can be judged: train them on the frozen backbone, or take those that came with the model. */
import { splitRoles } from './data/index.ts';
import { noConfidenceHeads, trainingDataMissing } from './errors.ts';
import type { Events } from './events.ts';
import { fitGates, SHARE, settleValidation } from './fit-gates.ts';
import type { Inspection } from './inspect.ts';
import { type Decider, fitPolicy, type Judged, type JudgeOptions, judge, judgeGiven } from './judge.ts';
import type { Head } from './passes/exits.ts';
import { type PolicyName, policyOf } from './policies/index.ts';
import type { RoleData, Roles } from './roles.ts';
import { openFeatures } from './train/features.ts';
import { type TrainOptions, trainHeads } from './train/train.ts';
import { trainingViews } from './train/views.ts';

export interface Prepared {
  readonly heads: readonly Head[];
  readonly decider: Decider;
  readonly train: RoleData | undefined;
  readonly validation: RoleData | undefined;
  /** Samples that nothing the policy looks at was fitted on. */
  readonly calibration: RoleData;
  judge(dataset: RoleData['dataset'], phase: string): Promise<Judged>;
}

export interface Setting {
  readonly inspection: Inspection;
  /** Untrained, or those that came with the model. */
  readonly heads: readonly Head[];
  readonly roles: Roles;
  readonly policy: PolicyName;
  readonly seed: number;
  readonly cache: string;
  readonly judging: JudgeOptions;
  readonly events: Events;
  readonly progress: (phase: string, unit?: string) => (done: number, total: number) => void;
}

export interface TrainSetting extends Setting {
  readonly training: Omit<TrainOptions, 'seed'>;
  readonly cacheLimitBytes: number | undefined;
}

/** Trains heads, fits their confidence layers and the policy on the validation role. */
export async function trainOwnHeads(setting: TrainSetting): Promise<Prepared> {
  const { heads, roles, policy, seed, cache, judging, events, progress } = setting;
  if (!roles.train) throw trainingDataMissing();
  const gates = await settleValidation({ ...roles, train: roles.train }, seed, judging, events);
  const features = await openFeatures({
    ...judging,
    heads,
    dataset: gates.train.dataset,
    cacheFolder: cache,
    cacheLimitBytes: setting.cacheLimitBytes,
    ...trainingViews(gates.train.dataset),
    onProgress: progress('extracting features'),
  });
  const trained = await trainHeads(heads, features, {
    ...setting.training,
    seed,
    session: judging.session,
    signal: judging.signal,
    onProgress: (p) =>
      events.onProgress?.({
        phase: 'training',
        done: p.done,
        total: p.total,
        unit: 'steps',
        note: `loss ${p.loss.toFixed(3)}`,
      }),
  }).finally(() => features.close());

  const judgeBy = (by: readonly Head[]) => (dataset: RoleData['dataset'], phase: string) =>
    judge(by, dataset, { ...judging, onProgress: progress(phase) });
  const validated = await judgeBy(trained)(gates.validation.dataset, 'judging validation');
  const gated = fitGates(trained, validated);
  // Nothing that a policy such as max-prob looks at was fitted on calibration samples, so it may use them all.
  const { readsConfidence, fit } = policyOf(policy);
  return {
    heads: gated,
    decider: fitPolicy(policy, validated),
    train: gates.train,
    validation: gates.validation,
    calibration: readsConfidence || fit ? gates.unseen : roles.calibration,
    judge: judgeBy(gated),
  };
}

/** Trains nothing: the model's own exits, with the policy fitted on the validation role or a part of the calibration role. */
export async function takeGivenHeads(setting: Setting): Promise<Prepared> {
  const { inspection, heads, roles, policy, seed, judging, progress } = setting;
  const { whole, answers } = inspection.given!;
  if (policyOf(policy).readsConfidence) throw noConfidenceHeads();
  const judgeRole = (dataset: RoleData['dataset'], phase: string) =>
    judgeGiven(whole.model, answers, dataset, { ...judging, onProgress: progress(phase) });
  let { validation, calibration } = roles;
  if (policyOf(policy).fit && !validation) {
    const shares = { validation: SHARE.calibration, unseen: 1 - SHARE.calibration };
    const parts = splitRoles(calibration.dataset, shares, seed);
    validation = { dataset: parts.validation, from: 'split of calibration' };
    calibration = { dataset: parts.unseen, from: 'rest of calibration' };
  }
  const decider: Decider = policyOf(policy).fit
    ? fitPolicy(policy, await judgeRole(validation!.dataset, 'judging validation'))
    : { policy, parameters: {} };
  return { heads, decider, train: undefined, validation, calibration, judge: judgeRole };
}
