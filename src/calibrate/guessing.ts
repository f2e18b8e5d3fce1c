import { binomialTail } from './guarantee.ts';

/** Above this p-value right answers are put down to guessing. */
const CHANCE = 0.01;

/** So are shares of right answers that exceed those of guesses by less than this share of the rest. */
const LITTLE = 0.1;

/**
 * Whether `right` of `samples` could well be guesses among `classes`, P(Bin(samples, 1 / classes) ≥ right) > 1 %, or are hardly more than
 * guesses would be, however sure that is.
 */
export function isGuessing(right: number, samples: number, classes: number): boolean {
  const guess = 1 / classes;
  const isLittle = right / samples < guess + LITTLE * (1 - guess);
  return isLittle || 1 - binomialTail(right - 1, samples, guess) > CHANCE;
}
