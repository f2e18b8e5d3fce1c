/** Analysis: which part of the backbone runs before each exit, and what has to be carried across. */
import { cannotCarry, scoresLost } from '../errors/index.ts';
import type { Graph, Node } from '../graph/types.ts';
import { ancestors, dependents, indexGraph, nodeReads } from '../graph/walk.ts';
import { type Carried, carryValues } from './carry-values.ts';
import type { TypedModel } from './exits.ts';

export interface Cut {
  /** [K + 1]: nodes that exit k needs and no earlier exit did; the last ones lead to the logits. In graph order. */
  readonly segments: readonly (readonly Node[])[];
  /** Whether the first segment runs inside a branch too; the main graph has it otherwise. */
  readonly isNested: boolean;
  /** Of a nested model: nodes that no sample has a part in and that outputs need; they run in the main graph. */
  readonly prefix: readonly Node[];
  /** Nodes off the way to the logits that samples have a part in and other outputs need, lost ones left out: they run once, for all samples. */
  readonly suffix: readonly Node[];
  /** Per initializer: the one segment that reads it, or `main` when the main graph or several do. */
  readonly homeOf: ReadonlyMap<string, number | typeof MAIN>;
  /** [K]: what exists at exit k and is needed behind it. */
  readonly carried: readonly Carried[];
  /** Outputs that a sample which leaves early has not computed; what serves them alone is in no segment. */
  readonly lostOutputs: readonly string[];
}

export const MAIN = 'main';

/**
 * Cuts `typed` at `taps`, given in the order samples meet them. `isNested`: all of it is to run inside a branch. `ends`: what the last segment
 * leads to, when not to the logits.
 */
export function cutSegments(
  typed: TypedModel,
  taps: readonly string[],
  isNested = false,
  ends: readonly string[] = [],
): Cut {
  const { graph } = typed.model;
  const sampled = dependents(graph, typed.sampleInputs);
  const goals = ends.length > 0 ? ends : [typed.logits];
  const path = ancestors(graph, goals);
  const lostOutputs = findLostOutputs(typed, taps, isNested);
  const outputs = graph.outputs.map((v) => v.name).filter((name) => !lostOutputs.includes(name));
  const wanted = ancestors(graph, outputs);
  const aside = graph.nodes.filter((n) => wanted.has(n) && !path.has(n));
  const suffixConstants = ancestors(
    graph,
    [...aside.flatMap(nodeReads), ...outputs].filter((name) => !sampled.has(name)),
  );
  const suffix = aside.filter((n) => !suffixConstants.has(n));
  const prefix = isNested ? graph.nodes.filter((n) => suffixConstants.has(n)) : [];
  const segments = segmentsTo(graph, [...taps.map((tap) => [tap]), goals], suffixConstants, prefix);
  return {
    segments,
    isNested,
    prefix,
    suffix,
    homeOf: initializerHomes(typed, segments, [...prefix, ...suffix], isNested),
    carried: carriedAfter(typed, sampled, segments, taps, ends),
    lostOutputs,
  };
}

/** The outputs that samples which leave at `taps`, or of a nested model before it, have not computed, in the model's order. Throws `scores-lost` where the scores are among them. */
export function findLostOutputs(typed: TypedModel, taps: readonly string[], isNested = false): string[] {
  const { graph } = typed.model;
  const sampled = dependents(graph, typed.sampleInputs);
  const first = isNested ? new Set<Node>() : ancestors(graph, [taps[0] ?? typed.logits]);
  const path = ancestors(graph, [...taps, typed.logits]);
  const inBranch = new Set([...path].filter((node) => !first.has(node)));
  const lost = graph.outputs.map((v) => v.name).filter((name) => isLost(typed, sampled, inBranch, name));
  if (lost.includes(typed.output)) throw scoresLost(typed.output, typed.logits);
  return lost;
}

/** One segment for each of `goals`, the values that it leads to. `first`: nodes that the first one has besides; `elsewhere`: nodes that none has. */
function segmentsTo(
  graph: Graph,
  goals: readonly (readonly string[])[],
  first: ReadonlySet<Node>,
  elsewhere: readonly Node[],
): Node[][] {
  const placed = new Set<Node>(elsewhere);
  return goals.map((goal, k) => {
    const needed = ancestors(graph, goal);
    const nodes = graph.nodes.filter((n) => (needed.has(n) || (k === 0 && first.has(n))) && !placed.has(n));
    for (const node of nodes) placed.add(node);
    return nodes;
  });
}

function initializerHomes(
  typed: TypedModel,
  segments: Cut['segments'],
  inMain: readonly Node[],
  isNested: boolean,
): Map<string, number | typeof MAIN> {
  const { graph } = typed.model;
  const { initializer } = indexGraph(graph);
  const homes = new Map<string, number | typeof MAIN>();
  [...segments, inMain].forEach((nodes, i) => {
    const home = nodes === inMain || (i === 0 && !isNested) ? MAIN : i;
    for (const name of nodes.flatMap(nodeReads)) {
      if (initializer.has(name)) homes.set(name, (homes.get(name) ?? home) === home ? home : MAIN);
    }
  });
  for (const { name } of graph.outputs) if (homes.has(name)) homes.set(name, MAIN);
  return homes;
}

/** From the last exit to the first: what a later exit has to carry, those before it carry too. Throws `cannot-carry`. */
function carriedAfter(
  typed: TypedModel,
  sampled: ReadonlySet<string>,
  segments: Cut['segments'],
  taps: readonly string[],
  ends: readonly string[],
): Carried[] {
  const later = new Set<Node>();
  const read = new Set(ends);
  const found: Carried[] = [];
  for (let k = taps.length - 1; k >= 0; k--) {
    for (const node of segments[k + 1]!) {
      later.add(node);
      for (const name of nodeReads(node)) read.add(name);
    }
    const carried = carryValues(typed, sampled, read, (node) => later.has(node));
    if (typeof carried === 'string') throw cannotCarry(taps[k]!, carried);
    found.unshift(carried);
    for (const name of [...carried.live, taps[k]!]) read.add(name);
  }
  return found;
}

/** Whether `output` depends on a node inside a branch other than through the logits. */
function isLost(
  typed: TypedModel,
  sampled: ReadonlySet<string>,
  inBranch: ReadonlySet<Node>,
  output: string,
): boolean {
  const { producer } = indexGraph(typed.model.graph);
  const seen = new Set([typed.logits]);
  for (const stack = [output]; stack.length > 0; ) {
    const value = stack.pop()!;
    const maker = producer.get(value);
    if (seen.has(value) || !maker) continue;
    seen.add(value);
    if (inBranch.has(maker) && sampled.has(value)) return true;
    stack.push(...nodeReads(maker));
  }
  return false;
}
