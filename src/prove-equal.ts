/** The proof before anything is written: the emitted model does, sample by sample, what heads and policy do by hand. */
import type { Outcomes } from './calibrate/types.ts';
import { type Dataset, subset } from './data/index.ts';
import { emittedModelDiffers } from './errors.ts';
import type { DataType } from './graph/types.ts';
import { type Judged, rowsOf, type Seen, type View } from './judge.ts';
import { floatsOf, type SessionOptions, withSession } from './ort.ts';
import type { TypedModel } from './passes/exits.ts';
import { type Answers, runEmitted, sampleFeeds } from './run-emitted.ts';

/** Scores this close to a threshold may fall either way: batch size and memory layout move floats by 1e-6 to 1e-5. */
const TIE = 1e-5;
/** What an answer may deviate from the head's or the original's, relative to its own largest logit or the original's. */
export const TOLERANCE = 1e-5;
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
/** How much is tried: `some` takes seconds, `all` every sample, in larger batches too. */
const EFFORT = {
  some: { samples: 128, batches: [1, 7] },
  all: { samples: Number.POSITIVE_INFINITY, batches: [1, 7, 64] },
} as const;
export type ProofEffort = keyof typeof EFFORT;

export interface Proof {
  readonly model: Uint8Array;
  readonly typed: TypedModel;
  readonly dataset: Dataset;
  /** What heads and policy say about `dataset`, by hand. */
  readonly view: View;
  readonly judged: Judged;
  /** What heads say by hand with one sample a run. */
  readonly judgeAlone: (dataset: Dataset) => Promise<Judged>;
  /** Sets of thresholds to try. */
  readonly thresholds: readonly (readonly number[])[];
  /** Set when these are built into the model, which is then only tried with them. */
  readonly baked: boolean;
  readonly session: SessionOptions;
  readonly effort: ProofEffort;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Proved {
  /** Answers that were compared. */
  readonly compared: number;
  /** With every exit closed, against the original: relative to its largest output. 0 for a baked model. */
  readonly deviation: number;
  /** What a deviation was allowed to be: more than 1e-5 where ONNX Runtime's optimizations, or the batch, move the original's own output further. */
  readonly tolerance: number;
  /** What heads' answers were allowed because by hand they move that far with the batch; 0 where that is less than they are allowed anyway. */
  readonly unsteady: number;
}

/** Runs the emitted model on samples spread over `dataset`, alone and in batches. Throws `emitted-model-differs`. */
export async function proveEqual(proof: Proof): Promise<Proved> {
  const { typed, dataset, view } = proof;
  const effort = EFFORT[proof.effort];
  const count = Math.min(effort.samples, dataset.size);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count));
  const batches = typed.batch === 'fixed' ? [1] : effort.batches;
  let compared = 0;
  let deviation = 0;
  const coarse = await coarseness(proof, indices.slice(0, COARSE_SAMPLES));
  const moved = await unsteadiness(proof, indices.slice(0, UNSTEADY_SAMPLES));
  const tolerance = Math.max(TOLERANCE, coarse, moved.original);
  const headTolerance = Math.max(HEAD_TOLERANCE, tolerance, moved.heads);
  const unsteady = moved.heads === headTolerance ? moved.heads : 0;
  const tie = Math.max(TIE, Math.max(coarse, unsteady) * largestOf(proof.judged.original, 0));
  await withSession(proof.model, proof.session, async (session) => {
    for (const batch of batches) {
      for (const thresholds of proof.thresholds) {
        const run = {
          session,
          dataset,
          output: typed.output,
          thresholds: proof.baked ? undefined : thresholds,
          batch,
        };
        const answers = await runEmitted({ ...run, signal: proof.signal }, indices);
        const seen = view(thresholds);
        for (const [i, sample] of indices.entries())
          checkExit(seen, thresholds, sample, answers.exits[i]!, batch, tie);
        checkScores(proof, seen, indices, answers, { tolerance, headTolerance });
        compared += indices.length;
        proof.onProgress?.(compared, indices.length * batches.length * proof.thresholds.length);
      }
    }
    if (proof.baked) return;
    const closed = proof.judged.logits.map(() => 1);
    const { scores } = await runEmitted(
      { session, dataset, output: typed.output, thresholds: closed, batch: batches.at(-1)! },
      indices,
    );
    deviation = await checkExact(proof, indices, scores, tolerance);
  });
  return { compared, deviation, tolerance, unsteady };
}

function checkExit(
  outcomes: Outcomes,
  thresholds: readonly number[],
  sample: number,
  taken: number,
  batch: number,
  tie: number,
): void {
  for (const [k, threshold] of thresholds.entries()) {
    const score = outcomes.scores[k]![sample]!;
    if (threshold >= 1) continue;
    if (Math.abs(score - threshold) < tie && taken === k) return;
    if (Math.abs(score - threshold) < tie) continue;
    if (!(score > threshold)) continue;
    if (taken === k) return;
    throw emittedModelDiffers(
      `sample ${sample} in a batch of ${batch} left at exit ${taken}, by hand at ${k}`,
    );
  }
  if (taken !== thresholds.length)
    throw emittedModelDiffers(
      `sample ${sample} in a batch of ${batch} left at exit ${taken}, by hand it goes all the way`,
    );
}

/** Logits against those of the head, or of the last answer; only where nothing lies between logits and output. */
function checkScores(
  { typed, judged }: Proof,
  seen: Seen,
  indices: readonly number[],
  { exits, scores }: Answers,
  { tolerance, headTolerance }: { readonly tolerance: number; readonly headTolerance: number },
): void {
  if (typed.output !== typed.logits) return;
  const { classes } = typed;
  const largest = largestOf(judged.original, 0);
  for (const [i, sample] of indices.entries()) {
    const all = seen.logits[exits[i]!]!;
    const allowed = all === judged.original ? tolerance : headTolerance;
    const expected = all.subarray(sample * classes, (sample + 1) * classes);
    const scale = largestOf(expected, largest);
    for (const [c, value] of expected.entries()) {
      const apart = Math.abs(scores[i * classes + c]! - value);
      if (apart > allowed * scale)
        throw emittedModelDiffers(
          `sample ${sample}: scores deviate by ${(apart / scale).toExponential(1)} of the largest`,
        );
    }
  }
}

/** With every exit closed, the emitted model against the original itself: the largest relative deviation. */
async function checkExact(
  proof: Proof,
  indices: readonly number[],
  scores: Float32Array,
  tolerance: number,
): Promise<number> {
  const { typed, dataset } = proof;
  return await withSession(typed.model, proof.session, async (session) => {
    let largest = 0;
    let deviation = 0;
    for (const [i, sample] of indices.entries()) {
      const outputs = await session.run(await sampleFeeds(dataset, [sample]), [typed.output]);
      const own = floatsOf(outputs[typed.output]!);
      own.forEach((value, c) => {
        largest = Math.max(largest, Math.abs(value));
        deviation = Math.max(deviation, Math.abs(value - scores[i * own.length + c]!));
      });
    }
    if (deviation > tolerance * largest)
      throw emittedModelDiffers(
        `with all exits closed, outputs deviate by ${(deviation / largest).toExponential(1)} of the largest`,
      );
    return largest > 0 ? deviation / largest : 0;
  });
}

/**
 * How far ONNX Runtime's own optimizations move the original's output, relative to its largest element, doubled, and at least what
 * `COARSE` says; 0 for a model that computes in float32 throughout.
 */
async function coarseness({ typed, dataset, session }: Proof, indices: readonly number[]): Promise<number> {
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
  const largest = largestOf(plain, 0);
  const moved = largestOf(
    fast.map((v, i) => v - plain[i]!),
    0,
  );
  return Math.max(...new Set(coarse), largest > 0 ? (2 * moved) / largest : 0);
}

/**
 * How far answers to `indices` move by hand from a sample a run to many, relative to the largest logit, doubled. Where the original forgets
 * such noise before its end, a head in the middle need not.
 */
async function unsteadiness(
  { typed, dataset, judged, judgeAlone }: Proof,
  indices: readonly number[],
): Promise<{ readonly heads: number; readonly original: number }> {
  if (typed.batch === 'fixed') return { heads: 0, original: 0 };
  const alone = await judgeAlone(subset(dataset, indices));
  const together = rowsOf(judged, Int32Array.from(indices));
  const largest = largestOf(together.original, 0);
  const moved = (one: Float32Array, many: Float32Array) => {
    const apart = one.map((v, i) => v - many[i]!);
    return (2 * largestOf(apart, 0)) / (largestOf(many, largest) || 1);
  };
  const heads = alone.logits.map((logits, k) => moved(logits, together.logits[k]!));
  return { heads: Math.max(0, ...heads), original: moved(alone.original, together.original) };
}

const largestOf = (values: ArrayLike<number>, atLeast: number) =>
  Array.prototype.reduce.call(
    values,
    (most, v) => Math.max(most as number, Math.abs(v as number)),
    atLeast,
  ) as number;
