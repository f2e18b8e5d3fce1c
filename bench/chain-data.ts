/** The chains that chain.ts compares, and what every exit of each answers to the calibration and test pictures. For chain.ts. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { defaultCache } from '../src/cache/folder.ts';
import { settleGoals } from '../src/calibrate/goals.ts';
import { withFirsts } from '../src/commands/chain-exits.ts';
import { compile } from '../src/commands/compile.ts';
import { matchClasses } from '../src/commands/match-classes.ts';
import { type CompileContext, openProject, withSplits } from '../src/commands/project.ts';
import { noExits, type ReadyExits, trainExits, trainingSplits } from '../src/commands/ready-exits.ts';
import type { Preset } from '../src/data/preprocessing.ts';
import { findValidation } from '../src/predict/fit-confidence.ts';
import type { Predictions } from '../src/predict/predict.ts';
import type { Answered } from './halves.ts';
import type { Places } from './places.ts';

export interface ChainPlaces extends Places {
  /** Epochs and views with which heads are trained; those of `compile` when left out. */
  readonly epochs?: number | undefined;
  readonly views?: number | undefined;
}

interface NetworkFile {
  /** Without `.onnx`. */
  readonly file: string;
  readonly preset: Preset;
  /** Compiled by itself first: its exits come along. */
  readonly compiled?: true;
}

export interface ChainSpec {
  readonly first: readonly NetworkFile[];
  readonly original: NetworkFile;
  /** Trained exits of the original. */
  readonly exits?: number;
  /** Points lost at most, by budget. */
  readonly targets?: Readonly<Record<number, number>>;
}

const R8: NetworkFile = { file: 'resnet8_mlperf', preset: 'none' };
const R20: NetworkFile = { file: 'resnet20', preset: 'imagenet' };
const R56: NetworkFile = { file: 'resnet56', preset: 'imagenet' };
const DENSE: NetworkFile = { file: 'densenet40', preset: 'none' };

export const R20_R56: ChainSpec = {
  first: [R20],
  original: R56,
  targets: { 0.4: 0.25, 0.45: -0.2, 0.532: -0.35 },
};
export const R8_R20_R56: ChainSpec = {
  first: [R8, R20],
  original: R56,
  targets: { 0.25: 0.5, 0.3: 0.1, 0.35: 0, 0.4: -0.15 },
};
export const CHAINS: readonly ChainSpec[] = [
  R20_R56,
  { first: [R8], original: R56 },
  R8_R20_R56,
  { first: [R20], original: DENSE },
];
/** Heads are trained for this one. */
export const TRAINED: ChainSpec = { first: [{ ...R20, compiled: true }], original: R56, exits: 2 };

const told = ({ file, compiled }: NetworkFile) => (compiled ? `${file}, compiled` : file);
export const nameOf = ({ first, original, exits }: ChainSpec): string =>
  [...first.map(told), exits ? `${original.file} with ${exits} exits` : original.file].join(' → ');

export const modelPath = ({ models }: Places, { file }: NetworkFile): string => join(models, `${file}.onnx`);

/** What `use` makes of the chain, opened as `compile` opens it. Trains the heads of the original where it has exits. */
export async function withChain<T>(
  spec: ChainSpec,
  places: ChainPlaces,
  use: (context: CompileContext, exits: ReadyExits) => Promise<T>,
): Promise<T> {
  const { pictures, cache = defaultCache(), epochs, views } = places;
  const train = { train: join(pictures, 'train') };
  const held = { calibration: join(pictures, 'calibration'), test: join(pictures, 'test') };
  const training = { ...(epochs && { epochs }), ...(views && { views }) };
  const first = [];
  for (const network of spec.first) {
    const { preset } = network;
    const folder = join(places.keep, `${network.file}-compiled`);
    const model = network.compiled ? folder : modelPath(places, network);
    if (network.compiled && !existsSync(folder)) {
      const own = { model: modelPath(places, network), preset, ...train, ...held, ...training };
      await compile({ ...own, cache, out: folder, report: false, timing: false });
    }
    first.push({ model, preset });
  }
  const { original, exits } = spec;
  const options = {
    model: modelPath(places, original),
    preset: original.preset,
    first,
    cache,
    ...(exits && { exits }),
  };
  const paths = exits ? { ...train, ...held } : held;
  return await withSplits(await openProject(options), paths, {}, async (opened) => {
    const context = await matchClasses(opened);
    const goals = settleGoals({}, false);
    const own = exits
      ? await trainExits(context, goals, await trainingSplits(context), {
          training: { recipe: 'distill', ...(epochs && { epochs }) },
          views,
        })
      : noExits(context, goals, findValidation(context.splits, context.seed));
    const ready = withFirsts(context, own);
    return await use(context, ready);
  });
}

/** Of a chain with trained heads it is kept, since training takes minutes. */
export async function answersOf(spec: ChainSpec, places: ChainPlaces): Promise<Answered> {
  const file = join(places.keep, `${nameOf(spec)}.bin`);
  if (existsSync(file)) return deserialize(readFileSync(file)) as Answered;
  const answered = await withChain(spec, places, async ({ costs, splits, chain }, exits) => {
    const calibration = await exits.predict(splits.calibration.dataset, 'predicting');
    const test = await exits.predict(splits.test!.dataset, 'predicting');
    return { costs, predictions: joined(calibration, test), macs: chain.networks.at(-1)!.plan.totalMacs };
  });
  if (spec.exits) {
    mkdirSync(places.keep, { recursive: true });
    writeFileSync(file, serialize(answered));
  }
  return answered;
}

/** The samples of `a`, then those of `b`. */
export function joined(a: Predictions, b: Predictions): Predictions {
  const both = (x: Float32Array, y: Float32Array) => {
    const all = new Float32Array(x.length + y.length);
    all.set(x);
    all.set(y, x.length);
    return all;
  };
  return {
    logits: a.logits.map((own, k) => both(own, b.logits[k]!)),
    confidence: a.confidence.map((own, k) => both(own, b.confidence[k]!)),
    original: both(a.original, b.original),
    labels: Int32Array.from([...a.labels, ...b.labels]),
  };
}
