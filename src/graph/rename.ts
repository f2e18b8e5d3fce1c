/** Moving nodes between scopes: new names for what they read and make. */
import type { Attribute, Graph, Node } from './types.ts';
import { capturedNames } from './walk.ts';

/** `node` with every name in `names` replaced, captured names inside its subgraphs included. Same object when none is. */
export function renameNode(node: Node, names: ReadonlyMap<string, string>): Node {
  const to = (name: string) => names.get(name) ?? name;
  const inputs = node.inputs.map(to);
  const outputs = node.outputs.map(to);
  let changed = inputs.some((n, i) => n !== node.inputs[i]) || outputs.some((n, i) => n !== node.outputs[i]);
  const attributes = Object.fromEntries(
    Object.entries(node.attributes).map(([key, attribute]) => {
      const renamed = renameAttribute(attribute, names);
      changed ||= renamed !== attribute;
      return [key, renamed];
    }),
  );
  return changed ? { ...node, inputs, outputs, attributes } : node;
}

function renameAttribute(attribute: Attribute, names: ReadonlyMap<string, string>): Attribute {
  if (attribute.type === 'GRAPH') {
    const value = renameCaptured(attribute.value, names);
    return value === attribute.value ? attribute : { type: 'GRAPH', value };
  }
  if (attribute.type === 'GRAPHS') {
    const value = attribute.value.map((g) => renameCaptured(g, names));
    return value.every((g, i) => g === attribute.value[i]) ? attribute : { type: 'GRAPHS', value };
  }
  return attribute;
}

/** Renames only what a subgraph takes from outside; its own names are left alone. */
function renameCaptured(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const captured = new Map(
    capturedNames(graph).flatMap((n) => (names.has(n) ? [[n, names.get(n)!] as const] : [])),
  );
  if (captured.size === 0) return graph;
  const nodes = graph.nodes.map((n) => renameNode(n, captured));
  const outputs = graph.outputs.map((v) =>
    captured.has(v.name) ? { ...v, name: captured.get(v.name)! } : v,
  );
  return { ...graph, nodes, outputs };
}
