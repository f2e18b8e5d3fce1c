/** One process that reads folders with a hostile file in each, as commands do. Started by hostile.ts. */
import { readFileSync } from 'node:fs';
import { type Batch, readEach } from '../fuzz/try-each.ts';
import { whenAsked } from '../fuzz/watched.ts';
import { HOSTILE_KINDS } from './hostile-kinds.ts';

/** The first of `files` is whole: what the process holds after it is what reading takes anyway. */
export interface Asked extends Batch {
  readonly kind: string;
  /** That a hostile file may take above that. */
  readonly mostMiB: number;
}

whenAsked<Asked>(async ({ kind, mostMiB, ...batch }) => {
  const { read } = HOSTILE_KINDS.find(({ name }) => name === kind)!;
  let base: number | undefined;
  let known = 0;
  await readEach(batch, async (folder) => {
    const outcome = await read(folder).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    const peak = peakMiB();
    base ??= peak;
    const isNew = peak > known;
    known = peak;
    if (isNew && peak > base + mostMiB) throw new Error(`it took ${(peak - base).toFixed()} MiB`);
    if (outcome) throw outcome.error;
  });
});

/** The most memory that this process has held; 0 where the system does not say. */
function peakMiB(): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
  } catch {
    return 0;
  }
}
