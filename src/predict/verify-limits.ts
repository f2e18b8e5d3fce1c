/** How far the emitted model may be from what is computed by hand, measured on the original and its heads themselves. */

import { type Dataset, subset } from '../data/index.ts';
import type { DataType } from '../graph/types.ts';
import { largestFinite } from '../ort/gap.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { floatsOf } from '../ort/tensors.ts';
import type { TypedModel } from '../passes/exits.ts';
import type { NetworkWithExits } from '../passes/lower-exits.ts';
import { type Predictions, rowsOf } from './predict.ts';
import { sampleFeeds } from './run-emitted.ts';

/** The original and its heads by hand, which the emitted model is compared with. */
export interface Reference {
  readonly typed: TypedModel;
  /** All networks of the chain, the original last. */
  readonly networks: readonly Pick<NetworkWithExits, 'typed'>[];
  readonly dataset: Dataset;
  /** Of `dataset`. */
  readonly predictions: Predictions;
  /** The same with one sample a run. */
  readonly predictAlone: (dataset: Dataset) => Promise<Predictions>;
  readonly session: SessionOptions;
}

/** Scores this close to a threshold may fall either way: batch size and memory layout move floats by 1e-6 to 1e-5. */
const TIE = 1e-5;
/** What the original's answer may deviate, relative to the larger of its own largest logit and the largest of all samples. */
export const ORIGINAL_TOLERANCE = 1e-5;
/** The same for an answer that heads have a part in: their sums may cancel, which leaves fewer digits (1.2e-5 was seen behind 512 channels). */
const HEAD_TOLERANCE = 1e-4;
/**
 * Types whose values ONNX Runtime fuses and rounds differently from one graph to another, so that floats move much further. Half floats are
 * computed in single precision where that saves a Cast: a few roundings to 11 bits more or less.
 */
const COARSE: Partial<Record<DataType, number>> = { float16: 2 ** -7, bfloat16: 2 ** -4, uint8: 0, int8: 0 };
/** Samples on which it is measured how far. */
const COARSE_SAMPLES = 16;
/** Samples on which it is measured how far heads' answers move with the batch: by 1e-3 where a kernel sums large batches in another order. */
const UNSTEADY_SAMPLES = 128;

/** What may deviate, and by how much. */
export interface Limits {
  /** For the original's answer, relative. */
  readonly original: number;
  /** For what heads have a part in, relative. */
  readonly heads: number;
  /** What heads move with the batch by hand, relative; 0 where that is within what every head is allowed. */
  readonly unsteady: number;
  /** For the distance of a policy's score from a threshold. */
  readonly tie: number;
}

/** `spread`: samples of `reference.dataset`, of which the first are measured. */
export async function limitsOf(reference: Reference, spread: readonly number[]): Promise<Limits> {
  const some = spread.slice(0, COARSE_SAMPLES);
  const coarse = await coarseness(reference, some);
  let coarseHeads = coarse;
  for (const { typed } of reference.networks.slice(0, -1))
    coarseHeads = Math.max(coarseHeads, await coarseness({ ...reference, typed }, some));
  const moved = await unsteadiness(reference, spread.slice(0, UNSTEADY_SAMPLES));
  const original = Math.max(ORIGINAL_TOLERANCE, coarse, moved.original);
  const usual = Math.max(HEAD_TOLERANCE, coarse, coarseHeads);
  const heads = Math.max(usual, original, moved.heads);
  const unsteady = moved.heads > usual ? moved.heads : 0;
  const { original: last, logits } = reference.predictions;
  const isChain = reference.networks.length > 1;
  const largest = (isChain ? logits : []).reduce(
    (most, own) => largestFinite(own, most),
    largestFinite(last),
  );
  // What heads move themselves, also where the original moves further.
  const tie = Math.max(TIE, Math.max(coarseHeads, moved.heads) * largest);
  return { original, heads, unsteady, tie };
}

/**
 * How far ONNX Runtime's own optimizations move the original's output, relative to its largest element, doubled, and at least what
 * `COARSE` says; 0 for a model that computes in float32 throughout.
 */
async function coarseness(
  { typed, dataset, session }: Reference,
  indices: readonly number[],
): Promise<number> {
  const coarse = [...typed.facts.values()].flatMap((fact) => COARSE[fact.dataType] ?? []);
  if (coarse.length === 0) return 0;
  const run = (options: SessionOptions) =>
    withSession(typed.model, options, async (running) => {
      const all: number[] = [];
      for (const sample of indices)
        all.push(...floatsOf((await running.run(await sampleFeeds(dataset, [sample])))[typed.output]!));
      return all;
    });
  const [fast, plain] = [await run(session), await run({ ...session, optimization: 'disabled' })];
  return Math.max(...new Set(coarse), movedBy(fast, plain));
}

/**
 * How far answers to `indices` move by hand from a sample a run to many, relative to the largest logit, doubled: of the original, and the
 * most of any head. Noise that the original's later layers remove may still be there at a head.
 */
async function unsteadiness(
  { typed, dataset, predictions, predictAlone }: Reference,
  indices: readonly number[],
): Promise<{ readonly heads: number; readonly original: number }> {
  if (typed.batch === 'fixed') return { heads: 0, original: 0 };
  const alone = await predictAlone(subset(dataset, indices));
  const together = rowsOf(predictions, Int32Array.from(indices));
  const largest = largestFinite(together.original);
  const heads = alone.logits.map((logits, k) => movedBy(logits, together.logits[k]!, largest));
  return { heads: Math.max(0, ...heads), original: movedBy(alone.original, together.original, largest) };
}

/** Twice the largest finite difference, relative to the largest of `to` and `atLeast`. Infinite ones are left out: they would allow anything. */
function movedBy(from: ArrayLike<number>, to: ArrayLike<number>, atLeast = 0): number {
  const apart = Float64Array.from(from, (value, i) => value - to[i]!);
  return (2 * largestFinite(apart)) / (largestFinite(to, atLeast) || 1);
}
