/** Processes that are killed at a random one of their changes to files, and started again with the same cache until they finish. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/graph/random.ts';
import { run, undisturbed, VICTIMS, type Victim } from './commands.ts';
import type { Outcome, Trial } from './trial.ts';

/** In one attempt. */
const MOST_KILLS = 4;

export const KILLS: readonly Trial[] = VICTIMS.map((victim) => ({
  name: `kill: ${victim.name}`,
  times: 3,
  share: 1,
  open: () => open(victim),
}));

async function open(victim: Victim) {
  const { made, isAtomic } = victim;
  const { at, told, changes, prepare, isSame, remove } = await undisturbed(victim, ({ at }) => at('try'));

  async function attempt(random: Random): Promise<Outcome> {
    const faults: string[] = [];
    let lost = 0;
    let hits = 0;
    rmSync(at, { recursive: true, force: true });
    prepare();
    const kills = random.integer(1, MOST_KILLS + 1);
    for (let kill = 0; kill < kills; kill++) {
      const killAt = random.integer(1, changes + 1);
      const { code, stderr } = await run(told, killAt);
      if (code === null) hits++;
      if (code !== null && code !== 0) faults.push(`after ${hits} kills it ended with ${code}: ${stderr}`);
      const exists = existsSync(join(at, made));
      if (isAtomic && exists && !isSame()) {
        faults.push(`killed at change ${killAt} of ${changes} it left a part of ${made}`);
        lost++;
      }
      // Finished before its time: another run would find it there.
      if (code === 0) break;
      if (isAtomic && exists) rmSync(join(at, made), { recursive: true });
    }
    if (!isAtomic || !existsSync(join(at, made))) {
      const { code, stderr } = await run(told);
      if (code !== 0) faults.push(`resumed after ${hits} kills it ended with ${code}: ${stderr}`);
    }
    if (faults.length === 0 && !isSame()) {
      faults.push(`resumed after ${hits} kills it made other bytes`);
      lost++;
    }
    return { tries: hits, faults, lost };
  }

  return { attempt, close: async () => remove() };
}
