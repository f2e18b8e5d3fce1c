/** Samples that no training survives. */
import type { Dataset } from './types.ts';

const CHUNK = 256;

/** The first sample of `dataset` with a NaN or an infinite number among what the model is fed, counted from 0; undefined when there is none. */
export async function findNotFinite(
  dataset: Pick<Dataset, 'size' | 'read'>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  for (let first = 0; first < dataset.size; first += CHUNK) {
    signal?.throwIfAborted();
    const count = Math.min(CHUNK, dataset.size - first);
    const numbers = await dataset.read(Int32Array.from({ length: count }, (_, i) => first + i));
    const at = numbers.findIndex((number) => !Number.isFinite(number));
    if (at >= 0) return first + Math.floor(at / (numbers.length / count));
  }
  return undefined;
}
