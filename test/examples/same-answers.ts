/** What client and server of a split say, beside what the whole package says. */
import * as assert from 'uvu/assert';

export interface Said {
  readonly exit: number;
  /** What was compared with the threshold of the exit. */
  readonly confidence: number;
  /** Of a split: who answered. */
  readonly where?: string;
  readonly scores: readonly number[];
}

/** Two runtimes add in different orders: a confidence as near to its threshold as this falls on either side. */
const TIE = 1e-5;
/** Of the largest score of the sample. */
const TOLERANCE = 1e-5;

export interface Compared {
  readonly samples: number;
  /** Samples that the server was asked for. */
  readonly asked: number;
  /** Samples that leave elsewhere since a confidence is on its threshold. */
  readonly ties: number;
  /** Samples whose scores are equal bit by bit. */
  readonly bitwise: number;
  /** Difference of scores, as a share of the largest of the sample. */
  readonly largest: number;
}

/**
 * Fails unless `given` leave where `expected` do, with the same scores, and say so in `where`: of the first `cut` exits the client, of the others
 * the server.
 */
export function compareAnswers(
  given: readonly Said[],
  expected: readonly Said[],
  thresholds: readonly number[],
  cut: number,
  what: string,
): Compared {
  assert.is(given.length, expected.length, what);
  const wrong: string[] = [];
  let [asked, ties, bitwise, largest] = [0, 0, 0, 0];
  for (const [n, a] of given.entries()) {
    const b = expected[n]!;
    assert.is(a.where, a.exit < cut ? 'client' : 'server', `${what}, sample ${n}`);
    if (a.where === 'server') asked++;
    const earlier = a.exit < b.exit ? a : b;
    if (a.exit !== b.exit && Math.abs(earlier.confidence - thresholds[earlier.exit]!) <= TIE) {
      ties++;
      continue;
    }
    const most = b.scores.reduce((max, score) => Math.max(max, Math.abs(score)), 0);
    const difference = b.scores.reduce(
      (max, score, c) => Math.max(max, Math.abs(score - a.scores[c]!) / most),
      0,
    );
    if (b.scores.every((score, c) => score === a.scores[c])) bitwise++;
    largest = Math.max(largest, difference);
    if (a.exit !== b.exit || !(difference <= TOLERANCE) || a.scores.length !== b.scores.length)
      wrong.push(`sample ${n}: ${JSON.stringify(a)}, expected ${JSON.stringify(b)}`);
  }
  assert.is(wrong.join('\n'), '', what);
  return { samples: given.length, asked, ties, bitwise, largest };
}

/** For the log. */
export function summed(all: readonly Compared[]): string {
  const sum = (key: 'samples' | 'asked' | 'ties' | 'bitwise') =>
    all.reduce((total, one) => total + one[key], 0);
  const largest = Math.max(...all.map((one) => one.largest));
  return `${sum('samples')} answers, ${sum('asked')} of the server; ${sum('ties')} on a threshold left elsewhere; ${sum('bitwise')} equal by bits, the others within ${largest.toExponential(1)} of the largest score`;
}

/** Five of `points`, from the cheapest to the dearest. */
export function fiveOf<Point>(points: Readonly<Record<string, Point>>): [name: string, point: Point][] {
  const all = Object.entries(points);
  return [0, 1, 2, 3, 4].map((i) => all[Math.round((i * (all.length - 1)) / 4)]!);
}
