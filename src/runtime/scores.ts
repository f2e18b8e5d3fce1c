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
