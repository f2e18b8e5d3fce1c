/** Processes that are killed at a random one of their changes to files, and started again with the same cache until they finish. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from '../../src/commands/compile.ts';
import type { Random } from '../../src/graph/random.ts';
import { assertSamePackage } from '../timeless.ts';
import { type tinyProject as makeProject, tinyProject } from '../tiny-project.ts';
import type { Outcome, Trial } from './trial.ts';

const KILL_AT = new URL('./kill-at.js', import.meta.url).href;
const ENTRY = fileURLToPath(new URL('./run-command.ts', import.meta.url));
/** In one attempt. */
const MOST_KILLS = 4;

type Project = ReturnType<typeof makeProject>;

/** A command, as `run-command.ts` is told it. */
export interface Told {
  readonly command: 'compile' | 'calibrate' | 'features' | 'merge';
  readonly options: object;
}

interface Killed {
  readonly name: string;
  /** The command in the folder `at` of this attempt. `out` and `cache` lie in it. */
  readonly told: (project: Project, at: string) => Told;
  /** What it makes, in `at`. */
  readonly made: string;
  /** What there has to be in `at` before it runs. */
  readonly before?: (project: Project, at: string) => Promise<void>;
  /** Fails unless both hold the same. */
  readonly same: (found: string, expected: string) => void;
  /** Whether it appears at once, whole: then a kill never leaves a part of it. */
  readonly isAtomic: boolean;
}

const shard = (project: Project, at: string): Told => {
  const { model, train, calibration, test, preset, taps, threads } = project.compileOptions('');
  const same = { model, train, calibration, test, preset, taps, threads };
  const cache = join(at, 'cache');
  return { command: 'features', options: { ...same, cache, out: join(at, 'features'), shard: { index: 1, count: 1 } } };
}; // biome-ignore format: one line

const KINDS: readonly Killed[] = [
  {
    name: 'kill: compile',
    told: ({ compileOptions }, at) => ({
      command: 'compile',
      options: { ...compileOptions(''), out: join(at, 'out'), cache: join(at, 'cache') },
    }),
    made: 'out',
    same: assertSamePackage,
    isAtomic: true,
  },
  {
    name: 'kill: calibrate',
    before: async ({ compileOptions }, at) => {
      await compile({ ...compileOptions(''), out: join(at, 'compiled'), cache: join(at, 'cache') });
    },
    told: ({ compileOptions }, at) => {
      const { model, calibration, test, threads } = compileOptions('');
      const folder = join(at, 'compiled');
      const same = { model, calibration, test, threads, report: false, timing: false, budgets: [0.6] };
      return {
        command: 'calibrate',
        options: { ...same, folder, out: join(at, 'out'), cache: join(at, 'cache') },
      };
    },
    made: 'out',
    same: assertSamePackage,
    isAtomic: true,
  },
  { name: 'kill: features', told: shard, made: 'features', same: assertSameFiles, isAtomic: false },
  {
    name: 'kill: merge',
    before: async (project, at) => {
      const { code, stderr } = await run(shard(project, at));
      if (code !== 0) throw new Error(stderr);
    },
    told: (_, at) => ({ command: 'merge', options: { folder: join(at, 'features') } }),
    made: 'features/merged',
    same: assertSameFiles,
    isAtomic: false,
  },
];

export const KILLS: readonly Trial[] = KINDS.map((kind) => ({
  name: kind.name,
  times: 3,
  share: 1,
  open: () => open(kind),
}));

async function open({ told, made, before, same, isAtomic }: Killed) {
  const project = tinyProject('killed', { epochs: 2 });
  await project.writeSamples({ train: 600, calibration: 200, test: 100 });
  // Paths are part of what is made, so the whole one is made where the killed ones are, then put aside.
  const at = project.at('try');
  const [prepared, whole] = [project.at('prepared'), project.at('whole')];
  if (before) {
    await before(project, at);
    cpSync(at, prepared, { recursive: true });
  }
  const { code, stderr, changes } = await run(told(project, at));
  if (code !== 0) throw new Error(`undisturbed it ends with ${code}: ${stderr}`);
  cpSync(join(at, made), whole, { recursive: true });

  async function attempt(random: Random): Promise<Outcome> {
    const faults: string[] = [];
    let lost = 0;
    let hits = 0;
    rmSync(at, { recursive: true, force: true });
    if (before) cpSync(prepared, at, { recursive: true });
    const kills = random.integer(1, MOST_KILLS + 1);
    for (let kill = 0; kill < kills; kill++) {
      const killAt = random.integer(1, changes + 1);
      const { code, stderr } = await run(told(project, at), killAt);
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
      const { code, stderr } = await run(told(project, at));
      if (code !== 0) faults.push(`resumed after ${hits} kills it ended with ${code}: ${stderr}`);
    }
    if (faults.length === 0 && !isSame()) {
      faults.push(`resumed after ${hits} kills it made other bytes`);
      lost++;
    }
    return { tries: hits, faults, lost };
  }

  function isSame(): boolean {
    try {
      same(join(at, made), whole);
      return true;
    } catch {
      return false;
    }
  }

  return { attempt, close: async () => project.remove() };
}

interface Ended {
  /** Null where it was killed. */
  readonly code: number | null;
  readonly stderr: string;
  /** How often it has changed files. */
  readonly changes: number;
}

/** A process of its own, which is killed at its change `killAt`. */
function run(told: Told, killAt = Number.POSITIVE_INFINITY): Promise<Ended> {
  const words = ['--import', 'tsx', '--import', KILL_AT, ENTRY, JSON.stringify(told)];
  const child = spawn(process.execPath, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, KILL_AT: String(killAt) },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve) =>
    child.on('close', (code) => {
      resolve({ code, stderr, changes: Number(/^(\d+) changes$/m.exec(stdout)?.[1] ?? 0) });
    }),
  );
}

/** Locks and what was half written lie there until somebody comes by; they are no part of what was made. */
function assertSameFiles(found: string, expected: string): void {
  const [a, b] = [bytesIn(found), bytesIn(expected)];
  const differ = [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name));
  if (differ.length > 0) throw new Error(`these differ: ${differ.join(', ')}`);
}

function bytesIn(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(lock|tmp)/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((file) => [file.slice(folder.length), readFileSync(file, 'base64')]));
}
