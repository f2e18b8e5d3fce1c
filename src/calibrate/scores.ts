/** How sure an exit is, as numbers: the mirror of the graph's score nodes in `passes/policy-scores.ts`. */
import type { PolicyName } from '../passes/policy-scores.ts';

/** What one exit said about N samples. */
export interface ExitOutputs {
  /** [N, C], row by row. */
  readonly logits: Float32Array;
  /** [N]: the confidence head's output. */
  readonly confidence: Float32Array;
}

export interface Policy {
  readonly citation: string;
  /** [N]: higher is surer, in [0, 1]. */
  score(exit: ExitOutputs): Float32Array;
}

export const POLICIES: Record<PolicyName, Policy> = {
  'max-prob': {
    citation: 'Huang et al. 2018 (MSDNet), section 3',
    score: ({ logits, confidence }) => maxProb(logits, confidence.length, logits.length / confidence.length),
  },
  confidence: {
    citation: 'Lahiany & Aperstein 2022 (PTEENet), section 3',
    score: ({ confidence }) => confidence,
  },
};

/** Largest softmax probability of each row of `logits` [n, classes]: 1 / Σ_c exp(z_c - max z), rounded to float32. NaN stays NaN. */
export function maxProb(logits: Float32Array, n: number, classes: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => {
    const start = i * classes;
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[start + c]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[start + c]! - largest);
    return 1 / sum;
  });
}
