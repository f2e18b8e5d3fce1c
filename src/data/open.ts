import { resolve } from 'node:path';
import {
  emptyDataset,
  labelOutOfRange,
  labelUnnamed,
  sampleShapeMismatch,
  tooFewFolders,
  tooManyClasses,
  unreadableImage,
} from '../errors/index.ts';
import { align } from './align.ts';
import { classesIn, type KnownClasses } from './class-names.ts';
import { openRecords } from './dataset.ts';
import { combinedInput } from './preprocessing.ts';
import { randomSource } from './random-samples.ts';
import {
  hasRecords,
  recordBytes,
  type Source,
  type SourceOptions,
  type StoreOptions,
  storeRecords,
} from './records.ts';
import { findSource } from './source.ts';
import type { Dataset } from './types.ts';

export interface OpenOptions extends SourceOptions, StoreOptions {
  /** Folder of Offramp's caches; records go to `<cache>/records/<key>`. */
  readonly cache: string;
  /** Number of classes of the model; labels must be below it. */
  readonly classes?: number | undefined;
  /** What the model calls its classes, where `labels` does not say: for data with these names, and for data without names. */
  readonly ownClasses?: KnownClasses | undefined;
}

/**
 * Opens samples: images in folders, in CIFAR or in Parquet files; numbers in IDX, .npz, .npy, JSONL or Parquet files; text
 * in the latter two; or `random` ones. The first time decodes them into the cache; later ones, while the files' sizes and
 * times are the same, do not.
 */
export async function openDataset(path: string, options: OpenOptions): Promise<Dataset> {
  const { inputs, preprocessing, cache, classes } = options;
  const { source, alignment, unlabelled, random } = await findSamples(path, options);
  const { folder, meta } = await storeRecords(source, cache, options);
  const bad = meta.skipped[0];
  if (bad && !options.skipBad) throw unreadableImage(bad.file, bad.reason);
  const about = { path, folder, meta, inputs, preprocessing, alignment, unlabelled, random };
  const dataset = await openRecords(about);
  try {
    if (!unlabelled) refuseOutside(path, dataset.labels, 0, classes);
  } catch (error) {
    await dataset.close();
    throw error;
  }
  return dataset;
}

/** `first`: which sample the first of `labels` is of. */
function refuseOutside(
  path: string,
  labels: ArrayLike<number>,
  first: number,
  classes: number | undefined,
): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label < 0 || (classes !== undefined && label >= classes))
      throw labelOutOfRange(path, first + i, label, classes);
  }
}

async function findSamples(path: string, options: OpenOptions) {
  const { inputs, preprocessing, signal } = options;
  signal?.throwIfAborted();
  const drawn = randomSource(path, options);
  const random = drawn !== undefined;
  const unlabelled = random || options.labels === 'none';
  const found = drawn ?? (await findSource(resolve(path), options));
  const source = unlabelled ? withoutLabels(found) : inKnownClasses(found, options);
  const { name, dims } = combinedInput(inputs);
  const alignment = align(source.dims, dims, preprocessing.layout);
  if (!alignment) throw sampleShapeMismatch(path, source.dims, name, dims);
  return { source, alignment, unlabelled, random };
}

/** The class names that data have, in the order of their labels. */
export type NamedClasses = Required<Pick<Source, 'sortedNames'>> & { readonly names: readonly string[] };

/** The class names that the data at `path` have themselves; undefined where there are none. Decodes nothing. */
export async function namesIn(path: string, options: OpenOptions): Promise<NamedClasses | undefined> {
  options.signal?.throwIfAborted();
  const source = await findSource(resolve(path), { ...options, labels: undefined });
  const { classNames: names, sortedNames = false } = source;
  return names && names.length > 0 ? { names, sortedNames } : undefined;
}

/** What opening a dataset would do. */
export interface Peek {
  /** Counting those that may be skipped. */
  readonly samples: number;
  /** That the records take in the cache. */
  readonly bytes: number;
  /** The records are there already. */
  readonly cached: boolean;
  /** Of decoding, from the first ones; 0 when cached. */
  readonly secondsPerSample: number;
  readonly isImage: boolean;
  readonly recordDims: readonly number[];
}

/** Decoding is tried for this long, or one block. */
const PEEK_SECONDS = 0.3;

/** What opening the samples at `path` would do. Writes nothing. Throws what `openDataset` throws before it decodes. */
export async function peekDataset(path: string, options: OpenOptions): Promise<Peek> {
  const { source, alignment, unlabelled } = await findSamples(path, options);
  const samples = await source.count();
  if (samples === 0) throw emptyDataset(path);
  const cached = await hasRecords(source, options.cache);
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let decoded = 0;
  let kept = 0;
  if (!cached) {
    for await (const { labels, skipped } of source.blocks()) {
      if (!unlabelled) refuseOutside(path, labels, decoded, options.classes);
      decoded += labels.length + skipped.length;
      kept += labels.length;
      if (seconds() > PEEK_SECONDS) break;
    }
    if (kept === 0 && decoded === samples) throw emptyDataset(path);
  }
  return {
    samples,
    bytes: samples * (recordBytes(source) + 4),
    cached,
    secondsPerSample: decoded === 0 ? 0 : seconds() / decoded,
    isImage: alignment.isImage,
    recordDims: source.dims,
  };
}

/** `source` with its labels put into the order of the classes' names that are given. Throws `unknown-label`, `class-folders` and `too-many-classes`. */
function inKnownClasses(source: Source, { labels, labelsFrom, classes }: SourceOptions): Source {
  const { path, classNames: own } = source;
  if (!own) return source;
  if (classes !== undefined && own.length > classes) throw tooManyClasses(path, own.length, classes);
  if (labels === undefined || labels === 'none') {
    if (source.sortedNames && own.length > 0 && classes !== undefined && own.length < classes)
      throw tooFewFolders(path, own.length, classes);
    return source;
  }
  const classOf = classesIn(path, own, { names: labels, from: labelsFrom ?? 'the given class names' });
  if (classOf.every((known, i) => known === i)) return { ...source, classNames: labels };
  return {
    ...source,
    classNames: labels,
    decode: [source.decode, own],
    async *blocks() {
      let first = 0;
      for await (const block of source.blocks()) {
        const labels = Int32Array.from(block.labels, (label, i) => {
          const known = classOf[label];
          if (known === undefined) throw labelUnnamed(path, first + i, label, own.length);
          return known;
        });
        first += labels.length + block.skipped.length;
        yield { ...block, labels };
      }
    },
  };
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
