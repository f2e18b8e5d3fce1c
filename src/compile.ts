/** The story: a trained classifier in, one early-exit model and its package out. */
import { join } from 'node:path';
import { defaultCache } from './cache.ts';
import {
  budgetName,
  type Candidate,
  type CostModel,
  dropName,
  guarantee,
  type NamedPoint,
  operatingPoints,
  refuseTooFew,
  STANDING_NAMES,
  searchPolicy,
} from './calibrate/index.ts';
import { type PreprocessingOptions, resolvePreprocessing, splitRoles } from './data/index.ts';
import { describeCompiled, provenance } from './describe-compiled.ts';
import { type Manifest, type OperatingPoint, printManifest } from './emit/manifest.ts';
import { emitPackage } from './emit/stub.ts';
import { type Content, checkOutput, writeOutput } from './emit/write.ts';
import { badOption, budgetUnreachable, trainingDataMissing, unknownPoint } from './errors.ts';
import type { Events } from './events.ts';
import { type InspectOptions, inspect } from './inspect.ts';
import { costsOf, type View, viewOf } from './judge.ts';
import { raceOriginal } from './measure-latency.ts';
import type { SessionOptions } from './ort.ts';
import { serializeModel } from './parser/index.ts';
import { attachExits } from './passes/attach-exits.ts';
import type { HeadKind } from './passes/exits.ts';
import { checkLowerable, lowerExits } from './passes/lower-exits.ts';
import type { PolicyName } from './policies/index.ts';
import { takeGivenHeads, trainOwnHeads } from './prepare-heads.ts';
import { type ProofEffort, proveEqual } from './prove-equal.ts';
import { readLabels } from './read-labels.ts';
import { inputOf, openRoles, type RolePaths } from './roles.ts';
import { type RecipeName, SURVIVORS } from './train/recipes.ts';

export interface CompileOptions extends InspectOptions, RolePaths, PreprocessingOptions {
  /** Folder to write; must be empty or absent unless `force`. */
  readonly out: string;
  readonly force?: boolean;
  /** Text file with one class name a line; an image folder's own names otherwise. */
  readonly labels?: string;
  readonly head?: HeadKind;
  readonly recipe?: RecipeName;
  /** Cost weight of the `pteenet-*` recipes. */
  readonly lambda?: number;
  /** Heads learn most from samples that earlier heads do not take (recipe `distill`; CalexNet eq. 13). */
  readonly survivors?: boolean;
  readonly epochs?: number;
  /** Training batch. */
  readonly batch?: number;
  readonly learningRate?: number;
  readonly policy?: PolicyName;
  /** What thresholds preserve: accuracy against labels, or agreement with the original. */
  readonly target?: 'accuracy' | 'agreement';
  /** Average costs relative to the original that operating points are wanted for. */
  readonly budgets?: readonly number[];
  /** Losses of the target that operating points are wanted for. */
  readonly maxAccuracyDrops?: readonly number[];
  /**
   * With this probability over the draw of the calibration samples, every one of `maxAccuracyDrops` is kept on the population: half
   * of the calibration role is then held back from the search and tests what it found (see `guarantee`).
   */
  readonly confidence?: number;
  /** `baked` builds the thresholds of the default point into the model. */
  readonly thresholds?: 'input' | 'baked';
  /** Name of the default operating point. */
  readonly at?: string;
  readonly seed?: number;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly prove?: ProofEffort;
  readonly threads?: number;
  readonly skipBad?: boolean;
  readonly cache?: string;
  readonly cacheLimit?: number;
}

export interface Compiled {
  readonly manifest: Manifest;
  /** The points worth a row: those with a name of their own and those asked for. */
  readonly shown: readonly OperatingPoint[];
}

/** Compiles as `options` say and writes the output folder. Nothing is written unless the emitted model proved equal. */
export async function compile(options: CompileOptions, events: Events = {}): Promise<Compiled> {
  const { seed = 1, policy = 'max-prob', target = 'accuracy', cache = defaultCache() } = options;
  const { signal } = events;
  await checkOutput(options.out, { force: options.force ?? false });
  refusePromise(options);
  if (options.train === undefined && !options.exitOutputs) throw trainingDataMissing();

  const threads: SessionOptions = options.threads === undefined ? {} : { threads: options.threads };
  const inspection = await inspect({ ...options, session: threads });
  const { source, typed, plan } = inspection;
  const dropOutputs = options.output !== undefined;
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
    dropOutputs,
  );
  const session = { ...threads, externalDataFolder: source.folder };
  const input = inputOf(typed);
  const preprocessing = resolvePreprocessing(options, input);
  const labels = options.labels === undefined ? undefined : await readLabels(options.labels, typed.classes);
  const progress =
    (phase: string, unit = 'samples') =>
    (done: number, total: number) =>
      events.onProgress?.({ phase, done, total, unit });

  const opening = { input, preprocessing, cache, classes: typed.classes, skipBad: options.skipBad, signal };
  const given = await openRoles(options, seed, opening, (role, done, total) =>
    progress(`decoding ${role}`)(done, total),
  );
  try {
    const judging = { typed, modelHash: source.sha256, session, signal };
    const heads = inspection.given?.heads ?? attachExits(plan, { kind: options.head ?? 'strided', seed });
    const costs = costsOf(plan, heads);
    refuseUnreachable(costs, options);
    if (options.confidence !== undefined) {
      const samples = Math.ceil(HALVES.promise * given.calibration.dataset.size);
      for (const drop of options.maxAccuracyDrops!) refuseTooFew(samples, drop, shared(options));
    }
    const setting = { inspection, heads, roles: given, policy, seed, cache, judging, events, progress };
    const prepared = inspection.given
      ? await takeGivenHeads(setting)
      : await trainOwnHeads({
          ...setting,
          training: trainingOf(options),
          cacheLimitBytes: options.cacheLimit,
        });
    const { heads: gated, decider, calibration } = prepared;
    const roles = { train: prepared.train, validation: prepared.validation, calibration, test: given.test };

    const halves =
      options.confidence === undefined ? undefined : splitRoles(calibration.dataset, HALVES, seed);
    const searched = halves?.search ?? calibration.dataset;
    const judged = await prepared.judge(searched, 'judging calibration');
    const calibrated = viewOf(judged, decider);
    const hull = searchPolicy(calibrated, costs, { target });
    const promises = halves
      ? promisesOf(
          hull,
          viewOf(await prepared.judge(halves.promise, 'judging promises'), decider),
          costs,
          options,
        )
      : undefined;
    const points = operatingPoints(hull, { target, ...wishesOf(options), promised: promises?.candidates });
    const chosen = pointNamed(points, options.at ?? 'balanced');

    const report = roles.test ?? { dataset: searched };
    const seenJudged = roles.test ? await prepared.judge(report.dataset, 'judging test') : judged;
    const view = roles.test ? viewOf(seenJudged, decider) : calibrated;
    const baked = options.thresholds === 'baked' ? chosen.thresholds : undefined;
    const model = serializeModel(
      lowerExits(typed, gated, { ...decider, baked, dropOutputs, metadata: provenance(source.sha256) }),
    );
    const tried = baked ? [baked] : points.map((point) => point.thresholds);
    const proved = await proveEqual({
      model,
      typed,
      dataset: report.dataset,
      view,
      judged: seenJudged,
      thresholds: tried,
      baked: baked !== undefined,
      session,
      effort: options.prove ?? 'some',
      signal,
      onProgress: progress('proving', 'answers'),
    });
    events.onNote?.(
      `The emitted model gave ${proved.compared} answers as heads and policy do by hand; with all exits closed it is within ${proved.deviation.toExponential(1)} of the original.`,
    );
    const latency = await raceOriginal({
      model,
      original: typed.model,
      dataset: report.dataset,
      points,
      baked: baked !== undefined,
      session,
      signal,
      onProgress: progress('timing', 'runs'),
    });

    const manifest = describeCompiled({
      modelFile: options.model,
      source,
      typed,
      plan,
      heads: gated,
      recipe: inspection.given ? 'none' : (options.recipe ?? 'distill'),
      policy,
      seed,
      roles,
      labels: labels ?? (roles.train ?? calibration).dataset.classNames,
      preprocessing,
      points,
      defaultPoint: chosen.name,
      promises: promises?.kept,
      baked: baked !== undefined,
      costs,
      view,
      latency,
      session: threads,
    });
    await writeOutput(
      options.out,
      new Map<string, Content>([
        ['model.onnx', model],
        ...source.externalFiles.map((name) => [name, { copyOf: join(source.folder, name) }] as const),
        ['manifest.json', printManifest(manifest)],
        ...emitPackage(manifest),
      ]),
      { force: options.force ?? false },
    );
    const wanted = new Set(points.map((p) => p.name).filter((name) => !name.startsWith('cost-')));
    return { manifest, shown: manifest.operatingPoints.filter((p) => wanted.has(p.name)) };
  } finally {
    await given.close();
  }
}

const trainingOf = ({ recipe, lambda, survivors, epochs, batch, learningRate }: CompileOptions) => ({
  recipe: recipe ?? 'distill',
  ...(lambda !== undefined && { lambda }),
  ...(survivors && { survivors: SURVIVORS }),
  ...(epochs !== undefined && { epochs }),
  ...(batch !== undefined && { batch }),
  ...(learningRate !== undefined && { learningRate }),
});

const wishesOf = ({ budgets, maxAccuracyDrops }: CompileOptions) => ({
  budgets: budgets ?? [],
  maxDrops: maxAccuracyDrops ?? [],
});

const HALVES = { search: 0.5, promise: 0.5 };

/** The cheapest point of `hull` that keeps each of the asked drops with the asked confidence, all of them together (Bonferroni). */
function promisesOf(hull: readonly Candidate[], unseen: View, costs: CostModel, options: CompileOptions) {
  const limits = options.maxAccuracyDrops!;
  const confidence = shared(options);
  const risk = options.target === 'agreement' ? 'disagreement' : 'drop';
  const kept = new Map(
    limits.map((limit) => [dropName(limit), guarantee(hull, unseen, costs, { risk, limit, confidence })]),
  );
  const candidates = new Map(
    [...kept].map(([name, { thresholds }]) => [name, hull.find((point) => point.thresholds === thresholds)!]),
  );
  return { kept, candidates };
}

/** The confidence of each promise, so that all of them hold with the one asked for. */
const shared = ({ confidence, maxAccuracyDrops }: CompileOptions) =>
  1 - (1 - confidence!) / maxAccuracyDrops!.length;

/** A promise needs a drop to promise, and both as shares. */
function refusePromise({ confidence, maxAccuracyDrops = [] }: CompileOptions): void {
  if (confidence === undefined) return;
  const isShare = (value: number) => value > 0 && value < 1;
  if (!isShare(confidence))
    throw badOption('--confidence', `${confidence}`, 'a number between 0 and 1, 0.95 say');
  if (maxAccuracyDrops.length === 0)
    throw badOption('--confidence', `${confidence}`, '--max-accuracy-drop with it: what is to be promised');
  const odd = maxAccuracyDrops.find((drop) => !isShare(drop));
  if (odd !== undefined)
    throw badOption('--max-accuracy-drop', `${odd}`, 'a number between 0 and 1 with --confidence');
}

/** What can be seen before any training: a budget below the cheapest exit, a default point that will not exist. */
function refuseUnreachable(
  costs: CostModel,
  { budgets = [], maxAccuracyDrops = [], at }: CompileOptions,
): void {
  const cheapest = Math.min(...costs.prefix.map((prefix, k) => prefix + costs.head[k]!));
  for (const budget of budgets) if (budget < cheapest) throw budgetUnreachable(budget, cheapest);
  const names = [...STANDING_NAMES, ...budgets.map(budgetName), ...maxAccuracyDrops.map(dropName)];
  if (at !== undefined && !at.startsWith('cost-') && !names.includes(at)) throw unknownPoint(at, names);
}

function pointNamed(points: readonly NamedPoint[], name: string): NamedPoint {
  const point = points.find((p) => p.name === name);
  if (!point)
    throw unknownPoint(
      name,
      points.map((p) => p.name),
    );
  return point;
}
