/** Runs a compiled model over samples. */
import type { Dataset } from '../data/index.ts';
import { type Feeds, type Outputs, type Session, Tensor } from '../ort/session.ts';
import { feedsOf, floatsOf } from '../ort/tensors.ts';
import { type Activation, isOneScore } from '../passes/exits.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX, THRESHOLDS } from '../passes/lower-exits.ts';
import { argMaxRows } from '../policies/rows.ts';

export interface Answers {
  /** [n]: exit taken; K is the full path. */
  readonly exits: Int32Array;
  /** [n] */
  readonly confidence: Float32Array;
  /** [n, classes], or [n] of one score a sample: the original's own output. */
  readonly scores: Float32Array;
}

export interface EmittedRun {
  readonly session: Session;
  readonly dataset: Dataset;
  /** The original's output of class scores. */
  readonly output: string;
  /** Undefined for a model with baked thresholds, or without exits. */
  readonly thresholds: readonly number[] | undefined;
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** `thresholds` as the model's feed. */
export function thresholdsFeed(thresholds: readonly number[] | undefined): Feeds {
  return thresholds
    ? { [THRESHOLDS]: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]) }
    : {};
}

/** The model's inputs for samples `indices` of `dataset`. */
export async function sampleFeeds(dataset: Dataset, indices: ArrayLike<number>): Promise<Feeds> {
  return feedsOf(dataset.inputs, await dataset.read(indices), indices.length);
}

/** [samples]: the class that `scores` predict; of a single score per sample, 1 where it is above the middle. */
export function classesIn(scores: Float32Array, samples: number, activation: Activation): Int32Array {
  if (!isOneScore(activation)) return argMaxRows(scores, samples);
  const middle = activation === 'sigmoid' ? 0.5 : 0;
  return Int32Array.from(scores, (score) => Number(score > middle));
}

/** Answers to samples `indices` (all by default), in batches of `batch`. */
export async function runEmitted(run: EmittedRun, indices?: ArrayLike<number>): Promise<Answers> {
  const count = indices?.length ?? run.dataset.size;
  const exits = new Int32Array(count);
  const confidence = new Float32Array(count);
  const scores = await runScores(run, indices, (outputs, at) => {
    exits.set(Array.from(outputs[EXIT_INDEX]!.data as BigInt64Array, Number), at);
    confidence.set(outputs[EXIT_CONFIDENCE]!.data as Float32Array, at);
  });
  return { exits, confidence, scores };
}

/**
 * Scores [n, classes], or [n], of samples `indices` (all by default) by any model, in batches. `onBatch` gets the outputs of each batch, and
 * how many samples came before it.
 */
export async function runScores(
  run: EmittedRun,
  indices?: ArrayLike<number>,
  onBatch?: (outputs: Outputs, at: number) => void,
): Promise<Float32Array> {
  const { session, dataset, output, batch } = run;
  const picks = Array.from(indices ?? { length: dataset.size }, (v, i) => (v as number | undefined) ?? i);
  let scores = new Float32Array();
  const extra = thresholdsFeed(run.thresholds);
  for (let at = 0; at < picks.length; at += batch) {
    run.signal?.throwIfAborted();
    const some = picks.slice(at, at + batch);
    const outputs = await session.run({ ...(await sampleFeeds(dataset, some)), ...extra });
    onBatch?.(outputs, at);
    const found = floatsOf(outputs[output]!);
    const classes = found.length / some.length;
    if (scores.length === 0) scores = new Float32Array(picks.length * classes);
    scores.set(found, at * classes);
    run.onProgress?.(at + some.length, picks.length);
  }
  return scores;
}
