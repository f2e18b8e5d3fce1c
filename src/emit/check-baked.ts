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
  const [own, other] = [answersIn(found, manifest), answersIn(expected, manifest)];
  const classes = own.scores.length / samples;
  const allowed =
    (manifest.outputs.dataType === 'float16' ? HALF_SCORE_TOLERANCE : SCORE_TOLERANCE) *
    largestFinite(other.scores);
  for (const [i, exit] of own.exits.entries()) {
    if (isTie(own, i, point) || isTie(other, i, point)) continue;
    if (exit !== other.exits[i])
      throw emittedModelDiffers(
        `with thresholds built in, noise leaves at exit ${exit}, else at ${other.exits[i]}`,
      );
    const row = ({ scores }: Answers) => scores.subarray(i * classes, (i + 1) * classes);
    if (largestGap(row(own), row(other)) > allowed)
      throw emittedModelDiffers('with thresholds built in, its scores are others');
  }
}

interface Answers {
  readonly exits: readonly number[];
  readonly confidence: Float32Array;
  readonly scores: Float32Array;
}

function answersIn(found: Outputs, { outputs }: Manifest): Answers {
  return {
    exits: Array.from(found[outputs.exitIndex]!.data as BigInt64Array, Number),
    confidence: found[outputs.exitConfidence]!.data as Float32Array,
    scores: floatsOf(found[outputs.scores]!),
  };
}

function isTie({ exits, confidence }: Answers, sample: number, { thresholds }: OperatingPoint): boolean {
  const threshold = thresholds[exits[sample]!];
  return threshold !== undefined && Math.abs(confidence[sample]! - threshold) < TIE;
}

/** The same noise for the same shapes; 0 or 1 where numbers are whole. */
function noiseFeeds({ inputs }: Manifest, samples: number): Feeds {
  const random = new Random(1, 'noise');
  return Object.fromEntries(
    inputs.map(({ name, dataType, dims }) => {
      const sizes = dims.map((size) => (size === 'N' ? samples : size));
      const values = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () => random.uniform());
      return [name, tensorOf(dataType, values, sizes)];
    }),
  );
}
