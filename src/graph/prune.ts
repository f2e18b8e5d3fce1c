import type { Graph } from './types.ts';
import { ancestors, nodeReads } from './walk.ts';

/** `graph` without the nodes, initializers and inputs that no output depends on. */
export function prune(graph: Graph): Graph {
  const outputs = graph.outputs.map((v) => v.name);
  const needed = ancestors(graph, outputs);
  const nodes = graph.nodes.filter((n) => needed.has(n));
  const read = new Set([...outputs, ...nodes.flatMap(nodeReads)]);
  const isRead = (v: { readonly name: string }) => read.has(v.name);
  return {
    ...graph,
    nodes,
    initializers: graph.initializers.filter(isRead),
    sparseInitializers: graph.sparseInitializers.filter(isRead),
    inputs: graph.inputs.filter(isRead),
  };
}
