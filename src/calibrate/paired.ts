/** Whether one of two answers to the same samples is right more often, beyond chance. */
import { binomialTail } from './guarantee.ts';

/** How often two answers to the same samples differ in being right. */
export interface Discordant {
  readonly samples: number;
  /** Samples that only the first has right. */
  readonly onlyA: number;
  /** Samples that only the second has right. */
  readonly onlyB: number;
}

/**
 * Two-sided p-value of "both are right equally often" (McNemar 1947), exact: given that they differ, each is the right one with
 * probability 1/2, so twice the tail of Bin(onlyA + onlyB, 1/2).
 */
export function mcnemarPValue({ onlyA, onlyB }: Discordant): number {
  return Math.min(1, 2 * binomialTail(Math.min(onlyA, onlyB), onlyA + onlyB, 0.5));
}

/** Below this p-value a gain is more than chance. */
const CHANCE = 0.05;

/**
 * Whether B is right more often than A beyond chance: one-sided p-value of "equally often" below 5 % (McNemar 1947, exact).
 */
export function isMoreOften({ onlyA, onlyB }: Omit<Discordant, 'samples'>): boolean {
  return binomialTail(onlyA, onlyA + onlyB, 0.5) < CHANCE;
}

/** Standard normal quantile of a two-sided 95 % interval. */
export const Z_95 = 1.959963984540054;

/**
 * 95 % confidence interval for accuracy of B - accuracy of A: Wald's, with 1/2 added to each of the four counts (Agresti and Min 2005,
 * "Simple improved confidence intervals for comparing matched proportions"): (c - b)/n ± z·√(b + c - (c - b)²/n)/n, which keeps its coverage
 * where few samples differ, and has a width where none do.
 */
export function pairedInterval({ samples, onlyA, onlyB }: Discordant): readonly [low: number, high: number] {
  const [n, b, c] = [samples + 2, onlyA + 0.5, onlyB + 0.5];
  const middle = (c - b) / n;
  const reach = (Z_95 / n) * Math.sqrt(b + c - (c - b) ** 2 / n);
  return [Math.max(-1, middle - reach), Math.min(1, middle + reach)];
}
