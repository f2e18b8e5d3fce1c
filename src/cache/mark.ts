/** Files that say whose something is, and that this process still runs. */
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { replaceFile } from './files.ts';
import { isOwnerAlive, ownName } from './process.ts';

/** How often a mark is touched, and after how long without that its owner counts as dead where nobody can know. */
const TOUCH_MS = 5_000;
const SILENT_MS = 60 * 60_000;

/** Writes a mark of this process with `lines`, and touches it until the returned function is called; that leaves the file where it is. */
export async function writeMark(path: string, lines: readonly string[] = []): Promise<() => void> {
  await replaceFile(path, [await ownName(), ...lines].join('\n'));
  const touching = setInterval(() => touch(path).catch(() => {}), TOUCH_MS);
  touching.unref();
  return () => clearInterval(touching);
}

export interface Mark {
  readonly lines: readonly string[];
  /** Its owner runs, or may run; else it was left behind. */
  readonly isLive: boolean;
}

/** Undefined where there is no mark. */
export async function readMark(path: string): Promise<Mark | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const [owner = '', ...lines] = text.split('\n');
  return { lines, isLive: (await isOwnerAlive(owner)) ?? !(await isSilent(path)) };
}

/** By writing: the clock is then that of the disk's machine, for all who write there. */
async function touch(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write('{', 0);
  } finally {
    await file.close();
  }
}

/** By the clock of the disk's machine. A mark of the future is as old as it is far: that clock was set back since. */
async function isSilent(path: string): Promise<boolean> {
  // One name for all who ask: what a killed process left of it, the next one takes away.
  const probe = `${path}.probe`;
  try {
    await writeFile(probe, 'now');
    const [now, then] = await Promise.all([stat(probe), stat(path)]);
    return Math.abs(now.mtimeMs - then.mtimeMs) > SILENT_MS;
  } catch {
    return false;
  } finally {
    await rm(probe, { force: true });
  }
}
