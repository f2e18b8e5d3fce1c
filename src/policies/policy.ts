/** Exit policies: the score that a sample's exit is decided by, as graph nodes and, the same, in plain arithmetic. */
import type { GraphBuilder } from '../graph/builder.ts';

/** Fitted parameters, as named vectors: constants of the graph, written to the manifest. */
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
  /** [M, size of the state] float, written by the open exits before this one; undefined where there is none of them, which is as good as 0. */
  readonly state: string | undefined;
  /** Operator set the nodes are written in; 11 at least where batches are dynamic. */
  readonly opset: number;
}

/** A policy's outputs at an exit, as values of the graph. */
export interface DecisionValues {
  /** [M] float: higher is surer, at most 1. A sample leaves when it is greater than the exit's threshold; NaN never is. */
  readonly score: string;
  /** [M, classes] float: the answer of a sample that leaves here. */
  readonly logits: string;
  /** [M, size of the state] float, for the exits after this one; undefined when the policy has no state. */
  readonly state: string | undefined;
}

/** Outputs of an exit for N samples. */
export interface ExitOutputs extends Place {
  /** [N, classes], row by row. */
  readonly logits: Float32Array;
  /** [N]: the confidence head's output. */
  readonly confidence: Float32Array;
  /** [N, size of the state], written by the open exits before this one, 0 at first; `decide` updates it. */
  readonly state: Float32Array;
}

export interface Decision {
  /** [N], as `DecisionValues`. */
  readonly score: Float32Array;
  /** [N, classes] */
  readonly logits: Float32Array;
}

/** Data that parameters are fitted on: all samples of the validation split at all exits. */
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
  /** The mean of those costs that a policy is fitted for, if it is fitted for one; 0.6 when left out. */
  readonly budget?: number | undefined;
}

export interface Policy {
  /** The paper that it is from. */
  readonly citation: string;
  /** Whether it reads the output of the confidence head. */
  readonly readsConfidence: boolean;
  /** Floats that a sample carries from exit to exit; 0 for a policy whose scores do not depend on earlier exits. */
  state(exits: number, classes: number): number;
  fit?(data: FitData): PolicyParameters;
  /** Throws when nothing can be fitted on samples with `labels`; called before anything is trained. */
  refuse?(labels: Int32Array, classes: number): void;
  nodes(b: GraphBuilder, exit: ExitValues, parameters: PolicyParameters): DecisionValues;
  decide(exit: ExitOutputs, parameters: PolicyParameters): Decision;
  /** Thresholds that the fit itself implies, for the budget that it is for. `scores`: [N] per exit, all exits open. */
  thresholds?(scores: readonly Float32Array[], parameters: PolicyParameters): number[];
}

/** A policy that is a score alone: no state, no parameters, the exit's own answer. */
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
