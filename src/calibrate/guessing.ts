import { binomialTail } from './guarantee.ts';

/** Above this p-value right answers are no evidence of knowledge. */
const CHANCE = 0.01;

/** Whether `right` of `samples` could well be guesses among `classes`: P(Bin(samples, 1 / classes) ≥ right) > 1 %. */
export const isGuessing = (right: number, samples: number, classes: number): boolean =>
  1 - binomialTail(right - 1, samples, 1 / classes) > CHANCE;
