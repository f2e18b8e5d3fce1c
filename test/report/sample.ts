/** A tiny compiled model, told by hand: what a report is made of, for tests. */
import type { ExitOutcomes } from '../../src/calibrate/types.ts';
import type { Manifest, OperatingPoint } from '../../src/emit/manifest.ts';

import { SAMPLE } from '../emit/sample.ts';

export const SAMPLES = 400;
const CLASSES = 3;
const EXITS = 2;

/** Draws from a linear congruential generator: enough for data of a test (Numerical Recipes, "quick and dirty"). */
function draws(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Outcomes by max-prob; later exits are more often right. */
export function drawnSeen(): ExitOutcomes {
  const next = draws();
  const labels = Int32Array.from({ length: SAMPLES }, () => Math.floor(CLASSES * next()));
  const logits = Array.from({ length: EXITS + 1 }, (_, k) =>
    Float32Array.from({ length: SAMPLES * CLASSES }, (_, i) => {
      const isLabel = labels[Math.floor(i / CLASSES)] === i % CLASSES;
      return 3 * next() + (isLabel ? 0.8 + 0.9 * k : 0);
    }),
  );
  const rows = logits.map((all) =>
    Array.from({ length: SAMPLES }, (_, i) => [...all.subarray(i * CLASSES, (i + 1) * CLASSES)]),
  );
  const predictions = rows.map((all) => Int32Array.from(all, (row) => row.indexOf(Math.max(...row))));
  const scores = rows.slice(0, EXITS).map((all) => Float32Array.from(all, probabilityOfBest));
  return { labels, logits, scores, answers: predictions.slice(0, EXITS), original: predictions[EXITS]! };
}

export function probabilityOfBest(row: readonly number[]): number {
  const powers = row.map((value) => Math.exp(value));
  return Math.max(...powers) / powers.reduce((a, b) => a + b);
}

const point = (name: string, thresholds: readonly number[], relativeCost: number): OperatingPoint => ({
  name,
  policy: 'max-prob',
  thresholds,
  accuracy: 0.8,
  agreement: 0.9,
  relativeCost,
  latencyMsP50: 1.25,
  latencyMsMean: 1.5 * relativeCost + 0.1,
  exitShares: [0.5, 0.25, 0.25],
});

/** Class names that would be markup, were they not escaped. */
export const LABELS = ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "cow's & calf"];

export const MANIFEST: Manifest = {
  ...SAMPLE,
  policy: 'max-prob',
  labels: LABELS,
  baseline: { accuracy: 0.9, macs: 1000, latencyMsP50: 1.25, latencyMsMean: 1.5 },
  operatingPoints: [
    point('cost-0.50', [0.4, 0.4], 0.5),
    point('fast', [0.6, 0.5], 0.6),
    point('balanced', [0.8, 0.7], 0.7),
    point('exact', [1, 1], 1),
  ],
  policyComparison: {
    costs: [0.4, 0.9],
    policies: [
      { policy: 'max-prob', mean: 0.91, curve: [0.9, 0.915, 0.915] },
      { policy: 'entropy', mean: 0.905, curve: [0.885, 0.915, 0.915] },
      { policy: 'margin', mean: 0.89, curve: [0.86, 0.9, 0.91] },
    ],
  },
  training: {
    epochs: 3,
    batch: 64,
    learningRate: 0.003,
    views: 1,
    steps: [1, 10, 20],
    losses: { exit_1: [2, 1.5, 1.25], exit_2: [1.75, 1, 0.5] },
  },
};
