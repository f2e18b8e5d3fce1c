import type { GraphBuilder } from './builder.ts';
import { renameNode } from './rename.ts';
import type { Graph } from './types.ts';

/**
 * Copies `graph`'s nodes and initializers into `b`, its inputs bound to the values in `inputs`, everything else renamed
 * to a fresh `prefix` + name. Returns what each output of `graph` is called now.
 */
export function inlineGraph(
  b: GraphBuilder,
  graph: Graph,
  inputs: Readonly<Record<string, string>>,
  prefix: string,
): Record<string, string> {
  const names = new Map(Object.entries(inputs));
  for (const tensor of graph.initializers) {
    names.set(tensor.name, b.fresh(prefix + tensor.name));
    b.initializers.push({ ...tensor, name: names.get(tensor.name)! });
  }
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output) names.set(output, b.fresh(prefix + output));
    b.nodes.push({ ...renameNode(node, names), name: prefix + (node.name || node.outputs[0]) });
  }
  return Object.fromEntries(graph.outputs.map((v) => [v.name, names.get(v.name) ?? v.name]));
}
