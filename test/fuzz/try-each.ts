/** Files that may hang or crash whoever reads them, tried one after another in a process that is watched. */
import { codeOf } from './before-runtime.ts';
import type { Failure } from './fuzz-parser.ts';
import { type Limits, watched } from './watched.ts';

/** What a process is asked to try. */
export interface Batch {
  readonly files: readonly string[];
  /** Milliseconds after which no further file is begun. */
  readonly time: number;
}

/** What is said before a file is touched, and behind it. */
type Cry =
  | { readonly kind: 'begun'; readonly file: string }
  | { readonly kind: 'ended'; readonly file: string; readonly outcome: string; readonly problem?: string };

export interface Tried {
  /** Per outcome, `accepted` or the code of a refusal, how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

/** Has the module `script` try the files of `batch`; one that hangs or crashes costs a process, and the next goes on behind it. */
export async function tryEach(script: string, batch: Batch, limits?: Limits): Promise<Tried> {
  const outcomes: Record<string, number> = {};
  const failures: Failure[] = [];
  const fail = (file: string, problem: string) => failures.push({ file, problem });
  const started = performance.now();
  for (let left = batch.files; left.length > 0; ) {
    let at = left[0]!;
    const rest = { ...batch, files: left, time: batch.time - (performance.now() - started) };
    const onCry = (cry: Cry) => {
      at = cry.file;
      if (cry.kind === 'begun') return;
      outcomes[cry.outcome] = (outcomes[cry.outcome] ?? 0) + 1;
      if (cry.problem) fail(cry.file, cry.problem);
    };
    const died = await watched<Cry>(script, rest, onCry, limits);
    if (died) fail(at, died);
    left = died ? left.slice(left.indexOf(at) + 1) : [];
  }
  return { outcomes, failures };
}

/** In the script: tries each of the files by `read`, which resolves when a file is fine and throws an error with a code when it is refused. */
export async function readEach(
  { files, time }: Batch,
  read: (file: string) => Promise<unknown>,
): Promise<void> {
  const cry = (message: Cry) => process.send!(message);
  const started = performance.now();
  for (const file of files) {
    if (performance.now() - started > time) break;
    cry({ kind: 'begun', file });
    cry(await tried(file, read));
  }
}

async function tried(file: string, read: (file: string) => Promise<unknown>): Promise<Cry> {
  try {
    await read(file);
    return { kind: 'ended', file, outcome: 'accepted' };
  } catch (error) {
    try {
      return { kind: 'ended', file, outcome: codeOf(error) };
    } catch (unmeant) {
      const problem = unmeant instanceof Error ? (unmeant.stack ?? unmeant.message) : String(unmeant);
      return { kind: 'ended', file, outcome: 'failed', problem };
    }
  }
}
