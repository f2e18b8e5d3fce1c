/** Named ways to train heads, and the schedule of the learning rate. */
import { SOFT_THRESHOLD, type SoftThreshold } from './losses.ts';

export const RECIPES = ['distill', 'pteenet-v1', 'pteenet-v2'] as const;
export type RecipeName = (typeof RECIPES)[number];

/** Emphasis on the samples that do not leave at earlier heads. */
export interface Survivors {
  /** Epochs in which all samples weigh the same, at the start. */
  readonly afterEpoch: number;
  /** Weight, before normalising, of a sample that surely left. */
  readonly floor: number;
  readonly leaving: SoftThreshold;
}

/** What `--survivors` turns on. */
export const SURVIVORS: Survivors = { afterEpoch: 1, floor: 0.25, leaving: SOFT_THRESHOLD };

export interface Recipe {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly batch: number;
  readonly epochs: number;
  readonly schedule: (step: number, total: number) => number;
  /** `original`: the original model's answers stand in for the labels. */
  readonly targets: 'labels' | 'original';
  readonly lambda: number;
  /** False: all samples weigh the same. */
  readonly survivors: Survivors | false;
}

/**
 * `distill`: ours, knowledge distillation at temperature 4 (Hinton et al. 2015) with labels. `pteenet-*`: the published configurations of
 * PTEENet (Lahiany and Aperstein 2022; config_egg.py with v1 and config_eenet.py with v2 of their code): Adam, constant learning rate.
 */
export const RECIPE: Readonly<Record<RecipeName, Recipe>> = {
  distill: {
    learningRate: 3e-3,
    weightDecay: 0.01,
    batch: 128,
    epochs: 10,
    schedule: oneCycle,
    targets: 'labels',
    lambda: 0,
    // On one seed of ResNet-56 the weights cost 0.07 to 0.17 points rather than bring any (bench/README.md).
    survivors: false,
  },
  'pteenet-v1': {
    learningRate: 1e-3,
    weightDecay: 0,
    batch: 128,
    epochs: 20,
    schedule: () => 1,
    targets: 'original',
    lambda: 1,
    survivors: false,
  },
  'pteenet-v2': {
    learningRate: 5e-4,
    weightDecay: 0,
    batch: 128,
    epochs: 30,
    schedule: () => 1,
    targets: 'labels',
    lambda: 0.9,
    survivors: false,
  },
};

const WARM_UP = 0.25;

/**
 * Factor on the peak learning rate at `step` of `total`: cosine up from 1/25 over the first quarter, cosine down to
 * 1/250,000 over the rest (Smith and Topin 2018, section 3; shape and divisors of PyTorch's OneCycleLR).
 */
export function oneCycle(step: number, total: number): number {
  const cosine = (from: number, to: number, part: number) =>
    to + ((from - to) * (1 + Math.cos(Math.PI * part))) / 2;
  const warm = Math.max(1, WARM_UP * total);
  if (step < warm) return cosine(1 / 25, 1, step / warm);
  return cosine(1, 1 / 250_000, Math.min(1, (step - warm) / Math.max(1, total - 1 - warm)));
}
