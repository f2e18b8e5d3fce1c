/** A model that takes pictures as they come, one byte a pixel and channel, instead of the numbers that preprocessing makes of them. */
import { noPixels } from '../errors/index.ts';
import { GraphBuilder, makeNode } from '../graph/builder.ts';
import { renameValues } from '../graph/rename.ts';
import { numberTensor } from '../graph/tensor.ts';
import { DATA_TYPES, type Model } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';

/** Where a picture's channels are: [N, C, H, W] or [N, H, W, C]; of one channel the axis may be missing. */
export type PixelLayout = 'NCHW' | 'NHWC';

/**
 * `model` with `input` as uint8 of the same dims: a table gives the number of each byte, bit for bit what was fed before. `tables`: one a channel, of 256
 * numbers each. The same model where `input` takes such bytes already. Throws `cannot-split` where its elements cannot be those numbers.
 */
export function takePixels(
  model: Model,
  input: string,
  tables: readonly Float32Array[],
  layout: PixelLayout,
): Model {
  const { graph } = model;
  const value = graph.inputs.find(({ name }) => name === input)!;
  const { dataType, dims = [] } = value.type!;
  const isAlike = tables.every((table) => table.every((number, pixel) => number === tables[0]![pixel]));
  const used = isAlike ? tables.slice(0, 1) : tables;
  if (dataType === 'uint8' && isAlike && tables[0]!.every((number, pixel) => number === pixel)) return model;

  const b = new GraphBuilder('', allNames(graph));
  const numbers = used.flatMap((table) => [...table]);
  const table = numberTensor(b.fresh(`${input}/table`), dataType, [numbers.length], numbers);
  if (!table) throw noPixels(input, dataType);
  b.initializers.push(table);
  const inside = b.fresh(`${input}/numbers`);
  const pixels = b.op('Cast', [input], { to: DATA_TYPES.indexOf('int32') });
  const places = isAlike ? pixels : b.op('Add', [pixels, offsets(b, used.length, layout)]);
  const gather = makeNode('Gather', [table.name, places], [inside], { axis: 0 });

  const renamed = renameValues(graph, new Map([[input, inside]]));
  return {
    ...model,
    graph: {
      ...renamed,
      nodes: [...b.nodes, gather, ...renamed.nodes],
      initializers: [...renamed.initializers, ...b.initializers],
      inputs: graph.inputs.map((one) =>
        one === value ? { name: input, type: { dataType: 'uint8', dims } } : one,
      ),
    },
  };
}

/** Where the table of each channel begins, to be added along the axis of the channels. */
function offsets(b: GraphBuilder, channels: number, layout: PixelLayout): string {
  const starts = Array.from({ length: channels }, (_, c) => 256 * c);
  const dims = layout === 'NCHW' ? [channels, 1, 1] : [channels];
  const tensor = numberTensor(b.fresh('channels'), 'int32', dims, starts)!;
  b.initializers.push(tensor);
  return tensor.name;
}
