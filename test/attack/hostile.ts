/** Hostile files of every kind that Offramp reads: each is read, or refused by an error with a code, in bounded time and memory. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Random } from '../../src/graph/random.ts';
import { filesIn } from '../damage.ts';
import { pick } from '../fuzz/mutate.ts';
import { type Tried, tryEach } from '../fuzz/try-each.ts';
import { HOSTILE_KINDS, type HostileKind } from './hostile-kinds.ts';
import type { Asked } from './read-hostile.ts';
import type { Outcome, Trial } from './trial.ts';

/** Of one attempt. */
const FILES = 20;
const LIMITS = { silenceMs: 90_000, heapMb: 2048 };
const MOST_MIB = 1536;
const READER = '../attack/read-hostile.ts';

export const HOSTILE_TRIALS: readonly Trial[] = HOSTILE_KINDS.map((kind) => ({
  name: `hostile: ${kind.name}`,
  times: 2,
  share: 0.5,
  open: async () => ({
    attempt: (random) => attempt(kind, random),
    close: async () => {},
  }),
}));

async function attempt(kind: HostileKind, random: Random): Promise<Outcome> {
  const home = mkdtempSync(join(tmpdir(), 'offramp-hostile-'));
  try {
    const folders: string[] = [];
    for (let i = 0; i <= FILES; i++) {
      const folder = join(home, String(i));
      mkdirSync(folder);
      folders.push(folder);
      await kind.lay(folder);
      // The first stays whole.
      if (i > 0) spoilOne(kind, folder, random);
    }
    const { outcomes, failures } = await tryHostile(kind.name, folders);
    const faults = failures.map(({ file, problem }) => `${kept(file)}: ${problem}`);
    if (!outcomes.accepted) faults.push('not even the whole file was read');
    return { tries: FILES, faults, lost: 0 };
  } finally {
    rmSync(home, { recursive: true });
  }
}

function spoilOne({ attacked, spoil }: HostileKind, folder: string, random: Random): void {
  const files = filesIn(folder).filter((name) => attacked.test(name));
  const file = join(folder, pick(files, random));
  writeFileSync(file, spoil(readFileSync(file), random));
}

/** Reads `folders` of this kind in a process of its own, the first of which is whole. */
export function tryHostile(kind: string, folders: readonly string[], mostMiB = MOST_MIB): Promise<Tried> {
  const asked: Asked = { kind, mostMiB, files: folders, time: Number.MAX_SAFE_INTEGER };
  return tryEach(READER, asked, LIMITS);
}

/** A copy that is left for whoever looks into it. */
function kept(folder: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'offramp-fault-'));
  cpSync(folder, copy, { recursive: true });
  return copy;
}
