/** The types that the exit passes share: facts, taps, the plan, heads. */
import type { DataType, Graph, Model } from '../graph/types.ts';

/** What trial runs show of a value. */
export interface Fact {
  readonly dataType: DataType;
  /** Shape at batch 1. */
  readonly dims: readonly number[];
  /** The axis that follows the batch size one to one; undefined when none does. */
  readonly batchAxis: number | undefined;
  /** Set when the value depends on the batch size in another way: along k·N, or in its contents (a Shape, say). */
  readonly batchTrouble?: string;
}

/**
 * What lies between the logits of all classes and the output. `scaled-softmax`: a Softmax times a positive constant, or rounded; shares of
 * their sum are probabilities. Binary classifiers with one score z a sample, whose logits are [0, z]: `sigmoid` gives the probability of
 * class 1, `logit` z itself.
 */
export type Activation = 'none' | 'softmax' | 'log-softmax' | 'scaled-softmax' | 'sigmoid' | 'logit';

/** Whether the output is one score a sample, of two classes. */
export const isOneScore = (activation: Activation): boolean =>
  activation === 'sigmoid' || activation === 'logit';

/** A classifier with all facts that the later passes need. */
export interface TypedModel {
  readonly model: Model;
  readonly facts: ReadonlyMap<string, Fact>;
  /** Inputs that have a batch axis, in the model's order. */
  readonly sampleInputs: readonly string[];
  /** The graph output that carries class scores. */
  readonly output: string;
  /** The value where exits merge: class scores before any Softmax, [N, classes], or with axes of 1 ([N, classes, 1, 1]). */
  readonly logits: string;
  readonly classes: number;
  /** What lies between `logits` and `output`, besides Casts and the like. */
  readonly activation: Activation;
  /** `fixed`: the model only takes the batch size 1. */
  readonly batch: 'dynamic' | 'fixed';
  /** On random input some scores were NaN or infinite. */
  readonly scoresNotFinite?: true;
}

/** A place where an exit could go. */
export interface Tap {
  /** Name of the tapped value. */
  readonly value: string;
  /** Per-sample shape, without the batch axis. */
  readonly dims: readonly number[];
  /** Which of `dims` counts channels, or the features of a token. */
  readonly channelAxis: number;
  /** MACs a sample of everything the value depends on. */
  readonly prefixMacs: number;
  /** `prefixMacs` as a share of the whole model. */
  readonly relativeCost: number;
  /** Values with a batch axis that later nodes still need, the tap itself included. */
  readonly live: readonly string[];
  /** Bytes a sample of `live`. */
  readonly liveBytes: number;
  /** Bytes a sample of the tapped value itself. */
  readonly tapBytes: number;
}

export interface RejectedTap {
  readonly value: string;
  readonly relativeCost: number;
  readonly reason: string;
}

export interface PlannedExit {
  /** `exit_1`, `exit_2`, … in the order samples meet them. */
  readonly id: string;
  /** Which network of the chain it is in: 0 for the first, and for a model on its own. */
  readonly network: number;
  readonly tap: Tap;
  /** MACs a sample of all of its network that has run when this exit is reached, for earlier exits' taps included. */
  readonly prefixMacs: number;
}

export interface ExitPlan {
  readonly typed: TypedModel;
  readonly taps: readonly Tap[];
  readonly rejected: readonly RejectedTap[];
  readonly exits: readonly PlannedExit[];
  /** MACs a sample of the original model. */
  readonly totalMacs: number;
  /** Op types that the MAC count leaves out although they do arithmetic, with their node counts. */
  readonly notCounted: Readonly<Record<string, number>>;
}

/** Head families and their sizes (see `buildHead`). */
export const HEAD_KINDS = [
  'strided',
  'token',
  'residual',
  'residual2',
  'residual3',
  'conv',
  'conv2',
  'conv3',
  'pool',
] as const;
export type HeadKind = (typeof HEAD_KINDS)[number];

/**
 * One exit's branch, as a graph of its own: input `features` [N, ...tap dims] float,
 * outputs `logits` [N, classes] and `confidence` [N] in [0, 1].
 * In training form BatchNormalization and Dropout are still nodes; in inference form they are folded away.
 */
export interface Head {
  readonly exit: PlannedExit;
  /** `given`: it came with the model. `end`: what a network itself answers, at its end. */
  readonly kind: HeadKind | 'given' | 'end';
  readonly graph: Graph;
  /** MACs a sample, in inference form. */
  readonly macs: number;
}
