/** A network and its adapter as one model. */
import type { Graph, Model, ValueInfo } from '../graph/types.ts';
import { allNames, mapSubgraphs, subgraphs } from '../graph/walk.ts';
import { adapterFor, type Reader } from './adapter.ts';

/**
 * `model`, which reads what `network` says, as one that reads `original`'s inputs: its adapter, then its nodes. The inputs that it needs of
 * `original` keep their names, with the batch axis of the network's own; every other name (of values and nodes, in all scopes) begins with
 * `<id>/`. Sparse initializers keep theirs, which lie in bytes that are not read. Throws what `adapterFor` does.
 */
export function adaptNetwork(model: Model, original: Reader, network: Reader, id: string): Model {
  const prefix = `${id}/`;
  const names = new Set([...allNames(model.graph)].map((name) => prefix + name));
  const adapter = adapterFor(original, network, prefix, names);
  const made = network.inputs.map(({ name }, i) => [name, adapter.outputs[i]!.name] as const);
  const kept = new Map([...made, ...sparseNames(model.graph).map((name) => [name, name] as const)]);
  const graph = prefixNames(model.graph, prefix, kept);

  const read = new Set(network.inputs.map(({ name }) => name));
  const own = graph.inputs.filter((_, i) => !read.has(model.graph.inputs[i]!.name));
  const batch = model.graph.inputs.find(({ name }) => read.has(name))?.type?.dims?.[0];
  const withBatch = (value: ValueInfo): ValueInfo => ({
    ...value,
    type: { ...value.type!, dims: [batch, ...value.type!.dims!.slice(1)] },
  });
  return {
    ...model,
    irVersion: Math.max(model.irVersion, 4),
    graph: {
      ...graph,
      nodes: [...adapter.nodes, ...graph.nodes],
      initializers: [...adapter.initializers, ...graph.initializers],
      inputs: [...adapter.inputs.map(withBatch), ...own],
    },
  };
}

const sparseNames = (graph: Graph): readonly string[] => [
  ...graph.sparseInitializers.map(({ name }) => name),
  ...graph.nodes.flatMap(subgraphs).flatMap(sparseNames),
];

/**
 * `graph` with `prefix` before every name, but those in `renamed`, which become what it says. What else the file holds about it (`unknownFields`:
 * ranges of quantisation, comments) is by the old names, and goes.
 */
function prefixNames(graph: Graph, prefix: string, renamed: ReadonlyMap<string, string>): Graph {
  const to = (name: string) => (name === '' ? '' : (renamed.get(name) ?? prefix + name));
  const all = <T extends { readonly name: string }>(values: readonly T[]) =>
    values.map((value) => ({ ...value, name: to(value.name) }));
  const { unknownFields: _, ...rest } = graph;
  return {
    ...rest,
    nodes: graph.nodes.map((node) => ({
      ...mapSubgraphs(node, (inner) => prefixNames(inner, prefix, renamed)),
      name: node.name && prefix + node.name,
      inputs: node.inputs.map(to),
      outputs: node.outputs.map(to),
    })),
    initializers: all(graph.initializers),
    inputs: all(graph.inputs),
    outputs: all(graph.outputs),
    valueInfo: all(graph.valueInfo),
  };
}
