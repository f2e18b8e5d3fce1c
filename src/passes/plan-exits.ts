/** Where exits can go, what each place costs, and what was turned down and why. */
import { exitsDoNotFit, nothingCounted, unknownTap } from '../errors/index.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { Node } from '../graph/types.ts';
import { ancestors, dependents, indexGraph, nodeReads } from '../graph/walk.ts';
import { carryValues } from './carry-values.ts';
import { channelAxisOf } from './channel-axis.ts';
import { nodeMacs } from './count-macs.ts';
import type { ExitPlan, Fact, PlannedExit, RejectedTap, Tap, TypedModel } from './exits.ts';

export const PLACEMENTS = ['spread', 'linear', 'pareto', 'fine', 'gold'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/**
 * Share of the model's cost at which exit `i` of `count` (from 0) is wanted.
 * Ours: spread, even steps from 0.2 to 0.68 (earlier heads are seldom right, later ones save little).
 * Lahiany & Aperstein 2022 (PTEENet), as in their code: linear (i+1)/(N+1), pareto 1 − 0.8^(i+1),
 * fine 1 − 0.95^(i+1), gold 1.618^(i−N).
 */
export const PLACEMENT_TARGET: Record<Placement, (i: number, count: number) => number> = {
  spread: (i, count) => 0.2 + (count > 1 ? (0.48 * i) / (count - 1) : 0.2),
  linear: (i, count) => (i + 1) / (count + 1),
  pareto: (i) => 1 - 0.8 ** (i + 1),
  fine: (i) => 1 - 0.95 ** (i + 1),
  gold: (i, count) => 1.618 ** (i - count),
};

/** Beyond this share of the cost an exit saves nothing. */
export const LATEST_TAP = 0.9;

/** Each exit costs time even when no sample leaves there; a fourth brought nothing on ResNet-56 (bench/README.md). */
const DEFAULT_EXITS = 3;

export interface PlanOptions {
  readonly placement?: Placement;
  /** How many exits; by default as many of three as fit. */
  readonly exits?: number | undefined;
  /** Explicit taps by value name, instead of placement. */
  readonly taps?: readonly string[] | undefined;
}

/**
 * Analysis: every tap of `typed` and the exits that `options` choose among them: none where there is no place for any, unless they were
 * asked for. Throws `unknown-tap`, `exits-do-not-fit`, and `nothing-counted` for a model whose costs cannot be compared.
 */
export function planExits(typed: TypedModel, options: PlanOptions = {}): ExitPlan {
  const { cost, totalMacs, notCounted } = countCosts(typed);
  if (totalMacs === 0) throw nothingCounted(Object.keys(notCounted));
  const { taps, rejected } = findTaps(typed, cost, totalMacs);
  const chosen = options.taps
    ? options.taps.map((name) => explicitTap(name, taps, rejected))
    : placeTaps(taps, options.placement ?? 'spread', options.exits);
  const inOrder = [...new Set(chosen)].sort((a, b) => a.prefixMacs - b.prefixMacs);
  const run = new Set<Node>();
  const exits: PlannedExit[] = inOrder.map((tap, i) => {
    for (const node of ancestors(typed.model.graph, [tap.value])) run.add(node);
    return { id: `exit_${i + 1}`, network: 0, tap, prefixMacs: cost(run) };
  });
  return { typed, taps, rejected, exits, totalMacs, notCounted };
}

/** The last tap of each cost level: taps of equal prefix cost differ only by light ops, and the least live data wins. */
function bestPerCost(taps: readonly Tap[]): Tap[] {
  const best = new Map<number, Tap>();
  for (const tap of taps) {
    const rival = best.get(tap.prefixMacs);
    if (!rival || tap.liveBytes <= rival.liveBytes) best.set(tap.prefixMacs, tap);
  }
  return [...best.values()].sort((a, b) => a.prefixMacs - b.prefixMacs);
}

/** At a clean tap little else is carried along: an attention mask, say, but no second map. */
const CLEAN = 1.05;

export const isClean = ({ live, liveBytes, tapBytes }: Tap) =>
  live.length === 1 || liveBytes <= CLEAN * tapBytes;

/** How many values each reason turned down, in the order in which they are met. */
export function reasonsOf(rejected: readonly RejectedTap[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { reason } of rejected) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return counts;
}

/** Only if there are no clean cuts do wider ones count. */
function placeTaps(taps: readonly Tap[], rule: Placement, asked?: number): Tap[] {
  const usable = taps.filter((t) => t.relativeCost <= LATEST_TAP && t.prefixMacs > 0);
  const clean = usable.filter(isClean);
  const candidates = bestPerCost(clean.length > 0 ? clean : usable);
  const count = asked ?? Math.min(DEFAULT_EXITS, candidates.length);
  const placed: Tap[] = [];
  for (const tap of candidates) {
    if (placed.length < count && tap.relativeCost >= PLACEMENT_TARGET[rule](placed.length, count))
      placed.push(tap);
  }
  if (placed.length === 0 && candidates.length > 0) placed.push(candidates.at(-1)!);
  if (asked !== undefined && placed.length < asked) throw exitsDoNotFit(asked, placed.length, rule);
  return placed;
}

function explicitTap(name: string, taps: readonly Tap[], rejected: readonly RejectedTap[]): Tap {
  const tap = taps.find((t) => t.value === name);
  if (tap) return tap;
  const reason =
    rejected.find((r) => r.value === name)?.reason ?? 'there is no such value between input and logits';
  throw unknownTap(
    name,
    reason,
    bestPerCost(taps.filter(isClean))
      .slice(0, 8)
      .map((t) => t.value),
  );
}

/** MACs of one sample on the whole way to the logits. */
export const totalMacsOf = (typed: TypedModel): number => countCosts(typed).totalMacs;

type Cost = (nodes: Iterable<Node>) => number;

/** MACs a sample of any set of nodes, and of the whole way to the logits. */
function countCosts(typed: TypedModel): { cost: Cost } & Pick<ExitPlan, 'totalMacs' | 'notCounted'> {
  const { graph } = typed.model;
  const sampled = dependents(graph, typed.sampleInputs);
  const path = ancestors(graph, [typed.logits]);
  const macs = new Map<Node, number>();
  const notCounted: Record<string, number> = {};
  for (const node of path) {
    if (!node.outputs.some((o) => sampled.has(o))) continue;
    const count = nodeMacs(node, (value) => typed.facts.get(value)?.dims);
    macs.set(node, count ?? 0);
    if (count === undefined) notCounted[node.opType] = (notCounted[node.opType] ?? 0) + 1;
  }
  const cost: Cost = (nodes) => [...nodes].reduce((sum, node) => sum + (macs.get(node) ?? 0), 0);
  return { cost, totalMacs: cost(path), notCounted };
}

function findTaps(typed: TypedModel, cost: Cost, totalMacs: number): Pick<ExitPlan, 'taps' | 'rejected'> {
  const { graph } = typed.model;
  const sampled = dependents(graph, typed.sampleInputs);
  const path = ancestors(graph, [typed.logits]);
  const taps: Tap[] = [];
  const rejected: RejectedTap[] = [];
  // A float reading of an int8 value on the way (see dequantize-taps) stands beside the way itself.
  const { producer } = indexGraph(graph);
  const isReading = (node: Node) =>
    node.opType === 'DequantizeLinear' && path.has(producer.get(node.inputs[0]!)!);
  for (const node of graph.nodes) {
    if (!path.has(node) && !isReading(node)) continue;
    for (const value of node.outputs) {
      if (value === '' || value === typed.logits || !sampled.has(value)) continue;
      const prefix = ancestors(graph, [value]);
      const prefixMacs = cost(prefix);
      const relativeCost = prefixMacs / totalMacs;
      const carried = whyNot(typed.facts.get(value)) ?? carriedPast(typed, prefix, sampled);
      if (typeof carried === 'string') {
        rejected.push({ value, relativeCost, reason: carried });
        continue;
      }
      const fact = typed.facts.get(value)!;
      const { live } = carried;
      const bytes = (name: string) => factBytes(typed.facts.get(name));
      taps.push({
        value,
        dims: fact.dims.slice(1),
        channelAxis: channelAxisOf(typed, value),
        prefixMacs,
        relativeCost,
        live,
        liveBytes: live.reduce((sum, name) => sum + bytes(name), 0),
        tapBytes: bytes(value),
      });
    }
  }
  return { taps, rejected };
}

/** What nodes outside `prefix` need of it on the way to the model's outputs, and those themselves. */
function carriedPast(typed: TypedModel, prefix: ReadonlySet<Node>, sampled: ReadonlySet<string>) {
  const { graph } = typed.model;
  const outputs = graph.outputs.map((v) => v.name);
  const later = [...ancestors(graph, outputs)].filter((node) => !prefix.has(node));
  const read = [...later.flatMap(nodeReads), ...outputs];
  return carryValues(typed, sampled, read, (node) => !prefix.has(node));
}

const factBytes = (fact: Fact | undefined) =>
  fact ? elementCount(fact.dims) * (elementBytes(fact.dataType) ?? 1) : 0;

function whyNot(fact: Fact | undefined): string | undefined {
  if (!fact) return 'it is not a tensor';
  if (fact.dataType !== 'float' && fact.dataType !== 'float16') return `it is ${fact.dataType}, not float`;
  if (fact.batchTrouble) return fact.batchTrouble;
  if (fact.batchAxis === undefined) return 'it has no batch axis';
  if (fact.batchAxis !== 0) return `its batch axis is ${fact.batchAxis}, not 0`;
  if (fact.dims.length < 2 || fact.dims.length > 5) return `it has ${fact.dims.length} axes`;
  return undefined;
}
