/** One process that shows files to ONNX Runtime, as `inspect` does. Started by fuzz-native.ts. */
import { inspect } from '../../src/commands/inspect.ts';
import { codeOf } from './before-runtime.ts';
import { whenAsked } from './watched.ts';

/** What is said before a file is touched, and behind it. */
export type Cry =
  | { readonly kind: 'begun'; readonly file: string }
  | { readonly kind: 'ended'; readonly file: string; readonly outcome: string; readonly problem?: string };

export interface Batch {
  readonly files: readonly string[];
  /** Milliseconds after which no further file is begun. */
  readonly time: number;
}

if (process.send) {
  const cry = (message: Cry) => process.send!(message);
  whenAsked<Batch>(async ({ files, time }) => {
    const started = performance.now();
    for (const file of files) {
      if (performance.now() - started > time) break;
      cry({ kind: 'begun', file });
      cry(await tried(file));
    }
  });
}

async function tried(file: string): Promise<Cry> {
  try {
    await inspect({ model: file, session: { threads: 1 } });
    return { kind: 'ended', file, outcome: 'inspected' };
  } catch (error) {
    try {
      return { kind: 'ended', file, outcome: codeOf(error) };
    } catch (unmeant) {
      const problem = unmeant instanceof Error ? (unmeant.stack ?? unmeant.message) : String(unmeant);
      return { kind: 'ended', file, outcome: 'failed', problem };
    }
  }
}
