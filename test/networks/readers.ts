/** Readers for tests of adapters, and what an adapter makes of samples. */
import {
  type Dataset,
  type InputSpec,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../../src/data/index.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import type { DataType, Graph } from '../../src/graph/types.ts';
import type { Reader } from '../../src/networks/adapter.ts';
import { withSession } from '../../src/ort/session.ts';
import { feedsOf, numbersOf } from '../../src/ort/tensors.ts';

/** Of one input, of type `dataType` and dims `dims`. */
export function readerOf(
  dims: readonly number[],
  options: PreprocessingOptions = {},
  dataType: DataType = 'float',
  name = 'x',
): Reader {
  return ofInputs([{ name, dims, dataType }], options);
}

export const ofInputs = (inputs: readonly InputSpec[], options: PreprocessingOptions = {}): Reader => ({
  inputs,
  preprocessing: resolvePreprocessing(options, inputs),
});

/** What each output of `graph` is for samples whose inputs are `rows`, [n, elements of all of `inputs`]. */
export async function outputsOf(
  graph: Graph,
  inputs: readonly InputSpec[],
  rows: Float32Array,
  n: number,
  opset = 17,
): Promise<{ readonly dims: readonly number[]; readonly type: string; readonly values: Float64Array }[]> {
  checkGraph(graph);
  const read = new Set(graph.inputs.map((v) => v.name));
  const feeds = Object.entries(feedsOf(inputs, rows, n)).filter(([name]) => read.has(name));
  const run = await withSession(makeModel(graph, opset), { threads: 1 }, (s) =>
    s.run(Object.fromEntries(feeds)),
  );
  return graph.outputs.map(({ name }) => {
    const { dims, type } = run[name]!;
    return { dims, type, values: numbersOf(run[name]!)! };
  });
}

/** The first `n` samples of `data`, and closes it. */
export async function firstRows(data: Dataset, n: number): Promise<Float32Array> {
  const rows = await data.read(Int32Array.from({ length: n }, (_, i) => i));
  await data.close();
  return rows;
}

export function largestGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    const gap = Math.abs(a[i]! - b[i]!);
    if (!(gap <= most)) most = gap;
  }
  return most;
}
