/** Room in a folder of the cache: how much may be written, which files are evicted for it, and which are held. */
import { randomUUID } from 'node:crypto';
import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { noRoomForFeatures } from '../errors/index.ts';
import { writing } from './files.ts';
import { exclusively, type LockEvents } from './lock.ts';
import { readMark, writeMark } from './mark.ts';

const HOLD = '.hold';

/** Bytes that `paths` may take: the limit, or half of the free space and what they take already, if that is less. */
export async function spaceFor(folder: string, paths: readonly string[], limit: number): Promise<number> {
  return Math.min(limit, (await freeIn(folder)) / 2 + (await sizeOf(paths)));
}

export interface Room {
  /** Bytes of all `paths` when complete. */
  readonly needed: number;
  /** Most bytes of all files of the folder. */
  readonly limit: number;
  /** Free bytes on the disk of a folder; by default those that the system reports. */
  readonly free?: (folder: string) => Promise<number>;
}

/**
 * Makes room for `paths` in `folder` and holds them: no process evicts them until the returned function is called. Other files are evicted,
 * least recently used first, unless they are held; so a folder may exceed its limit while several compiles run. Throws
 * `disk-full` where the disk has no room whatever is evicted.
 */
export async function holdRoom(
  folder: string,
  paths: readonly string[],
  { needed, limit, free = freeIn }: Room,
  events: LockEvents,
): Promise<() => Promise<void>> {
  const hold = join(folder, `${randomUUID()}${HOLD}`);
  let stop = () => {};
  const release = async () => {
    stop();
    await rm(hold, { force: true });
  };
  try {
    // Under a lock: no other process evicts between the hold and the check of the room.
    await exclusively([join(folder, 'room')], events, async () => {
      const names = paths.map((path) => basename(path));
      stop = await writing(hold, () => writeMark(hold, names));
      const own = new Set(paths);
      await evict(folder, own, limit - needed);
      const lacking = async () => needed - (await sizeOf(paths)) - (await free(folder));
      if ((await lacking()) > 0) await evict(folder, own, 0);
      const still = await lacking();
      if (still > 0) throw noRoomForFeatures(folder, needed, needed - still);
    });
    return release;
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * Deletes files and their marks, least recently used first, until all but those in `keep` take at most `bytes`; files that a process
 * holds stay.
 */
export async function evict(folder: string, keep: ReadonlySet<string>, bytes: number): Promise<void> {
  const held = await heldIn(folder);
  const names = (await readdir(folder)).filter((name) => !name.includes('.'));
  const others = names.map((name) => join(folder, name)).filter((path) => !keep.has(path));
  const known = await Promise.all(
    others.map(async (path) => {
      // Gone where another process evicted it since.
      const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }));
      return { path, size, mtimeMs, isHeld: held.has(basename(path)) };
    }),
  );
  let left = bytes;
  for (const { size, isHeld } of known) if (isHeld) left -= size;
  for (const { path, size, isHeld } of known.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    if (isHeld) continue;
    left -= size;
    if (left < 0) await Promise.all([rm(path, { force: true }), rm(`${path}.json`, { force: true })]);
  }
}

/** Names of the files that live processes hold; deletes the holds of dead ones. */
async function heldIn(folder: string): Promise<Set<string>> {
  const held = new Set<string>();
  for (const name of (await readdir(folder)).filter((name) => name.endsWith(HOLD))) {
    const path = join(folder, name);
    const mark = await readMark(path);
    if (mark?.isLive) for (const file of mark.lines) held.add(file);
    else await rm(path, { force: true });
  }
  return held;
}

async function freeIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function sizeOf(paths: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    [...new Set(paths)].map((path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((a, b) => a + b, 0);
}
