/** What every exit says about a role's samples, and what a policy makes of it. */

import { POLICIES } from './calibrate/scores.ts';
import type { CostModel, Outcomes } from './calibrate/types.ts';
import type { Dataset } from './data/index.ts';
import type { SessionOptions } from './ort.ts';
import type { ExitPlan, Head, TypedModel } from './passes/exits.ts';
import type { PolicyName } from './passes/policy-scores.ts';
import { argMaxRows } from './train/batches.ts';
import { openFeatures } from './train/features.ts';
import { type HeadOutputs, runHeads } from './train/outputs.ts';

export interface Judged extends HeadOutputs {
  readonly labels: Int32Array;
}

export interface JudgeOptions {
  readonly typed: TypedModel;
  readonly modelHash: string;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs the backbone and `heads` over `dataset`, every sample all the way, in float32. */
export async function judge(
  heads: readonly Head[],
  dataset: Dataset,
  options: JudgeOptions,
): Promise<Judged> {
  const source = await openFeatures({ ...options, heads, dataset, half: false, onProgress: undefined });
  try {
    return { ...(await runHeads(heads, source, undefined, options)), labels: dataset.labels };
  } finally {
    await source.close();
  }
}

/** `judged` through the eyes of `policy`. */
export function outcomesOf(judged: Judged, policy: PolicyName): Outcomes {
  const samples = judged.labels.length;
  return {
    scores: judged.logits.map((logits, k) =>
      POLICIES[policy].score({ logits, confidence: judged.confidence[k]! }),
    ),
    predictions: judged.logits.map((l) => argMaxRows(l, samples)),
    original: argMaxRows(judged.original, samples),
    labels: judged.labels,
  };
}

/** Costs relative to the original, every executed head counted. */
export function costsOf(plan: ExitPlan, heads: readonly Head[]): CostModel {
  return {
    prefix: plan.exits.map((exit) => exit.prefixMacs / plan.totalMacs),
    head: heads.map((head) => head.macs / plan.totalMacs),
  };
}

/** Share of samples whose answer equals the label. */
export function accuracyOf(answers: ArrayLike<number>, labels: ArrayLike<number>): number {
  let right = 0;
  for (let i = 0; i < labels.length; i++) if (answers[i] === labels[i]) right++;
  return right / labels.length;
}
