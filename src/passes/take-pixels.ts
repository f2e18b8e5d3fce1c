/** A model that takes pictures as the bytes they are, in place of the numbers that preprocessing makes of them. */
import { GraphBuilder } from '../graph/builder.ts';
import { renameValues } from '../graph/rename.ts';
import type { Model } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';

/**
 * The float input `input` becomes uint8 of the same shape; each byte is looked up in the table of its channel, so that the old numbers come out bit for bit.
 * `tables`: [256] for each channel along axis `channelAxis`, or one for all.
 */
export function takePixels(
  model: Model,
  input: string,
  tables: readonly Float32Array[],
  channelAxis: number,
): Model {
  const b = new GraphBuilder(`${input}/`, allNames(model.graph));
  const numbers = b.fresh('numbers');
  const graph = renameValues(model.graph, new Map([[input, numbers]]));
  const info = graph.inputs.find(({ name }) => name === numbers)!;
  const rank = info.type!.dims!.length;
  const table = b.float(tables.flatMap((table) => [...table]));
  const pixels = b.op('Cast', [input], { to: INT64 });
  const places =
    tables.length === 1 ? pixels : b.op('Add', [pixels, offsets(b, tables.length, rank - channelAxis)]);
  b.op('Gather', [table, places], { axis: 0 }, numbers);
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...b.nodes, ...graph.nodes],
      initializers: [...graph.initializers, ...b.initializers],
      inputs: graph.inputs.map((one) =>
        one === info ? { name: input, type: { ...info.type!, dataType: 'uint8' as const } } : one,
      ),
    },
  };
}

/** In a Cast. */
const INT64 = 7;

/** [channels, 1, …] of so many axes: where each channel's table begins. */
function offsets(b: GraphBuilder, channels: number, axes: number): string {
  const starts = b.int64(Array.from({ length: channels }, (_, c) => 256 * c));
  return axes === 1
    ? starts
    : b.op('Reshape', [starts, b.int64([channels, ...Array<number>(axes - 1).fill(1)])]);
}
