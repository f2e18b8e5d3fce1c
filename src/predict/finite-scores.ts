/** Scores that are NaN or infinite, from which nothing can be learned or measured. */
import { type Dataset, findNotFinite } from '../data/index.ts';
import { notFinite, scoresNotFinite } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { describeNotFinite } from '../model/not-finite-weights.ts';

/** Whose scores they are, and where to look for the reason. */
export interface Scored {
  /** Begins a sentence: `the original`. */
  readonly who: string;
  readonly load: () => Promise<{ readonly model: Model; readonly folder: string | undefined }>;
}

/**
 * Throws `scores-not-finite` where one of `scores` [n, …], of all samples of `dataset`, is NaN or infinite, and `not-finite` where the sample's own
 * numbers are. Minus infinity is a score too: of a class that the model rules out, or the logarithm of nothing.
 */
export async function refuseNotFiniteScores(
  scores: Float32Array,
  dataset: Dataset,
  { who, load }: Scored,
  signal?: AbortSignal,
): Promise<void> {
  const at = scores.findIndex((score) => Number.isNaN(score) || score === Number.POSITIVE_INFINITY);
  if (at < 0) return;
  const fed = await findNotFinite(dataset, signal);
  if (fed !== undefined) throw notFinite(dataset.path, inWhole(dataset, fed));
  const { model, folder } = await load();
  const sample = inWhole(dataset, Math.floor(at / (scores.length / dataset.size)));
  throw scoresNotFinite(who, sample, dataset.path, await describeNotFinite(model, folder));
}

/** Where `sample` of a subset is among all that its path has. */
export function inWhole(dataset: Dataset, sample: number): number {
  let found = sample;
  for (let { partOf } = dataset; partOf; { partOf } = partOf.whole) found = partOf.samples[found]!;
  return found;
}
