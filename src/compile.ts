/** The story: a trained classifier in, one early-exit model and its package out. */
import { basename } from 'node:path';
import { defaultCache } from './cache.ts';
import { type Dataset, type PreprocessingOptions, resolvePreprocessing } from './data/index.ts';
import { checkOutput } from './emit/write.ts';
import { trainingDataMissing } from './errors.ts';
import { type Events, progressOf } from './events.ts';
import { type Compiled, finish } from './finish.ts';
import { type InspectOptions, inspect } from './inspect.ts';
import { answersOf, costsOf } from './judge.ts';
import type { SessionOptions } from './ort.ts';
import { attachExits } from './passes/attach-exits.ts';
import type { HeadKind } from './passes/exits.ts';
import { checkLowerable } from './passes/lower-exits.ts';
import { takeGivenHeads, trainOwnHeads } from './prepare-heads.ts';
import type { ProofEffort } from './prove-equal.ts';
import { readLabels } from './read-labels.ts';
import { inputsOf, notesOn, openRoles, type RolePaths, UNLABELLED } from './roles.ts';
import { type RecipeName, SURVIVORS } from './train/recipes.ts';
import { refuseOdd, refuseUnreachable, settleWishes, type ThresholdOptions } from './wishes.ts';

export interface CompileOptions extends InspectOptions, RolePaths, PreprocessingOptions, ThresholdOptions {
  /** Folder to write; must be empty or absent unless `force`. */
  readonly out: string;
  readonly force?: boolean;
  /** Text file with one class name a line, or `none`: the original's own answers are the labels. The data's own names otherwise. */
  readonly labels?: string;
  /** A tokenizer.json, where data are text. */
  readonly tokenizer?: string;
  /** One for all exits, or one an exit; by default `token` at tokens and `strided` elsewhere. */
  readonly head?: HeadKind | readonly HeadKind[];
  /** Views of each training picture that features are cached of: plain, mirrored, then shifted ones; 2 by default. */
  readonly views?: number;
  readonly recipe?: RecipeName;
  /** Cost weight of the `pteenet-*` recipes. */
  readonly lambda?: number;
  /** Heads learn most from samples that earlier heads do not take (recipe `distill`; CalexNet eq. 13). */
  readonly survivors?: boolean;
  readonly epochs?: number;
  /** Training batch. */
  readonly batch?: number;
  readonly learningRate?: number;
  readonly seed?: number;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly prove?: ProofEffort;
  readonly threads?: number;
  readonly skipBad?: boolean;
  readonly cache?: string;
  readonly cacheLimit?: number;
}

/** Compiles as `options` say and writes the output folder. Nothing is written unless the emitted model proved equal. */
export async function compile(options: CompileOptions, events: Events = {}): Promise<Compiled> {
  const { seed = 1, cache = defaultCache(), recipe = 'distill', skipBad } = options;
  const { signal } = events;
  const unlabelled = options.labels === UNLABELLED;
  const wishes = settleWishes(options, unlabelled);
  await checkOutput(options.out, { force: options.force ?? false });
  refuseOdd(wishes, unlabelled);
  if (options.train === undefined && !options.exitOutputs) throw trainingDataMissing();

  const threads: SessionOptions = options.threads === undefined ? {} : { threads: options.threads };
  const inspection = await inspect({ ...options, session: threads });
  const { source, typed, plan } = inspection;
  for (const note of inspection.notes) events.onNote?.(note);
  const dropOutputs = options.output !== undefined;
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
    dropOutputs,
  );
  const session = { ...threads, externalDataFolder: source.folder };
  const inputs = inputsOf(typed);
  const preprocessing = resolvePreprocessing(options, inputs);
  const progress = progressOf(events);
  const labels =
    options.labels === undefined || unlabelled ? undefined : await readLabels(options.labels, typed.classes);

  const judging = { typed, modelHash: source.sha256, session, signal };
  const opening = {
    inputs,
    preprocessing,
    cache,
    classes: typed.classes,
    skipBad,
    signal,
    labels: unlabelled ? UNLABELLED : labels,
    tokenizer: options.tokenizer,
    answersOf: (dataset: Dataset) => answersOf(dataset, { ...judging, onProgress: progress('labelling') }),
  };
  const roles = await openRoles(options, seed, opening, (role, done, total) =>
    progress(`decoding ${role}`)(done, total),
  );
  try {
    for (const note of notesOn(roles)) events.onNote?.(note);
    const heads = inspection.given?.heads ?? attachExits(plan, { kind: options.head, seed });
    const costs = costsOf(plan, heads);
    refuseUnreachable(costs, roles.calibration.dataset.size, wishes);
    const setting = {
      inspection,
      roles,
      wishes,
      seed,
      cache,
      judging,
      events,
      progress,
    };
    const prepared = inspection.given
      ? await takeGivenHeads(setting)
      : await trainOwnHeads({
          ...setting,
          heads,
          training: trainingOf(options),
          cacheLimitBytes: options.cacheLimit,
          views: options.views,
        });
    return await finish({
      inspection,
      prepared,
      test: roles.test,
      costs,
      wishes,
      origin: {
        file: basename(options.model),
        exitOutputs: options.exitOutputs,
        seed,
        recipe: inspection.given ? 'none' : recipe,
        labels: labels ?? (roles.train ?? roles.calibration).dataset.classNames,
        preprocessing,
      },
      dropOutputs,
      prove: options.prove,
      threads,
      out: options.out,
      force: options.force ?? false,
      events,
      progress,
    });
  } finally {
    await roles.close();
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
