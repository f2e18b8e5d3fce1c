/** The heads that `compile` kept in its folder, as heads.onnx. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HEADS_FILE } from '../emit/file-names.ts';
import type { Manifest } from '../emit/manifest.ts';
import { messageOf, unusableHeads } from '../errors/index.ts';
import { makeModel } from '../graph/builder.ts';
import { parseModel, serializeModel } from '../parser/index.ts';
import { bundleHeads, unbundleHeads } from '../passes/bundle-heads.ts';
import type { Head, HeadKind, PlannedExit, Tap } from '../passes/exits.ts';

/** Whether a head of this kind is Offramp's own, and so kept: neither came with the model nor is a network's end. */
export const isTrained = (kind: string): boolean => kind !== 'given' && kind !== 'end';

/** heads.onnx of the trained ones among `heads`; undefined where none is. */
export function headsFileOf(heads: readonly Head[]): Uint8Array | undefined {
  const trained = heads.filter(({ kind }) => isTrained(kind));
  return trained.length > 0 ? serializeModel(makeModel(bundleHeads(trained))) : undefined;
}

/**
 * The trained heads of the package in `folder`, for `exits`, which are those of `manifest` with such heads in its order; their ids, and prefixes of their taps' names, may be
 * others. Throws `unusable-heads`.
 */
export async function readHeads(
  folder: string,
  { exits: all, heads: kept }: Manifest,
  exits: readonly PlannedExit[],
): Promise<readonly Head[]> {
  const file = join(folder, HEADS_FILE);
  const bytes = await readFile(file).catch((error) => {
    throw unusableHeads(file, `cannot be read: ${messageOf(error)}`);
  });
  if (kept && createHash('sha256').update(bytes).digest('hex') !== kept.sha256)
    throw unusableHeads(file, `is not the one that manifest.json is of (sha256 ${kept.sha256})`);
  const described = all.filter(({ head }) => isTrained(head));
  const isOf =
    exits.length === described.length && exits.every((e, k) => e.tap.value.endsWith(described[k]!.tap));
  const asKept = described.map(({ id, tap, head }, k) => ({
    exit: { ...exits[k]!, id, tap: { ...exits[k]?.tap, value: tap } as Tap },
    kind: head as HeadKind,
  }));
  let heads: readonly Head[] | undefined;
  try {
    if (isOf) heads = unbundleHeads(parseModel(bytes).graph, asKept);
  } catch (error) {
    throw unusableHeads(file, `is damaged: ${messageOf(error)}`);
  }
  if (!heads) throw unusableHeads(file, 'is not of the exits in manifest.json');
  return heads.map((head, k) => ({ ...head, exit: exits[k]! }));
}
