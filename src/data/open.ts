import { resolve } from 'node:path';
import { emptyDataset, labelOutOfRange, sampleShapeMismatch, unreadableImage } from '../errors.ts';
import { align } from './align.ts';
import { openRecords } from './dataset.ts';
import { rowOf } from './preprocessing.ts';
import { storeRecords } from './records.ts';
import { findSource } from './source.ts';
import type { Dataset, InputSpec, Preprocessing, Progress } from './types.ts';

export interface OpenOptions {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  /** Folder of Offramp's caches; records go to `<cache>/records/<key>`. */
  readonly cache: string;
  /** Leave unreadable pictures out and list them in `skipped`, instead of stopping at the first. */
  readonly skipBad?: boolean | undefined;
  /** Number of classes of the model; labels must be below it. */
  readonly classes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called while samples are decoded for the first time. */
  readonly onProgress?: Progress | undefined;
}

/**
 * Opens labelled samples: an image folder (`<path>/<class>/<picture>`), an IDX images file with its labels beside it,
 * an .npz with x and y (`file.npz#train` for x_train and y_train), or a folder or prefix with x.npy and y.npy. The
 * first time decodes them into the cache; later ones, while the files' sizes and times are the same, do not.
 */
export async function openDataset(path: string, options: OpenOptions): Promise<Dataset> {
  const { inputs, preprocessing, cache, classes, signal } = options;
  signal?.throwIfAborted();
  const source = await findSource(resolve(path), options);
  if (source.count === 0) throw emptyDataset(path);
  const { name, dims } = rowOf(inputs);
  const alignment = align(source.dims, dims, preprocessing.layout);
  if (!alignment) throw sampleShapeMismatch(path, source.dims, name, dims);

  const { folder, meta } = await storeRecords(source, cache, options);
  const bad = meta.skipped[0];
  if (bad && !options.skipBad) throw unreadableImage(bad.file, bad.reason);
  const dataset = await openRecords({ path, folder, meta, inputs, preprocessing, alignment });
  const wrong = dataset.labels.findIndex((label) => label < 0 || (classes !== undefined && label >= classes));
  if (wrong >= 0) {
    await dataset.close();
    throw labelOutOfRange(path, wrong, dataset.labels[wrong]!, classes);
  }
  return dataset;
}
