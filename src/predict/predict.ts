/** What every exit says about a role's samples, and what a policy makes of it. */

import { CLOSED, type CostModel, type ExitOutcomes, type OutcomesAt } from '../calibrate/types.ts';
import { type Dataset, PLAIN_VIEW } from '../data/index.ts';
import { prune } from '../graph/prune.ts';
import { aligned } from '../graph/tensor.ts';
import type { Model } from '../graph/types.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { floatsOf } from '../ort/tensors.ts';
import type { ExitPlan, Head, TypedModel } from '../passes/exits.ts';
import { fitFinal, join, withEnsemble } from '../policies/final-answer.ts';
import { type Policy, type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { argMaxRows } from '../policies/rows.ts';
import { Extractor, slotsOf } from '../train/extractor.ts';
import { openFeatures } from '../train/features.ts';
import { type HeadOutputs, runHeads } from '../train/outputs.ts';
import { sampleFeeds } from './run-emitted.ts';

/** What the exits and the original say about n samples; `HeadOutputs` tells the shapes. */
export interface Predictions extends Omit<HeadOutputs, 'pooled'> {
  /** [n] */
  readonly labels: Int32Array;
}

/** And the vectors that confidence layers are fitted on. */
export interface HeadPredictions extends HeadOutputs, Predictions {}

export interface PredictOptions {
  readonly typed: TypedModel;
  readonly modelHash: string;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs the backbone and `heads` over `dataset`, every sample all the way, in float32. */
export async function predict(
  heads: readonly Head[],
  dataset: Dataset,
  options: PredictOptions,
): Promise<HeadPredictions> {
  const source = await openFeatures({ ...options, heads, dataset, half: false, onProgress: undefined });
  try {
    return { ...(await runHeads(heads, source, undefined, options)), labels: dataset.labels };
  } finally {
    await source.close();
  }
}

/** The class that the original gives each sample of `dataset`, [size]. */
export async function answersOf(dataset: Dataset, options: PredictOptions): Promise<Int32Array> {
  const { typed, session, signal, onProgress } = options;
  const extractor = await Extractor.open(typed, dataset, slotsOf(typed, [], false), session);
  const answers = new Int32Array(dataset.size);
  try {
    const all = Int32Array.from(answers, (_, i) => i);
    await extractor.run(all, PLAIN_VIEW, (first, [record]) => {
      signal?.throwIfAborted();
      const bytes = aligned(record!, 4);
      const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      const found = argMaxRows(logits, logits.length / typed.classes);
      answers.set(found, first);
      onProgress?.(first + found.length, dataset.size);
    });
  } finally {
    await extractor.close();
  }
  return answers;
}

const EXISTING_BATCH = 64;

/** Runs `model` over `dataset` and keeps the values `answers`: each exit's logits, the whole model's last. No confidences. */
export async function predictExisting(
  model: Model,
  answers: readonly string[],
  dataset: Dataset,
  { typed, session, signal, onProgress }: PredictOptions,
): Promise<Predictions> {
  const { classes } = typed;
  const outputs = answers.map((name) => ({ name, type: undefined }));
  const exposed = { ...model, graph: prune({ ...model.graph, outputs }) };
  const all = answers.map(() => new Float32Array(dataset.size * classes));
  const batch = typed.batch === 'fixed' ? 1 : EXISTING_BATCH;
  await withSession(exposed, session, async (running) => {
    for (let first = 0; first < dataset.size; first += batch) {
      signal?.throwIfAborted();
      const rows = Math.min(batch, dataset.size - first);
      const found = await running.run(
        await sampleFeeds(
          dataset,
          Int32Array.from({ length: rows }, (_, i) => first + i),
        ),
      );
      for (const [k, name] of answers.entries()) all[k]!.set(floatsOf(found[name]!), first * classes);
      onProgress?.(first + rows, dataset.size);
    }
  });
  const exits = all.slice(0, -1);
  return {
    logits: exits,
    confidence: exits.map(() => new Float32Array(dataset.size)),
    original: all.at(-1)!,
    labels: dataset.labels,
  };
}

/** What `judged` says of `samples`, in their order. */
export function rowsOf(predictions: Predictions, samples: Int32Array): Predictions {
  const count = predictions.labels.length;
  const pick = (all: Float32Array) => {
    const width = all.length / count;
    const picked = new Float32Array(samples.length * width);
    for (const [i, sample] of samples.entries())
      picked.set(all.subarray(sample * width, (sample + 1) * width), i * width);
    return picked;
  };
  return {
    logits: predictions.logits.map(pick),
    confidence: predictions.confidence.map(pick),
    original: pick(predictions.original),
    labels: samples.map((sample) => predictions.labels[sample]!),
  };
}

/** A policy ready to decide. */
export interface FittedPolicy {
  readonly policy: PolicyName;
  readonly parameters: PolicyParameters;
  /** Weight of the open exits in the last answer; the original alone when 0 or left out. */
  readonly final?: number | undefined;
}

/** What decides as `decider` says, at the exits; its memory begins with what joins the last answer. */
function policyIn({ policy, final }: FittedPolicy): Policy {
  return final ? withEnsemble(policyOf(policy)) : policyOf(policy);
}

/** `policy` with its parameters fitted on `validation`, for an average cost of `budget` if it is fitted for one. */
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

/** The weight of the exits in a joined last answer, fitted on `judged`. */
export function fitFinalAnswer(predictions: Predictions): number {
  const { labels, original } = predictions;
  return fitFinal({
    exits: exitsOf(predictions),
    original,
    labels,
    classes: original.length / labels.length,
  });
}

/** [K + 1]: what a sample costs that leaves at each exit, or goes all the way, with all exits open. */
function leavingCosts({ prefix, head }: CostModel): number[] {
  let heads = 0;
  const costs = prefix.map((way, k) => {
    heads += head[k]!;
    return way + heads;
  });
  return [...costs, 1 + heads];
}

/** The thresholds that the fit of a policy brings with it, on what `outlook` shows; none for most policies. */
export function ownThresholds(outcomes: OutcomesAt, { policy, parameters }: FittedPolicy): number[][] {
  const own = policyOf(policy).thresholds?.(outcomes().scores, parameters);
  return own ? [own] : [];
}

const exitsOf = ({ logits, confidence }: Predictions) =>
  logits.map((l, k) => ({ logits: l, confidence: confidence[k]! }));

/**
 * `judged` through the eyes of a policy, every sample at every exit. What a policy with a memory thinks, and a joined last answer,
 * depend on which exits are open: those of `thresholds` below `CLOSED`, all when left out.
 */
export function outcomesOf(
  predictions: Predictions,
  fittedPolicy: FittedPolicy,
  thresholds?: readonly number[],
): ExitOutcomes {
  const policy = policyIn(fittedPolicy);
  const samples = predictions.labels.length;
  const classes = predictions.original.length / samples;
  const all = exitsOf(predictions);
  const exits = all.length;
  const isOpen = all.map((_, k) => thresholds === undefined || thresholds[k]! < CLOSED);
  const state = new Float32Array(samples * policy.state(exits, classes));
  const decided = all.map((outputs, exit) => {
    const own = isOpen[exit] ? state : state.slice();
    return policy.decide({ ...outputs, exit, exits, classes, state: own }, fittedPolicy.parameters);
  });
  const joined = fittedPolicy.final && isOpen.includes(true);
  const final = joined
    ? join(predictions.original, state, classes, fittedPolicy.final!)
    : predictions.original;
  return {
    scores: decided.map((d) => d.score),
    logits: [...decided.map((d) => d.logits), final],
    predictions: decided.map((d) => argMaxRows(d.logits, samples)),
    original: argMaxRows(predictions.original, samples),
    final: argMaxRows(final, samples),
    labels: predictions.labels,
  };
}

/** Outcomes by thresholds, worked out once for each set of open exits that makes a difference. */
export function outcomesAt(predictions: Predictions, fittedPolicy: FittedPolicy): OutcomesAt<ExitOutcomes> {
  const exits = predictions.logits.length;
  const hasState = policyIn(fittedPolicy).state(exits, 1) > 0;
  const known = new Map<string, ExitOutcomes>();
  return (thresholds) => {
    const key = hasState ? (thresholds ?? []).map((t) => (t < CLOSED ? 'open' : 'closed')).join() : '';
    const seen = known.get(key) ?? outcomesOf(predictions, fittedPolicy, thresholds);
    known.set(key, seen);
    return seen;
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
