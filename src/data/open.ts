import { resolve } from 'node:path';
import { labelOutOfRange, sampleShapeMismatch, tooManyClasses, unreadableImage } from '../errors.ts';
import { align } from './align.ts';
import { openRecords } from './dataset.ts';
import { rowOf } from './preprocessing.ts';
import { randomSource } from './random-samples.ts';
import { type Source, type SourceOptions, type StoreOptions, storeRecords } from './records.ts';
import { findSource } from './source.ts';
import type { Dataset } from './types.ts';

export interface OpenOptions extends SourceOptions, StoreOptions {
  /** Folder of Offramp's caches; records go to `<cache>/records/<key>`. */
  readonly cache: string;
  /** Number of classes of the model; labels must be below it. */
  readonly classes?: number | undefined;
}

/**
 * Opens samples: pictures in folders, in CIFAR or in Parquet files; numbers in IDX, .npz, .npy, JSONL or Parquet files; text
 * in the latter two; or `random` ones. The first time decodes them into the cache; later ones, while the files' sizes and
 * times are the same, do not.
 */
export async function openDataset(path: string, options: OpenOptions): Promise<Dataset> {
  const { inputs, preprocessing, cache, classes, signal } = options;
  signal?.throwIfAborted();
  const drawn = randomSource(path, options);
  const random = drawn !== undefined;
  const unlabelled = random || options.labels === 'none';
  const found = drawn ?? (await findSource(resolve(path), options));
  const source = unlabelled ? withoutLabels(found) : found;
  const { name, dims } = rowOf(inputs);
  const alignment = align(source.dims, dims, preprocessing.layout);
  if (!alignment) throw sampleShapeMismatch(path, source.dims, name, dims);
  const named = source.classNames?.length ?? 0;
  if (classes !== undefined && named > classes) throw tooManyClasses(path, named, classes);

  const { folder, meta } = await storeRecords(source, cache, options);
  const bad = meta.skipped[0];
  if (bad && !options.skipBad) throw unreadableImage(bad.file, bad.reason);
  const about = { path, folder, meta, inputs, preprocessing, alignment, unlabelled, random };
  const dataset = await openRecords(about);
  const isWrong = (label: number) => label < 0 || (classes !== undefined && label >= classes);
  const wrong = unlabelled ? -1 : dataset.labels.findIndex(isWrong);
  if (wrong >= 0) {
    await dataset.close();
    throw labelOutOfRange(path, wrong, dataset.labels[wrong]!, classes);
  }
  return dataset;
}

function withoutLabels(source: Source): Source {
  return {
    ...source,
    classNames: undefined,
    unlabelled: true,
    async *blocks() {
      for await (const block of source.blocks())
        yield { ...block, labels: new Int32Array(block.labels.length).fill(-1) };
    },
  };
}
