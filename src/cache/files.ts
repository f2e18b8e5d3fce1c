/** Files that are kept for later runs: written whole or not at all, and recognised when they were changed since. */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cacheUnwritable, diskFull, messageOf } from '../errors/index.ts';

/** Whether the file system has no room left. */
export const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/**
 * Makes `folder` and those above it, and returns the topmost that was not there; undefined when all were. Not mkdir's `recursive`: it never returns where the
 * file system says ENOENT of a folder that lies in one that exists, as /proc does.
 */
export async function makeFolder(folder: string): Promise<string | undefined> {
  const make = async () => {
    try {
      await mkdir(folder);
      return true;
    } catch (error) {
      if (!(await isFolder(folder))) throw error;
      return false;
    }
  };
  try {
    return (await make()) ? folder : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error;
  }
  const made = await makeFolder(dirname(folder));
  return (await make()) ? (made ?? folder) : made;
}

const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

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
