import type { Graph, Node } from '../graph/types.ts';
import type { Pass } from './pass.ts';

/** A Constant of a sparse tensor: ONNX Runtime calls it a tensor, and onnxruntime-node cannot fetch it. */
const isSparse = ({ attributes }: Node) => attributes.sparse_value !== undefined;

/** Makes every node output a graph output (name only; ONNX Runtime finds the type), so that one run shows them all, but for sparse constants. */
export const exposeValues: Pass = {
  name: 'expose-values',
  run(graph: Graph): Graph {
    const known = new Set(graph.outputs.map((v) => v.name));
    const shown = graph.nodes.filter((node) => !isSparse(node));
    const hidden = shown.flatMap((n) => n.outputs).filter((name) => name !== '' && !known.has(name));
    if (hidden.length === 0) return graph;
    return { ...graph, outputs: [...graph.outputs, ...hidden.map((name) => ({ name, type: undefined }))] };
  },
};
