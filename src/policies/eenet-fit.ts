/** Fits EENet: Adam on its losses from several starts, of which the best that keeps to the budget is taken. */
import { uniforms } from '../graph/random.ts';
import { Adam } from './adam.ts';
import { type Assigned, assign, type ExitFeatures, FACTORS, layoutOf, losses } from './eenet-losses.ts';
import type { FitData } from './policy.ts';
import { argMaxRows, eachSoftmax } from './rows.ts';

/** What each start divides logits by. At 1, as published, the probabilities of an overconfident head hardly differ, which leaves a linear score little to tell samples apart by. */
const TEMPERATURES = [1, 2, 4, 8];
const STEPS = 1000;
const BATCH = 256;
const RATE = 0.03;
const BUDGET = 0.6;
/** How far from the budget, relative to it, a start may end and still be chosen for its accuracy. */
const NEAR = 0.1;

/** The learned weights, sized as `layoutOf` has it, and the mean of the assignments, the share of samples for each exit. */
export interface Fitted {
  readonly theta: Float64Array;
  /** Logits are divided by it first. */
  readonly temperature: number;
  /** [K + 1] */
  readonly shares: readonly number[];
}

/** Deterministic. `accuracyOf`: of the answers when the highest-scoring `shares` of the samples leave at each exit. */
export function fitExits(
  data: FitData,
  accuracyOf: (assigned: Assigned, shares: readonly number[]) => number,
): Fitted {
  const everySample = Int32Array.from(data.labels.keys());
  let best: (Fitted & { accuracy: number; miss: number }) | undefined;
  for (const [start, temperature] of TEMPERATURES.entries()) {
    const features = featuresOf(data, temperature);
    const theta = learn(features, data.labels.length, uniforms(start + 1));
    const assigned = assign(features, theta, everySample);
    const shares = meanRows(assigned.assignments, features.exits + 1);
    const cost = shares.reduce((sum, share, k) => sum + share * features.costs[k]!, 0);
    const miss = Math.max(NEAR, Math.abs(cost - features.budget) / features.budget);
    const found = { theta, temperature, shares, accuracy: accuracyOf(assigned, shares), miss };
    if (!best || found.miss < best.miss || (found.miss === best.miss && found.accuracy > best.accuracy))
      best = found;
  }
  return best!;
}

/** Features of the samples of `data` at every exit, with all exits open. */
export function featuresOf(
  { exits, original, labels, classes, costs, budget = BUDGET }: FitData,
  temperature: number,
): ExitFeatures {
  const n = labels.length;
  const votes = new Uint16Array(n * classes);
  const probabilities: Float32Array[] = [];
  const factors: Float64Array[] = [];
  const correct: Uint8Array[] = [];
  for (const [k, logits] of [...exits.map((exit) => exit.logits), original].entries()) {
    const answers = argMaxRows(logits, n);
    const y = new Float32Array(k < exits.length ? n * classes : 0);
    const a = new Float64Array(n * FACTORS);
    const softer = logits.map((z) => z / temperature);
    eachSoftmax(softer, classes, (p, i) => {
      const own = votes.subarray(i * classes, (i + 1) * classes);
      own[answers[i]!]!++;
      a.set(factorsOf(p, own), i * FACTORS);
      if (k < exits.length) y.set(p, i * classes);
    });
    if (k < exits.length) probabilities.push(y);
    factors.push(a);
    correct.push(Uint8Array.from(answers, (answer, i) => Number(answer === labels[i])));
  }
  return { exits: exits.length, classes, probabilities, factors, correct, costs, budget };
}

/** a_max, a_ent and a_vote of one sample: class probabilities, and how many open exits so far answered each class. */
export function factorsOf(
  p: Float64Array,
  votes: ArrayLike<number>,
): [max: number, entropy: number, vote: number] {
  let [largest, entropy, most, all] = [0, 1, 0, 0];
  for (let c = 0; c < p.length; c++) {
    largest = Math.max(largest, p[c]!);
    if (p[c]! !== 0) entropy += (p[c]! * Math.log(p[c]!)) / Math.log(p.length);
    most = Math.max(most, votes[c]!);
    all += votes[c]!;
  }
  return [largest, entropy, most / all];
}

/** From the largest probability as exit score, and assignments that differ from start to start. */
function learn(features: ExitFeatures, samples: number, random: () => number): Float64Array {
  const { exits, classes } = features;
  const { scoreSize, assignmentSize, size } = layoutOf(features);
  const theta = Float64Array.from({ length: size }, () => random() - 0.5);
  theta.fill(0, 0, exits * scoreSize);
  for (let k = 0; k < exits; k++) theta[k * scoreSize + classes] = 1;
  for (let k = 0; k <= exits; k++) theta[exits * scoreSize + (k + 1) * assignmentSize - 1]! *= 6;
  const adam = new Adam(size);
  const batch = new Int32Array(Math.min(BATCH, samples));
  for (let step = 0; step < STEPS; step++) {
    for (let at = 0; at < batch.length; at++) batch[at] = Math.floor(random() * samples);
    const { gradient } = losses(features, theta, batch, assign(features, theta, batch));
    adam.step(theta, gradient, RATE * (1 - step / STEPS));
  }
  return theta;
}

function meanRows(values: Float64Array, width: number): number[] {
  const rows = values.length / width;
  return Array.from({ length: width }, (_, k) => {
    let sum = 0;
    for (let i = k; i < values.length; i += width) sum += values[i]!;
    return sum / rows;
  });
}
