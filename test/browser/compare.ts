/** Answers of two runtimes, side by side. */
import * as assert from 'uvu/assert';

export interface Answer {
  /** Class name, or index where the package has no names. */
  readonly label: string | number;
  readonly exit: number;
  readonly probability: number;
  /** What was compared with the threshold. */
  readonly confidence: number;
}

/** By operating point, one answer a picture. */
export type Answers = Readonly<Record<string, readonly Answer[]>>;

/** Another order of additions moves a score by up to this, so one as close to its threshold falls either way. */
const ON_THRESHOLD = 1e-5;
const PROBABILITY_TOLERANCE = 1e-4;

/**
 * Fails unless labels and exits are equal and probabilities within 1e-4, at each of `points`. Samples on a threshold may
 * leave at another exit. Returns, for the log, how many did and how large the largest difference is.
 */
export function assertSameAnswers(
  given: Answers,
  expected: Answers,
  points: Readonly<Record<string, { readonly thresholds: readonly number[] }>>,
): string {
  const wrong: string[] = [];
  let equal = 0;
  let onThreshold = 0;
  let largest = 0;
  for (const [point, { thresholds }] of Object.entries(points)) {
    assert.is(given[point]!.length, expected[point]!.length, `answers at ${point}`);
    for (const [n, a] of given[point]!.entries()) {
      const b = expected[point]![n]!;
      const { exit, confidence } = a.exit < b.exit ? a : b;
      if (a.exit !== b.exit && Math.abs(confidence - thresholds[exit]!) <= ON_THRESHOLD) {
        onThreshold++;
        continue;
      }
      const difference = Math.abs(a.probability - b.probability);
      largest = Math.max(largest, difference);
      if (a.label === b.label && a.exit === b.exit && difference <= PROBABILITY_TOLERANCE) equal++;
      else wrong.push(`picture ${n} at ${point}: ${JSON.stringify(a)}, expected ${JSON.stringify(b)}`);
    }
  }
  assert.is(wrong.join('\n'), '');
  return `${equal} answers equal, ${onThreshold} on a threshold left elsewhere, probabilities differ by at most ${largest.toExponential(1)}`;
}
