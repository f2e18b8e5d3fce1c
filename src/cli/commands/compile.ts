import { type CompilePlanOptions, compile } from '../../compile.ts';
import { planCompile } from '../../plan-compile.ts';
import { RECIPE } from '../../train/recipes.ts';
import { command, given, printResult, watched } from '../command.ts';
import { optionsMissing } from '../misuse.ts';
import {
  file,
  projectOptions,
  runOptions,
  shared,
  size,
  thresholdOptions,
  thresholdsAsked,
} from '../options.ts';
import { compiledTold, dryRunTold } from '../tables.ts';

export const compileCommand = command(
  'compile <model>',
  'Attach, train and calibrate exits; write the early-exit model and its package',
  (y) =>
    shared(runOptions(thresholdOptions(projectOptions(y))))
      .default({ policy: 'max-prob', target: 'accuracy', thresholds: 'input', at: 'balanced' })
      .option('out', { coerce: file('out', 'a folder'), describe: 'folder to write' })
      .option('features', {
        coerce: file('features', 'a folder'),
        describe:
          'train from merged features in this folder, made by `offramp features` with the same options',
      })
      .option('recipe', {
        choices: ['distill', 'pteenet-v1', 'pteenet-v2'] as const,
        default: 'distill' as const,
      })
      .option('lambda', { type: 'number', describe: 'cost weight of the pteenet recipes' })
      .option('survivors', {
        type: 'boolean',
        default: false,
        describe: 'heads learn most from samples that earlier ones do not take',
      })
      .option('epochs', {
        type: 'number',
        describe: `passes over the samples (distill: ${RECIPE.distill.epochs})`,
      })
      .option('batch', { type: 'number', describe: `training batch (distill: ${RECIPE.distill.batch})` })
      .option('learning-rate', {
        type: 'number',
        describe: `the highest of the schedule (distill: ${RECIPE.distill.learningRate})`,
      })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'write nothing: plan, and estimate time, memory and disk by trying a few samples',
      })
      .option('cache-limit', {
        coerce: size('cache-limit'),
        describe: 'most that cached features may take, e.g. 8GB',
      })
      .example(
        '$0 compile net.onnx --preset imagenet --train data/train --calibration data/cal --test data/test --out out/',
        'one early-exit model with its package',
      ),
  async (args) => {
    const options = given({ ...args, ...thresholdsAsked(args), dims: args.dim }) as CompilePlanOptions;
    if (args.dryRun) {
      const plan = await watched(args, (events) => planCompile(options, events));
      return printResult(args, plan, dryRunTold(plan));
    }
    const { out } = options;
    if (out === undefined) throw optionsMissing('compile', ['out']);
    const compiled = await watched(args, (events) => compile({ ...options, out }, events));
    printResult(args, compiled.manifest, compiledTold(compiled, out));
  },
);
