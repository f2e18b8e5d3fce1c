/** Synthetic outcomes with a known distribution, shaped like ResNet-56 on CIFAR-10 with five heads, or like a text encoder. */
import type { CostModel, Outcomes } from '../../src/calibrate/types.ts';
import { uniforms } from '../../src/graph/random.ts';

export { uniforms as uniform };

/** Standard normal, Box–Muller. */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Costs of exits of one network, the original. */
export const ofOriginal = (prefix: readonly number[], head: readonly number[]): CostModel => ({
  exits: prefix.map((way, k) => ({ network: 0, prefix: way, head: head[k]! })),
  networks: [1],
});

export const FIVE_EXITS = ofOriginal([0.22, 0.34, 0.48, 0.67, 0.82], [0.039, 0.039, 0.03, 0.03, 0.021]);

export interface World {
  /** Per exit, then the original: mean signal. Higher is more skilled. */
  readonly skill: readonly number[];
  /** Spread of the signal, and the share of its variance that exits have in common. */
  readonly spread: number;
  readonly shared: number;
  /** Probability that an exit shares the sample's luck with the others. */
  readonly sharedLuck: number;
  /** Standard deviation of the noise between an exit's signal and what its score shows. */
  readonly blur: number;
  readonly classes: number;
}

export const CIFAR_LIKE: World = {
  skill: [5, 6, 6.7, 7.5, 9, 10],
  spread: 6,
  shared: 0.97,
  sharedLuck: 0.97,
  blur: 2.5,
  classes: 10,
};

export const TWO_EXITS = ofOriginal([0.3, 0.6], [0.02, 0.02]);

/** Four classes, two early exits that know much less than the encoder. */
export const TEXT_LIKE: World = {
  skill: [2.4, 3.6, 4.4],
  spread: 4,
  shared: 0.93,
  sharedLuck: 0.85,
  blur: 2,
  classes: 4,
};

/**
 * N samples: signal_k = skill_k + spread·(√shared·difficulty + √(1−shared)·own_k); exit k is right with probability
 * p = 1/C + (1 − 1/C)·sigmoid(signal_k); its score is the same of signal_k plus noise.
 */
export function simulate(samples: number, seed: number, world: World = CIFAR_LIKE): Outcomes {
  const random = uniforms(seed);
  const exits = world.skill.length - 1;
  const scores = Array.from({ length: exits }, () => new Float32Array(samples));
  const answers = Array.from({ length: exits + 1 }, () => new Int32Array(samples));
  const labels = new Int32Array(samples);
  const chance = (signal: number) => 1 / world.classes + (1 - 1 / world.classes) / (1 + Math.exp(-signal));
  for (let i = 0; i < samples; i++) {
    labels[i] = Math.floor(random() * world.classes);
    const difficulty = Math.sqrt(world.shared) * normal(random);
    const luck = random();
    const decoy = (labels[i]! + 1 + Math.floor(random() * (world.classes - 1))) % world.classes;
    for (let k = 0; k <= exits; k++) {
      const signal =
        world.skill[k]! + world.spread * (difficulty + Math.sqrt(1 - world.shared) * normal(random));
      const right = chance(signal);
      if (k < exits) scores[k]![i] = chance(signal + world.blur * normal(random));
      const draw = random() < world.sharedLuck ? luck : random();
      const other = (labels[i]! + 1 + Math.floor(random() * (world.classes - 1))) % world.classes;
      answers[k]![i] = draw < right ? labels[i]! : random() < 0.5 ? decoy : other;
    }
  }
  return { scores, answers: answers.slice(0, exits), original: answers[exits]!, labels };
}
