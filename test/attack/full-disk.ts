/** A disk that is full after a random number of bytes, with cache and output on it; then there is room again. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Random } from '../../src/graph/random.ts';
import { run, undisturbed, VICTIMS, type Victim } from './commands.ts';
import type { Outcome, Trial } from './trial.ts';

/** Bytes of the whole disk, and more than any command needs. */
const DISK = 2 ** 26;

export const FULL_DISK_TRIALS: readonly Trial[] = VICTIMS.map((victim) => ({
  name: `full disk: ${victim.name}`,
  times: 3,
  share: 1,
  lacks: () => (canMount() ? undefined : 'the right to mount a tmpfs'),
  open: () => open(victim),
}));

const sh = (command: string, ...words: readonly string[]) => {
  const { status, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr}`);
};

/** In a mount namespace of its own, which ends with it. */
const canMount = () =>
  spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;

async function open(victim: Victim) {
  let disk = '';
  const { at, told, prepare, isSame, remove } = await undisturbed(victim, (project) => {
    disk = project.at('disk');
    mkdirSync(disk);
    sh('mount', '-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk);
    return join(disk, 'try');
  });
  const made = join(at, victim.made);
  const ballast = join(disk, 'ballast');
  const free = () => {
    const { bavail, bsize } = statfsSync(disk);
    return bavail * bsize;
  };
  const empty = () => {
    for (const name of readdirSync(disk)) rmSync(join(disk, name), { recursive: true });
    mkdirSync(at);
    prepare();
  };
  const after = free();
  empty();
  /** Bytes that an undisturbed run writes and leaves. */
  const needed = free() - after;

  async function attempt(random: Random): Promise<Outcome> {
    const faults: string[] = [];
    let lost = 0;
    empty();
    const room = random.integer(0, needed);
    writeFileSync(ballast, new Uint8Array(free() - room));
    const first = await run(told);
    const what = `with room for ${room} bytes it`;
    if (first.code !== 0 && first.code !== 2) faults.push(`${what} ended with ${first.code}: ${first.stderr}`);
    if (existsSync(made) && (first.code === 0 || victim.isAtomic) && !isSame()) {
      faults.push(`${what} left a part of ${victim.made}`);
      lost++;
    }
    rmSync(ballast);
    if (first.code !== 0) {
      const again = await run(told);
      if (again.code !== 0) faults.push(`${what} ended with ${again.code} when there was room again: ${again.stderr}`);
      else if (!isSame()) {
        faults.push(`${what} made other bytes when there was room again`);
        lost++;
      }
    }
    return { tries: first.code === 0 ? 0 : 1, faults, lost };
  }

  return {
    attempt,
    async close() {
      // Lazily: a command that hangs still has it.
      sh('umount', '--lazy', disk);
      remove();
    },
  };
} // biome-ignore format: one line
