/** Nodes in an order in which every value is made before it is read. Files need not have one: ONNX Runtime sorts what it loads. */
import type { Graph, Node } from './types.ts';
import { mapSubgraphs, nodeReads } from './walk.ts';

/**
 * `graph` with its nodes, and those of the graphs inside them, in topological order: a node moves up only to stand before the first that
 * reads it. The same object when that is so already. On a cycle some node still stands before one that it reads, which `checkGraph` refuses.
 */
export function sortGraph(graph: Graph): Graph {
  const inner = graph.nodes.map((node) => mapSubgraphs(node, sortGraph));
  const nodes = sortNodes(inner);
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
}

/** `nodes` alone, as `sortGraph` does it; graphs inside them are left as they are. */
export function sortNodes(nodes: readonly Node[]): readonly Node[] {
  const maker = new Map<string, Node>();
  for (const node of nodes) for (const output of node.outputs) if (output !== '') maker.set(output, node);
  const sorted: Node[] = [];
  const begun = new Set<Node>();
  for (const root of nodes) {
    // A stack of its own: a chain that stands the wrong way round may be as long as the file.
    const stack: { node: Node; reads: string[] }[] = [];
    const begin = (node: Node | undefined) => {
      if (!node || begun.has(node)) return;
      begun.add(node);
      stack.push({ node, reads: nodeReads(node).reverse() });
    };
    begin(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.reads.pop();
      if (name !== undefined) begin(maker.get(name));
      else sorted.push(stack.pop()!.node);
    }
  }
  return sorted;
}
