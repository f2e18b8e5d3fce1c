/** Mutants by the thousand, in a process of their own that is watched. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Cry, Hunt, Tally } from './hunt.ts';
import { watched } from './watched.ts';

export interface Failure {
  readonly problem: string;
  /** The mutant, where it lay. */
  readonly file: string;
}

export interface Hunted extends Tally {
  readonly failures: readonly Failure[];
}

/** Looks at `hunt`'s mutants; one that hangs or crashes costs a process, and the next goes on behind it. */
export async function fuzzParser(hunt: Hunt): Promise<Hunted> {
  const failures: Failure[] = [];
  const tallies: Tally[] = [];
  const model = join(hunt.folder, 'model');
  const started = performance.now();
  const end = hunt.from + hunt.count;
  for (let from = hunt.from; from < end; ) {
    const time = hunt.time - (performance.now() - started);
    let tally: Tally | undefined;
    const died = await watched<Cry>('hunt.ts', { ...hunt, from, count: end - from, time }, (cry) => {
      if (cry.kind === 'tally') tally = cry.tally;
      else failures.push({ problem: cry.problem, file: join(model, `${cry.index}.onnx`) });
    });
    if (tally) tallies.push(tally);
    if (!died) break;
    const culprit = readdirSync(model)
      .filter((name) => /^\d+\.onnx$/.test(name))
      .find((name) => !failures.some(({ file }) => file === join(model, name)));
    if (!culprit) throw new Error(`no mutant: the hunt ${died}`);
    failures.push({ problem: died, file: join(model, culprit) });
    from = Number.parseInt(culprit, 10) + 1;
  }
  return { ...sum(tallies), failures };
}

function sum(tallies: readonly Tally[]): Tally {
  const outcomes: Record<string, number> = {};
  for (const tally of tallies)
    for (const [outcome, count] of Object.entries(tally.outcomes))
      outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
  const most = (of: (tally: Tally) => number) => Math.max(0, ...tallies.map(of));
  return {
    mutants: tallies.reduce((all, { mutants }) => all + mutants, 0),
    outcomes,
    slowest: most((t) => t.slowest),
    peak: most((t) => t.peak),
    growth: most((t) => t.growth),
  };
}
