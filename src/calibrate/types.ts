/** What calibration reads and what it returns. */

/** What every exit said about the samples of one data role. K exits, N samples. */
export interface Outcomes {
  /** Per exit, [N]: the policy's score; higher is surer; an exit fires when score > threshold. NaN never fires. */
  readonly scores: readonly Float32Array[];
  /** Per exit, [N]: predicted class. */
  readonly predictions: readonly Int32Array[];
  /** [N]: the original model's predicted class, which answers are compared with. */
  readonly original: Int32Array;
  /** [N]: the answer of samples that go all the way, where open exits join the original; else it is the original's. */
  readonly final?: Int32Array;
  /** [N]: the true class. */
  readonly labels: Int32Array;
}

/** With the logits of each answer: per exit, [N, classes], of a sample that leaves there; and of one that goes all the way, at the end. */
export interface ExitOutcomes extends Outcomes {
  readonly logits: readonly Float32Array[];
}

/** Outcomes by thresholds, all exits open when they are left out: what an exit thinks may depend on which others are open. */
export type OutcomesAt<O extends Outcomes = Outcomes> = (thresholds?: readonly number[]) => O;

/** Cost of a sample relative to the original model, every executed head counted. */
export interface CostModel {
  /** Per exit: cost of the backbone up to its tap, as a share of the original. */
  readonly prefix: readonly number[];
  /** Per exit: cost of its head, as a share of the original. Paid by every sample that reaches an open exit. */
  readonly head: readonly number[];
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
