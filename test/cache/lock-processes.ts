/** Processes of `lock-worker.ts`, each a user of one lock. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as soon } from 'node:timers/promises';
import type { LockOptions } from '../../src/cache/lock.ts';
import { ROOT } from '../house/sources.ts';

export class LockUser {
  /** What it said since it was last asked. */
  readonly said: string[] = [];

  private constructor(readonly child: ChildProcess) {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.said.push(line);
    });
  }

  /** `around`: words before those of Node, `unshare …`. */
  static async start(
    path: string,
    options: LockOptions = {},
    around: readonly string[] = [],
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
    await user.says('ready');
    return user;
  }

  /** Enters when it can, and stays for so long. */
  enter(ms: number): void {
    this.child.stdin!.write(`${ms}\n`);
  }

  /** Resolves with the first line that begins with `word`, and forgets what was said until then. Rejects after `limit` ms. */
  async says(word: string, limit = 20_000): Promise<string> {
    for (const end = performance.now() + limit; ; await soon(5)) {
      const at = this.said.findIndex((line) => line.startsWith(word));
      if (at >= 0) return this.said.splice(0, at + 1).at(-1)!;
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
