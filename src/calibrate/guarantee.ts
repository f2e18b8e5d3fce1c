/** Thresholds with a promise: with a given confidence, the risk on the population is at most a limit. */
import { tooFewForGuarantee } from '../errors/index.ts';
import { measure } from './measure.ts';
import type { Candidate, CostModel, Outcomes } from './types.ts';
import { walk } from './walk.ts';

type Test = 'binomial' | 'paired';

export interface Promised {
  /**
   * `drop`: P(original right) - P(answer right), so gains make up for losses; `disagreement`: P(answer differs from the
   * original's).
   */
  readonly risk: 'drop' | 'disagreement';
  /** Largest risk, in (0, 1). */
  readonly limit: number;
  /** In (0, 1): probability, over the draw of the samples, that the risk is at most `limit`. */
  readonly confidence: number;
}

/** The cheapest certified candidate, as measured on the samples that certified it. */
export interface Guarantee extends Candidate, Promised {
  readonly samples: number;
  /** The risk on the samples; a drop is negative where gains outweigh losses. */
  readonly observedRisk: number;
  /** Undefined where every exit is closed: the risk of that is 0. */
  readonly test: Test | undefined;
  /** Of risk > `limit`; at most 1 - confidence. */
  readonly pValue: number;
  /** The least limit that the same test would have certified for these thresholds; only `limit` itself is promised. */
  readonly upperBound: number;
}

/**
 * The cheapest of `candidates` that comes with the promise. They are as `searchThresholds` returns them: cheapest first, exact last,
 * measured on other samples. `outcomes`: of independent samples of the population, none of which were searched.
 *
 * Fixed-sequence testing (Bauer 1991; Learn then Test, Angelopoulos et al. 2021): from exact to cheaper ones, "risk > limit" is tested
 * at level 1 - confidence, and the first that is not rejected ends it; no further correction is needed, as the order does not
 * depend on the samples. Neither does the choice of test, made for each candidate from its figures in `candidates`; taking the
 * smaller of two p-values on the samples would not be valid. See `binomialPValue` and `pairedPValue`.
 *
 * Hoeffding-Bentkus (Bates et al. 2021) is left out, as the tests compare: of an indicator both its parts bound the exact binomial
 * tail from above, and of a difference in [-1, 1] it reckons with the largest variance there is: at a limit of 0.01, confidence 0.95 and
 * 5000 samples it wants an observed gain of 0.02, where the paired test allows 62 losses beside 31 gains (betting, Waudby-Smith and
 * Ramdas 2024, at most 54 beside 27).
 *
 * Throws `too-few-for-guarantee` where not even a candidate without a loss could be certified: (1 - limit)^N > 1 - confidence.
 */
export function guarantee(
  candidates: readonly Candidate[],
  outcomes: (thresholds: readonly number[]) => Outcomes,
  cost: CostModel,
  promised: Promised,
): Guarantee {
  const { risk, limit, confidence } = promised;
  const exact = candidates.at(-1)!;
  const samples = outcomes(exact.thresholds).labels.length;
  const level = 1 - confidence;
  refuseTooFew(samples, limit, confidence);

  let cheapest = exact;
  let test: Test | undefined;
  let counts: Counts = { samples, losses: 0, gains: 0 };
  for (const candidate of candidates.toReversed().slice(1)) {
    const suited = risk === 'drop' ? suitedTest(candidate, exact, samples, limit, level) : 'binomial';
    const target = risk === 'drop' ? 'accuracy' : 'agreement';
    const counted = changesOf(outcomes(candidate.thresholds), candidate.thresholds, target);
    if (pValues[suited](counted, limit, level) > level) break;
    cheapest = candidate;
    test = suited;
    counts = counted;
  }
  const { thresholds } = cheapest;
  const observedRisk = (counts.losses - counts.gains) / samples;
  const pValueAt = (risk: number) => (test ? pValues[test](counts, risk, level) : 0);
  return {
    ...promised,
    ...measure(outcomes(thresholds), cost, thresholds),
    thresholds,
    samples,
    observedRisk,
    test,
    pValue: pValueAt(limit),
    upperBound: test ? bisect(observedRisk, limit, (risk) => pValueAt(risk) <= level) : 0,
  };
}

/** Throws `too-few-for-guarantee` where `samples` without a single loss would not do. */
export function refuseTooFew(samples: number, limit: number, confidence: number): void {
  const needed = Math.ceil(Math.log(1 - confidence) / Math.log1p(-limit));
  if (samples < needed) throw tooFewForGuarantee(samples, limit, confidence, needed);
}

/** Answers that differ from the original's in being right. */
export interface Counts {
  readonly samples: number;
  /** Samples that the original has right and the answer wrong; of `disagreement`: on which the two differ. */
  readonly losses: number;
  /** Samples that the answer has right and the original wrong; of `disagreement`: none. */
  readonly gains: number;
}

/**
 * P(Bin(samples, limit) ≤ losses), the p-value of "P(loss) > limit" (Clopper and Pearson 1934). Exact for a disagreement. A drop is
 * P(loss) - P(gain) ≤ P(loss), so it holds for that too, but forgoes the gains.
 */
export function binomialPValue({ samples, losses }: Counts, limit: number): number {
  return binomialTail(losses, samples, limit);
}

/**
 * A p-value of "P(loss) - P(gain) > limit", at most `level` with probability at most `level` if that is so. The nuisance parameter
 * is the spread s = P(loss) + P(gain); the p-value is γ + sup P(losses - gains ≤ observed) over s at most its upper confidence bound at
 * level γ (Berger and Boos 1994), with γ = `level` / 20.
 *
 * The supremum is at the bound itself, with the difference at `limit`. For d = losses - gains, ∂P(d_n ≤ c)/∂s = n/2·(P(d_{n-1} = c + 1)
 * - P(d_{n-1} = c)). For s ≤ 1/2 the generating function of one sample has real roots, so d_{n-1} is a shifted sum of independent
 * Bernoulli variables, whose probabilities rise up to the whole number below its mean, (n - 1)·limit (Darroch 1964). Where c + 1 lies
 * above that, or the bound above 1/2, the p-value is 1.
 */
export function pairedPValue({ samples, losses, gains }: Counts, limit: number, level: number): number {
  const difference = losses - gains;
  const gamma = level / 20;
  const bound = bisect(0, 1, (s) => binomialTail(losses + gains, samples, s) <= gamma);
  const spread = Math.max(bound, Math.abs(limit));
  if (spread > 0.5 || difference + 1 > Math.floor((samples - 1) * limit)) return 1;
  return Math.min(1, gamma + differenceTail(difference, samples, (spread + limit) / 2, (spread - limit) / 2));
}

const pValues = { binomial: binomialPValue, paired: pairedPValue };

/**
 * The test with the smaller p-value at the losses and gains that `candidate`'s figures predict, where of the samples that go from
 * one wrong answer to another half count as losses, half as gains. A poor choice costs cheapness, never the promise.
 */
function suitedTest(
  candidate: Candidate,
  exact: Candidate,
  samples: number,
  limit: number,
  level: number,
): Test {
  const drop = exact.accuracy - candidate.accuracy;
  const changed = 1 - candidate.agreement;
  const predicted = {
    samples,
    losses: Math.round((samples * (changed + drop)) / 2),
    gains: Math.round((samples * (changed - drop)) / 2),
  };
  return binomialPValue(predicted, limit) <= pairedPValue(predicted, limit, level) ? 'binomial' : 'paired';
}

/** Losses and gains of the `target` under `thresholds`. */
export function changesOf(
  outcomes: Outcomes,
  thresholds: readonly number[],
  target: 'accuracy' | 'agreement',
): Counts {
  const { original, labels } = outcomes;
  const { answers } = walk(outcomes, thresholds);
  const truth = target === 'accuracy' ? labels : original;
  let losses = 0;
  let gains = 0;
  for (let i = 0; i < answers.length; i++) {
    const change = +(original[i] === truth[i]) - +(answers[i] === truth[i]);
    if (change > 0) losses++;
    if (change < 0) gains++;
  }
  return { samples: answers.length, losses, gains };
}

/** P(Bin(n, p) ≤ k), summed from k outwards, away from the mode. */
export function binomialTail(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n || p <= 0) return 1;
  if (p >= 1) return 0;
  const odds = p / (1 - p);
  if (k > n * p) return 1 - massFrom(k + 1, n, p, (i) => ((n - i) / (i + 1)) * odds, 1);
  return massFrom(k, n, p, (i) => i / (n - i + 1) / odds, -1);
}

/** P(Bin(n, p) = start) and its neighbours in the direction of `step`; `ratio` is that of a neighbour to i. */
function massFrom(start: number, n: number, p: number, ratio: (i: number) => number, step: number): number {
  let term = binomialMass(start, n, p);
  let sum = 0;
  for (let i = start; term > sum * 1e-17; i += step) {
    sum += term;
    term *= ratio(i);
  }
  return sum;
}

function binomialMass(k: number, n: number, p: number): number {
  const choose = logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  return Math.exp(choose + k * Math.log(p) + (n - k) * Math.log1p(-p));
}

/** P(losses - gains ≤ difference) among n samples, each a loss with probability `loss` and a gain with `gain`. */
function differenceTail(difference: number, n: number, loss: number, gain: number): number {
  if (gain <= 0) return binomialTail(difference, n, loss);
  const mean = n * gain;
  // The gains below are worth less than e^-50 (Chernoff).
  let gains = Math.max(0, -difference, Math.floor(mean - 10 * Math.sqrt(mean)));
  let sum = 0;
  for (; gains <= n; gains++) {
    const mass = binomialMass(gains, n, gain);
    if (gains > mean && mass < 1e-18) break;
    sum += mass * binomialTail(difference + gains, n - gains, loss / (1 - gain));
  }
  return sum;
}

/** ln n!, by Stirling's series (DLMF 5.11.1); relative error below 1e-14. */
function logFactorial(n: number): number {
  if (n < SMALL_FACTORIALS.length) return SMALL_FACTORIALS[n]!;
  const r = 1 / n;
  const series = r * (1 / 12 - r * r * (1 / 360 - r * r * (1 / 1260 - (r * r) / 1680)));
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series;
}

const SMALL_FACTORIALS = [0];
for (let n = 1; n < 20; n++) SMALL_FACTORIALS.push(SMALL_FACTORIALS[n - 1]! + Math.log(n));

/** The least number in (low, high] of which `holds`, which holds from somewhere up to `high`; too large by at most 1e-9. */
function bisect(low: number, high: number, holds: (value: number) => boolean): number {
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
