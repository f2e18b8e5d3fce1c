/** Runs the original and the heads over samples. */

import type { Dataset } from '../data/index.ts';
import { PLAIN_VIEW } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import { prune } from '../graph/prune.ts';
import { aligned } from '../graph/tensor.ts';
import type { Model } from '../graph/types.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { floatsOf } from '../ort/tensors.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { argMaxRows } from '../policies/rows.ts';
import { Extractor, slotsOf } from '../train/extractor.ts';
import { openFeatures } from '../train/features.ts';
import { type HeadOutputs, runHeads } from '../train/outputs.ts';
import { sampleFeeds } from './run-emitted.ts';

/** Outputs of the exits and of the original for n samples, shaped as in `HeadOutputs`. */
export interface Predictions extends Omit<HeadOutputs, 'pooled'> {
  /** [n] */
  readonly labels: Int32Array;
}

/** With the pooled features, which confidence heads are fitted on. */
export interface HeadPredictions extends HeadOutputs, Predictions {}

export interface PredictOptions {
  readonly typed: TypedModel;
  readonly modelHash: string;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs the original and `heads` over `dataset`, every sample to the end, in float32. */
export async function predict(
  heads: readonly Head[],
  dataset: Dataset,
  options: PredictOptions,
): Promise<HeadPredictions> {
  const { labels } = dataset;
  if (heads.length === 0)
    return { logits: [], confidence: [], pooled: [], original: await logitsOf(dataset, options), labels };
  const source = await openFeatures({ ...options, heads, dataset, half: false, onProgress: undefined });
  try {
    return { ...(await runHeads(heads, source, undefined, options)), labels };
  } finally {
    await source.close();
  }
}

/** [size]: the class that the original predicts for each sample of `dataset`. */
export const answersOf = async (dataset: Dataset, options: PredictOptions): Promise<Int32Array> =>
  argMaxRows(await logitsOf(dataset, options), dataset.size);

/** [size, classes]: the original's logits for each sample of `dataset`. */
export async function logitsOf(dataset: Dataset, options: PredictOptions): Promise<Float32Array> {
  const { typed, session, signal, onProgress } = options;
  const extractor = await Extractor.open(typed, dataset, slotsOf(typed, [], false), session);
  const all = new Float32Array(dataset.size * typed.classes);
  try {
    const samples = Int32Array.from({ length: dataset.size }, (_, i) => i);
    await extractor.run(samples, PLAIN_VIEW, (first, [record]) => {
      signal?.throwIfAborted();
      const bytes = aligned(record!, 4);
      const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      all.set(logits, first * typed.classes);
      onProgress?.(first + logits.length / typed.classes, dataset.size);
    });
  } finally {
    await extractor.close();
  }
  return all;
}

const EXISTING_BATCH = 64;

/** Runs `model` over `dataset`; `answers` names the logits of each exit, those of the original last. Confidences are 0. */
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

/** `predictions` of `samples` alone, in their order. */
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

/** Per exit, its logits and confidences. */
export const exitsOf = ({ logits, confidence }: Predictions) =>
  logits.map((own, k) => ({ logits: own, confidence: confidence[k]! }));

/** Share of samples whose answer equals the label. */
export function accuracyOf(answers: ArrayLike<number>, labels: ArrayLike<number>): number {
  let right = 0;
  for (let i = 0; i < labels.length; i++) if (answers[i] === labels[i]) right++;
  return right / labels.length;
}
