/** New names for values and nodes: where nodes move between scopes, and where a name is needed for something else. */
import type { Attribute, Graph, Node } from './types.ts';
import { capturedNames, mapSubgraphs, subgraphs } from './walk.ts';

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

/** `graph` with every value in `names` called otherwise, in all scopes; its own inputs and outputs too. Same object when none is there. */
export function renameValues(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const renamed = <T extends { readonly name: string }>(values: readonly T[]): readonly T[] => {
    const found = values.map((v) => (names.has(v.name) ? { ...v, name: names.get(v.name)! } : v));
    return found.every((v, i) => v === values[i]) ? values : found;
  };
  const nodes = graph.nodes.map((node) =>
    renameNode(
      mapSubgraphs(node, (inner) => renameValues(inner, names)),
      names,
    ),
  );
  const parts = {
    nodes: nodes.every((node, i) => node === graph.nodes[i]) ? graph.nodes : nodes,
    initializers: renamed(graph.initializers),
    inputs: renamed(graph.inputs),
    outputs: renamed(graph.outputs),
    valueInfo: renamed(graph.valueInfo),
  };
  const isSame = Object.entries(parts).every(([key, part]) => part === graph[key as keyof typeof parts]);
  return isSame ? graph : { ...graph, ...parts };
}

/**
 * `graph` with node names unique across all scopes. Nodes in `kept`, and those inside them, keep their names, which `names` holds; nodes without
 * a name stay so.
 */
export function nameNodesApart(graph: Graph, kept: ReadonlySet<Node>, names: Set<string>): Graph {
  const used = new Set<string>();
  const collect = ({ nodes }: Graph): void => {
    for (const node of nodes) {
      if (kept.has(node)) used.add(node.name);
      else for (const inner of subgraphs(node)) collect(inner);
    }
  };
  collect(graph);
  const free = (name: string) => {
    let made = name;
    for (let i = 1; used.has(made) || (made !== name && names.has(made)); i++) made = `${name}_${i}`;
    used.add(made);
    names.add(made);
    return made;
  };
  const apart = (inner: Graph): Graph => {
    const nodes = inner.nodes.map((node) => {
      if (kept.has(node)) return node;
      const within = mapSubgraphs(node, apart);
      const name = node.name && free(node.name);
      return name === node.name ? within : { ...within, name };
    });
    return nodes.every((node, i) => node === inner.nodes[i]) ? inner : { ...inner, nodes };
  };
  return apart(graph);
}
