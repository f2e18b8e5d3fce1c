/** Compiles a trained classifier into one early-exit model and its package. */
import { basename } from 'node:path';
import {
  DEFAULT_GOALS,
  type Goals,
  refuseContradictions,
  refuseUnreachable,
  settleGoals,
  type ThresholdOptions,
} from '../calibrate/goals.ts';
import { UNLABELLED } from '../data/splits.ts';
import type { Origin } from '../emit/describe.ts';
import { readTokenizer } from '../emit/keep-tokenizer.ts';
import { checkCopies, checkOutput } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { trainingDataMissing } from '../errors/index.ts';
import { type ConfidenceSplits, findValidation } from '../predict/fit-confidence.ts';
import { type RecipeName, SURVIVORS } from '../train/recipes.ts';
import { checkMerged } from '../train/shards.ts';
import { refuseAmongSamples, refuseOver } from './apart.ts';
import { withFirsts } from './chain-exits.ts';
import { type FinishOptions, finish } from './finish.ts';
import { growStudents } from './grow.ts';
import { type GrowthOptions, wantedGrowth } from './growth.ts';
import { asksForExits } from './head-options.ts';
import { nameFor, type WithHub, withHub } from './hub-model.ts';
import { matchClasses } from './match-classes.ts';
import { checkCall } from './options.ts';
import { type CompileContext, openProject, type ProjectOptions, withSplits } from './project.ts';
import {
  existingExits,
  fittedOn,
  noExits,
  originalOf,
  type ReadyExits,
  type TrainExitsOptions,
  trainExits,
  trainingSplits,
} from './ready-exits.ts';
import { settleGrowth } from './settle-growth.ts';
import type { Compiled } from './steps/describe-and-write.ts';

export interface CompileOptions extends CompilePlanOptions {
  readonly out: string;
}

/** Options of compiling and of planning it. */
export interface CompilePlanOptions extends ProjectOptions, ThresholdOptions, FinishOptions, GrowthOptions {
  /** Folder to write; must be empty or absent unless `force`. */
  readonly out?: string;
  readonly force?: boolean;
  /** Views of each training picture that features are cached of: plain, mirrored, then shifted ones; 2 by default. */
  readonly views?: number;
  /** Folder of merged features (`mergeShards`) to train from, made with the same options; nothing is extracted then. */
  readonly features?: string;
  readonly recipe?: RecipeName;
  /** Cost weight of the `pteenet-*` recipes. */
  readonly lambda?: number;
  /** Heads learn most from samples that do not leave at earlier exits (recipe `distill`; CalexNet eq. 13). */
  readonly survivors?: boolean;
  /** npm name of the package that is written, and of its class in PascalCase without the scope; as the model's file by default. */
  readonly name?: string;
  readonly epochs?: number;
  /** Training batch. */
  readonly batch?: number;
  readonly learningRate?: number;
}

/**
 * Compiles as `options` say and writes the output folder. Nothing is written unless the emitted model answers as heads and policy applied by
 * hand do. Deterministic but for latencies.
 */
export async function compile(given: CompileOptions, events: Events = {}): Promise<Compiled> {
  checkCall('compile', given, events);
  await checkBeforeWork(given);
  const options = await withHub(given);
  await refuseOver(options.out, options);
  const project = await openProject(options, events, wantedGrowth(options));
  checkCopies([...project.external.files.keys()]);
  const tokenizer = await readTokenizer(options.tokenizer, project.inspection.typed.sampleInputs);
  return await withSplits(project, options, events, async (opened) => {
    const planned = await matchClasses(settleNetworks(opened, options));
    const goals = settledFor(planned, options);
    refuseUnreachable(planned.costs, planned.splits.calibration.dataset.size, goals);
    const splits = planned.growth && (await trainingSplits(planned));
    const context = splits ? await growStudents(planned, splits, options) : planned;
    const exits = await readyExits(context, goals, splits, options);
    return await finish(context, withFirsts(context, exits), goals, options, {
      origin: originOf(options, context),
      tokenizer,
      out: options.out,
      force: options.force ?? false,
    });
  });
}

/** `opened` with what is grown on its training samples; a note says why nothing is. */
function settleNetworks(opened: CompileContext, options: CompileOptions): CompileContext {
  const { project, note } = settleGrowth(opened, opened.splits.train?.dataset.size ?? 0, options);
  if (note) opened.events.onNote?.(note);
  return project;
}

/** The exits of the original, trained where they are not part of it and it has any. */
async function readyExits(
  context: CompileContext,
  goals: Goals,
  splits: ConfidenceSplits | undefined,
  options: CompileOptions,
): Promise<ReadyExits> {
  if (context.inspection.existing) return existingExits(context, goals);
  if (originalOf(context).heads.length === 0)
    return splits
      ? noExits(context, goals, splits, fittedOn(splits))
      : noExits(context, goals, findValidation(context.splits, context.seed));
  return await trainExits(context, goals, splits ?? (await trainingSplits(context)), trainingOf(options));
}

/** The goals in `options`; in a chain, what is left out depends on how many calibration samples there are. */
function settledFor({ chain, splits }: CompileContext, options: CompileOptions): Goals {
  const samples = splits.calibration.dataset.size;
  const isChain = chain.networks.length > 1;
  return settleGoals(
    options,
    options.labels === UNLABELLED,
    DEFAULT_GOALS,
    isChain ? { samples } : undefined,
  );
}

/** The goals in `options`, after everything that can be refused from `options` alone was refused. */
export async function checkBeforeWork(options: CompilePlanOptions): Promise<Goals> {
  const unlabelled = options.labels === UNLABELLED;
  const goals = settleGoals(options, unlabelled);
  if (options.out !== undefined) await checkOutput(options.out, { force: options.force ?? false });
  await refuseAmongSamples([options.out, options.cache], options);
  refuseContradictions(goals, unlabelled);
  const asksForHeads = !options.exitOutputs && (!options.first?.length || asksForExits(options));
  const trains = asksForHeads || wantedGrowth(options) !== undefined;
  if (trains && options.train === undefined) throw trainingDataMissing();
  if (options.features !== undefined) await checkMerged(options.features);
  return goals;
}

/** What the manifest records of `options` and of the data. */
function originOf(
  options: WithHub<CompileOptions>,
  { inspection, splits, seed, preprocessing, dims, ownClasses }: CompileContext,
): Origin {
  const { exitOutputs } = inspection;
  const { model, output, set, widenBatch, labels, externalDataFolder, skipBad } = options;
  const isUnlabelled = labels === UNLABELLED;
  const isOwn = ownClasses !== undefined && (isUnlabelled || splits.classes?.from === ownClasses.from);
  return {
    name: nameFor(options),
    source: {
      file: basename(model),
      ...(exitOutputs && { exitOutputs }),
      ...(output !== undefined && { output }),
      ...(Object.keys(dims).length > 0 && { dims }),
      ...(set && Object.keys(set).length > 0 && { set }),
      ...(widenBatch && { widenBatch }),
      ...(labels !== undefined && !isUnlabelled && { labels: 'given' as const }),
      ...(isOwn && { labels: 'config' as const }),
      ...(externalDataFolder !== undefined && { externalDataFolder: 'given' as const }),
      ...(skipBad && { skipBad }),
    },
    seed,
    recipe: inspection.existing ? 'none' : (options.recipe ?? 'distill'),
    labels: splits.classes?.names ?? (isUnlabelled ? ownClasses?.names : undefined),
    preprocessing,
  };
}

/** What `options` say of training. */
export function trainingOf(options: CompilePlanOptions): TrainExitsOptions {
  const { recipe, lambda, survivors, epochs, batch, learningRate, cacheLimit, views, features } = options;
  return {
    training: {
      recipe: recipe ?? 'distill',
      ...(lambda !== undefined && { lambda }),
      ...(survivors && { survivors: SURVIVORS }),
      ...(epochs !== undefined && { epochs }),
      ...(batch !== undefined && { batch }),
      ...(learningRate !== undefined && { learningRate }),
    },
    cacheLimit,
    views,
    features,
  };
}
