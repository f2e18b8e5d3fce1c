/** Exact copies among samples: counted twice, one sample would look like two independent ones. */
import { createHash } from 'node:crypto';
import { elementCount } from '../graph/tensor.ts';
import { subset } from './partition.ts';
import type { Dataset } from './types.ts';

const READ_AT_ONCE = 1024;

/** Bytes of one record of `dataset`. */
export const recordBytesOf = ({ recordDims, recordType }: Dataset): number =>
  elementCount(recordDims) * (recordType === 'uint8' ? 1 : 4);

/** [size]: a hash of each sample's record, labels left out. */
export async function recordHashes(dataset: Dataset): Promise<string[]> {
  const hashes: string[] = [];
  const size = recordBytesOf(dataset);
  for (let first = 0; first < dataset.size; first += READ_AT_ONCE) {
    const length = Math.min(READ_AT_ONCE, dataset.size - first);
    const records = await dataset.readRecords(Int32Array.from({ length }, (_, i) => first + i));
    for (let i = 0; i < length; i++)
      hashes.push(
        createHash('md5')
          .update(records.subarray(i * size, (i + 1) * size))
          .digest('base64'),
      );
  }
  return hashes;
}

/** `dataset` without samples that are copies of earlier ones, or of any in `others`; itself when there are none. */
export async function withoutCopies(dataset: Dataset, others: readonly Dataset[] = []): Promise<Dataset> {
  const met = new Set<string>();
  for (const other of others) for (const hash of await recordHashes(other)) met.add(hash);
  const kept: number[] = [];
  for (const [i, hash] of (await recordHashes(dataset)).entries()) {
    if (met.has(hash)) continue;
    met.add(hash);
    kept.push(i);
  }
  return kept.length === dataset.size ? dataset : subset(dataset, kept);
}
