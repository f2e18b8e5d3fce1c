/** Weights that networks of a chain have in common, kept once: of the same file given twice, say, at two input sizes. */
import { createHash } from 'node:crypto';
import { renameNode } from '../graph/rename.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import type { Pass } from './pass.ts';

/** What takes less is not worth a reader's time: it stays as often as it is there. */
const SHARED_FROM = 4096;

/**
 * Initializers of the main graph with the same data type, dims and elements (or the same place in the same external file) become one, whose
 * readers are all of theirs, in subgraphs too; of those above 4 KiB. The first one stays, or one that `kept` names; all that `kept` names stay.
 * Those that are inputs or outputs stay too: callers know them.
 */
export const shareInitializers = (kept: ReadonlySet<string> = new Set()): Pass => ({
  name: 'share-initializers',
  run(graph: Graph): Graph {
    const known = new Set([...graph.inputs, ...graph.outputs].map((v) => v.name));
    const large = graph.initializers.filter((t) => sizeOf(t) > SHARED_FROM && !known.has(t.name));
    const names = new Map<string, string>();
    for (const alike of groupBy(large, kindOf)) {
      if (alike.length < 2) continue;
      for (const same of groupBy(alike, elementsOf)) {
        const stays = same.find((t) => kept.has(t.name)) ?? same[0]!;
        for (const { name } of same) if (name !== stays.name && !kept.has(name)) names.set(name, stays.name);
      }
    }
    if (names.size === 0) return graph;
    return {
      ...graph,
      nodes: graph.nodes.map((node) => renameNode(node, names)),
      initializers: graph.initializers.filter((t) => !names.has(t.name)),
      valueInfo: graph.valueInfo.filter((v) => !names.has(v.name)),
    };
  },
});

/** Bytes that the elements take, wherever they lie; 0 of strings and of unknown types. */
const sizeOf = ({ dataType, dims }: Tensor) => Math.ceil(elementCount(dims) * (elementBytes(dataType) ?? 0));

/** All but the elements, of which only the first: cheap to compare, so that few tensors are hashed. */
function kindOf(tensor: Tensor): string {
  const { dataType, dims, bytes, external, unknownFields = [] } = tensor;
  const place = external && [external.location, external.offset, external.length ?? sizeOf(tensor)];
  return JSON.stringify([dataType, dims, [...bytes.subarray(0, 32)], place, [...unknownFields]]);
}

/** Empty of external data, which `kindOf` tells apart. */
const elementsOf = ({ bytes }: Tensor) => createHash('sha256').update(bytes).digest('hex');

function groupBy(tensors: readonly Tensor[], keyOf: (tensor: Tensor) => string): Tensor[][] {
  const groups = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const key = keyOf(tensor);
    const group = groups.get(key);
    if (group) group.push(tensor);
    else groups.set(key, [tensor]);
  }
  return [...groups.values()];
}
