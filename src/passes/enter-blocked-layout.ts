/**
 * ONNX Runtime on x64 runs convolutions in a blocked layout (NCHWc) and keeps a map in it from op to op, but reorders a
 * map that arrives in plain layout only for the Conv that reads it. A residual's Add beside that Conv then has one plain
 * operand, leaves the blocked layout, and every later block does so again. An average over a window of one, which is the
 * identity to the bit (NaN included, which a MaxPool would lose), takes the map in for all its readers.
 */
import { makeNode } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import type { Graph, Node } from '../graph/types.ts';
import { allNames, mapSubgraphs } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** Ops whose output is blocked whatever comes in. */
const ENTERS = new Set(['Conv', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool']);
/** Ops whose output is blocked when all inputs are (nchwc_transformer.cc). */
const KEEPS = new Set(['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh', 'HardSigmoid', 'Clip', 'BatchNormalization']);
const JOINS = new Set(['Add', 'Sum', 'Mul', 'Concat']);
/** Channels in a block with AVX-512; a map with other channel counts stays plain. */
const BLOCK = 16;

/** What is known of weights, through all scopes: [M, C/group, kH, kW]. */
type Weights = ReadonlyMap<string, { readonly dims: readonly number[]; readonly dataType: string }>;

/** Inserts the window-of-one averages in the graph and in its subgraphs. */
export const enterBlockedLayout: Pass = {
  name: 'enter-blocked-layout',
  run(graph: Graph): Graph {
    const names = allNames(graph);
    return rewrite(graph, new Map(), (stem) => {
      let name = `${stem}/blocked`;
      for (let i = 1; names.has(name); i++) name = `${stem}/blocked_${i}`;
      names.add(name);
      return name;
    });
  },
};

function rewrite(graph: Graph, outer: Weights, fresh: (stem: string) => string): Graph {
  const weights = new Map([...outer, ...graph.initializers.map((t) => [t.name, t] as const)]);
  const made = new Set(graph.nodes.flatMap((n) => n.outputs));
  const blocked = new Set<string>();
  const here = new Map<string, string>();
  const nodes: Node[] = [];
  const enter = (value: string) => {
    const inside = fresh(value);
    nodes.push(makeNode('AveragePool', [value], [inside], { kernel_shape: [1, 1] }));
    blocked.add(inside);
    here.set(value, inside);
  };
  for (const value of new Set(graph.nodes.flatMap((n) => n.inputs))) {
    if (!made.has(value) && isTornApart(value, graph, weights)) enter(value);
  }
  for (const node of graph.nodes) {
    const [output] = node.outputs as [string];
    const alias =
      node.opType === 'Concat' && node.inputs.length === 1 ? weights.get(node.inputs[0]!) : undefined;
    if (alias) weights.set(output, alias);
    // Everybody else, exits among them, goes on reading the plain map, which exists anyway.
    const follows = ENTERS.has(node.opType) || KEEPS.has(node.opType) || JOINS.has(node.opType);
    const moved = follows ? renameNode(node, here) : node;
    const within = mapSubgraphs(moved, (sub) => rewrite(sub, weights, fresh));
    nodes.push(within);
    const data = within.inputs.filter((name) => !weights.has(name));
    if (
      ENTERS.has(node.opType) ||
      (KEEPS.has(node.opType) && blocked.has(within.inputs[0]!)) ||
      (JOINS.has(node.opType) && data.length > 1 && data.every((name) => blocked.has(name)))
    )
      blocked.add(output);
    else if (isTornApart(output, graph, weights)) enter(output);
  }
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
}

/** Whether `value`, a float map, is read by a Conv and joined with something else beside it, in this very graph. */
function isTornApart(value: string, graph: Graph, weights: Weights): boolean {
  const readers = graph.nodes.filter((n) => n.inputs.includes(value));
  if (!readers.some((n) => JOINS.has(n.opType))) return false;
  return readers.some((n) => {
    if (n.opType !== 'Conv' || n.inputs[0] !== value) return false;
    const weight = weights.get(n.inputs[1]!) ?? aliased(n.inputs[1]!, graph, weights);
    const group = Number(n.attributes.group?.value ?? 1);
    return (
      weight?.dataType === 'float' && weight.dims.length === 4 && (weight.dims[1]! * group) % BLOCK === 0
    );
  });
}

function aliased(name: string, graph: Graph, weights: Weights) {
  const maker = graph.nodes.find((n) => n.outputs[0] === name);
  return maker?.opType === 'Concat' && maker.inputs.length === 1 ? weights.get(maker.inputs[0]!) : undefined;
}
