/** One process that makes mutants and looks at each, so that whoever started it survives a hang or a crash. Started by fuzz-parser.ts. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../../src/errors/index.ts';
import { Random } from '../../src/graph/random.ts';
import { beforeRuntime } from './before-runtime.ts';
import { mutate } from './mutate.ts';
import { seedModels } from './seeds.ts';
import { whenAsked } from './watched.ts';

export interface Hunt {
  readonly seed: number;
  /** `model/` in it holds what has failed and what is being looked at, as `<index>.onnx`. */
  readonly folder: string;
  /** Index of the first mutant. */
  readonly from: number;
  /** How many there are; endless when the hunt ends by the clock. */
  readonly count: number;
  /** Milliseconds after which no further mutant is begun. */
  readonly time: number;
  /** How many mutants that are accepted are kept, as `model/accepted-<index>.onnx`. */
  readonly keep: number;
}

/** What a hunt says: after each mutant that it should not have met, and every now and then that it lives. */
export type Cry =
  | { readonly kind: 'tally'; readonly tally: Tally }
  | { readonly kind: 'failed'; readonly index: number; readonly problem: string };

export interface Tally {
  readonly mutants: number;
  /** Per outcome of `beforeRuntime`, how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** CPU time of the slowest, in ms. */
  readonly slowest: number;
  /** Most memory that the process held, and most that it grew by on one mutant, in MB. */
  readonly peak: number;
  readonly growth: number;
}

/** What one mutant of some ten thousand bytes may take. */
const MOST_CPU_MS = 2000;
const MOST_GROWTH_MB = 150;

/** A folder as models lie in, with things around it that are none of a model's business. */
export function layOut(folder: string): string {
  const model = join(folder, 'model');
  mkdirSync(join(model, 'weights'), { recursive: true });
  for (const file of ['outside.bin', 'model/w.bin', 'model/weights/deep.bin'])
    writeFileSync(join(folder, file), new Uint8Array(4096));
  rmSync(join(model, 'link.bin'), { force: true });
  symlinkSync(join(folder, 'outside.bin'), join(model, 'link.bin'));
  return model;
}

async function hunt(
  { seed, folder, from, count, time, keep }: Hunt,
  cry: (cry: Cry) => void,
): Promise<Tally> {
  const model = layOut(folder);
  const seeds = seedModels();
  const outcomes: Record<string, number> = {};
  const started = performance.now();
  let [slowest, growth, told, index, used] = [0, 0, started, from, usage()];
  const tally = () => ({ mutants: index - from, outcomes, slowest, peak: used.peak, growth });
  for (; index < from + count && performance.now() - started < time; index++) {
    const random = new Random(seed, 'mutant', index);
    // The smaller the file, the more of it is structure, and the more mutants there are in a second.
    const one = seeds[Math.floor(seeds.length * random.uniform() ** 2)]!;
    const mutant = mutate(one, seeds, random);
    const path = join(model, `${index}.onnx`);
    writeFileSync(path, mutant);
    let problem = '';
    try {
      const outcome = await beforeRuntime(path);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome === 'accepted' && outcomes.accepted! <= keep)
        writeFileSync(join(model, `accepted-${index}.onnx`), mutant);
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
    }
    const now = usage();
    const [milliseconds, grown] = [now.cpu - used.cpu, now.peak - used.peak];
    used = now;
    slowest = Math.max(slowest, milliseconds);
    growth = Math.max(growth, grown);
    if (milliseconds > MOST_CPU_MS) problem ||= `took ${Math.round(milliseconds)} ms`;
    if (grown > MOST_GROWTH_MB) problem ||= `took ${Math.round(grown)} MB`;
    if (problem) cry({ kind: 'failed', index, problem });
    else rmSync(path);
    if (performance.now() - told > 500) {
      told = performance.now();
      cry({ kind: 'tally', tally: tally() });
      await setImmediate();
    }
  }
  return tally();
}

/** CPU time of the process in ms, and the most memory it has held, in MB. */
function usage() {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { cpu: (userCPUTime + systemCPUTime) / 1000, peak: maxRSS / 1024 };
}

if (process.send) {
  const cry = (message: Cry) => process.send!(message);
  whenAsked<Hunt>(async (asked) => void cry({ kind: 'tally', tally: await hunt(asked, cry) }));
}
