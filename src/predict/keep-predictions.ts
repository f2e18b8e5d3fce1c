/** Predictions of heads on a split, kept in the cache: computed once, then read in milliseconds. */

import { createHash } from 'node:crypto';
import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, replaceFile, writing } from '../cache/files.ts';
import { exclusively } from '../cache/lock.ts';
import { evict, spaceFor } from '../cache/space.ts';
import type { Dataset } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import { ONNXRUNTIME_VERSION } from '../ort/session.ts';
import type { Predictions } from './predict.ts';

const VERSION = 2;
/** Of all files together; 3,000 samples of 10 classes at three exits take half a megabyte. */
const LIMIT_BYTES = 1e9;
const HASH_BYTES = 32;

export interface PredictionsKey {
  /** Of the caches. */
  readonly cache: string;
  readonly modelHash: string;
  /** Identifies the heads among others of the same model: the hash of their bytes, or the names of outputs. */
  readonly heads: unknown;
  readonly dataset: Dataset;
  readonly exits: number;
  readonly classes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
}

/**
 * The contents of `<cache>/judged/<key>`, or else the result of `predict`, which is then written there. Such a file is a sha256 and the float32
 * values that it is of: each exit's logits, each exit's confidences, the original's logits. A damaged file is written anew.
 */
export async function keptPredictions(
  key: PredictionsKey,
  predict: () => Promise<Predictions>,
): Promise<Predictions> {
  const { dataset, exits, classes } = key;
  const folder = join(key.cache, 'judged');
  const path = join(folder, nameOf(key));
  await writing(folder, () => makeFolder(folder));
  return await exclusively([path], key, async () => {
    const known = await readFloats(path, dataset.size * (exits * (classes + 1) + classes));
    if (known) return unpack(known, key);
    const predictions = await predict();
    await writeFloats(folder, path, [...predictions.logits, ...predictions.confidence, predictions.original]);
    return predictions;
  });
}

/** Name of the file; every version of ONNX Runtime rounds in its own way. */
export function nameOf(
  { modelHash, heads, dataset }: PredictionsKey,
  onnxruntime = ONNXRUNTIME_VERSION,
): string {
  const { hash, size, inputs, preprocessing } = dataset;
  const key = JSON.stringify([VERSION, onnxruntime, modelHash, heads, hash, size, inputs, preprocessing]);
  return createHash('sha256').update(key).digest('hex').slice(0, 40);
}

function unpack(values: Float32Array, { dataset, exits, classes }: PredictionsKey): Predictions {
  let at = 0;
  const next = (length: number) => {
    at += length;
    return values.subarray(at - length, at);
  };
  const each = (length: number) => Array.from({ length: exits }, () => next(length));
  const logits = each(dataset.size * classes);
  const confidence = each(dataset.size);
  return { logits, confidence, original: next(dataset.size * classes), labels: dataset.labels };
}

/** The `count` values in the file; undefined when it is missing or damaged. */
async function readFloats(path: string, count: number): Promise<Float32Array | undefined> {
  const file = await readFile(path).catch(() => undefined);
  if (file?.length !== HASH_BYTES + 4 * count) return undefined;
  const bytes = Uint8Array.from(file.subarray(HASH_BYTES));
  if (!createHash('sha256').update(bytes).digest().equals(file.subarray(0, HASH_BYTES))) return undefined;
  await utimes(path, new Date(), new Date()).catch(() => {});
  return new Float32Array(bytes.buffer);
}

/** Makes room and writes, whole or not at all; does nothing when `LIMIT_BYTES` leave no room. */
async function writeFloats(folder: string, path: string, parts: readonly Float32Array[]): Promise<void> {
  const bytes = parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  const needed = HASH_BYTES + bytes.reduce((sum, part) => sum + part.length, 0);
  const space = await spaceFor(folder, [path], LIMIT_BYTES);
  if (needed > space) return;
  await evict(folder, new Set([path]), space - needed);
  const hash = createHash('sha256');
  for (const part of bytes) hash.update(part);
  await writing(path, () => replaceFile(path, Buffer.concat([hash.digest(), ...bytes])));
}
