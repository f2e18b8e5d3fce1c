/** What commands start from: a model whose exits are known, and its data, opened as the options or an earlier compile ask. */
import { basename } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import type { CostModel } from '../calibrate/index.ts';
import { warnOfLeaks } from '../data/check-splits.ts';
import { type KnownClasses, readClassNames } from '../data/class-names.ts';
import {
  type Dataset,
  type InputSpec,
  type OpenOptions,
  type Preprocessing,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../data/index.ts';
import {
  inputsOf,
  notesOnSplits,
  openSplits,
  type SplitPaths,
  type Splits,
  UNLABELLED,
} from '../data/splits.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { noTaps, ofNetwork, optionText } from '../errors/index.ts';
import { info } from '../errors/notes.ts';
import type { Hub } from '../hub/read.ts';
import { commonOpset } from '../model/align-opsets.ts';
import { type Inspected, inspectLoaded, type ModelOptions, refuseLooseInputs } from '../model/inspect.ts';
import { type Chain, costsOfChain } from '../networks/chain.ts';
import { openDataFolder } from '../networks/data-folder.ts';
import type { ExternalFiles } from '../networks/external-files.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { type SessionOptions, settleSession } from '../ort/session.ts';
import { type LoadedModel, loadModel } from '../parser/index.ts';
import { attachExits } from '../passes/attach-exits.ts';
import type { Head, HeadKind } from '../passes/exits.ts';
import { checkLowerable } from '../passes/lower-exits.ts';
import { LATEST_TAP, reasonsOf } from '../passes/plan-exits.ts';
import { warnOfGuessing } from '../predict/check-original.ts';
import { answersOf, type PredictOptions } from '../predict/predict.ts';
import { type Growth, planGrowth, type WantedGrowth } from './growth.ts';
import { asksForExits } from './head-options.ts';
import { dimsOf, type HubModelOptions, nameFloat, type WithHub } from './hub-model.ts';
import { type FirstSource, loadFirsts, openChain } from './open-chain.ts';

export interface ProjectOptions
  extends Omit<ModelOptions, 'session'>,
    HubModelOptions,
    SplitPaths,
    PreprocessingOptions {
  /**
   * Networks in front of the original, in order: paths of ONNX files, or what is to be said of each. Samples leave where one of them is sure
   * enough. The original then has no exits of its own unless they are asked for.
   */
  readonly first?: readonly (string | FirstOptions)[];
  /**
   * Text file with one class name a line, or `none`: the original's own answers are the labels. Otherwise the names of the model's config.json, where
   * data have these names or none; else the data's own.
   */
  readonly labels?: string;
  /** A tokenizer.json, where data are text. */
  readonly tokenizer?: string;
  /** One for all exits, or one an exit; by default `token` at tokens and `strided` elsewhere. */
  readonly head?: HeadKind | readonly HeadKind[];
  readonly seed?: number;
  readonly threads?: number;
  /** ONNX Runtime's execution provider for everything but planning exits; `cpu` by default. */
  readonly provider?: string;
  readonly skipBad?: boolean;
  readonly cache?: string;
}

/** A model with its exits, and how its data are opened. No data have been read. */
export interface Project {
  /** Of the original. */
  readonly inspection: Inspected;
  /** The original and the networks in front of it. Heads that will be trained are untrained here. */
  readonly chain: Chain;
  /** Students among the networks, which are untrained here; undefined where there are none. */
  readonly growth?: Growth | undefined;
  /** External data of all networks, by the names that they have in the emitted model. */
  readonly external: ExternalFiles;
  /** [K] All exits of the chain. */
  readonly heads: readonly Head[];
  readonly costs: CostModel;
  readonly preprocessing: Preprocessing;
  /** Sizes of open axes, given ones and those of config files. */
  readonly dims: Readonly<Record<string, number>>;
  /** The original's own class names. */
  readonly ownClasses?: KnownClasses | undefined;
  readonly seed: number;
  readonly cache: string;
  /** As the manifest records them: without the folder of external data. */
  readonly sessionOptions: SessionOptions;
  /** Whether the emitted model may lack outputs of the original that an early exit does not compute. */
  readonly dropOutputs: boolean;
  readonly opening: OpenOptions;
}

/** What every step of a command needs. `heads` are untrained here where they will be trained: use `ReadyExits.heads`. */
export interface CompileContext extends Omit<Project, 'opening'> {
  readonly splits: Splits;
  /** How the original and the heads are run. */
  readonly predicting: PredictOptions;
  readonly events: Events;
  readonly progress: ReturnType<typeof progressOf>;
}

/**
 * Reads the model, plans exits and attaches untrained heads, and builds untrained students where they are `wanted`. Reads no data and writes
 * nothing.
 */
export async function openProject(
  options: WithHub<ProjectOptions>,
  events: Events = {},
  wanted?: WantedGrowth,
): Promise<Project> {
  const { seed = 1, cache = defaultCache(), tokenizer } = options;
  const unlabelled = options.labels === UNLABELLED;
  const sessionOptions = await settleSession(options);
  const firsts = await loadFirsts(options.first);
  const session = onCpu(sessionOptions);
  const isChain = firsts.length > 0 || wanted?.byDefault === false;
  const open = async () => {
    const source = await loadModel(options.model, options.externalDataFolder);
    const dims = dimsOf(source, options, options.hub);
    const inspection = await inspectLoaded(source, {
      ...options,
      dims,
      ...(isChain && !asksForExits(options) && { taps: [] }),
      isNested: isChain,
      ...(isChain && { opset: commonOpset(namedModels(source, firsts)) }),
      session,
    });
    return { inspection, dims };
  };
  const { inspection, dims } = await open().catch((error) => {
    const told = nameFloat(error, options.model);
    throw isChain ? ofNetwork(options.model, told) : told;
  });
  const { typed, plan } = inspection;
  for (const note of [...(options.hub?.notes ?? []), ...inspection.notes]) events.onNote?.(note);
  refuseLooseInputs(typed);
  const dropOutputs = options.output !== undefined;
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
    { dropOutputs, isNested: isChain },
  );
  const inputs = inputsOf(typed);
  const preprocessing = settlePreprocessing(options, inputs);
  const ownClasses = classesOf(options.hub, typed.classes, events);
  const labels =
    options.labels === undefined || unlabelled
      ? undefined
      : await readClassNames(options.labels, typed.classes);
  const own = inspection.existing?.heads ?? attachExits(plan, { kind: options.head, seed });
  const original = {
    inspection,
    heads: own,
    path: options.model,
    file: basename(options.model),
    inputs,
    preprocessing,
    options,
    classNames: ownClasses?.names,
  };
  const taken = namedModels(inspection.source, firsts).map(({ name }) => basename(name));
  const { growth, note } = wanted ? await planGrowth(wanted, original, { seed, dropOutputs, taken }) : {};
  if (note) events.onNote?.(note);
  if (plan.exits.length === 0 && !isChain && !growth)
    throw noTaps(reasonsOf(plan.rejected), plan.taps.length, LATEST_TAP);
  const { chain, external } = await openChain(firsts, original, session, events, growth);
  const { networks, heads } = chain;
  return {
    inspection: { ...inspection, typed: networks.at(-1)!.typed },
    chain,
    external,
    heads,
    costs: costsOfChain(chain),
    growth,
    preprocessing,
    dims,
    ownClasses,
    seed,
    cache,
    sessionOptions,
    dropOutputs,
    opening: {
      inputs,
      preprocessing,
      cache,
      classes: typed.classes,
      skipBad: options.skipBad,
      signal: events.signal,
      labels: unlabelled ? UNLABELLED : labels,
      labelsFrom: labels && optionText('labels', options.labels!),
      ownClasses,
      tokenizer,
    },
  };
}

/** Throws `bad-preprocessing`, with the config file whose numbers do not fit the model. */
function settlePreprocessing(options: WithHub<ProjectOptions>, inputs: readonly InputSpec[]): Preprocessing {
  try {
    return resolvePreprocessing(options, inputs);
  } catch (error) {
    const { preprocessing, files } = options.hub ?? {};
    const isTold = preprocessing?.mean !== undefined && preprocessing.mean === options.mean;
    throw isTold ? ofNetwork(files!.preprocessor!, error) : error;
  }
}

/** The class names that config files say, unless they are of another number of classes, which is noted. */
function classesOf(hub: Hub | undefined, classes: number, events: Events): KnownClasses | undefined {
  const told = hub?.classes;
  if (told === undefined || told.names.length === classes) return told;
  const counts = `${told.names.length} classes, and the model has ${classes}`;
  events.onNote?.(info('classes-of-another-model', `${told.from} names ${counts}: its names are not used.`));
  return undefined;
}

const namedModels = (original: LoadedModel, firsts: readonly FirstSource[]) => [
  ...firsts.map(({ options, source }) => ({ name: options.model, model: source.model })),
  { name: original.path, model: original.model },
];

/** Exits are planned on the CPU, so that the plan does not depend on the provider. */
export function onCpu({ provider: _, ...rest }: SessionOptions): SessionOptions {
  return rest;
}

/**
 * Opens the data of `project`, warns of what would spoil the figures (samples that splits share, an original that only guesses), hands
 * both to `use`, and closes the data whatever happens. External data of several networks are in one folder meanwhile.
 */
export async function withSplits<T>(
  project: Project,
  paths: SplitPaths,
  events: Events,
  use: (context: CompileContext) => Promise<T>,
): Promise<T> {
  const data = await openDataFolder(project.external.files, project.cache, events.signal);
  const session = { ...project.sessionOptions, externalDataFolder: data.folder };
  try {
    return await withSession(project, session, paths, events, use);
  } finally {
    await data.close();
  }
}

/** As `withSplits`, with networks run in `session`. */
async function withSession<T>(
  { opening, ...rest }: Project,
  session: SessionOptions,
  paths: SplitPaths,
  events: Events,
  use: (context: CompileContext) => Promise<T>,
): Promise<T> {
  const { inspection, seed } = rest;
  const progress = progressOf(events);
  const predicting = {
    typed: inspection.typed,
    modelHash: inspection.hash,
    session,
    signal: events.signal,
    onNote: events.onNote,
  };
  const labelling = {
    ...opening,
    answersOf: (dataset: Dataset) => answersOf(dataset, { ...predicting, onProgress: progress('labelling') }),
  };
  const splits = await openSplits(paths, seed, labelling, (split, done, total) =>
    progress(`decoding ${split}`)(done, total),
  );
  try {
    for (const note of [...notesOnSplits(splits), ...(await warnOfLeaks(splits))]) events.onNote?.(note);
    const warning = await warnOfGuessing(splits, seed, predicting);
    if (warning) events.onNote?.(warning);
    return await use({ ...rest, splits, predicting, events, progress });
  } finally {
    await splits.close();
  }
}
