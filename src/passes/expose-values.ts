import type { Graph } from '../graph/types.ts';
import type { Pass } from './pass.ts';

/** Makes every node output a graph output (name only; ONNX Runtime finds the type), so that one run shows them all. */
export const exposeValues: Pass = {
  name: 'expose-values',
  run(graph: Graph): Graph {
    const known = new Set(graph.outputs.map((v) => v.name));
    const hidden = graph.nodes.flatMap((n) => n.outputs).filter((name) => name !== '' && !known.has(name));
    if (hidden.length === 0) return graph;
    return { ...graph, outputs: [...graph.outputs, ...hidden.map((name) => ({ name, type: undefined }))] };
  },
};
