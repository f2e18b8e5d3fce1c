/**
 * The networks of a part of a chain, each as a network of its own: what is left of one that is cut in its midst reads the values that samples take
 * along there instead of making them.
 */
import { cannotSplit } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { renameNode } from '../graph/rename.ts';
import { elementBytes } from '../graph/tensor.ts';
import type { Dim, Graph, Node, ValueInfo } from '../graph/types.ts';
import { allNames, indexGraph, nodeReads } from '../graph/walk.ts';
import { channelAxisOf } from './channel-axis.ts';
import { cutSegments } from './cut-segments.ts';
import type { Head, TypedModel } from './exits.ts';
import { type Feature, wireDims } from './lowering.ts';
import { measuredValues } from './measured-values.ts';

/** A stretch of a chain: its exits from `from`, counted from 0 over the whole chain, to the one before `to`, and what leads to them. */
export interface Part {
  readonly from: number;
  /** Left out: to the original's own answer. */
  readonly to?: number;
}

/** A network as lowering takes it: its graph reads the original's inputs. The heads of all but the original end with its `endExit`. */
export interface NetworkWithExits {
  readonly typed: TypedModel;
  readonly heads: readonly Head[];
}

/** A network of a part, or what is left of it. */
export interface PartNetwork extends NetworkWithExits {
  /** `exit_index` of its first exit. */
  readonly firstIndex: number;
  /** Whether the chain goes on behind it, in this part or in another. */
  readonly isFollowed: boolean;
  /** What samples bring along where it is the rest of a network. */
  readonly takes: readonly Feature[];
  /** What samples take along where it is cut behind its last exit. */
  readonly gives: readonly Feature[];
}

/** The networks that `part` goes through. What it takes of features, the first one reads. Throws `cannot-split`. */
export function networksOf(networks: readonly NetworkWithExits[], part: Part): PartNetwork[] {
  const found: PartNetwork[] = [];
  let firstIndex = 0;
  for (const [n, network] of networks.entries()) {
    const isFollowed = n < networks.length - 1;
    const own = { ...network, firstIndex, isFollowed, takes: [], gives: [] };
    const end = firstIndex + network.heads.length;
    const { from, to = Number.POSITIVE_INFINITY } = part;
    firstIndex = end;
    const isBefore = isFollowed ? from >= end : false;
    const isBehind = to <= own.firstIndex;
    if (!isBefore && !isBehind) found.push(partOf(own, from, to));
  }
  return found;
}

/** `network` from exit `from` to exit `to` of the chain, as far as they lie inside it. */
function partOf(network: PartNetwork, from: number, to: number): PartNetwork {
  const { typed, heads, firstIndex, isFollowed } = network;
  const [start, stop] = [Math.max(0, from - firstIndex), Math.min(heads.length, to - firstIndex)];
  const isCut = stop < heads.length || (!isFollowed && to !== Number.POSITIVE_INFINITY);
  if (start === 0 && !isCut) return network;
  const points = cutPoints(typed, heads, isFollowed);
  const rest = start > 0 ? restOf(typed, points[start - 1]!) : typed;
  const known = new Set(rest.sampleInputs);
  return {
    typed: rest,
    heads: heads.slice(start, stop),
    firstIndex: firstIndex + start,
    isFollowed: isFollowed || isCut,
    takes: start > 0 ? points[start - 1]!.features : [],
    gives: isCut ? points[stop - 1]!.features.filter(({ name }) => !known.has(name)) : [],
  };
}

/** Between an exit and what is behind it. */
interface CutPoint {
  /** What is read behind it and made before it, or an input. */
  readonly live: readonly string[];
  /** Of those, what is read for the batch size alone, with a value that has as many samples and travels anyway. */
  readonly measured: ReadonlyMap<string, string>;
  /** What is made before the exit and travels. */
  readonly features: readonly Feature[];
  /** What is needed behind it: its exits and its end. */
  readonly goals: readonly string[];
}

/** [K] Behind each exit of a network. Independent of which exits are open, so that all parts of a chain fit together. */
function cutPoints(typed: TypedModel, heads: readonly Head[], isFollowed: boolean): CutPoint[] {
  const taps = heads.map(({ exit }) => exit.tap.value);
  const end = isFollowed ? upTo(typed, taps) : typed;
  const { carried } = cutSegments(end, taps, true);
  return carried.map(({ live }, k) => {
    const goals = [...taps.slice(k + 1), ...(isFollowed ? [] : [typed.logits, typed.output])];
    const measured = measuredAt(typed, live, goals);
    const made = live.filter((value) => !typed.sampleInputs.includes(value) && !measured.has(value));
    return { live, measured, features: made.map((value) => featureOf(typed, value, taps[k]!)), goals };
  });
}

/** `CutPoint.measured`. */
function measuredAt(
  typed: TypedModel,
  live: readonly string[],
  goals: readonly string[],
): ReadonlyMap<string, string> {
  if (typed.batch === 'fixed') return new Map();
  const needed = ancestorsUpTo(typed.model.graph, goals, new Set(live));
  const measured = measuredValues(typed, needed, live);
  for (const goal of goals) measured.delete(goal);
  const other = live.find((value) => !measured.has(value) && typed.facts.get(value)?.batchAxis === 0);
  return new Map(other === undefined ? [] : [...measured].map((value) => [value, other] as const));
}

/** `typed` without what leads to none of `values`, which are in the order samples meet them: the last one is its end. */
export function upTo(typed: TypedModel, values: readonly string[]): TypedModel {
  const outputs = values.map((name) => ({ name, type: undefined }));
  const last = outputs.at(-1)!;
  const graph = { ...prune({ ...typed.model.graph, outputs }), outputs: [last] };
  return { ...typed, model: { ...typed.model, graph }, logits: last.name };
}

function featureOf(typed: TypedModel, value: string, tap: string): Feature {
  const { facts, batch } = typed;
  const fact = facts.get(value)!;
  if (elementBytes(fact.dataType) === undefined || elementBytes(fact.dataType)! < 1)
    throw cannotSplit(
      `behind ${tap}`,
      `${value}, which is needed there, holds elements of type ${fact.dataType}`,
    );
  const isMoved = batch === 'dynamic' && fact.batchAxis !== undefined && fact.batchAxis > 0;
  const last = Math.max(0, fact.dims.length - 1);
  const channelAxis = isMoved ? last : Math.max(0, channelAxisOf(typed, value) + 1);
  return { value, name: isMoved ? `${value}/batch_first` : value, fact, channelAxis };
}

/** What of `typed` is behind `point`, reading its values. */
function restOf(typed: TypedModel, { live, measured, features, goals }: CutPoint): TypedModel {
  const { graph } = typed.model;
  const { realInputs } = indexGraph(graph);
  const given = new Set(live);
  const names = allNames(graph);
  const b = new GraphBuilder('', names);
  const needed = ancestorsUpTo(graph, goals, given);
  /** Results that are given, of nodes that are needed for their others. */
  const unread = new Map(
    [...needed].flatMap(({ outputs }) =>
      outputs.filter((v) => given.has(v)).map((v) => [v, b.fresh(`${v}/unread`)] as const),
    ),
  );
  const nodes = graph.nodes
    .filter((node) => needed.has(node))
    .map((node) => renameNode(withoutOutputs(node, unread), measured));
  const batch = typed.batch === 'fixed' ? undefined : (batchOf(typed) ?? 'N');
  for (const feature of features) {
    const { value, name, fact } = feature;
    if (name === value) continue;
    const axes = fact.dims.map((_, axis) => axis);
    const back = axes.slice(1, fact.batchAxis! + 1);
    b.op('Transpose', [name], { perm: [...back, 0, ...axes.slice(fact.batchAxis! + 1)] }, value);
  }
  const read = new Set([...b.nodes, ...nodes].flatMap(nodeReads).concat(goals));
  const inputs = [
    ...graph.inputs.filter(({ name }) => realInputs.has(name) && read.has(name)),
    ...features.map((feature) => featureInfo(feature, batch)),
  ];
  const facts = new Map(typed.facts);
  for (const { name, value, fact } of features)
    if (name !== value) facts.set(name, { ...fact, dims: wireDims(fact), batchAxis: 0 });
  const whole: Graph = {
    ...graph,
    nodes: [...b.nodes, ...nodes],
    inputs,
    initializers: graph.initializers.filter(({ name }) => read.has(name)),
    sparseInitializers: graph.sparseInitializers.filter(({ name }) => read.has(name)),
    valueInfo: graph.valueInfo.filter(({ name }) => !given.has(name)),
  };
  const sampleInputs = inputs
    .map(({ name }) => name)
    .filter((name) => typed.sampleInputs.includes(name) || features.some((f) => f.name === name));
  return { ...typed, model: { ...typed.model, graph: whole }, facts, sampleInputs };
}

/** The nodes that `goals` depend on, when `given` are known. */
function ancestorsUpTo(graph: Graph, goals: readonly string[], given: ReadonlySet<string>): Set<Node> {
  const { producer } = indexGraph(graph);
  const found = new Set<Node>();
  for (const stack = [...goals]; stack.length > 0; ) {
    const value = stack.pop()!;
    const node = given.has(value) ? undefined : producer.get(value);
    if (!node || found.has(node)) continue;
    found.add(node);
    stack.push(...nodeReads(node));
  }
  return found;
}

const withoutOutputs = (node: Node, names: ReadonlyMap<string, string>): Node =>
  node.outputs.some((v) => names.has(v))
    ? { ...node, outputs: node.outputs.map((v) => names.get(v) ?? v) }
    : node;

/** What the batch dimension of `typed` is called. */
export const batchOf = ({ model, sampleInputs }: TypedModel): Dim =>
  model.graph.inputs.find((v) => v.name === sampleInputs[0])?.type?.dims?.[0];

/** A feature as an input or output; `batch` undefined: of a model for single samples. */
export const featureInfo = ({ name, fact }: Feature, batch: Dim): ValueInfo => ({
  name,
  type: {
    dataType: fact.dataType,
    dims: batch === undefined ? fact.dims : [batch, ...wireDims(fact).slice(1)],
  },
});
