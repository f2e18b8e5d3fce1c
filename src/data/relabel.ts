import { subset } from './partition.ts';
import type { Dataset } from './types.ts';

/** `dataset`, unlabelled, with `labels` [size]: a whole of its own, which closes it. Its hash stays that of the samples. */
export function relabel(dataset: Dataset, labels: Int32Array): Dataset {
  const { partOf, ...all } = subset(
    dataset,
    Int32Array.from(labels, (_, i) => i),
  );
  return { ...all, labels, hash: dataset.hash, close: () => dataset.close() };
}
