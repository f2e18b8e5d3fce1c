import { createHash, randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, sealed, unsealed, writeSynced, writing } from '../cache/files.ts';
import { diskFull, emptyDataset } from '../errors/index.ts';
import { elementCount } from '../graph/tensor.ts';
import type { FileStamp } from './files.ts';
import type { InputSpec, Preprocessing, Progress, Skipped } from './types.ts';

const READER_VERSION = 3;
const PIECE_BYTES = 1 << 22;
const RECORDS = 'records.bin';
const LABELS = 'labels.bin';
const META = 'meta.json';
const STALE_MS = 24 * 60 * 60 * 1000;

/** What readers may need to know. */
export interface SourceOptions {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  /** Leave unreadable images out and list them in `skipped`, instead of stopping at the first. */
  readonly skipBad?: boolean | undefined;
  /** Names of the model's classes, in its order, by which data with names are matched; `none`: nothing need be labelled, and labels that are there do not count. */
  readonly labels?: 'none' | readonly string[] | undefined;
  /** Where these names stand, for errors. */
  readonly labelsFrom?: string | undefined;
  /** A tokenizer.json that turns text into the model's inputs. */
  readonly tokenizer?: string | undefined;
  /** Classes of the model that the samples are for. */
  readonly classes?: number | undefined;
  /** The split that the samples are for: random ones differ between splits. */
  readonly split?: string | undefined;
}

/** Some samples in a row. */
export interface Block {
  readonly records: Uint8Array;
  /** One a record; when nothing need be labelled, any numbers. */
  readonly labels: ArrayLike<number>;
  /** Files left out among these samples. */
  readonly skipped: readonly Skipped[];
}

/** A format's samples, in an order of its own that never changes. */
export interface Source {
  readonly format: string;
  /** Absolute. */
  readonly path: string;
  readonly files: readonly FileStamp[];
  /** What else the records depend on. */
  readonly decode: unknown;
  /** Samples, counting those that may be skipped. Asked only when records are made, since it may take reading a file. */
  count(): Promise<number>;
  readonly dims: readonly number[];
  readonly dtype: 'uint8' | 'float';
  /** In the order of its labels. */
  readonly classNames: readonly string[] | undefined;
  /** That order is the alphabet's: without a class in the middle all behind it are shifted. */
  readonly sortedNames?: boolean;
  readonly unlabelled?: boolean;
  blocks(): AsyncIterable<Block>;
}

/** `meta.json` of a records folder. */
export interface RecordsMeta {
  readonly format: string;
  readonly count: number;
  readonly dims: readonly number[];
  readonly dtype: 'uint8' | 'float';
  readonly classNames?: readonly string[];
  readonly skipped: readonly Skipped[];
  /** sha256 of `<dtype> <dims>\n`, the records, and the labels as int32; checked whenever the files are opened. */
  readonly hash: string;
}

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: Progress | undefined;
}

/**
 * The folder `<cache>/records/<key>` holding the records of `source`: the one that is there, or one written now. It
 * appears whole or not at all; a folder that exists is read and checked by its hash, and made anew where that differs.
 */
export async function storeRecords(
  source: Source,
  cache: string,
  options: StoreOptions = {},
): Promise<{ folder: string; meta: RecordsMeta }> {
  const folder = join(cache, 'records', keyOf(source));
  const known = await readWhole(folder, options.signal);
  if (known) return { folder, meta: known };

  await writing(join(cache, 'records'), () => makeFolder(join(cache, 'records')));
  await removeStale(join(cache, 'records'));
  const partial = `${folder}.partial-${randomUUID()}`;
  try {
    const meta = await writeRecords(source, partial, options);
    await rename(partial, folder).catch(async (error: unknown) => {
      if (await readWhole(folder, options.signal)) return;
      await rm(folder, { recursive: true, force: true });
      await writing(folder, () => rename(partial, folder), error);
    });
    return { folder, meta };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

function keyOf(source: Source): string {
  const hash = createHash('sha256');
  const { format, path, decode, dims, classNames, unlabelled, files } = source;
  hash.update(JSON.stringify([READER_VERSION, format, path, decode, dims, classNames, unlabelled]));
  for (const { file, sizeBytes, mtimeMs } of files) hash.update(`\n${file}\0${sizeBytes}\0${mtimeMs}`);
  return hash.digest('hex').slice(0, 32);
}

/** Whether `storeRecords` would find records of `source`, by their sizes alone, without reading them. */
export const hasRecords = async (source: Source, cache: string): Promise<boolean> =>
  (await readMeta(join(cache, 'records', keyOf(source)))) !== undefined;

/** The meta of a records folder whose records have the size that it states. */
async function readMeta(folder: string): Promise<RecordsMeta | undefined> {
  const text = await readFile(join(folder, META), 'utf8').catch(() => '');
  const meta = unsealed<RecordsMeta>(text);
  const size = await stat(join(folder, RECORDS)).then(
    (found) => found.size,
    () => undefined,
  );
  return meta && size === meta.count * recordBytes(meta) ? meta : undefined;
}

/** The meta of a records folder whose records and labels have the hash that it states. */
async function readWhole(folder: string, signal: AbortSignal | undefined): Promise<RecordsMeta | undefined> {
  const meta = await readMeta(folder);
  if (!meta) return undefined;
  const hash = createHash('sha256').update(headOf(meta));
  const piece = new Uint8Array(PIECE_BYTES);
  for (const name of [RECORDS, LABELS]) {
    const file = await open(join(folder, name)).catch(() => undefined);
    if (!file) return undefined;
    try {
      for (let read = await file.read(piece); read.bytesRead > 0; read = await file.read(piece)) {
        signal?.throwIfAborted();
        hash.update(piece.subarray(0, read.bytesRead));
      }
    } finally {
      await file.close();
    }
  }
  return hash.digest('hex') === meta.hash ? meta : undefined;
}

/** What the hash of records begins with. */
const headOf = ({ dtype, dims }: Pick<RecordsMeta, 'dtype' | 'dims'>) => `${dtype} ${dims}\n`;

async function writeRecords(source: Source, folder: string, options: StoreOptions): Promise<RecordsMeta> {
  const total = await source.count();
  if (total === 0) throw emptyDataset(source.path);
  await writing(folder, () => mkdir(folder));
  await checkSpace(source, total, folder);
  const hash = createHash('sha256').update(headOf(source));
  const labels = new Int32Array(total);
  const skipped: Skipped[] = [];
  let count = 0;

  const records = join(folder, RECORDS);
  const file = await writing(records, () => open(records, 'w'));
  try {
    for await (const block of source.blocks()) {
      options.signal?.throwIfAborted();
      await writing(records, () => append(file, block.records));
      hash.update(block.records);
      labels.set(block.labels, count);
      count += block.labels.length;
      skipped.push(...block.skipped);
      options.onProgress?.(count + skipped.length, total);
    }
    options.signal?.throwIfAborted();
    await writing(records, () => file.sync());
  } finally {
    await file.close();
  }
  if (count === 0) throw emptyDataset(source.path);

  const labelBytes = new Uint8Array(labels.buffer, 0, 4 * count);
  const { format, dims, dtype, classNames } = source;
  const meta: RecordsMeta = {
    format,
    count,
    dims,
    dtype,
    ...(classNames && { classNames }),
    skipped,
    hash: hash.update(labelBytes).digest('hex'),
  };
  await writing(records, () => writeSynced(join(folder, LABELS), labelBytes));
  await writing(records, () => writeSynced(join(folder, META), sealed(meta)));
  return meta;
}

async function append(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

export function recordBytes({ dims, dtype }: Pick<RecordsMeta, 'dims' | 'dtype'>): number {
  return elementCount(dims) * (dtype === 'float' ? 4 : 1);
}

async function checkSpace(source: Source, samples: number, folder: string): Promise<void> {
  const needed = samples * (recordBytes(source) + 4);
  const { bavail, bsize } = await statfs(folder);
  if (needed > bavail * bsize) throw diskFull(folder, needed);
}

/** Partial folders of runs that were killed. */
async function removeStale(records: string): Promise<void> {
  for (const name of await readdir(records)) {
    if (!name.includes('.partial-')) continue;
    const folder = join(records, name);
    const age = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > STALE_MS) await rm(folder, { recursive: true, force: true });
  }
}
