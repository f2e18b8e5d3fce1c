/** Processes of `lock-worker.ts`, each a user of one lock, and locks of processes that are dead. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as soon } from 'node:timers/promises';
import type { LockOptions } from '../../src/cache/lock.ts';
import { self } from '../../src/cache/process.ts';
import { ROOT } from '../house/sources.ts';

/** Where processes of one boot and one namespace can be told apart. */
export const isKnowing = process.platform === 'linux';
export const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;
export const lockOf = (name: object) => `${JSON.stringify({ ...name, token: crypto.randomUUID() })}\n`;
/** Of a process that ended on this machine. */
export const deadLock = async () => lockOf({ ...(await self()), pid: deadPid() });

/** The lock of `path` as a dead process left it, and `claims` others that died one after another while they took over. */
export async function writeDeadLock(path: string, claims: number): Promise<void> {
  let file = `${path}.lock`;
  writeFileSync(file, await deadLock());
  for (let i = 0; i < claims; i++) {
    const { token } = JSON.parse(readFileSync(file, 'utf8').split('\n')[0]!);
    file = `${file}.${token}`;
    writeFileSync(file, await deadLock());
  }
}

/** Files beside `path`, which a lock is to leave none of. */
export const beside = (path: string) =>
  readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.lock`));

/** Words before a command that runs it in a pid namespace of its own, with the same host name; none where that is not allowed. */
export const NAMESPACES = [
  ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'],
  // /proc is that of the outer namespace, which has other processes under the same ids.
  ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child'],
].filter(([command, ...words]) => spawnSync(command!, [...words, 'true']).status === 0);

export class LockUser {
  /** What it said since it was last asked. */
  readonly said: string[] = [];

  private constructor(readonly child: ChildProcess) {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.said.push(line);
    });
  }

  /** `around`: words before those of Node, `unshare …`. Rejects after `limit` ms. */
  static async start(
    path: string,
    options: LockOptions = {},
    around: readonly string[] = [],
    limit?: number,
  ): Promise<LockUser> {
    const [command, ...words] = [
      ...around,
      ...[process.execPath, '--import', 'tsx', join(ROOT, 'test/cache/lock-worker.ts'), path],
      JSON.stringify(options),
    ];
    const user = new LockUser(
      spawn(command!, words, {
        cwd: ROOT,
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    await user.says('ready', limit);
    return user;
  }

  /** Enters when it can, and stays for so long. */
  enter(ms: number): void {
    this.child.stdin!.write(`${ms}\n`);
  }

  /** Resolves with the first line that begins with `word`, and forgets what was said until then. Rejects after `limit` ms. */
  async says(word: string, limit?: number): Promise<string> {
    return (await this.untilSays(word, limit)).at(-1)!;
  }

  /** As `says`, with all that was said until then. */
  async untilSays(word: string, limit = 20_000): Promise<string[]> {
    for (const end = performance.now() + limit; ; await soon(5)) {
      const at = this.said.findIndex((line) => line.startsWith(word));
      if (at >= 0) return this.said.splice(0, at + 1);
      if (performance.now() > end || this.child.exitCode !== null)
        throw new Error(`never said ${word}: ${this.said.join(', ')}`);
    }
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}
