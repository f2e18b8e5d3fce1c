/** The walk of samples through the exits: the one definition of where a sample leaves. */
import { CLOSED, type Outcomes } from './types.ts';

/** K exits, N samples. */
export interface Walk {
  /** [N]: the exit a sample leaves at; K where it reaches the end. */
  readonly exits: Int32Array;
  /** [N]: the class it is answered with: that exit's, or the final answer. */
  readonly answers: Int32Array;
}

/**
 * [N]: the first open exit (threshold < `CLOSED`) at which score > threshold; K where there is none. A NaN score never leaves, a NaN
 * threshold is closed.
 */
export function leavingExits(
  scores: readonly Float32Array[],
  samples: number,
  thresholds: readonly number[],
): Int32Array {
  const exits = new Int32Array(samples).fill(scores.length);
  for (let k = scores.length - 1; k >= 0; k--) {
    const threshold = thresholds[k]!;
    if (!(threshold < CLOSED)) continue;
    const score = scores[k]!;
    for (let i = 0; i < samples; i++) if (score[i]! > threshold) exits[i] = k;
  }
  return exits;
}

/** Where samples leave under `thresholds` [K], and their answers. */
export function walk(
  { scores, answers, original, final = original }: Outcomes,
  thresholds: readonly number[],
): Walk {
  const exits = leavingExits(scores, original.length, thresholds);
  return { exits, answers: exits.map((k, i) => (answers[k] ?? final)[i]!) };
}
