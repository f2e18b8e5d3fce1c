/** Samples that hold NaN or infinite numbers. */
import { type Dataset, findNotFinite } from '../data/index.ts';
import { notFinite, OfframpError } from '../errors/index.ts';
import { originalIn } from '../predict/check-original.ts';
import { inWhole, refuseNotFiniteScores } from '../predict/finite-scores.ts';
import { logitsOf, type PredictOptions } from '../predict/predict.ts';

/** Throws `not-finite` where a stored number of a sample is none: it has no right answer, and figures that count it mean nothing. */
export async function refuseNotFinite(dataset: Dataset, signal?: AbortSignal): Promise<void> {
  const sample = dataset.recordType === 'float' ? await findNotFinite(dataset, signal) : undefined;
  if (sample !== undefined) throw notFinite(dataset.path, sample);
}

/**
 * `error`, or where that is a training that diverged, and a sample of `dataset` holds NaN or infinite numbers, or gets such scores from the original,
 * an error that names the sample.
 */
export async function namingSample(
  error: unknown,
  dataset: Dataset,
  predicting: PredictOptions,
): Promise<unknown> {
  if (!(error instanceof OfframpError && error.code === 'training-diverged')) return error;
  const { signal } = predicting;
  const sample = await findNotFinite(dataset, signal);
  if (sample !== undefined) return notFinite(dataset.path, inWhole(dataset, sample));
  const logits = await logitsOf(dataset, predicting);
  return await refuseNotFiniteScores(logits, dataset, originalIn(predicting), signal).then(
    () => error,
    (found: unknown) => found,
  );
}
