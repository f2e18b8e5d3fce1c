/** One number per exit that makes its probabilities honest. */

const MOST_STEPS = 100;
const COLDEST = 0.01;
const HOTTEST = 100;

/**
 * The temperature T in [0.01, 100] that minimises the mean of -log softmax(z / T)[label] over `logits` [N, C] (Guo et al. 2017, section
 * 4.2). The loss is convex in 1/T, so its derivative E_p[z] - z_label is bisected, on the logarithm of 1/T.
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

/** d/dβ of Σ_i [log Σ_c exp(β·z_c) - β·z_label]. */
function derivative(logits: Float32Array, labels: ArrayLike<number>, classes: number, beta: number): number {
  let total = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const largest = row.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    let weighted = 0;
    for (const z of row) {
      const p = Math.exp(beta * (z - largest));
      sum += p;
      weighted += p * z;
    }
    total += weighted / sum - row[labels[i]!]!;
  }
  return total;
}
