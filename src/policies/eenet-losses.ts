/** The three losses of EENet (Ilhan et al. 2023, section 3) and their derivatives. */
import { softmax } from './rows.ts';

/** Confidence factors of an exit: the largest probability, the entropy as 1 + Σ y log y / log C, the share of the votes. */
export const FACTORS = 3;
/** Width of the hidden layer of the assignments. */
const HIDDEN = 4;
/** L_g is constant for exit scores that are right and above 1 − `SURE`, and linear for those that are wrong and above it. */
const SURE = 0.01;
/** Weight of L_CE beside that of L_budget, 1. The authors' settings: 10⁻³ to 10⁻². */
const CE_SHARE = 0.1;

/** N samples at K exits and, last, at the original; C classes. */
export interface ExitFeatures {
  readonly exits: number;
  readonly classes: number;
  /** Per exit, [N, C]: softmax probabilities. */
  readonly probabilities: readonly Float32Array[];
  /** Per exit and for the original, [N, 3]. */
  readonly factors: readonly Float64Array[];
  /** Per exit and for the original, [N]: whether it is right. */
  readonly correct: readonly Uint8Array[];
  /** [K + 1]: cost of leaving there. */
  readonly costs: readonly number[];
  /** Mean cost that is aimed at. */
  readonly budget: number;
}

/** Sizes of the vector that is learned. */
interface Layout {
  readonly scoreSize: number;
  readonly assignmentSize: number;
  readonly size: number;
}

export function layoutOf({ exits, classes }: Pick<ExitFeatures, 'exits' | 'classes'>): Layout {
  const scoreSize = classes + FACTORS + exits + 1;
  const assignmentSize = HIDDEN * (FACTORS + exits + 1) + HIDDEN + 1;
  return { scoreSize, assignmentSize, size: exits * scoreSize + (exits + 1) * assignmentSize };
}

/** q̂_k = probabilities·y + factors·a + scores·q̂ + bias. */
interface ScoreWeights {
  /** [C] */
  readonly probabilities: Float64Array;
  /** [3] */
  readonly factors: Float64Array;
  /** [K], of which those of the exits before are used. */
  readonly scores: Float64Array;
  /** [1] */
  readonly bias: Float64Array;
}

/** r̂ = softmax over the exits of out·tanh(hidden) + bias. */
interface AssignmentWeights {
  /** [HIDDEN]: factors·a + scores·q̂ + bias each. */
  readonly hidden: readonly Omit<ScoreWeights, 'probabilities'>[];
  /** [HIDDEN] */
  readonly out: Float64Array;
  /** [1] */
  readonly bias: Float64Array;
}

/** The vector that is learned, or its gradient, by name: per exit and, of assignments, for the original too. */
interface Weights {
  readonly scores: readonly ScoreWeights[];
  readonly assignments: readonly AssignmentWeights[];
}

/** Views of `theta`, in the order in which they stand there. */
function weightsOf(theta: Float64Array, { exits, classes }: ExitFeatures): Weights {
  let at = 0;
  const next = (size: number) => {
    at += size;
    return theta.subarray(at - size, at);
  };
  const linear = () => ({ factors: next(FACTORS), scores: next(exits), bias: next(1) });
  const scores = Array.from({ length: exits }, () => ({ probabilities: next(classes), ...linear() }));
  const assignments = Array.from({ length: exits + 1 }, () => ({
    hidden: Array.from({ length: HIDDEN }, linear),
    out: next(HIDDEN),
    bias: next(1),
  }));
  return { scores, assignments };
}

/** Exit scores and assignments of n samples. */
export interface Assigned {
  /** q̂ [n, K], not clamped. */
  readonly scores: Float64Array;
  /** r̂ [n, K + 1] */
  readonly assignments: Float64Array;
  /** [n, K + 1, HIDDEN] */
  readonly hidden: Float64Array;
}

/** q̂ and r̂ of samples `some` with the weights `theta`. */
export function assign(features: ExitFeatures, theta: Float64Array, some: Int32Array): Assigned {
  const { exits, classes } = features;
  const weights = weightsOf(theta, features);
  const [n, all] = [some.length, exits + 1];
  const scores = new Float64Array(n * exits);
  const assignments = new Float64Array(n * all);
  const hidden = new Float64Array(n * all * HIDDEN);
  for (let row = 0; row < n; row++) {
    const i = some[row]!;
    for (let k = 0; k < exits; k++) {
      const w = weights.scores[k]!;
      const y = features.probabilities[k]!;
      const a = features.factors[k]!;
      let q = w.bias[0]!;
      for (let c = 0; c < classes; c++) q += w.probabilities[c]! * y[i * classes + c]!;
      for (let f = 0; f < FACTORS; f++) q += w.factors[f]! * a[i * FACTORS + f]!;
      for (let j = 0; j < k; j++) q += w.scores[j]! * scores[row * exits + j]!;
      scores[row * exits + k] = q;
    }
    const r = assignments.subarray(row * all, (row + 1) * all);
    for (let k = 0; k < all; k++) {
      const w = weights.assignments[k]!;
      const a = features.factors[k]!;
      r[k] = w.bias[0]!;
      for (let h = 0; h < HIDDEN; h++) {
        const unit = w.hidden[h]!;
        let z = unit.bias[0]!;
        for (let f = 0; f < FACTORS; f++) z += unit.factors[f]! * a[i * FACTORS + f]!;
        for (let j = 0; j < exits && j <= k; j++) z += unit.scores[j]! * scores[row * exits + j]!;
        const v = Math.tanh(z);
        hidden[(row * all + k) * HIDDEN + h] = v;
        r[k]! += w.out[h]! * v;
      }
    }
    softmax(r, r);
  }
  return { scores, assignments, hidden };
}

export interface Losses {
  /** L_g = 1/K Σ_n Σ_k w_nk BCE(q̂_nk, q_nk), w_nk = (1 − Σ_{k' < k} r̂_nk') over its sum. */
  readonly score: number;
  /** −1/(NK) Σ r log r̂, r the exits that are right in equal shares, all of them when none is; and |B − 1/N Σ r̂ c| / B. */
  readonly assignment: number;
  /** Of `score` by the scores' weights and of `assignment` by the assignments'; the one's value in the other counts as constant. */
  readonly gradient: Float64Array;
}

/** The losses on samples `some`, from what `assign` returned for them. */
export function losses(
  features: ExitFeatures,
  theta: Float64Array,
  some: Int32Array,
  assigned: Assigned,
): Losses {
  const gradient = new Float64Array(theta.length);
  const slopes = weightsOf(gradient, features);
  const score = scoreLoss(features, some, assigned, slopes.scores);
  const { assignments } = weightsOf(theta, features);
  const assignment = assignmentLoss(features, assignments, some, assigned, slopes.assignments);
  return { score, assignment, gradient };
}

/** L_g; adds its derivatives to `slopes`. */
function scoreLoss(
  features: ExitFeatures,
  some: Int32Array,
  { scores, assignments }: Assigned,
  slopes: readonly ScoreWeights[],
): number {
  const { exits, classes } = features;
  const n = some.length;
  const staying = new Float64Array(n).fill(1);
  let loss = 0;
  for (const [k, to] of slopes.entries()) {
    const [y, a, correct] = [features.probabilities[k]!, features.factors[k]!, features.correct[k]!];
    const total = staying.reduce((a, b) => a + b);
    for (let row = 0; row < n; row++) {
      const i = some[row]!;
      const weight = staying[row]! / total / exits;
      const [value, slope] = crossEntropy(scores[row * exits + k]!, correct[i] === 1);
      loss += weight * value;
      const by = weight * slope;
      staying[row]! -= assignments[row * (exits + 1) + k]!;
      if (by === 0) continue;
      for (let c = 0; c < classes; c++) to.probabilities[c]! += by * y[i * classes + c]!;
      for (let f = 0; f < FACTORS; f++) to.factors[f]! += by * a[i * FACTORS + f]!;
      for (let j = 0; j < k; j++) to.scores[j]! += by * scores[row * exits + j]!;
      to.bias[0]! += by;
    }
  }
  return loss;
}

/** −log(q̂ clamped), or −log(1 − q̂ clamped) when wrong, and its slope; where a wrong score is clamped, the tangent goes on. */
function crossEntropy(score: number, right: boolean): readonly [value: number, slope: number] {
  const p = right ? score : 1 - score;
  const sign = right ? 1 : -1;
  if (p >= 1 - SURE) return [-Math.log(1 - SURE), 0];
  if (p >= SURE) return [-Math.log(p), -sign / p];
  return [-Math.log(SURE) + (SURE - p) / SURE, -sign / SURE];
}

/** CE_SHARE·L_CE + L_budget; adds its derivatives to `slopes`. */
function assignmentLoss(
  features: ExitFeatures,
  weights: readonly AssignmentWeights[],
  some: Int32Array,
  { scores, assignments, hidden }: Assigned,
  slopes: readonly AssignmentWeights[],
): number {
  const { exits, costs, budget, correct } = features;
  const [n, all] = [some.length, exits + 1];
  let mean = 0;
  for (let row = 0; row < n; row++)
    for (let k = 0; k < all; k++) mean += (assignments[row * all + k]! * costs[k]!) / n;
  let crossEntropies = 0;
  for (let row = 0; row < n; row++) {
    const i = some[row]!;
    const r = assignments.subarray(row * all, (row + 1) * all);
    let rights = 0;
    let cost = 0;
    for (let k = 0; k < all; k++) {
      rights += correct[k]![i]!;
      cost += r[k]! * costs[k]!;
    }
    for (let k = 0; k < all; k++) {
      const wanted = rights === 0 ? 1 / all : correct[k]![i]! / rights;
      if (wanted > 0) crossEntropies -= (wanted * Math.log(r[k]!)) / (n * all);
      const by =
        (CE_SHARE * (r[k]! - wanted)) / (n * all) +
        (Math.sign(mean - budget) * r[k]! * (costs[k]! - cost)) / (budget * n);
      const w = weights[k]!;
      const to = slopes[k]!;
      const a = features.factors[k]!;
      to.bias[0]! += by;
      for (let h = 0; h < HIDDEN; h++) {
        const v = hidden[(row * all + k) * HIDDEN + h]!;
        to.out[h]! += by * v;
        const inner = by * w.out[h]! * (1 - v * v);
        const unit = to.hidden[h]!;
        for (let f = 0; f < FACTORS; f++) unit.factors[f]! += inner * a[i * FACTORS + f]!;
        for (let j = 0; j < exits && j <= k; j++) unit.scores[j]! += inner * scores[row * exits + j]!;
        unit.bias[0]! += inner;
      }
    }
  }
  return CE_SHARE * crossEntropies + Math.abs(budget - mean) / budget;
}
