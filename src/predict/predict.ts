/** What every exit says about a role's samples, and what a policy makes of it. */

import { CLOSED, type CostModel, type Outcomes, type Outlook } from '../calibrate/types.ts';
import type { Dataset } from '../data/index.ts';
import { prune } from '../graph/prune.ts';
import { aligned } from '../graph/tensor.ts';
import type { Model } from '../graph/types.ts';
import { floatsOf, type SessionOptions, withSession } from '../ort/session.ts';
import type { ExitPlan, Head, TypedModel } from '../passes/exits.ts';
import { type Policy, type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { fitLast, join, remembering } from '../policies/last.ts';
import { argMaxRows } from '../policies/rows.ts';
import { Extractor, slotsOf } from '../train/extractor.ts';
import { openFeatures, PLAIN } from '../train/features.ts';
import { type HeadOutputs, runHeads } from '../train/outputs.ts';
import { sampleFeeds } from './run-emitted.ts';

/** What the exits and the original say about n samples; `HeadOutputs` tells the shapes. */
export interface Judged extends Omit<HeadOutputs, 'pooled'> {
  /** [n] */
  readonly labels: Int32Array;
}

/** And the vectors that confidence layers are fitted on. */
export interface JudgedHeads extends HeadOutputs, Judged {}

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
): Promise<JudgedHeads> {
  const source = await openFeatures({ ...options, heads, dataset, half: false, onProgress: undefined });
  try {
    return { ...(await runHeads(heads, source, undefined, options)), labels: dataset.labels };
  } finally {
    await source.close();
  }
}

/** The class that the original gives each sample of `dataset`, [size]. */
export async function answersOf(dataset: Dataset, options: JudgeOptions): Promise<Int32Array> {
  const { typed, session, signal, onProgress } = options;
  const extractor = await Extractor.open(typed, dataset, slotsOf(typed, [], false), session);
  const answers = new Int32Array(dataset.size);
  try {
    const all = Int32Array.from(answers, (_, i) => i);
    await extractor.run(all, PLAIN, (first, [record]) => {
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

const GIVEN_BATCH = 64;

/** Runs `model` over `dataset` and keeps the values `answers`: each exit's logits, the whole model's last. No confidences. */
export async function judgeGiven(
  model: Model,
  answers: readonly string[],
  dataset: Dataset,
  { typed, session, signal, onProgress }: JudgeOptions,
): Promise<Judged> {
  const { classes } = typed;
  const outputs = answers.map((name) => ({ name, type: undefined }));
  const exposed = { ...model, graph: prune({ ...model.graph, outputs }) };
  const all = answers.map(() => new Float32Array(dataset.size * classes));
  const batch = typed.batch === 'fixed' ? 1 : GIVEN_BATCH;
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
export function rowsOf(judged: Judged, samples: Int32Array): Judged {
  const count = judged.labels.length;
  const pick = (all: Float32Array) => {
    const width = all.length / count;
    const picked = new Float32Array(samples.length * width);
    for (const [i, sample] of samples.entries())
      picked.set(all.subarray(sample * width, (sample + 1) * width), i * width);
    return picked;
  };
  return {
    logits: judged.logits.map(pick),
    confidence: judged.confidence.map(pick),
    original: pick(judged.original),
    labels: samples.map((sample) => judged.labels[sample]!),
  };
}

/** A policy ready to decide. */
export interface Decider {
  readonly policy: PolicyName;
  readonly parameters: PolicyParameters;
  /** Weight of the open exits in the last answer; the original alone when 0 or left out. */
  readonly last?: number | undefined;
}

/** What decides as `decider` says, at the exits; its memory begins with what joins the last answer. */
function policyIn({ policy, last }: Decider): Policy {
  return last ? remembering(policyOf(policy)) : policyOf(policy);
}

/** `policy` with its parameters fitted on `validation`, for an average cost of `budget` if it is fitted for one. */
export function fitPolicy(
  policy: PolicyName,
  validation: Judged,
  cost: CostModel,
  budget?: number | undefined,
): Decider {
  const { labels, original } = validation;
  const exits = exitsOf(validation);
  const classes = original.length / labels.length;
  const data = { exits, original, labels, classes, costs: leavingCosts(cost), budget };
  return { policy, parameters: policyOf(policy).fit?.(data) ?? {} };
}

/** The weight of the exits in a joined last answer, fitted on `judged`. */
export function fitLastAnswer(judged: Judged): number {
  const { labels, original } = judged;
  return fitLast({ exits: exitsOf(judged), original, labels, classes: original.length / labels.length });
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
export function ownThresholds(outlook: Outlook, { policy, parameters }: Decider): number[][] {
  const own = policyOf(policy).thresholds?.(outlook().scores, parameters);
  return own ? [own] : [];
}

const exitsOf = ({ logits, confidence }: Judged) =>
  logits.map((l, k) => ({ logits: l, confidence: confidence[k]! }));

export interface Seen extends Outcomes {
  /** Per exit, [n, classes]: the answer of a sample that leaves there; and of one that goes all the way, last. */
  readonly logits: readonly Float32Array[];
}

/**
 * `judged` through the eyes of a policy, every sample at every exit. What a policy with a memory thinks, and a joined last answer,
 * depend on which exits are open: those of `thresholds` below `CLOSED`, all when left out.
 */
export function outcomesOf(judged: Judged, decider: Decider, thresholds?: readonly number[]): Seen {
  const policy = policyIn(decider);
  const samples = judged.labels.length;
  const classes = judged.original.length / samples;
  const all = exitsOf(judged);
  const exits = all.length;
  const isOpen = all.map((_, k) => thresholds === undefined || thresholds[k]! < CLOSED);
  const memory = new Float32Array(samples * policy.memory(exits, classes));
  const decided = all.map((outputs, exit) => {
    const own = isOpen[exit] ? memory : memory.slice();
    return policy.decide({ ...outputs, exit, exits, classes, memory: own }, decider.parameters);
  });
  const joined = decider.last && isOpen.includes(true);
  const last = joined ? join(judged.original, memory, classes, decider.last!) : judged.original;
  return {
    scores: decided.map((d) => d.score),
    logits: [...decided.map((d) => d.logits), last],
    predictions: decided.map((d) => argMaxRows(d.logits, samples)),
    original: argMaxRows(judged.original, samples),
    last: argMaxRows(last, samples),
    labels: judged.labels,
  };
}

/** Outcomes by thresholds (all exits open when left out), worked out once for each set of open exits that makes a difference. */
export type View = (thresholds?: readonly number[]) => Seen;

export function viewOf(judged: Judged, decider: Decider): View {
  const exits = judged.logits.length;
  const remembers = policyIn(decider).memory(exits, 1) > 0;
  const known = new Map<string, Seen>();
  return (thresholds) => {
    const key = remembers ? (thresholds ?? []).map((t) => (t < CLOSED ? 'open' : 'closed')).join() : '';
    const seen = known.get(key) ?? outcomesOf(judged, decider, thresholds);
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
