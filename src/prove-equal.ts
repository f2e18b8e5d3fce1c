/** The proof before anything is written: the emitted model does, sample by sample, what heads and policy do by hand. */
import type { Outcomes } from './calibrate/types.ts';
import type { Dataset } from './data/index.ts';
import { emittedModelDiffers } from './errors.ts';
import { type SessionOptions, withSession } from './ort.ts';
import type { TypedModel } from './passes/exits.ts';
import { runEmitted, sampleFeeds } from './run-emitted.ts';

/** Scores this close to a threshold may fall either way: batch size and memory layout move floats by 1e-6 to 1e-5. */
const TIE = 1e-5;
/** What `exact` may deviate from the original, relative to the original's largest output. */
const EXACT = 1e-5;
const SAMPLES = 128;
const BATCHES = [1, 7];

export interface Proof {
  readonly model: Uint8Array;
  readonly typed: TypedModel;
  readonly dataset: Dataset;
  /** What heads and policy say about `dataset`, by hand. */
  readonly outcomes: Outcomes;
  /** Sets of thresholds to try. */
  readonly thresholds: readonly (readonly number[])[];
  /** Set when these are built into the model, which is then only tried with them. */
  readonly baked: boolean;
  readonly session: SessionOptions;
}

/** Runs the emitted model on some samples, alone and in batches. Throws `emitted-model-differs`. */
export async function proveEqual(proof: Proof): Promise<void> {
  const { typed, dataset, outcomes } = proof;
  const indices = Array.from({ length: Math.min(SAMPLES, dataset.size) }, (_, i) =>
    Math.floor((i * dataset.size) / Math.min(SAMPLES, dataset.size)),
  );
  const batches = typed.batch === 'fixed' ? [1] : BATCHES;
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
        const { exits } = await runEmitted(run, indices);
        for (const [i, sample] of indices.entries())
          checkExit(outcomes, thresholds, sample, exits[i]!, batch);
      }
    }
    if (proof.baked) return;
    const closed = outcomes.scores.map(() => 1);
    const { scores } = await runEmitted(
      { session, dataset, output: typed.output, thresholds: closed, batch: batches.at(-1)! },
      indices,
    );
    await checkExact(proof, indices, scores);
  });
}

function checkExit(
  outcomes: Outcomes,
  thresholds: readonly number[],
  sample: number,
  taken: number,
  batch: number,
): void {
  for (const [k, threshold] of thresholds.entries()) {
    const score = outcomes.scores[k]![sample]!;
    if (threshold >= 1) continue;
    if (Math.abs(score - threshold) < TIE && taken === k) return;
    if (Math.abs(score - threshold) < TIE) continue;
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

/** With every exit closed, the emitted model against the original itself. */
async function checkExact(proof: Proof, indices: readonly number[], scores: Float32Array): Promise<void> {
  const { typed, dataset } = proof;
  await withSession(typed.model, proof.session, async (session) => {
    let largest = 0;
    let deviation = 0;
    for (const [i, sample] of indices.entries()) {
      const outputs = await session.run(await sampleFeeds(dataset, [sample]), [typed.output]);
      (outputs[typed.output]!.data as Float32Array).forEach((value, c) => {
        largest = Math.max(largest, Math.abs(value));
        deviation = Math.max(deviation, Math.abs(value - scores[i * typed.classes + c]!));
      });
    }
    if (deviation > EXACT * largest)
      throw emittedModelDiffers(
        `with all exits closed, outputs deviate by ${(deviation / largest).toExponential(1)} of the largest`,
      );
  });
}
