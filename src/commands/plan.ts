/** Estimates time, memory and disk of a compile from a few samples, without writing anything. */
import { stat } from 'node:fs/promises';
import { refuseUnreachable } from '../calibrate/goals.ts';
import { type Peek, partSizes, peekDataset } from '../data/index.ts';
import { cutOffTrain, SPLITS, type Split, type SplitPaths, settleClasses } from '../data/splits.ts';
import { checkCopies } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { trainingDataMissing, viewNeedsImage } from '../errors/index.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Head } from '../passes/exits.ts';
import { augmentFor } from '../students/augment.ts';
import { slotsOf } from '../train/extractor.ts';
import { DEFAULT_LIMIT_BYTES } from '../train/features.ts';
import { RECIPE } from '../train/recipes.ts';
import { trainingViews } from '../train/views.ts';
import { type CompilePlanOptions, checkBeforeWork } from './compile.ts';
import { epochsOf, wantedGrowth } from './growth.ts';
import { withHub } from './hub-model.ts';
import { COMPARED } from './match-classes.ts';
import { checkCall } from './options.ts';
import { plannedSteps, timeGrowth } from './plan-growth.ts';
import { isTrained, secondsSince, timeToFinish, tryNetworks } from './plan-timings.ts';
import { openProject, type Project } from './project.ts';
import { settleGrowth } from './settle-growth.ts';

export interface CompilePlan {
  /** MACs of the original, a sample. */
  readonly macs: number;
  /** Of a chain: its networks in the order samples meet them, the original last. */
  readonly networks?: readonly PlannedNetwork[];
  readonly exits: readonly PlannedBranch[];
  readonly data: Readonly<Partial<Record<Split, PlannedSplit>>>;
  /** Of each student: passes over the training samples, and steps of so many samples; `maxMinutes` may end them earlier. */
  readonly growth?: { readonly epochs: number; readonly steps: number; readonly batch: number };
  /** Views of each training sample; features are kept in the cache, recomputed for each batch, or given (`features`). */
  readonly features: { readonly views: number; readonly storage: 'cached' | 'recomputed' | 'merged' } | null;
  readonly seconds: PlannedSeconds;
  /** Peak while trying, and that of the predictions: real runs took 1.2 to 1.4 times as much. */
  readonly memoryBytes: number;
  /** That the cache grows by: records and features. */
  readonly cacheBytes: number;
  /** Of the output folder. */
  readonly outputBytes: number;
}

export interface PlannedNetwork {
  readonly id: string;
  /** Name of its file, or of the package that it is; with the folders before it where another has the same name. */
  readonly file: string;
  /** MACs as a share of the original's. */
  readonly relativeCost: number;
  /** Estimated seconds of the network and the heads on it, a sample in a batch. */
  readonly secondsPerSample: number;
}

export interface PlannedBranch {
  readonly id: string;
  /** Id of its network, in a chain. */
  readonly network?: string;
  readonly tap: string;
  /** Head family; `given` when the exit came with the model, `end` where a network itself answers. */
  readonly head: string;
  /** Of the original's MACs: of its network up to the tap, and of the head. */
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
  /** Asking the original about training samples, and training students. */
  readonly growing: number;
  /** Of heads. */
  readonly training: number;
  /** Running networks and heads over the splits that are not trained on. */
  readonly predicting: number;
  /** Verifying the emitted model, and timing it. */
  readonly verifying: number;
  readonly total: number;
}

/**
 * Opens the model and the data as `compile` would, and tries everything slow on a few samples: decoding (0.3 s of each split), the original
 * (128 random samples), the heads, and 4 training steps of the real heads in their real groups, on random features. Times are multiplied
 * up; memory is the peak while trying, and that of the predictions. Nothing is written, and nothing is read from the cache but whether
 * records are there. Throws what `compile` throws before it opens data.
 */
export async function planCompile(given: CompilePlanOptions, events: Events = {}): Promise<CompilePlan> {
  checkCall('plan', given, events);
  const started = performance.now();
  const goals = await checkBeforeWork(given);
  const options = await withHub(given);
  const opened = await openProject(options, events, wantedGrowth(options));
  checkCopies([...opened.external.files.keys()]);
  const preparing = secondsSince(started);

  const peeks = await peekSplits(opened, options, events);
  const data = sizesOf(peeks, options.train);
  const { project, note } = settleGrowth(opened, data.train?.samples ?? 0, options);
  if (note) events.onNote?.(note);
  const { chain, heads, costs } = project;
  refuseUnreachable(costs, data.calibration?.samples ?? 0, goals);
  const times = await tryNetworks(project, options, data.train?.samples, events.signal);
  const original = times.networks.at(-1)!;

  const samplesOf = (split: Split) => data[split]?.samples ?? 0;
  const predicted = SPLITS.reduce((sum, split) => sum + (split === 'train' ? 0 : samplesOf(split)), 0);
  const { features, bytesPerView } = planFeatures(project, options, peeks.train, samplesOf('train'));
  const epochs = options.epochs ?? RECIPE[options.recipe ?? 'distill'].epochs;
  const extractions = { cached: features?.views ?? 0, recomputed: epochs, merged: 0 };
  const isChain = chain.networks.length > 1;
  const compared = isChain ? Math.min(COMPARED, samplesOf('calibration')) : 0;
  const seconds = {
    preparing,
    decoding: sumOf(Object.values(peeks), (peek) => peek.samples * peek.secondsPerSample),
    features: features ? samplesOf('train') * original.eachSample * extractions[features.storage] : 0,
    growing: project.growth
      ? samplesOf('train') * original.eachSample * answersWanted(project, options, peeks.train!) +
        (await timeGrowth(project, samplesOf('train'), options))
      : 0,
    training: times.training,
    predicting: sumOf(
      times.networks,
      ({ eachSample, heads }) => predicted * (eachSample + heads) + compared * eachSample,
    ),
    verifying: timeToFinish(data.test ? samplesOf('test') : samplesOf('calibration'), original),
  };
  const toDecode = Object.values(peeks).filter(({ cached }) => !cached);
  const { totalMacs } = chain.networks.at(-1)!.plan;
  return {
    macs: totalMacs,
    ...(isChain && {
      networks: chain.networks.map(({ id, file, plan }, n) => ({
        id,
        file,
        relativeCost: plan.totalMacs / totalMacs,
        secondsPerSample: times.networks[n]!.eachSample + times.networks[n]!.heads,
      })),
    }),
    exits: heads.map(({ exit, kind }, k) => ({
      id: exit.id,
      ...(isChain && { network: chain.networks[exit.network]!.id }),
      tap: exit.tap.value,
      head: kind,
      prefixCost: costs.exits[k]!.prefix,
      headCost: costs.exits[k]!.head,
    })),
    data,
    ...(project.growth && {
      growth: { epochs: epochsOf(options), ...plannedSteps(samplesOf('train'), options) },
    }),
    features,
    seconds: { ...seconds, total: sumOf(Object.values(seconds), (value) => value) },
    memoryBytes:
      process.resourceUsage().maxRSS * 1024 +
      predicted * chain.networks.at(-1)!.typed.classes * (heads.length + 1) * 4,
    cacheBytes:
      sumOf(toDecode, ({ bytes }) => bytes) +
      (features?.storage === 'cached' ? features.views * bytesPerView : 0),
    outputBytes: await sizeOfOutput(project),
  };
}

/** How many times the original is asked about each training sample: plain and mirrored, or in every epoch anew. */
function answersWanted({ preprocessing }: Project, options: CompilePlanOptions, train: Peek): number {
  const { teacher, augment = augmentFor({ ...train, preprocessing }) } = options;
  if (augment !== 'none' && !train.isImage) throw viewNeedsImage(options.train!);
  if (teacher === 'fresh') return epochsOf(options);
  return augment.includes('flip') ? 2 : 1;
}

/** Every file once, and heads in model.onnx and heads.onnx. */
async function sizeOfOutput({ chain, external, heads }: Project): Promise<number> {
  const files = new Map(chain.networks.map(({ source }) => [source.sha256, source.bytes.length]));
  const data = await Promise.all(Array.from(external.files.values(), ({ copyOf }) => stat(copyOf)));
  return (
    sumOf([...files.values()], (size) => size) +
    sumOf(data, ({ size }) => size) +
    2 * sumOf(heads, ({ graph }) => weightBytes(graph))
  );
}

const sumOf = <T>(values: readonly T[], of: (value: T) => number) =>
  values.reduce((sum, value) => sum + of(value), 0);
const weightBytes = ({ initializers }: Head['graph']) =>
  sumOf(initializers, ({ dims }) => 4 * elementCount(dims));

/** A little of every split that is given. */
async function peekSplits(
  { opening }: Project,
  paths: SplitPaths,
  events: Events,
): Promise<Partial<Record<Split, Peek>>> {
  const classes = await settleClasses(paths, opening);
  for (const note of classes?.notes ?? []) events.onNote?.(note);
  const settled = { ...opening, ...(classes && { labels: classes.names, labelsFrom: classes.from }) };
  const peeks: Partial<Record<Split, Peek>> = {};
  for (const split of SPLITS) {
    const path = paths[split];
    if (path !== undefined) peeks[split] = await peekDataset(path, { ...settled, split });
  }
  return peeks;
}

/** How many views of the training samples the cache will hold, by its limit; null features where nothing is trained. */
function planFeatures(
  project: Project,
  { views, features, cacheLimit = DEFAULT_LIMIT_BYTES }: CompilePlanOptions,
  train: Peek | undefined,
  samples: number,
): { readonly features: CompilePlan['features']; readonly bytesPerView: number } {
  if (!train || !isTrained(project, train)) return { features: null, bytesPerView: 0 };
  const { typed, heads } = project.chain.networks.at(-1)!;
  const { preprocessing } = project.opening;
  const bytesPerView = samples * sumOf(slotsOf(typed, heads, true), ({ recordBytes }) => recordBytes);
  const wanted = trainingViews({ ...train, preprocessing }, views).views.length;
  const fitting = Math.min(wanted, Math.floor(cacheLimit / Math.max(1, bytesPerView)));
  const kept = { views: fitting, storage: features === undefined ? 'cached' : 'merged' } as const;
  const planned =
    fitting === 0 && features === undefined ? { views: wanted, storage: 'recomputed' as const } : kept;
  return { features: planned, bytesPerView };
}

/** As `openSplits` will cut them; the validation split is settled later, from training or calibration samples. */
function sizesOf(
  peeks: Partial<Record<Split, Peek>>,
  path: string | undefined,
): CompilePlan['data'] & { calibration?: PlannedSplit } {
  const described = ({ samples, cached }: Peek): PlannedSplit => ({ samples, ...(cached && { cached }) });
  const given = Object.fromEntries(Object.entries(peeks).map(([split, peek]) => [split, described(peek)]));
  if (given.calibration) return given;
  const { train, test } = given;
  if (!train || path === undefined) throw trainingDataMissing();
  const { train: rest, ...cut } = partSizes(path, train.samples, cutOffTrain(test !== undefined));
  const parts = Object.entries(cut).map(([split, samples]) => [split, { samples, from: 'split of train' }]);
  return { ...given, ...Object.fromEntries(parts), train: { ...train, samples: rest! } };
}
