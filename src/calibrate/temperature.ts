/** One number per exit that makes its probabilities honest. */
import { largestOf } from '../policies/rows.ts';

const MOST_STEPS = 100;
const COLDEST = 0.01;
const HOTTEST = 100;

/**
 * The temperature T in [0.01, 100] that minimises the mean cross-entropy of softmax(z / T) over `logits` [N, C] (Guo et al. 2017, section
 * 4.2), where a target is 1 - ε for the label, ε = 1 / (N + 2), and ε spread over the other classes (Platt 1999, section 2.2): without ε,
 * samples that are all answered right would have no T but 0. The loss is convex in 1/T, so its derivative E_p[z] - E_target[z] is
 * bisected, on the logarithm of 1/T.
 */
export function fitTemperature(logits: Float32Array, labels: ArrayLike<number>): number {
  const classes = logits.length / labels.length;
  let low = Math.log(1 / HOTTEST);
  let high = Math.log(1 / COLDEST);
  for (let step = 0; step < MOST_STEPS && high - low > 1e-9; step++) {
    const middle = (low + high) / 2;
    if (derivative(logits, labels, classes, Math.exp(middle)) > 0) high = middle;
    else low = middle;
  }
  return Math.exp(-(low + high) / 2);
}

/** d/dβ of Σ_i [log Σ_c exp(β·z_c) - β·E_target[z]]. */
function derivative(logits: Float32Array, labels: ArrayLike<number>, classes: number, beta: number): number {
  const share = 1 / (labels.length + 2) / (classes - 1);
  let total = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const largest = largestOf(row);
    const target = row[labels[i]!]!;
    let sum = 0;
    let weighted = 0;
    let others = 0;
    for (const z of row) {
      const p = Math.exp(beta * (z - largest));
      sum += p;
      weighted += p * z;
      others += z - target;
    }
    total += weighted / sum - target - share * others;
  }
  return total;
}
