/** What calibration reads and what it returns. */

/** Predictions of K exits as a fitted policy scores them, on the N samples of one split. */
export interface Outcomes {
  /** Per exit, [N]: the policy's score; higher is surer; an exit fires when score > threshold. NaN never fires. */
  readonly scores: readonly Float32Array[];
  /** Per exit, [N]: the class answered there. */
  readonly answers: readonly Int32Array[];
  /** [N]: the original model's predicted class, which answers are compared with. */
  readonly original: Int32Array;
  /** [N]: the predicted class of samples that reach the end, where it is an ensemble of the original and the open exits; else `original`. */
  readonly final?: Int32Array;
  /** [N]: the true class. */
  readonly labels: Int32Array;
}

/** `outcomes` of `samples` alone, in their order. */
export function pickSamples(outcomes: Outcomes, samples: Int32Array): Outcomes {
  const { scores, answers, original, final, labels } = outcomes;
  const pick = (values: Int32Array) => samples.map((sample) => values[sample]!);
  return {
    scores: scores.map((score) => Float32Array.from(samples, (sample) => score[sample]!)),
    answers: answers.map(pick),
    original: pick(original),
    ...(final && { final: pick(final) }),
    labels: pick(labels),
  };
}

/** With logits: per exit, [N, classes], of the answers of samples that leave there; the last entry, of those that reach the end. */
export interface ExitOutcomes extends Outcomes {
  readonly logits: readonly Float32Array[];
}

/** Outcomes by thresholds, with all exits open when they are left out: an exit's scores may depend on which exits before it are open. */
export type OutcomesAt<O extends Outcomes = Outcomes> = (thresholds?: readonly number[]) => O;

/**
 * Costs of a chain of networks, the original last, as shares of the original's. A sample runs a network up to its last open exit that the
 * sample reaches; a network whose exits are all closed is not run; the original is run to its end by samples that leave nowhere.
 */
export interface CostModel {
  /** [K] In the order samples meet them. */
  readonly exits: readonly ExitCost[];
  /** [networks]: whole cost of each; the original's, the last, is 1. */
  readonly networks: readonly number[];
}

export interface ExitCost {
  /** Index of its network. */
  readonly network: number;
  /** Cost of its network up to its tap. It does not fall along a network. */
  readonly prefix: number;
  /** Cost of its head. Paid by every sample that reaches the exit when it is open. */
  readonly head: number;
}

/** A closed exit: its head is not run and no sample leaves. Every score is below it. */
export const CLOSED = 1;
/** Whether `thresholds` let nothing leave early: the original alone answers. */
export const closesAll = (thresholds: readonly number[]): boolean =>
  thresholds.every((threshold) => threshold >= CLOSED);

/** What a vector of thresholds does on some outcomes. Shares and accuracies are fractions in [0, 1]. */
export interface Measured {
  /** Share of samples whose answer equals the label. */
  readonly accuracy: number;
  /** Share of samples whose answer equals the original's. */
  readonly agreement: number;
  /** Mean cost of a sample relative to the original, every executed head counted. */
  readonly relativeCost: number;
  /** [K + 1]: share of samples leaving at each exit, the full path last. */
  readonly exitShares: readonly number[];
}

export interface Candidate extends Measured {
  /** [K]: one per exit; 1 (`CLOSED`) closes it. */
  readonly thresholds: readonly number[];
}
