/** Files that one process at a time may write. */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { writing } from './record-file.ts';

const POLL_MS = 500;
const FORGOTTEN_MS = 10_000;

/**
 * Runs `use` while this process alone holds `<path>.lock` of every path: another compile that fills the same files is
 * waited for. What a dead process left locked is free. Throws what `use` throws, and the abort reason.
 */
export async function exclusively<T>(
  paths: readonly string[],
  signal: AbortSignal | undefined,
  use: () => Promise<T>,
): Promise<T> {
  const held: string[] = [];
  try {
    // In one order everywhere, so that two processes never wait for each other.
    for (const path of [...new Set(paths)].sort()) {
      while (!(await take(`${path}.lock`))) await wait(POLL_MS, undefined, { signal });
      held.push(`${path}.lock`);
    }
    return await use();
  } finally {
    await Promise.all(held.map((lock) => rm(lock, { force: true })));
  }
}

async function take(lock: string): Promise<boolean> {
  const file = await writing(lock, () =>
    open(lock, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      throw error;
    }),
  );
  if (file) {
    await file.writeFile(`${process.pid}`);
    await file.close();
    return true;
  }
  const owner = Number(await readFile(lock, 'utf8').catch(() => ''));
  if (owner ? !isAlive(owner) : await isForgotten(lock)) await rm(lock, { force: true });
  return false;
}

/** A lock without an owner's name in it: its maker has had the time to write one. */
async function isForgotten(lock: string): Promise<boolean> {
  const made = await stat(lock).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs > FORGOTTEN_MS;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
