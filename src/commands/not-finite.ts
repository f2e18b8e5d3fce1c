/** Samples that hold NaN or infinite numbers. */
import { type Dataset, findNotFinite } from '../data/index.ts';
import { notFinite, OfframpError } from '../errors/index.ts';

/** Throws `not-finite` where a stored number of a sample is none: it has no right answer, and figures that count it mean nothing. */
export async function refuseNotFinite(dataset: Dataset, signal?: AbortSignal): Promise<void> {
  const sample = dataset.recordType === 'float' ? await findNotFinite(dataset, signal) : undefined;
  if (sample !== undefined) throw notFinite(dataset.path, sample);
}

/** `error`, or where that is a training that diverged, and a sample of `dataset` holds NaN or infinite numbers, an error that names the sample. */
export async function namingSample(error: unknown, dataset: Dataset, signal?: AbortSignal): Promise<unknown> {
  if (!(error instanceof OfframpError && error.code === 'training-diverged')) return error;
  let sample = await findNotFinite(dataset, signal);
  if (sample === undefined) return error;
  for (let { partOf } = dataset; partOf; { partOf } = partOf.whole) sample = partOf.samples[sample]!;
  return notFinite(dataset.path, sample);
}
