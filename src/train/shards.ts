/** Features extracted in shards on several machines and merged: byte for byte those of one run. */

import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, replaceFile, sealed, unsealed, writing } from '../cache/files.ts';
import { exclusively } from '../cache/lock.ts';
import { CHUNK, RecordFile, RecordReader, verifyRecords } from '../cache/record-file.ts';
import type { Progress } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import {
  featuresDamaged,
  featuresDiffer,
  noShards,
  notMerged,
  shardsMixed,
  shardsUnusable,
} from '../errors/index.ts';
import { differencesOf, type FeatureIdentity, filesOf } from './feature-identity.ts';
import type { FeatureSource } from './feature-source.ts';
import {
  type FeatureOptions,
  fillFiles,
  openFilled,
  pathsIn,
  planFeatures,
  type SampleRange,
} from './features.ts';

/** One of `count` parts of the samples. */
export interface Shard {
  /** 1 to `count`. */
  readonly index: number;
  readonly count: number;
}

/** In every folder of features, beside the record files: their `FeatureIdentity`. */
const IDENTITY_FILE = 'features.json';
const MERGED = 'merged';
const PIECE_BYTES = 1 << 22;

const nameOf = ({ index, count }: Shard) => `shard-${index}-of-${count}`;
const describe = ({ index, count }: Shard) => `shard ${index}/${count}`;

/** The samples of a shard: whole chunks, evenly dealt, of `size` samples; empty where there are more shards than chunks. */
export function rangeOf({ index, count }: Shard, size: number): SampleRange {
  const chunks = Math.ceil(size / CHUNK);
  const [first, end] = [index - 1, index].map((i) =>
    Math.min(size, Math.floor((i * chunks) / count) * CHUNK),
  );
  return { first: first!, size: end! - first! };
}

/**
 * Writes `<folder>/shard-<index>-of-<count>/`: for the shard's samples, the record files that the cache would hold. What is there
 * and whole is left alone. Throws `features-differ` when the folder holds a shard of something else.
 */
export async function writeShard(
  options: FeatureOptions,
  shard: Shard,
  folder: string,
): Promise<SampleRange> {
  const plan = planFeatures(options);
  const home = join(folder, nameOf(shard));
  await writing(home, () => makeFolder(home));
  const before = await readIdentity(home);
  const differences = before ? differencesOf(before, plan.identity) : [];
  if (differences.length > 0) throw featuresDiffer(home, differences);
  await writeIdentity(home, plan.identity);
  const range = rangeOf(shard, options.dataset.size);
  await fillFiles(plan, pathsIn(home, plan), range);
  return range;
}

export interface MergeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
  /** Counts samples, once for each view. */
  readonly onProgress?: Progress | undefined;
}

export interface Merged {
  /** Of the merged files. */
  readonly folder: string;
  readonly shards: number;
  readonly identity: FeatureIdentity;
}

/**
 * Puts the shards in `folder` together as `<folder>/merged`, of which nothing is written before the hashes of every shard are verified.
 * Holds one piece of 4 MB in memory. An interrupted merge goes on where it stopped. Throws `no-shards`, `shards-mixed` and
 * `shards-unusable`, which names every shard that is missing, unfinished, damaged, or of something else.
 */
export async function mergeShards(folder: string, options: MergeOptions = {}): Promise<Merged> {
  const shards = await findShards(folder);
  const { identity, hashes } = await verifyShards(folder, shards, options);
  const home = join(folder, MERGED);
  await exclusively([home], options, async () => {
    const before = await readIdentity(home);
    if (before && differencesOf(before, identity).length > 0) await rm(home, { recursive: true });
    await writing(home, () => makeFolder(home));
    const files = filesOf(identity);
    for (const [i, { name, recordBytes }] of files.entries()) {
      const file = await RecordFile.open(join(home, name), recordBytes, identity.samples);
      try {
        for (const shard of shards) {
          const range = rangeOf(shard, identity.samples);
          await copyRecords(join(folder, nameOf(shard), name), range, file, options.signal);
          options.onProgress?.(
            i * identity.samples + range.first + range.size,
            files.length * identity.samples,
          );
        }
        // The copied bytes are those that were verified.
        if (String(file.hashes) !== String(hashes.get(name))) throw featuresDamaged(file.path);
      } finally {
        await file.close();
      }
    }
    await writeIdentity(home, identity);
  });
  return { folder: home, shards: shards.length, identity };
}

/** Throws `features-not-merged` where `openMerged` would. */
export async function checkMerged(folder: string): Promise<void> {
  if (!(await readIdentity(join(folder, MERGED)))) throw notMerged(folder);
}

/** Opens the merged features in `folder`. Throws `features-not-merged`, `features-damaged`, and `features-differ` where they are not those of `options`. */
export async function openMerged(folder: string, options: FeatureOptions): Promise<FeatureSource> {
  const plan = planFeatures(options);
  const home = join(folder, MERGED);
  const found = await readIdentity(home);
  if (!found) throw notMerged(folder);
  const differences = differencesOf(found, plan.identity);
  if (differences.length > 0) throw featuresDiffer(folder, differences);
  const whole = Math.ceil(found.samples / CHUNK);
  for (const { name, recordBytes } of filesOf(found)) {
    plan.signal?.throwIfAborted();
    const { chunks } = await verifyRecords(join(home, name), recordBytes, found.samples);
    if (chunks.length < whole) throw featuresDamaged(join(home, name));
  }
  return openFilled(plan, pathsIn(home, plan));
}

/** All shards that `folder` should hold, from the names of those that are there. */
async function findShards(folder: string): Promise<Shard[]> {
  const names = await readdir(folder).catch(() => []);
  const counts = new Set(names.map((name) => Number(/^shard-\d+-of-(\d+)$/.exec(name)?.[1] ?? 0)));
  counts.delete(0);
  const [count, other] = [...counts].sort((a, b) => a - b);
  if (count === undefined) throw noShards(folder);
  if (other !== undefined) throw shardsMixed(folder, count, other);
  return Array.from({ length: count }, (_, i) => ({ index: i + 1, count }));
}

/** The shards' common identity, and the sha256 of every chunk of every file of the whole. */
async function verifyShards(folder: string, shards: readonly Shard[], { signal }: MergeOptions) {
  const problems: string[] = [];
  const hashes = new Map<string, string[]>();
  let first: { readonly shard: Shard; readonly identity: FeatureIdentity } | undefined;
  for (const shard of shards) {
    const home = join(folder, nameOf(shard));
    const identity = await readIdentity(home);
    if (!identity) {
      problems.push(`${describe(shard)} is ${existsSync(home) ? `damaged (${IDENTITY_FILE})` : 'missing'}`);
      continue;
    }
    first ??= { shard, identity };
    const differences = differencesOf(identity, first.identity);
    if (differences.length > 0) {
      problems.push(
        `${describe(shard)} is not of what ${describe(first.shard)} is of: ${differences.join('; ')}`,
      );
      continue;
    }
    const { size } = rangeOf(shard, identity.samples);
    const whole = Math.ceil(size / CHUNK);
    for (const { name, recordBytes } of filesOf(identity)) {
      signal?.throwIfAborted();
      const { chunks, damaged } = await verifyRecords(join(home, name), recordBytes, size);
      hashes.set(name, [...(hashes.get(name) ?? []), ...chunks]);
      if (chunks.length === whole) continue;
      const done = Math.min(size, chunks.length * CHUNK);
      problems.push(
        `${describe(shard)} is ${damaged ? 'damaged' : 'unfinished'} (${name}: ${done} of ${size} samples are whole)`,
      );
      break;
    }
  }
  if (problems.length > 0) throw shardsUnusable(folder, problems);
  return { identity: first!.identity, hashes };
}

/** Appends the samples of `range` that `file` lacks, from `path`. */
async function copyRecords(
  path: string,
  range: SampleRange,
  file: RecordFile,
  signal: AbortSignal | undefined,
): Promise<void> {
  const start = Math.max(0, file.done - range.first);
  if (start >= range.size) return;
  const { recordBytes } = file;
  const records = Math.max(1, Math.min(CHUNK, Math.floor(PIECE_BYTES / recordBytes)));
  const piece = new Uint8Array(records * recordBytes);
  const reader = new RecordReader(path, recordBytes);
  try {
    for (let at = start; at < range.size; ) {
      signal?.throwIfAborted();
      const chunkEnd = Math.min(range.size, (Math.floor(at / CHUNK) + 1) * CHUNK);
      const count = Math.min(records, chunkEnd - at);
      const part = piece.subarray(0, count * recordBytes);
      reader.read(at, count, part, 0);
      await file.append(part);
      at += count;
    }
  } finally {
    reader.close();
  }
}

async function readIdentity(folder: string): Promise<FeatureIdentity | undefined> {
  return unsealed<FeatureIdentity>(await readFile(join(folder, IDENTITY_FILE), 'utf8').catch(() => ''));
}

/** Whole or not at all, also when two processes write the same. */
async function writeIdentity(folder: string, identity: FeatureIdentity): Promise<void> {
  const path = join(folder, IDENTITY_FILE);
  await writing(path, () => replaceFile(path, sealed(identity), `${path}.${process.pid}`));
}
