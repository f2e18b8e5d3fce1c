/**
 * `lowerExits` backwards: the original's graph out of the emitted one. Every node and weight of it stands there, in the branches that
 * go on; what was put between them is left out, and values have their own names again.
 */
import { exitsNotRemovable, messageOf } from '../errors/index.ts';
import { checkGraph } from '../graph/check.ts';
import { prune } from '../graph/prune.ts';
import { renameValues } from '../graph/rename.ts';
import type { Graph, Model, Node } from '../graph/types.ts';
import { indexGraph, mapSubgraphs } from '../graph/walk.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX, THRESHOLDS } from './lower-exits.ts';

/** Metadata that compile adds begin with it. */
const PROVENANCE = 'offramp.';

/**
 * `model`, which `lowerExits` wrote, without its exits, `thresholds`, `exit_index` and `exit_confidence`: what it was written from, but for outputs
 * that were dropped and what only they needed. Every value has the name it had. Nodes stand in the order in which exits need
 * them. Throws `exits-not-removable` for a model of another structure.
 */
export function closeExits(model: Model): Model {
  const { graph } = model;
  if (!graph.outputs.some(({ name }) => name === EXIT_CONFIDENCE))
    throw exitsNotRemovable(`it has no output ${EXIT_CONFIDENCE}`);
  const levels = levelsOf(graph);
  const { nodes, names, rows } = ownNodes(levels);
  const last = logitsOf(levels.at(-1)!);
  const logits = levels[0]!.exit?.outputs[0] ?? last;
  if (last !== logits) names.set(last, logits);
  const flat: Graph = {
    ...graph,
    nodes,
    initializers: levels.flatMap((level) => level.graph.initializers),
    inputs: graph.inputs.filter(({ name }) => name !== THRESHOLDS),
    outputs: graph.outputs.filter(({ name }) => name !== EXIT_INDEX && name !== EXIT_CONFIDENCE),
  };
  const renamed = renameValues(flat, resolved(names));
  const closed = leaveTwoClasses(pruneNodes(renamed), logits);
  if (closed.nodes.some((node) => node.inputs.some((name) => rows.has(name))))
    throw exitsNotRemovable('some node reads which samples go on');
  try {
    checkGraph(closed);
  } catch (error) {
    throw exitsNotRemovable(messageOf(error), error);
  }
  const metadataProps = model.metadataProps.filter(({ key }) => !key.startsWith(PROVENANCE));
  return { ...model, graph: closed, metadataProps };
}

/** A graph of the nesting: the main one, or what runs behind an exit. */
interface Level {
  readonly graph: Graph;
  /** The If behind which the next level is; undefined in the last. */
  readonly exit: Node | undefined;
  /** [M, 1] The rows of the samples that reach this level; undefined where there is but one sample, and in the main graph. */
  readonly rows: string | undefined;
  /** What the next level, or the end of the original, gives as confidence. */
  readonly confidence: string;
}

/** From the main graph inwards. */
function levelsOf(main: Graph): Level[] {
  const levels: Level[] = [];
  let graph: Graph | undefined = main;
  let given: string | undefined = EXIT_CONFIDENCE;
  while (graph) {
    const { producer } = indexGraph(graph);
    const maker = producer.get(given ?? '');
    const scatter: Node | undefined = maker?.opType === 'ScatterND' ? maker : undefined;
    const confidence = scatter?.inputs[2] ?? given;
    const inner = producer.get(confidence ?? '');
    if (confidence === undefined || !inner)
      throw exitsNotRemovable(`nothing in graph ${graph.name} gives the confidence`);
    const exit = inner.opType === 'If' ? inner : undefined;
    levels.push({ graph, exit, rows: scatter?.inputs[1], confidence });
    const onward = exit?.attributes.then_branch;
    graph = onward?.type === 'GRAPH' ? onward.value : undefined;
    given = graph?.outputs[2]?.name;
  }
  return levels;
}

/** The original's logits in the last level: its end makes the confidence from them (`lowerEnd`), by way of an ensembled answer perhaps. */
function logitsOf({ graph, confidence }: Level): string {
  const { producer } = indexGraph(graph);
  let value = confidence;
  for (const [opType, isOptional] of END) {
    const maker = producer.get(value);
    if (maker?.opType === opType) value = maker.inputs[0]!;
    else if (!isOptional)
      throw exitsNotRemovable(`${value} is made by ${maker?.opType ?? 'no node'}, not by ${opType}`);
  }
  return value;
}

/** From the confidence back to the logits. */
const END = [
  ['ReduceMax', false],
  ['Softmax', false],
  ['Sub', true],
  ['Cast', true],
  ['Reshape', false],
] as const;

interface OwnNodes {
  /** Of the original, those of the exits among them. */
  readonly nodes: readonly Node[];
  /** What values that were made of the original's are instead of. */
  readonly names: Map<string, string>;
  /** Values that say which samples go on. */
  readonly rows: ReadonlySet<string>;
}

/** The nodes of all levels, the next level's in place of the If before it, without those that give a value of the original again. */
function ownNodes(levels: readonly Level[]): OwnNodes {
  const nodes: Node[] = [];
  const names = new Map<string, string>();
  const rows = new Set(levels.flatMap((level) => level.rows ?? []));
  const producer = new Map<string, Node>();
  const original = (name: string): string => {
    const other = names.get(name);
    return other === undefined ? name : original(other);
  };
  const withoutBlocked = (graph: Graph): Graph => {
    const blocked = graph.nodes.filter(isBlocked);
    for (const { inputs, outputs } of blocked) names.set(outputs[0]!, inputs[0]!);
    const kept = graph.nodes.filter((node) => !blocked.includes(node));
    const within = kept.map((node) => mapSubgraphs(node, withoutBlocked));
    const isSame = within.length === graph.nodes.length && within.every((n, i) => n === graph.nodes[i]);
    return isSame ? graph : { ...graph, nodes: within };
  };
  const add = (node: Node): void => {
    const { opType, inputs, outputs } = node;
    const isGathered = rows.has(inputs[1] ?? '') && (opType === 'GatherND' || opType === 'Gather');
    const before = remadeOf(node, producer, original);
    if (isGathered || isBlocked(node) || isConstantOfBranch(node)) names.set(outputs[0]!, inputs[0]!);
    else if (opType === 'Reshape' && rows.has(inputs[0]!)) rows.add(outputs[0]!);
    else if (before) for (const [i, output] of outputs.entries()) names.set(output, before.outputs[i]!);
    else {
      nodes.push(mapSubgraphs(node, withoutBlocked));
      for (const output of outputs) producer.set(output, node);
    }
  };
  const walk = (at: number): void => {
    const { graph, exit } = levels[at]!;
    for (const node of graph.nodes) {
      if (node === exit) walk(at + 1);
      else add(node);
    }
  };
  walk(0);
  return { nodes, names, rows };
}

/** The average over a window of one that `enterBlockedLayout` puts before a Conv. */
const isBlocked = ({ opType, inputs, outputs, attributes }: Node): boolean =>
  opType === 'AveragePool' &&
  [attributes.kernel_shape?.value].flat().every((size) => size === 1) &&
  outputs[0]!.startsWith(`${inputs[0]}/blocked`);

/** The Concat of a weight alone, which makes it a constant of the branch; older packages call it `branch_1` and on. */
const isConstantOfBranch = ({ opType, inputs, outputs }: Node): boolean =>
  opType === 'Concat' &&
  inputs.length === 1 &&
  ['local', 'branch_'].some((suffix) => outputs[0]!.startsWith(`${inputs[0]}/${suffix}`));

/** The node before the exit that `node` is again, of the samples that go on: a Shape, say. */
function remadeOf(
  node: Node,
  producer: ReadonlyMap<string, Node>,
  original: (name: string) => string,
): Node | undefined {
  const name = node.outputs.find((output) => output !== '') ?? '';
  const value = /^(.+)\/survivors_\d+(_\d+)?$/s.exec(name)?.[1];
  const before = value === undefined ? undefined : producer.get(value);
  const isSame =
    before?.opType === node.opType &&
    before.inputs.length === node.inputs.length &&
    node.inputs.every((input, i) => original(input) === original(before.inputs[i]!));
  return isSame ? before : undefined;
}

/** Every name with the last that it leads to. */
function resolved(names: ReadonlyMap<string, string>): Map<string, string> {
  const lastOf = (name: string): string => {
    const other = names.get(name);
    return other === undefined ? name : lastOf(other);
  };
  return new Map([...names.keys()].map((name) => [name, lastOf(name)]));
}

/** `graph` without what no output needs, but with all its inputs. */
function pruneNodes(graph: Graph): Graph {
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  const valueInfo = graph.valueInfo.filter(({ name }) => made.has(name));
  return { ...prune(graph), inputs: graph.inputs, valueInfo };
}

/** `enterTwoClasses` backwards: where `logits` are [0, z], the node that made z makes it again, under its own name. */
function leaveTwoClasses(graph: Graph, logits: string): Graph {
  const { producer, consumers } = indexGraph(graph);
  const reader = (value: string | undefined) => consumers.get(value ?? '')?.[0];
  const pad = producer.get(logits);
  const difference = reader(reader(logits)?.outputs[0]);
  const z = reader(difference?.outputs[0])?.outputs[0];
  if (pad?.opType !== 'Pad' || difference?.opType !== 'Sub' || !logits.startsWith(`${z}/classes`))
    return graph;
  const column = pad.inputs[0]!;
  const own = column.startsWith(`${z}/score`) ? column : producer.get(column)!.inputs[0]!;
  const nodes = graph.nodes.filter((node) => !node.outputs.includes(z!));
  return pruneNodes(renameValues({ ...graph, nodes }, new Map([[own, z!]])));
}
