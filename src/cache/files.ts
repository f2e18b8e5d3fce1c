/** Files that are kept for later runs: written whole or not at all, and recognised when they were changed since. */
import { createHash } from 'node:crypto';
import { open, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cacheUnwritable, diskFull, messageOf } from '../errors/index.ts';

/** Whether the file system has no room left. */
export const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Writes a file, of several pieces one after another, and syncs it to the disk. */
export async function writeSynced(
  path: string,
  content: string | Uint8Array | readonly Uint8Array[],
): Promise<void> {
  const file = await open(path, 'w');
  try {
    await writeFile(file, content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces `path` atomically, by way of the file `aside`: after a crash it holds the old or the new content. */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  aside = `${path}.tmp`,
): Promise<void> {
  await writeSynced(aside, content);
  await rename(aside, path);
}

/** Runs `write`, which writes `path` to the cache. Throws `disk-full` or `cache-unwritable`; `cause` is its cause where the error of `write` is not. */
export async function writing<T>(path: string, write: () => Promise<T>, cause?: unknown): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (isDiskFull(error)) throw diskFull(dirname(path));
    throw cacheUnwritable(dirname(path), messageOf(error), cause ?? error);
  }
}

const sealOf = (facts: object) => createHash('sha256').update(JSON.stringify(facts)).digest('hex');

/** `facts` as JSON with a hash of themselves. */
export const sealed = (facts: object): string =>
  `${JSON.stringify({ ...facts, seal: sealOf(facts) }, null, 2)}\n`;

/** The facts in a text of `sealed`; undefined when it was changed. */
export function unsealed<T extends object>(text: string): T | undefined {
  try {
    const { seal, ...facts } = JSON.parse(text);
    return seal === sealOf(facts) ? (facts as T) : undefined;
  } catch {
    return undefined;
  }
}
