/** What commands start from: a model whose exits are known, and its data, opened as the options or an earlier compile ask. */
import { defaultCache } from '../cache/folder.ts';
import { costsOf } from '../calibrate/costs.ts';
import type { CostModel } from '../calibrate/index.ts';
import { warnOfLeaks } from '../data/check-splits.ts';
import { readClassNames } from '../data/class-names.ts';
import {
  type Dataset,
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
import { noTaps, optionText } from '../errors/index.ts';
import { type Inspected, inspectLoaded, type ModelOptions, refuseLooseInputs } from '../model/inspect.ts';
import { type SessionOptions, settleSession } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import { attachExits } from '../passes/attach-exits.ts';
import type { Head, HeadKind } from '../passes/exits.ts';
import { checkLowerable } from '../passes/lower-exits.ts';
import { LATEST_TAP, reasonsOf } from '../passes/plan-exits.ts';
import { warnOfGuessing } from '../predict/check-original.ts';
import { answersOf, type PredictOptions } from '../predict/predict.ts';

export interface ProjectOptions extends Omit<ModelOptions, 'session'>, SplitPaths, PreprocessingOptions {
  /** Text file with one class name a line, or `none`: the original's own answers are the labels. The data's own names otherwise. */
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
  readonly inspection: Inspected;
  /** [K] Untrained, or those that came with the model or with its package. */
  readonly heads: readonly Head[];
  readonly costs: CostModel;
  readonly preprocessing: Preprocessing;
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

/** Reads the model, plans exits and attaches untrained heads. Reads no data and writes nothing. */
export async function openProject(options: ProjectOptions, events: Events = {}): Promise<Project> {
  const { seed = 1, cache = defaultCache(), tokenizer } = options;
  const unlabelled = options.labels === UNLABELLED;
  const sessionOptions = await settleSession(options);
  const inspection = await inspectLoaded(await loadModel(options.model, options.externalDataFolder), {
    ...options,
    session: onCpu(sessionOptions),
  });
  const { typed, plan } = inspection;
  for (const note of inspection.notes) events.onNote?.(note);
  if (plan.exits.length === 0) throw noTaps(reasonsOf(plan.rejected), plan.taps.length, LATEST_TAP);
  refuseLooseInputs(typed);
  const dropOutputs = options.output !== undefined;
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
    dropOutputs,
  );
  const inputs = inputsOf(typed);
  const preprocessing = resolvePreprocessing(options, inputs);
  const labels =
    options.labels === undefined || unlabelled
      ? undefined
      : await readClassNames(options.labels, typed.classes);
  const heads = inspection.existing?.heads ?? attachExits(plan, { kind: options.head, seed });
  return {
    inspection,
    heads,
    costs: costsOf([plan], heads),
    preprocessing,
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
      tokenizer,
    },
  };
}

/** Exits are planned on the CPU, so that the plan does not depend on the provider. */
export function onCpu({ provider: _, ...rest }: SessionOptions): SessionOptions {
  return rest;
}

/** How the original of `project` is run, where its file and its external data lie. */
export const sessionOf = ({ sessionOptions, inspection }: Project): SessionOptions => ({
  ...sessionOptions,
  externalDataFolder: inspection.source.folder,
});

/**
 * Opens the data of `project`, warns of what would spoil the figures (samples that splits share, an original that only guesses), hands
 * both to `use`, and closes the data whatever happens.
 */
export async function withSplits<T>(
  project: Project,
  paths: SplitPaths,
  events: Events,
  use: (context: CompileContext) => Promise<T>,
): Promise<T> {
  const { opening, ...rest } = project;
  const { inspection, seed } = project;
  const progress = progressOf(events);
  const predicting = {
    typed: inspection.typed,
    modelHash: inspection.hash,
    session: sessionOf(project),
    signal: events.signal,
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
