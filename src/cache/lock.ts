/** Files that one process at a time may write, also where several machines share a disk. */
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { writing } from './files.ts';

const POLL_MS = 500;
/** Age after which a lock without an owner's name is free: its maker has had the time to write one. */
const UNNAMED_MS = 10_000;
/** How often the owner touches its locks, and after how long without that another machine takes it for dead. */
const TOUCH_MS = 5_000;
const SILENT_MS = 90_000;

export interface LockOptions {
  /** How long another machine's lock must have been seen untouched; 90 s by default, since a run of a large model touches nothing. */
  readonly silentMs?: number;
}

/**
 * Runs `use` while this process alone holds `<path>.lock` of every path: another compile that fills the same files is
 * waited for. A lock of a dead process is free: at once on its own machine, after `silentMs` on others. Throws what
 * `use` throws, and the abort reason.
 */
export async function exclusively<T>(
  paths: readonly string[],
  signal: AbortSignal | undefined,
  use: () => Promise<T>,
  { silentMs = SILENT_MS }: LockOptions = {},
): Promise<T> {
  const held: string[] = [];
  const touch = setInterval(() => {
    const now = new Date();
    for (const lock of held) utimes(lock, now, now).catch(() => {});
  }, TOUCH_MS);
  touch.unref();
  try {
    // In one order everywhere, so that two processes never wait for each other.
    for (const path of [...new Set(paths)].sort()) {
      const lock = `${path}.lock`;
      const watched = new Watch(lock, silentMs);
      while (!(await take(lock))) {
        if (await watched.isDead()) await rm(lock, { force: true });
        else await wait(POLL_MS, undefined, { signal });
      }
      held.push(lock);
    }
    return await use();
  } finally {
    clearInterval(touch);
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
  if (!file) return false;
  await file.writeFile(await ownName());
  await file.close();
  return true;
}

/** A lock of another process, polled until it is gone or its owner is dead. */
class Watch {
  private touched = Number.NaN;
  private since = 0;

  constructor(
    private readonly lock: string,
    private readonly silentMs: number,
  ) {}

  async isDead(): Promise<boolean> {
    const [owner, made] = await Promise.all([
      readFile(this.lock, 'utf8').catch(() => ''),
      stat(this.lock).catch(() => undefined),
    ]);
    if (!made) return false;
    const [pid, start, host = hostname()] = owner.split(' ');
    if (!pid) return Date.now() - made.mtimeMs > UNNAMED_MS;
    if (host === hostname()) return !(await isAlive(Number(pid), start));
    // By this machine's clock alone: the other's may be wrong.
    if (made.mtimeMs !== this.touched) {
      this.touched = made.mtimeMs;
      this.since = performance.now();
    }
    return performance.now() - this.since > this.silentMs;
  }
}

/**
 * A container that is started again has the host name and the process ids that it had before, so a process is known by its
 * start as well, where the system has it.
 */
async function isAlive(pid: number, start: string | undefined): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return start === undefined || start === (await startOf(pid));
}

/** The name of this process, unique on this machine and on those that share its disks. */
export const ownName = async (): Promise<string> =>
  `${process.pid} ${await startOf(process.pid)} ${hostname()}`;

/** Whether the process of this `ownName` runs; undefined where that is another machine's to know. */
export async function isOwnerAlive(owner: string): Promise<boolean | undefined> {
  const [pid, start, host] = owner.split(' ');
  return host === hostname() ? await isAlive(Number(pid), start) : undefined;
}

const UNKNOWN = '-';

/** When a process started, in the kernel's ticks since boot (proc(5), field 22); `-` where there is no /proc. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The second field, a name in parentheses, may hold spaces; the third comes after the last one.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? UNKNOWN;
}
