/**
 * Files that one process at a time may write, also where several machines share a disk.
 *
 * A lock is a file that holds the name of its owner and a random token. It appears whole, by a hard link, and whoever replaces or removes a lock with
 * token T first makes the file `<lock>.T`, its claim, which only one process can make. So of many that find the same dead owner one takes
 * its place, by a rename, and none removes a lock that has become another's meanwhile. A claim is a lock itself: that of a process that died with it
 * is taken over in the same way.
 */
import { randomUUID } from 'node:crypto';
import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Events } from '../errors/events.ts';
import { info, type Note } from '../errors/notes.ts';
import { writing } from './files.ts';
import { isOwnerAlive, nameIn, self } from './process.ts';

/** Between two looks at a lock that another process holds; each is twice the one before. */
const FIRST_POLL_MS = 20;
const LAST_POLL_MS = 200;
/** Who waits no longer is not told. */
const TELL_MS = 1_000;
/** How often the owner changes its locks, and after how long without that others take it for dead who cannot know. */
const BEAT_MS = 5_000;
const SILENT_MS = 90_000;

export type LockEvents = Pick<Events, 'signal' | 'onNote'>;

export interface LockOptions {
  /**
   * How long a lock must have been seen unchanged when this process cannot know whether its owner runs (`isOwnerAlive`); 90 s by default, since a run of a large
   * model changes nothing.
   */
  readonly silentMs?: number;
  /** How often this process changes the locks that it holds; 5 s by default. */
  readonly beatMs?: number;
}

/**
 * Runs `use` while this process alone holds `<path>.lock` of every path: another compile that fills the same files is waited for, and
 * the note `waiting-for-another-run` says so. A dead owner's lock is free: at once where the system knows the owner, after `silentMs` elsewhere. Throws what
 * `use` throws, `disk-full`, `cache-unwritable`, and the abort reason.
 */
export async function exclusively<T>(
  paths: readonly string[],
  events: LockEvents,
  use: () => Promise<T>,
  { silentMs = SILENT_MS, beatMs = BEAT_MS }: LockOptions = {},
): Promise<T> {
  const own = JSON.stringify({ ...(await self()), token: randomUUID() });
  const held: string[] = [];
  let beats = 0;
  const beating = setInterval(() => {
    beats++;
    for (const lock of held) beat(lock, own, beats).catch(() => {});
  }, beatMs);
  beating.unref();
  try {
    // In one order everywhere, so that two processes never wait for each other.
    for (const path of [...new Set(paths)].sort()) {
      await acquire(`${path}.lock`, own, new Watch(silentMs), { ...events, path });
      held.push(`${path}.lock`);
    }
    return await use();
  } finally {
    clearInterval(beating);
    await Promise.all(held.map((lock) => release(lock, own)));
  }
}

/** A lock as it was read. */
interface Seen {
  readonly text: string;
  /** Its first line: the owner's name and token. */
  readonly owner: string;
}

async function acquire(
  lock: string,
  own: string,
  watch: Watch,
  { signal, onNote, path }: LockEvents & { readonly path: string },
): Promise<void> {
  const since = performance.now();
  let told = false;
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(2 * pause, LAST_POLL_MS)) {
    const seen = await read(lock);
    if (seen === undefined) {
      if (await writing(lock, () => create(lock, own))) return;
      continue;
    }
    if ((await watch.isDead(lock, seen)) && (await writing(lock, () => takeOver(lock, seen, own, watch))))
      return;
    if (!told && performance.now() - since > TELL_MS) {
      told = true;
      onNote?.(await waiting(path, seen.owner, watch.silentMs));
    }
    await wait(pause, undefined, { signal });
  }
}

async function waiting(path: string, owner: string, silentMs: number): Promise<Note> {
  const name = nameIn(owner);
  const who = name ? `process ${name.pid} on ${name.host}` : 'another process';
  const isKnown = (await isOwnerAlive(owner)) !== undefined;
  const until = isKnown ? '' : ` If that process is dead, this takes ${Math.ceil(silentMs / 1000)} s.`;
  return info('waiting-for-another-run', `Waiting for ${who}, which writes ${path}.${until}`);
}

/** Makes `file` with the line `own`; false where there is one. */
async function create(file: string, own: string): Promise<boolean> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await writeFile(aside, `${own}\n`);
    try {
      await link(aside, file);
      return true;
    } catch (error) {
      // A network file system that lost its answer tries again, and finds what it made.
      if (isTaken(error)) return (await read(file))?.owner === own;
    }
    // No hard links here: for a moment the file has no name. One that stays so is free once it has been silent.
    await writeFile(file, `${own}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (isTaken(error)) return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

const isTaken = (error: unknown) => (error as NodeJS.ErrnoException).code === 'EEXIST';

/** Puts this process in the place of `dead` in `file`; false where another does, or did. */
async function takeOver(file: string, dead: Seen, own: string, watch: Watch): Promise<boolean> {
  const claim = claimOf(file, dead.owner);
  if (!(await create(claim, own))) {
    const other = await read(claim);
    const isFree = other && (await watch.isDead(claim, other)) && (await takeOver(claim, other, own, watch));
    if (!isFree) return false;
  }
  if ((await read(file))?.owner === dead.owner) {
    await rename(claim, file);
    return true;
  }
  await rm(claim, { force: true });
  return false;
}

/** Removes this process's lock; one that became another's, which took this process for dead, stays. */
async function release(file: string, own: string): Promise<void> {
  const claim = claimOf(file, own);
  try {
    // Not `create`: a full disk has no room for another file.
    await link(file, claim);
  } catch (error) {
    // Another process is about to take over; or there are no hard links here.
    if (isTaken(error) || (await read(claim))) return;
  }
  if ((await read(file))?.owner === own) await rm(file, { force: true });
  await rm(claim, { force: true });
}

/** The file whose maker alone may replace or remove `file` while that holds `owner`. */
const claimOf = (file: string, owner: string) => `${file}.${tokenIn(owner) ?? 'unnamed'}`;

/** Undefined where there is no such file. */
async function read(file: string): Promise<Seen | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    return { text, owner: ownerIn(text) };
  } catch (error) {
    // Anything else: Windows, while another process deletes it.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : { text: '', owner: '' };
  }
}

const ownerIn = (text: string) => text.split('\n', 1)[0]!;

/** It becomes part of a file name, so it is nothing but a token. */
function tokenIn(owner: string): string | undefined {
  try {
    const { token } = JSON.parse(owner);
    return /^[\da-f-]{36}$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}

/** Changes a lock of this process, for those who cannot know whether it runs. What counts is the change: clocks of machines and disks differ. */
async function beat(lock: string, own: string, count: number): Promise<void> {
  const file = await open(lock, 'r+');
  try {
    // Through the open file: one that takes this process for dead puts another in its place.
    if (ownerIn(await file.readFile('utf8')) === own)
      await file.write(`${count}`, Buffer.byteLength(`${own}\n`));
  } finally {
    await file.close();
  }
}

/** Looks at locks of others again and again, until they are gone or their owner is dead. */
class Watch {
  private readonly since = new Map<string, { readonly text: string; readonly at: number }>();

  constructor(readonly silentMs: number) {}

  async isDead(file: string, { text, owner }: Seen): Promise<boolean> {
    const isAlive = await isOwnerAlive(owner);
    if (isAlive !== undefined) return !isAlive;
    const known = this.since.get(file);
    // A clock that only goes forward, whatever the time of day is set to.
    const now = performance.now();
    if (known?.text === text) return now - known.at > this.silentMs;
    this.since.set(file, { text, at: now });
    return false;
  }
}
