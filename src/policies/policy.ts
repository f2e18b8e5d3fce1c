/** What an exit policy is: how sure an exit is, said twice, as graph nodes and in plain arithmetic. */
import type { GraphBuilder } from '../graph/builder.ts';

/** What was fitted beforehand, as named vectors: constants of the graph, kept in the manifest. */
export type PolicyParameters = Readonly<Record<string, readonly number[]>>;

/** The largest float32 below 1: the highest threshold of an open exit. */
export const HIGHEST_OPEN: number = 1 - 2 ** -24;

interface Place {
  /** Index of this exit, and how many exits there are. */
  readonly exit: number;
  readonly exits: number;
  readonly classes: number;
}

/** An exit as values of a graph, for the M samples that reach it. */
export interface ExitValues extends Place {
  /** [M, classes] float. */
  readonly logits: string;
  /** [M] float, the confidence head's output; undefined for the original's own output. */
  readonly confidence: string | undefined;
  /** [M, memory] float: what the open exits before this one left, 0 at first; undefined when the policy has no memory. */
  readonly state: string | undefined;
  /** Operator set the nodes are written in; 11 at least where batches are dynamic. */
  readonly opset: number;
}

/** What a policy makes of an exit, as values of the graph. */
export interface DecisionValues {
  /** [M] float: higher is surer, at most 1. A sample leaves when it is greater than the exit's threshold; NaN never is. */
  readonly score: string;
  /** [M, classes] float: the answer of a sample that leaves here. */
  readonly logits: string;
  /** [M, memory] float, for the exits after this one. */
  readonly state: string | undefined;
}

/** What an exit said about N samples. */
export interface ExitOutputs extends Place {
  /** [N, classes], row by row. */
  readonly logits: Float32Array;
  /** [N]: the confidence head's output. */
  readonly confidence: Float32Array;
  /** [N, memory]: what the open exits before this one left, 0 at first; brought up to date by `decide`. */
  readonly state: Float32Array;
}

export interface Decision {
  /** [N], as `DecisionValues`. */
  readonly score: Float32Array;
  /** [N, classes] */
  readonly logits: Float32Array;
}

/** What parameters are fitted on: all samples at all exits, on the validation role. */
export interface FitData {
  /** In exit order. */
  readonly exits: readonly Pick<ExitOutputs, 'logits' | 'confidence'>[];
  /** [N, classes]: the original's logits. */
  readonly original: Float32Array;
  /** [N] */
  readonly labels: Int32Array;
  readonly classes: number;
  /** [exits + 1]: cost of leaving at each exit with all exits open, the full path last, relative to the original. */
  readonly costs: readonly number[];
  /** Average of those that is aimed at, by a policy that is fitted for a budget; 0.6 when left out. */
  readonly budget?: number | undefined;
}

export interface Policy {
  /** Where it comes from. */
  readonly citation: string;
  /** Whether it looks at the confidence head. */
  readonly readsConfidence: boolean;
  /** Floats that a sample carries from exit to exit; 0 for a policy whose exits do not know of each other. */
  state(exits: number, classes: number): number;
  fit?(data: FitData): PolicyParameters;
  /** Throws when nothing could be fitted on samples with `labels`: asked before anything is trained. */
  refuse?(labels: Int32Array, classes: number): void;
  nodes(b: GraphBuilder, exit: ExitValues, parameters: PolicyParameters): DecisionValues;
  decide(exit: ExitOutputs, parameters: PolicyParameters): Decision;
  /** Thresholds that the fit itself would have, for the budget it was fitted for. `scores`: [N] per exit, all exits open. */
  thresholds?(scores: readonly Float32Array[], parameters: PolicyParameters): number[];
}

/** A policy without memory or parameters that leaves the answer alone: a score and nothing else. */
export function scorePolicy(rule: {
  readonly citation: string;
  readonly readsConfidence?: boolean;
  /** [M] */
  nodes(b: GraphBuilder, exit: ExitValues): string;
  /** [N] */
  score(exit: ExitOutputs): Float32Array;
}): Policy {
  return {
    citation: rule.citation,
    readsConfidence: rule.readsConfidence ?? false,
    state: () => 0,
    nodes: (b, exit) => ({ score: rule.nodes(b, exit), logits: exit.logits, state: undefined }),
    decide: (exit) => ({ score: rule.score(exit), logits: exit.logits }),
  };
}
