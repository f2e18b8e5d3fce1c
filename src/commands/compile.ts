/** The story: a trained classifier in, one early-exit model and its package out. */
import { basename } from 'node:path';
import {
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
import { costsOf } from '../predict/predict.ts';
import type { VerifyEffort } from '../predict/verify.ts';
import { type RecipeName, SURVIVORS } from '../train/recipes.ts';
import { checkMerged } from '../train/shards.ts';
import { type Compiled, finish } from './finish.ts';
import { checkCall } from './options.ts';
import { trainOwnHeads, useExistingHeads } from './prepare-heads.ts';
import { type ProjectOptions, withProject } from './project.ts';

export interface CompileOptions extends CompilePlanOptions {
  readonly out: string;
}

/** What a compile can be planned by. */
export interface CompilePlanOptions extends ProjectOptions, ThresholdOptions {
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
  /** Heads learn most from samples that earlier heads do not take (recipe `distill`; CalexNet eq. 13). */
  readonly survivors?: boolean;
  readonly epochs?: number;
  /** Training batch. */
  readonly batch?: number;
  readonly learningRate?: number;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly verify?: VerifyEffort;
  /** Write report.html too; true by default. */
  readonly report?: boolean;
  /** Measure latencies; true by default. Without them the same run writes the same bytes. */
  readonly timing?: boolean;
  readonly cacheLimit?: number;
}

/** Compiles as `options` say and writes the output folder. Nothing is written unless the emitted model proved equal. */
export async function compile(options: CompileOptions, events: Events = {}): Promise<Compiled> {
  checkCall('compile', options, events);
  const goals = await settleFirst(options);
  return await withProject(options, events, async (project) => {
    const { inspection, splits, heads, labels, preprocessing, seed, runs, progress } = project;
    checkCopies(inspection.source.externalFiles);
    const tokenizer = await readTokenizer(options.tokenizer, inspection.typed.sampleInputs);
    const costs = costsOf(inspection.plan, heads);
    refuseUnreachable(costs, splits.calibration.dataset.size, goals);
    const setting = { ...project, goals };
    const prepared = inspection.given
      ? await useExistingHeads(setting)
      : await trainOwnHeads({
          ...setting,
          training: trainingOf(options),
          cacheLimitBytes: options.cacheLimit,
          views: options.views,
          merged: options.features,
        });
    return await finish({
      inspection,
      prepared,
      test: splits.test,
      costs,
      goals,
      origin: {
        source: readingOf(options),
        seed,
        recipe: inspection.given ? 'none' : (options.recipe ?? 'distill'),
        labels: labels ?? splits.classes?.names,
        preprocessing,
      },
      tokenizer,
      dropOutputs: options.output !== undefined,
      verify: options.verify,
      runs,
      out: options.out,
      force: options.force ?? false,
      report: options.report ?? true,
      timing: options.timing ?? true,
      events,
      progress,
    });
  });
}

/** What is asked of the thresholds, once what is odd about `options` by themselves was refused. */
export async function settleFirst(options: CompilePlanOptions): Promise<Goals> {
  const unlabelled = options.labels === UNLABELLED;
  const goals = settleGoals(options, unlabelled);
  if (options.out !== undefined) await checkOutput(options.out, { force: options.force ?? false });
  refuseContradictions(goals, unlabelled);
  if (options.train === undefined && !options.exitOutputs) throw trainingDataMissing();
  if (options.features !== undefined) await checkMerged(options.features);
  return goals;
}

function readingOf(options: CompileOptions): Origin['source'] {
  const { model, exitOutputs, output, dims, set, widenBatch, labels, externalDataFolder, skipBad } = options;
  return {
    file: basename(model),
    ...(exitOutputs && { exitOutputs }),
    ...(output !== undefined && { output }),
    ...(dims && Object.keys(dims).length > 0 && { dims }),
    ...(set && Object.keys(set).length > 0 && { set }),
    ...(widenBatch && { widenBatch }),
    ...(labels !== undefined && labels !== UNLABELLED && { labels: 'given' as const }),
    ...(externalDataFolder !== undefined && { externalDataFolder: 'given' as const }),
    ...(skipBad && { skipBad }),
  };
}

/** What `options` say of training. */
export const trainingOf = ({
  recipe,
  lambda,
  survivors,
  epochs,
  batch,
  learningRate,
}: CompilePlanOptions) => ({
  recipe: recipe ?? 'distill',
  ...(lambda !== undefined && { lambda }),
  ...(survivors && { survivors: SURVIVORS }),
  ...(epochs !== undefined && { epochs }),
  ...(batch !== undefined && { batch }),
  ...(learningRate !== undefined && { learningRate }),
});
