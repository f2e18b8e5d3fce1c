/** What a student's training depends on. */

import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Dataset, View } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import { makeModel } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { ONNXRUNTIME_VERSION, type SessionOptions } from '../ort/session.ts';
import { serializeModel } from '../parser/index.ts';
import { DEFAULT_LIMIT_BYTES } from '../train/features.ts';
import type { TrainProgress } from '../train/train-options.ts';
import { type Augment, augmentFor, viewsOf } from './augment.ts';
import { type ExitLoss, WARM_UP, WARM_UP_PART } from './exit-losses.ts';
import { plainOf, type Teacher, type TeacherMode } from './picture-source.ts';
import type { Student } from './student.ts';
import { trainingGraph } from './training-graph.ts';

/** What holds when nothing else is said. */
export const DEFAULTS = {
  epochs: 30,
  batch: 128,
  learningRate: 0.2,
  weightDecay: 5e-4,
  softShare: 0.7,
  temperature: 4,
  loss: 'branchynet',
  costWeight: 1,
} as const;

export interface StudentData {
  /** The training split. */
  readonly dataset: Dataset;
  readonly teacher: Teacher;
  /** Labelled samples on which the student's accuracy is told now and then; nothing is learned from them. */
  readonly validation?: Dataset | undefined;
}

export interface StudentTraining {
  readonly seed: number;
  /** Of the whole schedule; 30 by default. */
  readonly epochs?: number;
  /** Stops after this many steps of the schedule: what `maxMinutes` cut can be had again with the step at which it did. */
  readonly steps?: number | undefined;
  /** Stops after the first step that ends later than this, counted from the first step on, interruptions left out. */
  readonly maxMinutes?: number | undefined;
  /** 128 by default; at most all samples. */
  readonly batch?: number;
  /** The schedule's highest; 0.2 by default. */
  readonly learningRate?: number;
  /** Of weights; 5e-4 by default. */
  readonly weightDecay?: number;
  /** Share of the soft targets in the loss, the labels' being the rest; 0.7 by default, 0 for labels alone. */
  readonly softShare?: number;
  /** Of the soft targets; 4 by default. */
  readonly temperature?: number;
  /** Of students with several exits: the loss that they share, `branchynet` by default. */
  readonly exitLoss?: ExitLoss;
  /** λ of `eenet-*`: what going all the way is worth in nats; 1 by default. */
  readonly costWeight?: number;
  /** By default what `augmentFor` finds that the data allow. */
  readonly augment?: Augment | undefined;
  /** `cached` by default. */
  readonly teacher?: TeacherMode;
  /** `original`: its answers stand in for the labels, as they do where there are none. */
  readonly targets?: 'labels' | 'original';
  /** Folder of Offramp's caches. Without it nothing is kept: the original is asked anew for every view, and an interrupted training is lost. */
  readonly cache?: string | undefined;
  /** Most that the original's cached answers may take, with all cached features; 8 GB by default. */
  readonly cacheLimit?: number | undefined;
  readonly session?: SessionOptions;
  /** Seen between steps. */
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
  readonly onProgress?: ((progress: StudentProgress) => void) | undefined;
  /** The original answers training samples. */
  readonly onAnswers?: ((done: number, total: number) => void) | undefined;
  /** Seconds of work that an interruption may cost; 30 by default. */
  readonly saveEvery?: number;
}

export interface StudentProgress extends TrainProgress {
  /** On validation samples, the last time that it was measured. */
  readonly accuracy?: number | undefined;
}

/** Everything that numbers depend on, settled. */
export interface TrainingPlan {
  readonly graph: Graph;
  /** The original's inputs that the student reads. */
  readonly reads: ReadonlySet<string>;
  readonly views: readonly View[];
  readonly batch: number;
  readonly perEpoch: number;
  /** Steps of the whole schedule. */
  readonly total: number;
  /** Steps to do at most. */
  readonly stop: number;
  /** Steps at the start with the loss that `eenet-*` begin with; 0 for other losses. */
  readonly warmUp: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly teacher: TeacherMode;
  /** Set where the original's answers do not fit into it, so that some or all are asked for anew in every step. */
  readonly cacheLimit?: number | undefined;
  readonly targets: 'labels' | 'original';
  readonly seed: number;
  /** Times that the accuracy is measured, on how many samples each. */
  readonly checks: { readonly times: number; readonly samples: number };
  /** Names what was trained: equal keys, equal numbers at every step. */
  readonly key: string;
}

/** Changed when the same plan gives other numbers. */
const VERSION = 2;
const MOST_CHECKS = 10;
/** Samples read for checks, as a share of those trained on; such a sample takes about a fourth of a training sample's time. */
const CHECKED = 0.08;

export function planTraining(student: Student, data: StudentData, options: StudentTraining): TrainingPlan {
  const { dataset, validation } = data;
  const { typed, modelHash } = data.teacher;
  const { seed, session = {}, augment = augmentFor(dataset), epochs = DEFAULTS.epochs } = options;
  const { learningRate = DEFAULTS.learningRate, weightDecay = DEFAULTS.weightDecay } = options;
  const { softShare = DEFAULTS.softShare, temperature = DEFAULTS.temperature } = options;
  const { exitLoss: loss = DEFAULTS.loss, costWeight = DEFAULTS.costWeight } = options;
  const teacher = options.cache === undefined ? 'fresh' : (options.teacher ?? 'cached');
  const targets = dataset.unlabelled ? 'original' : (options.targets ?? 'labels');
  const batch = Math.min(options.batch ?? DEFAULTS.batch, dataset.size);
  const perEpoch = Math.floor(dataset.size / batch);
  const total = perEpoch * epochs;
  const times = Math.max(1, Math.min(MOST_CHECKS, epochs));
  const labelled = validation?.labels.includes(-1) ? 0 : (validation?.size ?? 0);
  const samples = Math.min(labelled, Math.ceil((CHECKED * total * batch) / times));
  const graph = trainingGraph(student, typed.classes, { softShare, temperature, loss, costWeight });
  const views = viewsOf(dataset, augment);
  const limit = options.cacheLimit ?? DEFAULT_LIMIT_BYTES;
  const answers = 4 * dataset.size * typed.classes * plainOf(views).length;
  const cacheLimit = teacher === 'cached' && answers > limit ? limit : undefined;
  const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const samplesOf = ({ hash, size, inputs, preprocessing, labels }: Dataset) => [
    hash,
    size,
    inputs,
    preprocessing,
    sha256(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength)),
  ];
  const identity = [
    VERSION,
    ONNXRUNTIME_VERSION,
    session.provider ?? 'cpu',
    session.threads ?? availableParallelism(),
    sha256(serializeModel(makeModel(graph))),
    samplesOf(dataset),
    validation && samplesOf(validation),
    [modelHash, typed.logits, typed.batch, teacher, cacheLimit ?? DEFAULT_LIMIT_BYTES],
    { seed, epochs, batch, learningRate, weightDecay, augment, targets },
  ];
  return {
    graph,
    reads: new Set(student.graph.inputs.map((v) => v.name)),
    views,
    batch,
    perEpoch,
    total,
    stop: Math.min(total, options.steps ?? total),
    warmUp: graph.inputs.some(({ name }) => name === WARM_UP) ? Math.round(WARM_UP_PART * total) : 0,
    learningRate,
    weightDecay,
    teacher,
    cacheLimit,
    targets,
    seed,
    checks: { times: samples > 0 ? times : 0, samples },
    key: sha256(JSON.stringify(identity)).slice(0, 40),
  };
}
