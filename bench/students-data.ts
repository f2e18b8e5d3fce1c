/** Originals, what is grown in front of each, and what every exit answers to the calibration and test pictures. For students.ts. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { defaultCache } from '../src/cache/folder.ts';
import { type Goals, settleGoals } from '../src/calibrate/goals.ts';
import { withFirsts } from '../src/commands/chain-exits.ts';
import { growStudents } from '../src/commands/grow.ts';
import { type GrowthOptions, wantedGrowth } from '../src/commands/growth.ts';
import { matchClasses } from '../src/commands/match-classes.ts';
import {
  type CompileContext,
  openProject,
  type ProjectOptions,
  withSplits,
} from '../src/commands/project.ts';
import { noExits, type ReadyExits, trainExits, trainingSplits } from '../src/commands/ready-exits.ts';
import { settleGrowth } from '../src/commands/settle-growth.ts';
import { type Dataset, partition } from '../src/data/index.ts';
import type { ConfidenceSplits } from '../src/predict/fit-confidence.ts';
import { joined } from './chain-data.ts';
import type { Answered } from './halves.ts';
import type { Places } from './places.ts';

export interface StudentPlaces extends Places {
  readonly threads?: number | undefined;
}

/** An original with data. */
export interface Subject {
  readonly name: string;
  /** Model, data, and how they are read. Where there is no test split all is reported on the calibration split. */
  readonly options: (places: StudentPlaces) => ProjectOptions;
}

export interface Spec {
  readonly subject: Subject;
  /** What is grown in front; `low` effort for nothing. */
  readonly growth: GrowthOptions;
  /** Heads on the original behind it, trained as `compile` does. */
  readonly heads?: number;
  /** The share of the training samples that they learn from; all of them by default. */
  readonly headsPart?: number;
  readonly seed: number;
}

export interface Grown extends Answered {
  /** Of training students and heads, with all that it needed; less where something of it was cached. */
  readonly seconds: number;
}

/** `file`, without `.onnx`, and CIFAR-10. */
export const cifar10 = (file: string, reading: Omit<ProjectOptions, 'model'>): Subject => ({
  name: file,
  options: ({ models, pictures }) => ({
    ...reading,
    model: join(models, `${file}.onnx`),
    train: join(pictures, 'train'),
    calibration: join(pictures, 'calibration'),
    test: join(pictures, 'test'),
  }),
});

export const RESNET56 = cifar10('resnet56', { preset: 'imagenet' });
/** Eight convolutions. */
export const VGG = cifar10('cifar_biasfield_base', {
  preset: 'imagenet',
  std: [0.225, 0.225, 0.225],
  widenBatch: true,
});

export const nameOf = ({ subject, growth, heads, seed }: Spec): string => {
  const grown = Object.entries(growth).map(([name, value]) => `${name} ${value}`);
  return [subject.name, ...grown, ...(heads ? [`${heads} heads`] : []), `seed ${seed}`].join(', ');
};

/** Grows and trains what `spec` asks for, unless its answers are kept. */
export async function answersOf(spec: Spec, places: StudentPlaces): Promise<Grown> {
  const kept = join(places.keep, `${nameOf(spec)}.bin`);
  if (existsSync(kept)) return deserialize(readFileSync(kept)) as Grown;
  const answered = await grown(spec, places);
  mkdirSync(places.keep, { recursive: true });
  writeFileSync(kept, serialize(answered));
  return answered;
}

/** What was grown, before anything on the original is trained. */
export interface Ground {
  readonly context: CompileContext;
  readonly splits: ConfidenceSplits;
  readonly goals: Goals;
}

/** Grows the students that `spec` asks for; `use` goes on with them. */
export async function withStudents<T>(
  { subject, growth, heads, seed }: Spec,
  places: StudentPlaces,
  use: (ground: Ground) => Promise<T>,
): Promise<T> {
  const { cache = defaultCache(), threads } = places;
  const options = {
    ...subject.options(places),
    ...growth,
    ...(heads && { exits: heads }),
    ...(threads && { threads }),
    seed,
    cache,
  };
  const project = await openProject(options, {}, wantedGrowth(options));
  return await withSplits(project, options, { onProgress: tellNowAndThen() }, async (opened) => {
    const { project: settled } = settleGrowth(opened, opened.splits.train!.dataset.size, options);
    const matched = await matchClasses(settled);
    const goals = settleGoals({}, false);
    const splits = await trainingSplits(matched);
    return await use({ context: await growStudents(matched, splits, options), splits, goals });
  });
}

/** What all exits of the chain answer, those of `own` behind its students'. */
export async function answersThrough(
  context: CompileContext,
  own: ReadyExits,
): Promise<Omit<Grown, 'seconds'>> {
  const exits = withFirsts(context, own);
  const predict = (dataset: Dataset) => exits.predict(dataset, 'predicting');
  const { calibration, test } = context.splits;
  const onCalibration = await predict(calibration.dataset);
  const predictions = test ? joined(onCalibration, await predict(test.dataset)) : onCalibration;
  return { costs: context.costs, predictions, macs: context.chain.networks.at(-1)!.plan.totalMacs };
}

async function grown(spec: Spec, places: StudentPlaces): Promise<Grown> {
  const started = performance.now();
  return await withStudents(spec, places, async ({ context, splits, goals }) => {
    const own = spec.heads
      ? await trainExits(context, goals, partOf(splits, spec.headsPart, spec.seed), {
          training: { recipe: 'distill' },
          cacheLimit: spec.growth.cacheLimit,
        })
      : noExits(context, goals, splits);
    const seconds = (performance.now() - started) / 1000;
    return { ...(await answersThrough(context, own)), seconds };
  });
}

function partOf(splits: ConfidenceSplits, share: number | undefined, seed: number): ConfidenceSplits {
  if (share === undefined) return splits;
  const { part: dataset } = partition(splits.train.dataset, { part: share }, seed);
  return { ...splits, train: { ...splits.train, dataset: dataset! } };
}

/** A line in 30 seconds at most. */
function tellNowAndThen() {
  let last = performance.now();
  return ({
    phase,
    done,
    total,
    note = '',
  }: {
    phase: string;
    done: number;
    total: number;
    note?: string;
  }) => {
    if (performance.now() - last < 30_000) return;
    last = performance.now();
    console.error(`  ${phase} ${done}/${total} ${note}`);
  };
}

/** `answered` without the exits that `keeps` turns down; networks that have none left are never run. */
export function part<T extends Answered>(
  answered: T,
  keeps: (exit: T['costs']['exits'][number], k: number) => boolean,
): T {
  const { costs, predictions } = answered;
  const isKept = costs.exits.map(keeps);
  const kept = <V>(values: readonly V[]) => values.filter((_, k) => isKept[k]);
  return {
    ...answered,
    costs: { ...costs, exits: kept(costs.exits) },
    predictions: {
      ...predictions,
      logits: kept(predictions.logits),
      confidence: kept(predictions.confidence),
    },
  };
}
