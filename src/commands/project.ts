/** What a compile starts from: model, exits and data, opened as its options say. The same for all who are given the same options. */
import { defaultCache } from '../cache/folder.ts';
import { warnOfLeaks } from '../data/check-splits.ts';
import {
  type Dataset,
  type OpenOptions,
  type Preprocessing,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../data/index.ts';
import { readLabels } from '../data/labels-file.ts';
import { inputsOf, notesOn, openSplits, type SplitPaths, type Splits, UNLABELLED } from '../data/splits.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { noTaps, optionText } from '../errors/index.ts';
import { type Inspection, type InspectOptions, inspectLoaded, refuseLooseInputs } from '../model/inspect.ts';
import { type SessionOptions, settleSession } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import { attachExits } from '../passes/attach-exits.ts';
import type { Head, HeadKind } from '../passes/exits.ts';
import { checkLowerable } from '../passes/lower-exits.ts';
import { LATEST_TAP, reasonsOf } from '../passes/plan-exits.ts';
import { warnOfGuessing } from '../predict/check-original.ts';
import { answersOf, type PredictOptions } from '../predict/predict.ts';

export interface ProjectOptions extends Omit<InspectOptions, 'session'>, SplitPaths, PreprocessingOptions {
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

export interface Project {
  readonly inspection: Inspection;
  readonly splits: Splits;
  /** Untrained, or those that came with the model. */
  readonly heads: readonly Head[];
  readonly preprocessing: Preprocessing;
  /** As the labels file has them. */
  readonly labels: readonly string[] | undefined;
  readonly seed: number;
  readonly cache: string;
  /** How the model is run, wherever it lies. */
  readonly runs: SessionOptions;
  readonly predicting: PredictOptions;
  readonly events: Events;
  readonly progress: ReturnType<typeof progressOf>;
}

/** The model with its exits, and how its data are to be opened. Reads no data and writes nothing. */
export async function lookAtProject(options: ProjectOptions, events: Events) {
  const { seed = 1, cache = defaultCache(), skipBad, tokenizer } = options;
  const unlabelled = options.labels === UNLABELLED;
  const runs = await settleSession(options);
  const { provider: _, ...onCpu } = runs;
  const inspection = await inspectLoaded(await loadModel(options.model, options.externalDataFolder), {
    ...options,
    session: onCpu,
  });
  const { source, typed, plan } = inspection;
  for (const note of inspection.notes) events.onNote?.(note);
  if (plan.exits.length === 0) throw noTaps(reasonsOf(plan.rejected), plan.taps.length, LATEST_TAP);
  refuseLooseInputs(typed);
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
    options.output !== undefined,
  );
  const inputs = inputsOf(typed);
  const preprocessing = resolvePreprocessing(options, inputs);
  const labels =
    options.labels === undefined || unlabelled ? undefined : await readLabels(options.labels, typed.classes);
  const opening: OpenOptions = {
    inputs,
    preprocessing,
    cache,
    classes: typed.classes,
    skipBad,
    signal: events.signal,
    labels: unlabelled ? UNLABELLED : labels,
    labelsFrom: labels && optionText('labels', options.labels!),
    tokenizer,
  };
  const heads = inspection.given?.heads ?? attachExits(plan, { kind: options.head, seed });
  const session = { ...runs, externalDataFolder: source.folder };
  return { inspection, heads, preprocessing, labels, seed, cache, runs, session, opening };
}

/** Hands the opened project to `use`, and closes its data whatever happens. */
export async function withProject<T>(
  options: ProjectOptions,
  events: Events,
  use: (project: Project) => Promise<T>,
): Promise<T> {
  const { session, opening, ...project } = await lookAtProject(options, events);
  const { hash, typed } = project.inspection;
  const progress = progressOf(events);
  const predicting = { typed, modelHash: hash, session, signal: events.signal };
  const labelling = {
    ...opening,
    answersOf: (dataset: Dataset) => answersOf(dataset, { ...predicting, onProgress: progress('labelling') }),
  };
  const splits = await openSplits(options, project.seed, labelling, (split, done, total) =>
    progress(`decoding ${split}`)(done, total),
  );
  try {
    for (const note of [...notesOn(splits), ...(await warnOfLeaks(splits))]) events.onNote?.(note);
    const warning = await warnOfGuessing(splits, project.seed, predicting);
    if (warning) events.onNote?.(warning);
    return await use({ ...project, splits, predicting, events, progress });
  } finally {
    await splits.close();
  }
}
