/** The tarball that npm would publish, made once a process. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ROOT } from '../house/sources.ts';

let made: string | undefined;

/** Its path; builds and packs the repository where that was not done yet. The file is gone when the process ends. */
export function packed(): string {
  if (made !== undefined) return made;
  const folder = mkdtempSync(join(tmpdir(), 'offramp-packed-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  must(run(ROOT, process.execPath, ['--import', 'tsx', 'scripts/build.ts']));
  must(run(ROOT, 'npm', ['pack', '--pack-destination', folder]));
  made = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
  return made;
}

export function run(
  cwd: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): SpawnSyncReturns<string> {
  // Vite says `production` where it has built something in this process, and npm then installs no devDependencies.
  const { NODE_ENV: _, ...rest } = env;
  return spawnSync(command, args, { cwd, env: rest, encoding: 'utf8', shell: process.platform === 'win32' });
}

/** What it printed. Fails unless it ended well. */
export function must(result: SpawnSyncReturns<string>): string {
  if (result.status !== 0) assert.unreachable(`${result.error ?? ''}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}
