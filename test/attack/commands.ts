/** The commands that write, each in a process of its own: what trials kill, take the room from, and give damaged files. */
import { spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from '../../src/commands/compile.ts';
import { assertSamePackage } from '../timeless.ts';
import { type tinyProject as makeProject, tinyProject } from '../tiny-project.ts';

const KILL_AT = new URL('./kill-at.js', import.meta.url).href;
const ENTRY = fileURLToPath(new URL('./run-command.ts', import.meta.url));

type Project = ReturnType<typeof makeProject>;

/** A command, as `run-command.ts` is told it. */
export interface Told {
  readonly command: 'compile' | 'calibrate' | 'features' | 'merge';
  readonly options: object;
}

/** A command of which a trial is made, with a small project. */
export interface Victim {
  /** `compile` */
  readonly name: string;
  /** The command in the folder `at` of this attempt. `out` and `cache` lie in it. */
  readonly told: (project: Project, at: string) => Told;
  /** What it makes, in `at`. */
  readonly made: string;
  /** What there has to be in `at` before it runs. */
  readonly before?: (project: Project, at: string) => Promise<void>;
  /** Fails unless both hold the same. */
  readonly same: (found: string, expected: string) => void;
  /** Whether it appears at once, whole: then no part of it is ever there. */
  readonly isAtomic: boolean;
}

const shard = (project: Project, at: string): Told => {
  const { model, train, calibration, test, preset, taps, threads } = project.compileOptions('');
  const same = { model, train, calibration, test, preset, taps, threads };
  const cache = join(at, 'cache');
  return { command: 'features', options: { ...same, cache, out: join(at, 'features'), shard: { index: 1, count: 1 } } };
}; // biome-ignore format: one line

export const VICTIMS: readonly Victim[] = [
  {
    name: 'compile',
    told: ({ compileOptions }, at) => ({
      command: 'compile',
      options: { ...compileOptions(''), out: join(at, 'out'), cache: join(at, 'cache') },
    }),
    made: 'out',
    same: assertSamePackage,
    isAtomic: true,
  },
  {
    name: 'calibrate',
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
  { name: 'features', told: shard, made: 'features', same: assertSameFiles, isAtomic: false },
  {
    name: 'merge',
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

/** Runs the command undisturbed in the folder that `placeIn` gives. Paths are part of what is made, so all runs are made there; what this one made is put aside. */
export async function undisturbed(
  { told, made, before, same }: Victim,
  placeIn: (project: Project) => string,
) {
  const project = tinyProject('attacked', { epochs: 2 });
  await project.writeSamples({ train: 600, calibration: 200, test: 100 });
  const at = placeIn(project);
  const [prepared, whole] = [project.at('prepared'), project.at('whole')];
  if (before) {
    await before(project, at);
    cpSync(at, prepared, { recursive: true });
  }
  const { code, stderr, changes } = await run(told(project, at));
  if (code !== 0) throw new Error(`undisturbed it ends with ${code}: ${stderr}`);
  cpSync(join(at, made), whole, { recursive: true });
  return {
    at,
    told: told(project, at),
    changes,
    prepare: () => {
      if (before) cpSync(prepared, at, { recursive: true });
    },
    isSame(): boolean {
      try {
        same(join(at, made), whole);
        return true;
      } catch {
        return false;
      }
    },
    remove: project.remove,
  };
}

export interface Ended {
  /** Null where it was killed. */
  readonly code: number | null;
  readonly stderr: string;
  /** How often it has changed files. */
  readonly changes: number;
}

/** A process of its own, which is killed at its change `killAt`. */
export function run(told: Told, killAt = Number.POSITIVE_INFINITY): Promise<Ended> {
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
