/** Seconds of everything slow in a compile, tried on a few samples and multiplied up. */

import { availableParallelism } from 'node:os';
import { MOST_POINTS } from '../calibrate/index.ts';
import { type InputSpec, PLAIN_VIEW } from '../data/index.ts';
import { Random } from '../graph/random.ts';
import { elementCount, toHalf } from '../graph/tensor.ts';
import { openDataFolder } from '../networks/data-folder.ts';
import { type SessionOptions, Tensor } from '../ort/session.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { BENCHMARK } from '../predict/measure-latency.ts';
import { EFFORT } from '../predict/verify.ts';
import { Extractor, LOGITS, type Samples, type Slot, slotsOf } from '../train/extractor.ts';
import type { FeatureSource } from '../train/feature-source.ts';
import { runHeads } from '../train/outputs.ts';
import { recipeOf, trainHeads } from '../train/train.ts';
import type { TrainOptions } from '../train/train-options.ts';
import { groupByMacs } from '../train/workers.ts';
import { type CompilePlanOptions, trainingOf } from './compile.ts';
import type { Project } from './project.ts';

/** Samples that are tried: two batches of the extractor, after one to warm up. */
const TRIED = 128;
const WARM_UP = 64;
const TRIED_STEPS = 4;
/** What samples cost on average over the operating points, relative to the original. */
const MEAN_COST = 0.75;

export const secondsSince = (started: number) => (performance.now() - started) / 1000;

export interface Times {
  /** As in the chain. */
  readonly networks: readonly (BackboneTimes & {
    /** Seconds of the heads on it that are run by themselves, a sample. */
    readonly heads: number;
  })[];
  /** Seconds of all of it. */
  readonly training: number;
}

/** Runs every network of the chain, its heads, and training steps of the original's, on random numbers. `train`: how many samples it has. */
export async function tryNetworks(
  project: Project,
  options: CompilePlanOptions,
  train: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Times> {
  const { chain, external, cache, sessionOptions, opening } = project;
  const folder = await openDataFolder(external.files, cache, signal);
  const session = { ...sessionOptions, externalDataFolder: folder.folder };
  const tried = randomSamples(opening.inputs);
  try {
    const networks: Times['networks'][number][] = [];
    for (const { typed, heads } of chain.networks) {
      const own = heads.filter(({ kind }) => kind !== 'end');
      const slots = slotsOf(typed, own, true);
      const time = await timeBackbone(typed, tried, slots, session);
      const alone = own.filter(({ kind }) => kind !== 'given');
      networks.push({ ...time, heads: alone.length > 0 ? await timeHeads(own, slots, typed, session) : 0 });
    }
    const { typed, heads } = chain.networks.at(-1)!;
    const slots = slotsOf(typed, heads, true);
    const { training: recipe } = trainingOf(options);
    const training = isTrained(project, train)
      ? await timeTraining(heads, slots, typed, train!, recipe, sessionOptions)
      : 0;
    return { networks, training };
  } finally {
    await folder.close();
  }
}

/** Whether heads are trained on the original. */
export const isTrained = ({ inspection, chain }: Project, train: unknown) =>
  inspection.existing === undefined && chain.networks.at(-1)!.heads.length > 0 && train !== undefined;

/** Seconds of verifying, one by one and in batches, and of the benchmark, on `reported` samples. `single`: of one sample alone. */
export function timeToFinish(reported: number, { eachSample, single }: BackboneTimes): number {
  const verified = Math.min(EFFORT.some.samples, reported);
  const alone = verified + Math.min(BENCHMARK.samples, reported) * BENCHMARK.passes;
  return MOST_POINTS * MEAN_COST * (alone * single + verified * eachSample);
}

/** Random inputs: floats in [-1, 1), integers 0 or 1, since they may be indices. */
export function randomSamples(inputs: readonly InputSpec[]): Samples {
  const random = new Random(1, 'plan');
  const draws = inputs.flatMap(({ dims, dataType }) => {
    const whole = !/float|double/.test(dataType);
    return Array.from({ length: elementCount(dims) }, () => whole);
  });
  return {
    inputs,
    read: async (indices) =>
      Float32Array.from({ length: indices.length * draws.length }, (_, i) =>
        draws[i % draws.length] ? random.integer(0, 2) : random.uniform() * 2 - 1,
      ),
  };
}

/** Seconds of the original for a sample. */
export interface BackboneTimes {
  /** In a batch. */
  readonly eachSample: number;
  /** In a batch of one. */
  readonly single: number;
}

export async function timeBackbone(
  typed: TypedModel,
  samples: Samples,
  slots: readonly Slot[],
  session: SessionOptions,
): Promise<BackboneTimes> {
  const drawn = await samples.read(Int32Array.from({ length: TRIED }, (_, i) => i));
  const width = drawn.length / TRIED;
  const kept = {
    ...samples,
    read: async (indices: ArrayLike<number>) => drawn.slice(0, indices.length * width),
  };
  const extractor = await Extractor.open(typed, kept, slots, session);
  const time = async (count: number) => {
    const started = performance.now();
    await extractor.run(new Int32Array(count), PLAIN_VIEW, () => {});
    return secondsSince(started) / count;
  };
  try {
    await time(WARM_UP);
    const eachSample = await time(TRIED);
    await time(1);
    let alone = 0;
    for (let i = 0; i < 20; i++) alone += await time(1);
    return { eachSample, single: alone / 20 };
  } finally {
    await extractor.close();
  }
}

/** Random features of `size` samples, in memory; every sample is one of a few. */
function randomFeatures(
  slots: readonly Slot[],
  typed: TypedModel,
  size: number,
  half: boolean,
): FeatureSource {
  const random = new Random(2, 'plan');
  const made = new Map<string, Tensor>();
  const tensor = ({ id, dims }: Slot, n: number) => {
    const known = made.get(`${id} ${n}`);
    if (known) return known;
    const values = Float32Array.from({ length: n * elementCount(dims) }, () => random.uniform());
    const asHalf = half && id !== LOGITS;
    const fresh = asHalf
      ? new Tensor('float16', toHalf(values), [n, ...dims])
      : new Tensor('float32', values, [n, ...dims]);
    made.set(`${id} ${n}`, fresh);
    return fresh;
  };
  return {
    size,
    labels: Int32Array.from({ length: size }, (_, i) => i % typed.classes),
    classes: typed.classes,
    half,
    storage: 'cached',
    views: [PLAIN_VIEW],
    read: async ({ length }) => {
      const { [LOGITS]: logits, ...features } = Object.fromEntries(
        slots.map((slot) => [slot.id, tensor(slot, length)]),
      );
      return { features, logits: logits! };
    },
    close: async () => {},
  };
}

/** Seconds that training will take: groups of heads train side by side (`trainInWorkers`), so that of the slowest counts. */
export async function timeTraining(
  heads: readonly Head[],
  slots: readonly Slot[],
  typed: TypedModel,
  samples: number,
  training: Omit<TrainOptions, 'seed'>,
  given: SessionOptions,
): Promise<number> {
  const recipe = recipeOf(training);
  const batch = Math.min(recipe.batch, samples);
  const threads = given.threads ?? availableParallelism();
  const apart = training.recipe === 'distill' && !training.survivors && threads > 1 && heads.length > 1;
  const groups = apart ? groupByMacs(heads, threads) : [[...heads]];
  const session = { ...given, threads: Math.max(1, Math.floor(threads / groups.length)) };
  let slowest = 0;
  for (const group of groups) {
    const own = slots.filter(({ id }) => id === LOGITS || group.some((head) => head.exit.id === id));
    const source = randomFeatures(own, typed, TRIED_STEPS * batch, true);
    const at: number[] = [];
    await trainHeads(group, source, {
      ...training,
      epochs: 1,
      seed: 1,
      session,
      onProgress: () => at.push(performance.now()),
    });
    slowest = Math.max(slowest, (at.at(-1)! - at[0]!) / 1000 / (TRIED_STEPS - 1));
  }
  return slowest * Math.floor(samples / batch) * recipe.epochs;
}

/** Seconds of all heads for a sample. */
export async function timeHeads(
  heads: readonly Head[],
  slots: readonly Slot[],
  typed: TypedModel,
  session: SessionOptions,
): Promise<number> {
  const source = randomFeatures(slots, typed, 4 * TRIED, false);
  const at: number[] = [];
  const options = { session, onProgress: () => at.push(performance.now()) };
  await runHeads(heads, source, undefined, options);
  return (at.at(-1)! - at[0]!) / 1000 / (2 * TRIED);
}
