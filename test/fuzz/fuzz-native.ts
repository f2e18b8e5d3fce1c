/** What ONNX Runtime does with mutants that everything before it let pass. */
import type { Failure } from './fuzz-parser.ts';
import type { Batch, Cry } from './inspect-each.ts';
import { watched } from './watched.ts';

export interface Inspected {
  /** Per outcome of `inspect`, how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

/** Shows files to ONNX Runtime in a process of their own; one that hangs or crashes costs a process. */
export async function fuzzNative({ files, time }: Batch): Promise<Inspected> {
  const outcomes: Record<string, number> = {};
  const failures: Failure[] = [];
  const fail = (file: string, problem: string) => failures.push({ file, problem });
  const started = performance.now();
  for (let left = files; left.length > 0; ) {
    let at = left[0]!;
    const batch: Batch = { files: left, time: time - (performance.now() - started) };
    const died = await watched<Cry>('inspect-each.ts', batch, (cry) => {
      at = cry.file;
      if (cry.kind === 'begun') return;
      outcomes[cry.outcome] = (outcomes[cry.outcome] ?? 0) + 1;
      if (cry.problem) fail(cry.file, cry.problem);
    });
    if (died) fail(at, died);
    left = died ? left.slice(left.indexOf(at) + 1) : [];
  }
  return { outcomes, failures };
}
