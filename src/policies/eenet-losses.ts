/** The three losses of EENet (Ilhan et al. 2023, section 3) and their derivatives, on what a few samples look like at every exit. */

/** Confidence factors of an exit: the largest probability, the entropy as 1 + Σ y log y / log C, the share of the votes. */
export const FACTORS = 3;
/** Width of the hidden layer that an assignment is made by. */
const HIDDEN = 4;
/** Where L_g stops rising for an exit score that is sure and right, and goes on in a straight line for one that is sure and wrong. */
const SURE = 0.01;
/** How much of L_CE there is for every L_budget: 10⁻³ to 10⁻² in the authors' settings. */
const CE_SHARE = 0.1;

/** What N samples look like. K exits and the original, which is the last to leave at; C classes. */
export interface ExitFeatures {
  readonly exits: number;
  readonly classes: number;
  /** Per exit, [N, C]: softmax probabilities. */
  readonly probabilities: readonly Float32Array[];
  /** Per exit and for the original, [N, 3]. */
  readonly factors: readonly Float64Array[];
  /** Per exit and for the original, [N]: whether it is right. */
  readonly correct: readonly Uint8Array[];
  /** [K + 1]: cost of leaving there, and what they should be on average. */
  readonly costs: readonly number[];
  readonly budget: number;
}

/** Where the weights stand in the vector that is learned. Per exit: [C + 3 + K] and a bias; then, per exit and for the original: */
interface Layout {
  readonly scoreSize: number;
  /** [HIDDEN, 3 + K + 1] with the bias last, then [HIDDEN + 1]. */
  readonly assignmentSize: number;
  readonly inputs: number;
  readonly size: number;
}

export function layoutOf({ exits, classes }: Pick<ExitFeatures, 'exits' | 'classes'>): Layout {
  const scoreSize = classes + FACTORS + exits + 1;
  const inputs = FACTORS + exits;
  const assignmentSize = HIDDEN * (inputs + 1) + HIDDEN + 1;
  return { scoreSize, assignmentSize, inputs, size: exits * scoreSize + (exits + 1) * assignmentSize };
}

/** What `theta` makes of n samples: exit scores q̂ [n, K], not clamped; assignments r̂ [n, K + 1]. */
export interface Assigned {
  readonly scores: Float64Array;
  readonly assignments: Float64Array;
  /** [n, K + 1, HIDDEN] */
  readonly hidden: Float64Array;
}

/** q̂ and r̂ of samples `some`. */
export function assign(features: ExitFeatures, theta: Float64Array, some: Int32Array): Assigned {
  const { exits, classes } = features;
  const { scoreSize, assignmentSize, inputs } = layoutOf(features);
  const [n, all] = [some.length, exits + 1];
  const scores = new Float64Array(n * exits);
  const assignments = new Float64Array(n * all);
  const hidden = new Float64Array(n * all * HIDDEN);
  for (let at = 0; at < n; at++) {
    const i = some[at]!;
    for (let k = 0; k < exits; k++) {
      const from = k * scoreSize;
      const [y, a] = [features.probabilities[k]!, features.factors[k]!];
      let q = theta[from + scoreSize - 1]!;
      for (let c = 0; c < classes; c++) q += theta[from + c]! * y[i * classes + c]!;
      for (let f = 0; f < FACTORS; f++) q += theta[from + classes + f]! * a[i * FACTORS + f]!;
      for (let j = 0; j < k; j++) q += theta[from + classes + FACTORS + j]! * scores[at * exits + j]!;
      scores[at * exits + k] = q;
    }
    const r = assignments.subarray(at * all, (at + 1) * all);
    for (let k = 0; k < all; k++) {
      const from = exits * scoreSize + k * assignmentSize;
      const out = from + HIDDEN * (inputs + 1);
      const a = features.factors[k]!;
      r[k] = theta[out + HIDDEN]!;
      for (let h = 0; h < HIDDEN; h++) {
        const row = from + h * (inputs + 1);
        let z = theta[row + inputs]!;
        for (let f = 0; f < FACTORS; f++) z += theta[row + f]! * a[i * FACTORS + f]!;
        for (let j = 0; j < exits && j <= k; j++) z += theta[row + FACTORS + j]! * scores[at * exits + j]!;
        const v = Math.tanh(z);
        hidden[(at * all + k) * HIDDEN + h] = v;
        r[k]! += theta[out + h]! * v;
      }
    }
    softmaxInPlace(r);
  }
  return { scores, assignments, hidden };
}

function softmaxInPlace(z: Float64Array): void {
  let largest = -Infinity;
  for (const value of z) largest = Math.max(largest, value);
  let sum = 0;
  for (let k = 0; k < z.length; k++) {
    z[k] = Math.exp(z[k]! - largest);
    sum += z[k]!;
  }
  for (let k = 0; k < z.length; k++) z[k]! /= sum;
}

export interface Losses {
  /** L_g = 1/K Σ_n Σ_k w_nk BCE(q̂_nk, q_nk), w_nk = (1 − Σ_{k' < k} r̂_nk') over its sum. */
  readonly score: number;
  /** −1/(NK) Σ r log r̂, r the exits that are right in equal shares, all of them when none is; and |B − 1/N Σ r̂ c| / B. */
  readonly assignment: number;
  /** Of `score` by the scores' weights and of `assignment` by the assignments': what one reads of the other is held. */
  readonly gradient: Float64Array;
}

/** The losses on samples `some`, at what `assign` made of them. */
export function losses(
  features: ExitFeatures,
  theta: Float64Array,
  some: Int32Array,
  assigned: Assigned,
): Losses {
  const gradient = new Float64Array(theta.length);
  const score = scoreLoss(features, some, assigned, gradient);
  const assignment = assignmentLoss(features, theta, some, assigned, gradient);
  return { score, assignment, gradient };
}

function scoreLoss(
  features: ExitFeatures,
  some: Int32Array,
  { scores, assignments }: Assigned,
  gradient: Float64Array,
): number {
  const { exits, classes } = features;
  const { scoreSize } = layoutOf(features);
  const n = some.length;
  const staying = new Float64Array(n).fill(1);
  let loss = 0;
  for (let k = 0; k < exits; k++) {
    const [y, a, correct] = [features.probabilities[k]!, features.factors[k]!, features.correct[k]!];
    const from = k * scoreSize;
    const total = staying.reduce((a, b) => a + b);
    for (let at = 0; at < n; at++) {
      const i = some[at]!;
      const weight = staying[at]! / total / exits;
      const [value, slope] = crossEntropy(scores[at * exits + k]!, correct[i] === 1);
      loss += weight * value;
      const by = weight * slope;
      staying[at]! -= assignments[at * (exits + 1) + k]!;
      if (by === 0) continue;
      for (let c = 0; c < classes; c++) gradient[from + c]! += by * y[i * classes + c]!;
      for (let f = 0; f < FACTORS; f++) gradient[from + classes + f]! += by * a[i * FACTORS + f]!;
      for (let j = 0; j < k; j++) gradient[from + classes + FACTORS + j]! += by * scores[at * exits + j]!;
      gradient[from + scoreSize - 1]! += by;
    }
  }
  return loss;
}

/** −log(q̂ clamped), or −log(1 − q̂ clamped) when wrong, and its slope; where the clamp would hide a mistake, the tangent goes on. */
function crossEntropy(score: number, right: boolean): readonly [value: number, slope: number] {
  const p = right ? score : 1 - score;
  const sign = right ? 1 : -1;
  if (p >= 1 - SURE) return [-Math.log(1 - SURE), 0];
  if (p >= SURE) return [-Math.log(p), -sign / p];
  return [-Math.log(SURE) + (SURE - p) / SURE, -sign / SURE];
}

function assignmentLoss(
  features: ExitFeatures,
  theta: Float64Array,
  some: Int32Array,
  { scores, assignments, hidden }: Assigned,
  gradient: Float64Array,
): number {
  const { exits, costs, budget } = features;
  const { scoreSize, assignmentSize, inputs } = layoutOf(features);
  const [n, all] = [some.length, exits + 1];
  let mean = 0;
  for (let at = 0; at < n; at++)
    for (let k = 0; k < all; k++) mean += (assignments[at * all + k]! * costs[k]!) / n;
  let crossEntropies = 0;
  for (let at = 0; at < n; at++) {
    const i = some[at]!;
    const r = assignments.subarray(at * all, (at + 1) * all);
    let rights = 0;
    let cost = 0;
    for (let k = 0; k < all; k++) {
      rights += features.correct[k]![i]!;
      cost += r[k]! * costs[k]!;
    }
    for (let k = 0; k < all; k++) {
      const wanted = rights === 0 ? 1 / all : features.correct[k]![i]! / rights;
      if (wanted > 0) crossEntropies -= (wanted * Math.log(r[k]!)) / (n * all);
      const by =
        (CE_SHARE * (r[k]! - wanted)) / (n * all) +
        (Math.sign(mean - budget) * r[k]! * (costs[k]! - cost)) / (budget * n);
      const from = exits * scoreSize + k * assignmentSize;
      const out = from + HIDDEN * (inputs + 1);
      const a = features.factors[k]!;
      gradient[out + HIDDEN]! += by;
      for (let h = 0; h < HIDDEN; h++) {
        const v = hidden[(at * all + k) * HIDDEN + h]!;
        gradient[out + h]! += by * v;
        const row = from + h * (inputs + 1);
        const inner = by * theta[out + h]! * (1 - v * v);
        for (let f = 0; f < FACTORS; f++) gradient[row + f]! += inner * a[i * FACTORS + f]!;
        for (let j = 0; j < exits && j <= k; j++)
          gradient[row + FACTORS + j]! += inner * scores[at * exits + j]!;
        gradient[row + inputs]! += inner;
      }
    }
  }
  return CE_SHARE * crossEntropies + Math.abs(budget - mean) / budget;
}
