import { createHash, randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheUnwritable, diskFull, emptyDataset, messageOf } from '../errors.ts';
import { elementCount } from '../graph/tensor.ts';
import type { FileStamp } from './files.ts';
import type { InputSpec, Preprocessing, Progress, Skipped } from './types.ts';

const READER_VERSION = 1;
const STALE_MS = 24 * 60 * 60 * 1000;

/** What readers may need to know. */
export interface SourceOptions {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  /** Leave unreadable pictures out and list them in `skipped`, instead of stopping at the first. */
  readonly skipBad?: boolean | undefined;
  /** Names of the model's classes, in its order, by which data with names are matched; `none`: nothing need be labelled, and labels that are there do not count. */
  readonly labels?: 'none' | readonly string[] | undefined;
  /** Where these names stand, for errors. */
  readonly labelsFrom?: string | undefined;
  /** A tokenizer.json that turns text into the model's inputs. */
  readonly tokenizer?: string | undefined;
  /** Classes of the model that the samples are for. */
  readonly classes?: number | undefined;
  /** What the samples are for: random ones differ from role to role. */
  readonly role?: string | undefined;
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
  /** sha256 of `<dtype> <dims>\n`, the records, and the labels as int32. */
  readonly hash: string;
}

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: Progress | undefined;
}

/**
 * The folder `<cache>/records/<key>` holding the records of `source`: the one that is there, or one written now. It
 * appears whole or not at all.
 */
export async function storeRecords(
  source: Source,
  cache: string,
  options: StoreOptions = {},
): Promise<{ folder: string; meta: RecordsMeta }> {
  const folder = join(cache, 'records', keyOf(source));
  const known = await readMeta(folder);
  if (known) return { folder, meta: known };

  await writing(cache, () => mkdir(join(cache, 'records'), { recursive: true }));
  await removeStale(join(cache, 'records'));
  const partial = `${folder}.partial-${randomUUID()}`;
  try {
    const meta = await writeRecords(source, partial, options);
    await rename(partial, folder).catch(async (error: unknown) => {
      if (await readMeta(folder)) return;
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

/** Whether `storeRecords` would find the records of `source`. */
export const hasRecords = async (source: Source, cache: string): Promise<boolean> =>
  (await readMeta(join(cache, 'records', keyOf(source)))) !== undefined;

/** The meta of a complete records folder. */
async function readMeta(folder: string): Promise<RecordsMeta | undefined> {
  try {
    const meta = JSON.parse(await readFile(join(folder, 'meta.json'), 'utf8')) as RecordsMeta;
    const { size } = await stat(join(folder, 'records.bin'));
    return size === meta.count * recordBytes(meta) ? meta : undefined;
  } catch {
    return undefined;
  }
}

async function writeRecords(source: Source, folder: string, options: StoreOptions): Promise<RecordsMeta> {
  const total = await source.count();
  await writing(folder, () => mkdir(folder));
  await checkSpace(source, total, folder);
  const hash = createHash('sha256').update(`${source.dtype} ${source.dims}\n`);
  const labels = new Int32Array(total);
  const skipped: Skipped[] = [];
  let count = 0;

  const file = await writing(folder, () => open(join(folder, 'records.bin'), 'w'));
  try {
    for await (const block of source.blocks()) {
      options.signal?.throwIfAborted();
      await writing(folder, () => append(file, block.records));
      hash.update(block.records);
      labels.set(block.labels, count);
      count += block.labels.length;
      skipped.push(...block.skipped);
      options.onProgress?.(count + skipped.length, total);
    }
    options.signal?.throwIfAborted();
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
  await writing(folder, () => writeFile(join(folder, 'labels.bin'), labelBytes));
  await writing(folder, () => writeFile(join(folder, 'meta.json'), JSON.stringify(meta)));
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

/** Runs a write to the cache; what the file system objects to becomes an error with a remedy. */
async function writing<T>(folder: string, write: () => Promise<T>, cause?: unknown): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw diskFull(folder);
    throw cacheUnwritable(folder, messageOf(error), cause ?? error);
  }
}
