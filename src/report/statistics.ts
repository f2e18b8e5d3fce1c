/** Intervals and errors of calibration, as the report states them. All shares are fractions. */
import { changesOf, closesAll, pairedInterval, Z_95 as Z } from '../calibrate/index.ts';
import type { ExitOutcomes } from '../calibrate/types.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Accuracy lost to the original on the same samples, with its 95 % interval (`pairedInterval`); negative where more was gained. Where every
 * exit is closed all are 0: it is the original.
 */
export interface Drop extends Interval {
  readonly value: number;
}

export function dropOf(seen: ExitOutcomes, thresholds: readonly number[]): Drop {
  const { samples, losses, gains } = changesOf(seen, thresholds, 'accuracy');
  const [low, high] = closesAll(thresholds)
    ? [0, 0]
    : pairedInterval({ samples, onlyA: gains, onlyB: losses });
  return { value: (losses - gains) / samples, low, high };
}

/** 95 % interval of a share, seen `hits` times in `n` > 0 (Wilson 1927, eq. 3). */
export function wilson(hits: number, n: number): Interval {
  const share = hits / n;
  const middle = share + Z ** 2 / (2 * n);
  const spread = Z * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2));
  const scale = 1 + Z ** 2 / n;
  return { low: Math.max(0, (middle - spread) / scale), high: Math.min(1, (middle + spread) / scale) };
}

/** Samples of which a model said that it is right with a probability in one part of (0, 1]. */
export interface ReliabilityBin extends Interval {
  readonly samples: number;
  /** Mean of those probabilities. */
  readonly confidence: number;
  /** How many were right. */
  readonly accuracy: number;
}

export interface Reliability {
  /** Those that are not empty, by confidence; `low` and `high` are those of the accuracy (Wilson). */
  readonly bins: readonly ReliabilityBin[];
  /** Expected calibration error: Σ_b n_b/n · |accuracy_b - confidence_b| (Naeini et al. 2015, eq. 3). */
  readonly ece: number;
}

/** As many as in Guo et al. 2017. */
const BINS = 15;

/** `confidences[i]`: the probability of answer i; `right[i]`: whether it was. Bins are of equal width, open below. */
export function reliabilityOf(confidences: ArrayLike<number>, right: readonly boolean[]): Reliability {
  const sums = Array.from({ length: BINS }, () => ({ samples: 0, confidence: 0, hits: 0 }));
  for (const [i, isRight] of right.entries()) {
    const bin = sums[Math.min(BINS - 1, Math.max(0, Math.ceil(confidences[i]! * BINS) - 1))]!;
    bin.samples++;
    bin.confidence += confidences[i]!;
    bin.hits += +isRight;
  }
  const bins = sums
    .filter(({ samples }) => samples > 0)
    .map(({ samples, confidence, hits }) => ({
      samples,
      confidence: confidence / samples,
      accuracy: hits / samples,
      ...wilson(hits, samples),
    }));
  const gaps = bins.map((b) => b.samples * Math.abs(b.accuracy - b.confidence));
  return { bins, ece: gaps.reduce((sum, gap) => sum + gap, 0) / right.length };
}
