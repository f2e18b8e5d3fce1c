/** Whether a model with thresholds built in answers as the package's own does where they are an input. */

import { join } from 'node:path';
import { emittedModelDiffers } from '../errors/index.ts';
import { Random } from '../graph/random.ts';
import { largestFinite, largestGap } from '../ort/gap.ts';
import { type Feeds, type Outputs, type Session, type SessionOptions, withSession } from '../ort/session.ts';
import { floatsOf, tensorOf } from '../ort/tensors.ts';
import { thresholdsFeed } from '../predict/run-emitted.ts';
import type { Manifest, OperatingPoint } from './manifest.ts';

/** Scores and thresholds this close are a tie: memory layouts move floats by 1e-6 to 1e-5. */
const TIE = 1e-5;
/** Relative to the largest score; half floats are computed in single precision wherever that saves a Cast. */
const SCORE_TOLERANCE = 1e-4;
const HALF_SCORE_TOLERANCE = 2 ** -7;

/**
 * Runs `samples` samples of noise, and the package's model on the same ones where its thresholds are an input: they
 * must leave at the same exits with the same scores.
 */
export async function checkBaked(
  baked: Session,
  samples: number,
  manifest: Manifest,
  point: OperatingPoint,
  folder: string,
  session: SessionOptions,
): Promise<void> {
  const { scores, exitIndex, exitConfidence, thresholds } = manifest.outputs;
  const wanted = [scores, exitIndex, exitConfidence];
  const feeds = noiseFeeds(manifest, samples);
  const found = await baked.run(feeds, wanted);
  for (const name of [exitIndex, exitConfidence])
    if (found[name]!.dims.join() !== String(samples))
      throw emittedModelDiffers(`output ${name} is [${found[name]!.dims.join(', ')}] for ${samples} samples`);
  if (thresholds === null) return;
  const expected = await withSession(
    join(folder, 'model.onnx'),
    { threads: session.threads ?? 1 },
    (original) => original.run({ ...feeds, ...thresholdsFeed(point.thresholds) }, wanted),
  );
  const difference = findDifference(
    answersIn(found, manifest),
    answersIn(expected, manifest),
    manifest,
    point,
  );
  if (difference?.scores) throw emittedModelDiffers('with thresholds built in, its scores are others');
  if (difference)
    throw emittedModelDiffers(
      `with thresholds built in, noise leaves at exit ${difference.exit}, else at ${difference.wanted}`,
    );
}

/** What a run answers, a row a sample. */
export interface RunAnswers {
  readonly exits: readonly number[];
  readonly confidence: Float32Array;
  readonly scores: Float32Array;
}

/** A sample that two runs answer differently: the exits that it leaves at, or its scores. */
export interface Difference {
  readonly exit: number;
  readonly wanted: number;
  readonly scores: boolean;
}

/** The first sample that `own` answers otherwise than `other`, but for ties at a threshold and the last bits of scores. */
export function findDifference(
  own: RunAnswers,
  other: RunAnswers,
  manifest: Manifest,
  point: OperatingPoint,
): Difference | undefined {
  const classes = own.scores.length / own.exits.length;
  const allowed =
    (manifest.outputs.dataType === 'float16' ? HALF_SCORE_TOLERANCE : SCORE_TOLERANCE) *
    largestFinite(other.scores);
  for (const [i, exit] of own.exits.entries()) {
    if (isTie(own, i, point) || isTie(other, i, point)) continue;
    const wanted = other.exits[i]!;
    if (exit !== wanted) return { exit, wanted, scores: false };
    const row = ({ scores }: RunAnswers) => scores.subarray(i * classes, (i + 1) * classes);
    if (largestGap(row(own), row(other)) > allowed) return { exit, wanted, scores: true };
  }
  return undefined;
}

export function answersIn(found: Outputs, { outputs }: Manifest): RunAnswers {
  return {
    exits: Array.from(found[outputs.exitIndex]!.data as BigInt64Array, Number),
    confidence: found[outputs.exitConfidence]!.data as Float32Array,
    scores: floatsOf(found[outputs.scores]!),
  };
}

function isTie({ exits, confidence }: RunAnswers, sample: number, { thresholds }: OperatingPoint): boolean {
  const threshold = thresholds[exits[sample]!];
  return threshold !== undefined && Math.abs(confidence[sample]! - threshold) < TIE;
}

/** The same noise for the same shapes; 0 or 1 where numbers are whole. */
export function noiseFeeds({ inputs }: Manifest, samples: number): Feeds {
  const random = new Random(1, 'noise');
  return Object.fromEntries(
    inputs.map(({ name, dataType, dims }) => {
      const sizes = dims.map((size) => (size === 'N' ? samples : size));
      const values = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () => random.uniform());
      return [name, tensorOf(dataType, values, sizes)];
    }),
  );
}
