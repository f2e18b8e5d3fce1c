/** Who a process is, and whether it still runs, as far as that can be told without trusting a clock. */
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** A process as others find it in a file. */
export interface ProcessName {
  readonly pid: number;
  /** Shown to people; two machines may have the same. */
  readonly host: string;
  /**
   * Where `pid` means this process: the boot of the kernel and the pid namespace. Absent where that cannot be told: then nobody can say
   * whether the process runs.
   */
  readonly place?: string;
  /** When it started, in the kernel's ticks since boot (proc(5), field 22): ids are used again. */
  readonly start?: string;
}

/** The name of this process, one line of JSON. */
export const ownName = async (): Promise<string> => JSON.stringify(await self());

export async function self(): Promise<ProcessName> {
  const { pid } = process;
  const [place, found] = await Promise.all([ownPlace(), statOf(pid)]);
  const known = place !== undefined && typeof found === 'object' ? { place, start: found.start } : {};
  return { pid, host: hostname(), ...known };
}

/** What `ownName` wrote; undefined for any other text. */
export function nameIn(line: string): ProcessName | undefined {
  try {
    const { pid, host, place, start } = JSON.parse(line);
    if (!Number.isSafeInteger(pid) || pid <= 0 || typeof host !== 'string') return undefined;
    return { pid, host, ...(typeof place === 'string' && typeof start === 'string' && { place, start }) };
  } catch {
    return undefined;
  }
}

/**
 * Whether the process of this `ownName` runs. Undefined where this process cannot know: on another machine, in another container, before the
 * last boot, and on systems without /proc.
 */
export async function isOwnerAlive(line: string): Promise<boolean | undefined> {
  const owner = nameIn(line);
  if (owner?.place === undefined || owner.place !== (await ownPlace())) return undefined;
  const found = await statOf(owner.pid);
  if (found === 'hidden') return undefined;
  return found !== 'none' && found.start === owner.start && !found.ended;
}

/** Undefined where there is no /proc of this process's own pid namespace: `unshare --pid` without `--mount-proc` leaves that of another. */
async function ownPlace(): Promise<string | undefined> {
  try {
    if ((await readlink('/proc/self')) !== `${process.pid}`) return undefined;
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}

interface Stat {
  readonly start: string;
  /** It was killed, and its parent has not asked yet. */
  readonly ended: boolean;
}

/** `hidden`: it runs, and /proc does not show it, as the mount option `hidepid` has it. */
async function statOf(pid: number): Promise<Stat | 'none' | 'hidden'> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return 'none';
  }
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The second field, a name in parentheses, may hold spaces; the third comes after the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const start = fields[19];
  return start === undefined ? 'hidden' : { start, ended: fields[0] === 'Z' || fields[0] === 'X' };
}
