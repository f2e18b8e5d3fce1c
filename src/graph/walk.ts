/** Analyses of a graph: which node makes a value, which read it, what it depends on. Cached per graph. */
import type { Attribute, Graph, Node, Tensor } from './types.ts';

export interface GraphIndex {
  /** The node that makes a value. */
  readonly producer: ReadonlyMap<string, Node>;
  /** The nodes that read a value, directly or from inside one of their subgraphs, in graph order. */
  readonly consumers: ReadonlyMap<string, readonly Node[]>;
  /** Position in `graph.nodes`. */
  readonly position: ReadonlyMap<Node, number>;
  readonly initializer: ReadonlyMap<string, Tensor>;
  /** Names of inputs that are not merely overridable initializers. */
  readonly realInputs: ReadonlySet<string>;
}

const indexes = new WeakMap<Graph, GraphIndex>();

export function indexGraph(graph: Graph): GraphIndex {
  let index = indexes.get(graph);
  if (!index) {
    const producer = new Map<string, Node>();
    const consumers = new Map<string, Node[]>();
    const position = new Map<Node, number>();
    graph.nodes.forEach((node, i) => {
      position.set(node, i);
      for (const output of node.outputs) if (output) producer.set(output, node);
      for (const input of new Set(nodeReads(node))) {
        const list = consumers.get(input);
        if (list) list.push(node);
        else consumers.set(input, [node]);
      }
    });
    const initializer = new Map(graph.initializers.map((t) => [t.name, t]));
    const sparse = new Set(graph.sparseInitializers.map((t) => t.name));
    const realInputs = new Set(
      graph.inputs.map((v) => v.name).filter((n) => !initializer.has(n) && !sparse.has(n)),
    );
    index = { producer, consumers, position, initializer, realInputs };
    indexes.set(graph, index);
  }
  return index;
}

/** The graphs in a node's attributes. */
export function subgraphs(node: Node): Graph[] {
  return Object.values(node.attributes).flatMap((a) =>
    a.type === 'GRAPH' ? [a.value] : a.type === 'GRAPHS' ? [...a.value] : [],
  );
}

/** `node` with `change` made to its subgraphs; the same object when `change` returns each as it was. */
export function mapSubgraphs(node: Node, change: (graph: Graph) => Graph): Node {
  let changed = false;
  const entries = Object.entries(node.attributes).map(([key, attribute]): [string, Attribute] => {
    if (attribute.type !== 'GRAPH' && attribute.type !== 'GRAPHS') return [key, attribute];
    const before = [attribute.value].flat() as Graph[];
    const after = before.map(change);
    if (after.every((graph, i) => graph === before[i])) return [key, attribute];
    changed = true;
    return [
      key,
      attribute.type === 'GRAPH' ? { type: 'GRAPH', value: after[0]! } : { type: 'GRAPHS', value: after },
    ];
  });
  return changed ? { ...node, attributes: Object.fromEntries(entries) } : node;
}

const captures = new WeakMap<Graph, readonly string[]>();

/** Names that `graph` (a subgraph) takes from the scopes around it. */
export function capturedNames(graph: Graph): readonly string[] {
  let names = captures.get(graph);
  if (!names) {
    const own = new Set<string>([
      ...graph.inputs.map((v) => v.name),
      ...graph.initializers.map((t) => t.name),
      ...graph.sparseInitializers.map((t) => t.name),
      ...graph.nodes.flatMap((n) => n.outputs),
    ]);
    const read = [...graph.nodes.flatMap(nodeReads), ...graph.outputs.map((v) => v.name)];
    names = [...new Set(read)].filter((n) => n !== '' && !own.has(n));
    captures.set(graph, names);
  }
  return names;
}

/** Every value a node reads: its inputs and what its subgraphs capture. */
export function nodeReads(node: Node): string[] {
  const graphs = subgraphs(node);
  const direct = node.inputs.filter((n) => n !== '');
  return graphs.length ? [...direct, ...graphs.flatMap(capturedNames)] : direct;
}

/** The nodes that `values` depend on (their makers included). */
export function ancestors(graph: Graph, values: Iterable<string>): Set<Node> {
  const { producer } = indexGraph(graph);
  const found = new Set<Node>();
  const stack = [...values];
  while (stack.length) {
    const node = producer.get(stack.pop()!);
    if (!node || found.has(node)) continue;
    found.add(node);
    stack.push(...nodeReads(node));
  }
  return found;
}

/** The values that depend on `values` (those included). */
export function dependents(graph: Graph, values: Iterable<string>): Set<string> {
  const found = new Set(values);
  for (const node of graph.nodes) {
    if (nodeReads(node).some((n) => found.has(n))) for (const out of node.outputs) if (out) found.add(out);
  }
  return found;
}

/** `nodes` in the order they have in `graph`. */
export function inOrder(graph: Graph, nodes: Iterable<Node>): Node[] {
  const { position } = indexGraph(graph);
  return [...nodes].sort((a, b) => position.get(a)! - position.get(b)!);
}

/** Every value name in `graph` and its subgraphs. */
export function valueNames(graph: Graph, into = new Set<string>()): Set<string> {
  for (const v of [...graph.inputs, ...graph.outputs, ...graph.valueInfo]) into.add(v.name);
  for (const t of [...graph.initializers, ...graph.sparseInitializers]) into.add(t.name);
  for (const node of graph.nodes) {
    for (const name of [...node.inputs, ...node.outputs]) into.add(name);
    for (const sub of subgraphs(node)) valueNames(sub, into);
  }
  return into;
}

/** Every name of a value or a node in `graph` and its subgraphs: what a new name must differ from. */
export function allNames(graph: Graph): Set<string> {
  const names = valueNames(graph);
  const addNodes = ({ nodes }: Graph): void => {
    for (const node of nodes) {
      names.add(node.name);
      for (const sub of subgraphs(node)) addNodes(sub);
    }
  };
  addNodes(graph);
  return names;
}
