/** What a compile would do, and about how long, how large and how much: planned and measured in small, without writing anything. */
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { refuseUnreachable } from '../calibrate/goals.ts';
import type { CostModel } from '../calibrate/index.ts';
import { type InputSpec, type Peek, PLAIN_VIEW, peekDataset } from '../data/index.ts';
import { SHARES, SPLITS, type Split, settleClasses } from '../data/splits.ts';
import type { Events } from '../errors/events.ts';
import { trainingDataMissing } from '../errors/index.ts';
import { Random } from '../graph/random.ts';
import { elementCount, toHalf } from '../graph/tensor.ts';
import { type SessionOptions, Tensor } from '../ort/session.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import type { ExistingExits } from '../passes/extract-exits.ts';
import { costsOf } from '../predict/predict.ts';
import { Extractor, LOGITS, type Samples, type Slot, slotsOf } from '../train/extractor.ts';
import type { FeatureSource } from '../train/feature-source.ts';
import { DEFAULT_LIMIT_BYTES } from '../train/features.ts';
import { runHeads } from '../train/outputs.ts';
import { RECIPE } from '../train/recipes.ts';
import { trainHeads } from '../train/train.ts';
import { trainingViews } from '../train/views.ts';
import { groupByMacs } from '../train/workers.ts';
import { type CompilePlanOptions, settleFirst, trainingOf } from './compile.ts';
import { checkCall } from './options.ts';
import { lookAtProject } from './project.ts';

export interface CompilePlan {
  /** MACs of the original, a sample. */
  readonly macs: number;
  readonly exits: readonly PlannedBranch[];
  readonly data: Readonly<Partial<Record<Split, PlannedSplit>>>;
  /** Views of each training sample; features are kept in the cache, recomputed for each batch, or given (`features`). */
  readonly features: { readonly views: number; readonly storage: 'cached' | 'recomputed' | 'merged' } | null;
  readonly seconds: PlannedSeconds;
  /** Peak while trying, and what heads say of the roles: real runs took 1.2 to 1.4 times as much. */
  readonly memoryBytes: number;
  /** That the cache grows by: records and features. */
  readonly cacheBytes: number;
  /** Of the output folder. */
  readonly outputBytes: number;
}

export interface PlannedBranch {
  readonly id: string;
  readonly tap: string;
  /** Head family; `given` when the exit came with the model. */
  readonly head: string;
  /** Of the original's MACs: up to the tap, and of the head. */
  readonly prefixCost: number;
  readonly headCost: number;
}

export interface PlannedSplit {
  readonly samples: number;
  /** `split of train` where it was not given. */
  readonly from?: string;
  /** Decoded by an earlier run. */
  readonly cached?: true;
}

/** Estimates. */
export interface PlannedSeconds {
  /** Inspecting the model and attaching heads, as just measured. */
  readonly preparing: number;
  readonly decoding: number;
  readonly features: number;
  readonly training: number;
  /** What heads say of the roles that are not trained on. */
  readonly predicting: number;
  /** Proving the emitted model equal, and timing it. */
  readonly verifying: number;
  readonly total: number;
}

/** Samples that are tried: two batches of the extractor, after one to warm up. */
const TRIED = 128;
const WARM_UP = 64;
const TRIED_STEPS = 4;
/** What finish.ts does when nothing is said at each of some 25 points, at which samples cost three quarters of the original on average. */
const FINISH = { points: 25, share: 0.75, verified: 128, timed: 100, passes: 3 };

/**
 * Looks at the model and the data as `compile` would, and tries a few samples of everything slow: decoding (0.3 s of each role), the backbone (128
 * random samples), the heads, and 4 training steps of the real heads in their real groups, on random features. Times are multiplied up;
 * memory is the peak while trying, and what heads say of the roles. Nothing is written, and nothing is read from the cache but whether
 * records are there. Throws what `compile` throws before it trains.
 */
export async function planCompile(options: CompilePlanOptions, events: Events = {}): Promise<CompilePlan> {
  checkCall('plan', options, events);
  const started = performance.now();
  const goals = await settleFirst(options);
  const { inspection, heads, opening, runs, session } = await lookAtProject(options, events);
  const { source, typed, plan, given } = inspection;
  const costs: CostModel = costsOf(plan, heads);
  const preparing = secondsSince(started);

  const classes = await settleClasses(options, opening);
  for (const note of classes?.notes ?? []) events.onNote?.(note);
  const settled = { ...opening, ...(classes && { labels: classes.names, labelsFrom: classes.from }) };
  const peeks: Partial<Record<Split, Peek>> = {};
  for (const split of SPLITS) {
    const path = options[split];
    if (path !== undefined) peeks[split] = await peekDataset(path, { ...settled, split });
  }
  const data = sizesOf(peeks);
  refuseUnreachable(costs, data.calibration!.samples, goals);

  const half = slotsOf(typed, heads, true);
  const samples = randomSamples(opening.inputs);
  const { eachSample, single } = await timeBackbone(typed, samples, half, session);
  const predictions = SPLITS.filter((split) => split !== 'train').reduce(
    (n, split) => n + (data[split]?.samples ?? 0),
    0,
  );
  const ownHeads = given === undefined && data.train ? heads : undefined;
  const training =
    ownHeads && (await timeTraining(ownHeads, half, typed, data.train!.samples, options, runs));
  const eachPredicted = eachSample + (ownHeads ? await timeHeads(ownHeads, half, typed, session) : 0);

  const shape = { isImage: false, recordDims: [], ...peeks.train, preprocessing: opening.preprocessing };
  const wanted = ownHeads ? trainingViews(shape, options.views).views.length : 0;
  const perView = (data.train?.samples ?? 0) * half.reduce((sum, { recordBytes }) => sum + recordBytes, 0);
  const limit = options.cacheLimit ?? DEFAULT_LIMIT_BYTES;
  const views = Math.min(wanted, Math.floor(limit / Math.max(1, perView)));
  const merged = options.features !== undefined;
  const recomputed = ownHeads !== undefined && !merged && views === 0;
  const epochs = options.epochs ?? RECIPE[options.recipe ?? 'distill'].epochs;
  const trainSamples = data.train?.samples ?? 0;
  const seconds = {
    preparing,
    decoding: Object.values(peeks).reduce(
      (sum, { samples, secondsPerSample }) => sum + samples * secondsPerSample,
      0,
    ),
    features: merged ? 0 : trainSamples * eachSample * (recomputed ? epochs : views),
    training: training ?? 0,
    predicting: predictions * eachPredicted,
    verifying: timeToFinish(data.test?.samples ?? data.calibration!.samples, eachSample, single),
  };
  const beside = await Promise.all(source.externalFiles.map((name) => stat(join(source.folder, name))));
  const fresh = Object.values(peeks).filter(({ cached }) => !cached);
  return {
    macs: plan.totalMacs,
    exits: plan.exits.map((exit, k) => ({
      id: exit.id,
      tap: exit.tap.value,
      head: headName(heads[k]!, given),
      prefixCost: costs.prefix[k]!,
      headCost: costs.head[k]!,
    })),
    data,
    features: ownHeads
      ? {
          views: recomputed ? wanted : views,
          storage: merged ? 'merged' : recomputed ? 'recomputed' : 'cached',
        }
      : null,
    seconds: { ...seconds, total: Object.values(seconds).reduce((a, b) => a + b, 0) },
    memoryBytes: process.resourceUsage().maxRSS * 1024 + predictions * typed.classes * (heads.length + 1) * 4,
    cacheBytes:
      fresh.reduce((sum, { bytes }) => sum + bytes, 0) + (recomputed || merged ? 0 : views * perView),
    outputBytes:
      source.bytes.length +
      beside.reduce((sum, { size }) => sum + size, 0) +
      2 * heads.reduce((sum, { graph }) => sum + weightBytes(graph), 0),
  };
}

const secondsSince = (started: number) => (performance.now() - started) / 1000;
const headName = (head: Head, given: ExistingExits | undefined) => (given ? 'given' : head.kind);
const weightBytes = ({ initializers }: Head['graph']) =>
  initializers.reduce((sum, { dims }) => sum + 4 * elementCount(dims), 0);

/** Seconds of the proof, one by one and in batches, and of timing, on `reported` samples. */
function timeToFinish(reported: number, eachSample: number, single: number): number {
  const { points, share, verified, timed, passes } = FINISH;
  const alone = Math.min(verified, reported) + Math.min(timed, reported) * passes;
  return points * share * (alone * single + Math.min(verified, reported) * eachSample);
}

/** As `openRoles` will cut them; the validation role is settled later, from training or calibration samples. */
function sizesOf(peeks: Partial<Record<Split, Peek>>): CompilePlan['data'] & { calibration?: PlannedSplit } {
  const told = ({ samples, cached }: Peek): PlannedSplit => ({ samples, ...(cached && { cached }) });
  const given = Object.fromEntries(Object.entries(peeks).map(([split, peek]) => [split, told(peek)]));
  if (given.calibration) return given;
  const { train, test } = given;
  if (!train) throw trainingDataMissing();
  const cut = (share: number) => ({ samples: Math.round(share * train.samples), from: 'split of train' });
  const parts = { calibration: cut(SHARES.calibration), ...(!test && { test: cut(SHARES.test) }) };
  const taken = Object.values(parts).reduce((sum, { samples }) => sum + samples, 0);
  return { ...given, ...parts, train: { ...train, samples: train.samples - taken } };
}

/** Random inputs: floats in [-1, 1), integers 0 or 1, since they may be indices. */
function randomSamples(inputs: readonly InputSpec[]): Samples {
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

/** Seconds of the backbone for a sample among many, and for one alone. */
async function timeBackbone(
  typed: TypedModel,
  samples: Samples,
  slots: readonly Slot[],
  session: SessionOptions,
): Promise<{ eachSample: number; single: number }> {
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
async function timeTraining(
  heads: readonly Head[],
  slots: readonly Slot[],
  typed: TypedModel,
  samples: number,
  options: CompilePlanOptions,
  given: SessionOptions,
): Promise<number> {
  const training = trainingOf(options);
  const recipe = { ...RECIPE[training.recipe], ...training };
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
async function timeHeads(
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
