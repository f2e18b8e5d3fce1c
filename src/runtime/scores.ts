/** Class scores read. */

/** The first of equals. */
export function indexOfLargest(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** The part that `scores`, none below 0, have of their sum at `index`. */
export function shareAt(scores: ArrayLike<number>, index: number): number {
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += scores[i]!;
  return scores[index]! / sum;
}

/** Softmax of `logits` at `index`, the largest. */
export function softmaxAt(logits: ArrayLike<number>, index: number): number {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - logits[index]!);
  return 1 / sum;
}

/**
 * Throws a RangeError that names the first of `samples` whose scores, as many for each, are NaN, infinite, or -Infinity for every class:
 * an answer by them would mean nothing. -Infinity beside others is a class that the model rules out.
 */
export function refuseOverflow(scores: ArrayLike<number>, samples: number): void {
  const each = scores.length / samples;
  for (let n = 0; n < samples; n++) {
    let sum = 0;
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = n * each; i < (n + 1) * each; i++) {
      sum += scores[i]!;
      if (scores[i]! > largest) largest = scores[i]!;
    }
    if (Number.isNaN(sum) || !Number.isFinite(largest))
      throw new RangeError(
        `sample ${n}: its scores overflow; its values are larger than the model can compute with`,
      );
  }
}
