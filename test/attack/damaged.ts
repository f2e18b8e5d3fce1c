/** Damaged caches and features, a file or a few at a time: what comes out is what came out of whole ones, or an error with a code. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/graph/random.ts';
import { DAMAGES, damage, filesIn } from '../damage.ts';
import { pick } from '../fuzz/mutate.ts';
import { tinyProject } from '../tiny-project.ts';
import { run, type Told, undisturbed, VICTIMS } from './commands.ts';
import type { Outcome, Trial } from './trial.ts';

/** Damaged in one attempt. */
const MOST_FILES = 4;
const SHARDS = 3;

export const DAMAGE_TRIALS: readonly Trial[] = [
  { name: 'damage: cache', times: 3, share: 1, open: openCache },
  { name: 'damage: shards', times: 3, share: 1, open: openShards },
];

/** Damages some of the files in `folder`, and says how. */
function damageSome(folder: string, random: Random): string {
  const files = filesIn(folder);
  const chosen = new Set(Array.from({ length: random.integer(1, MOST_FILES + 1) }, () => pick(files, random)));
  return [...chosen].map((file) => `${file}: ${damage(join(folder, file), pick(DAMAGES, random), random)}`).join('; ');
} // biome-ignore format: one line

async function openCache() {
  const victim = VICTIMS.find(({ name }) => name === 'compile')!;
  const { at, told, isSame, remove } = await undisturbed(victim, (project) => project.at('try'));
  const whole = `${at}-cache`;
  cpSync(join(at, 'cache'), whole, { recursive: true });
  return {
    async attempt(random: Random): Promise<Outcome> {
      rmSync(at, { recursive: true });
      cpSync(whole, join(at, 'cache'), { recursive: true });
      const what = damageSome(join(at, 'cache'), random);
      const { code, stderr } = await run(told);
      if (code === 2) return { tries: 1, faults: [], lost: 0 };
      if (code !== 0) return { tries: 1, faults: [`${what}: it ended with ${code}: ${stderr}`], lost: 0 };
      return isSame()
        ? { tries: 1, faults: [], lost: 0 }
        : { tries: 1, faults: [`${what}: it made other bytes`], lost: 1 };
    },
    close: async () => remove(),
  };
}

/** Features of several shards and their merge; damaged, they are refused or mended, and mended once every shard was written again. */
async function openShards() {
  const project = tinyProject('shards', { epochs: 1 });
  await project.writeSamples({ train: 1200, calibration: 200, test: 100 });
  const at = project.at('try');
  const { model, train, calibration, test, preset, taps, threads } = project.compileOptions('');
  const out = join(at, 'features');
  const options = { model, train, calibration, test, preset, taps, threads, cache: project.at('cache'), out };
  const shards = Array.from({ length: SHARDS }, (_, i): Told => {
    const shard = { index: i + 1, count: SHARDS };
    return { command: 'features', options: { ...options, shard } };
  });
  const merge: Told = { command: 'merge', options: { folder: out } };
  for (const told of [...shards, merge]) {
    const { code, stderr } = await run(told);
    if (code !== 0) throw new Error(`undisturbed it ends with ${code}: ${stderr}`);
  }
  const whole = project.at('whole');
  cpSync(out, whole, { recursive: true });
  const merged = VICTIMS.find(({ name }) => name === 'merge')!;
  const isSame = () => {
    try {
      merged.same(join(out, 'merged'), join(whole, 'merged'));
      return true;
    } catch {
      return false;
    }
  };

  return {
    async attempt(random: Random): Promise<Outcome> {
      rmSync(out, { recursive: true, force: true });
      cpSync(whole, out, { recursive: true });
      if (random.integer(0, 2) === 0) rmSync(join(out, 'merged'), { recursive: true });
      const faults: string[] = [];
      const what = damageSome(out, random);
      const { code, stderr } = await run(merge);
      if (code !== 0 && code !== 2) faults.push(`${what}: merge ended with ${code}: ${stderr}`);
      if (code === 0 && !isSame()) faults.push(`${what}: merge made other bytes`);
      if (code === 2) {
        for (const told of [...shards, merge]) {
          const { code, stderr } = await run(told);
          if (code !== 0) faults.push(`${what}: ${told.command}, again, ended with ${code}: ${stderr}`);
        }
        if (faults.length === 0 && !isSame()) faults.push(`${what}: written again, the shards merge to other bytes`);
      }
      return { tries: 1, faults, lost: isSame() ? 0 : 1 };
    },
    close: async () => project.remove(),
  };
} // biome-ignore format: one line
