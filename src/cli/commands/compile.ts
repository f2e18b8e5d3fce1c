import { CHAIN_AUTO_SAMPLES, DEFAULT_GOALS } from '../../calibrate/goals.ts';
import { LEAST_SAMPLES } from '../../students/effort.ts';
import { RECIPE } from '../../train/recipes.ts';
import { optionsFor, thresholdsOf } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { firstsOf } from '../first.ts';
import { optionsMissing } from '../misuse.ts';
import { projectOptions, runOptions, shared, studentOptions, thresholdOptions } from '../options.ts';
import { formatPlan } from '../tables.ts';
import { writePackage } from '../write-package.ts';
import { from } from '../yargs-options.ts';

const { policy, target, thresholds, at } = DEFAULT_GOALS;
const DEFAULTS = {
  policy: `${policy}; auto for a chain with ${CHAIN_AUTO_SAMPLES} calibration samples`,
  target,
  thresholds,
  at,
};

export const compileCommand = command(
  'compile <model>',
  'Attach, train and calibrate exits; write the early-exit model and its package',
  (y) =>
    shared(runOptions(thresholdOptions(studentOptions(projectOptions(y)), DEFAULTS)))
      .options(
        from('compile', {
          out: 'folder to write',
          features: 'train from merged features in this folder, made by `features` with the same options',
          recipe: { describe: 'how heads are trained', defaultDescription: 'distill' },
          lambda: 'cost weight of the pteenet recipes',
          survivors: 'heads learn most from samples that earlier ones do not take',
          epochs: `passes over the samples (distill: ${RECIPE.distill.epochs})`,
          batch: `training batch (distill: ${RECIPE.distill.batch})`,
          'learning-rate': `the highest of the schedule (distill: ${RECIPE.distill.learningRate})`,
          name: 'of the npm package that is written, and of its class (default: as the model file)',
          'keep-all': 'keep networks and exits of a chain that no named point uses',
          runtime: {
            describe: 'which ONNX Runtime the model is for: web takes less memory in browsers',
            defaultDescription: 'native',
          },
          'dry-run': 'write nothing: plan, and estimate time, memory and disk by trying a few samples',
          'cache-limit': 'most that cached features may take, e.g. 8GB',
        }),
      )
      .example(
        '$0 compile net.onnx --preset imagenet --train data/train --calibration data/cal --test data/test --out out/',
        'one early-exit model with its package',
      )
      .epilogue(
        `No labels? --labels none: folders of any pictures do, and the model's own answers stand in for labels.\nHow many samples? 1,000 to calibrate, ${LEAST_SAMPLES.toLocaleString('en')} and more to train; fewer work, with less certainty (docs/guide.md).`,
      ),
  async (args) => {
    const options = optionsFor('compile', {
      ...args,
      ...thresholdsOf(args),
      dims: args.dim,
      first: firstsOf(args),
    });
    if (args.dryRun) {
      const { planCompile } = await import('../../commands/plan.ts');
      const plan = await watched(args, (events) => planCompile(options, events));
      return printResult(args, plan, formatPlan(plan));
    }
    const { out } = options;
    if (out === undefined) throw optionsMissing('compile', ['out']);
    const { compile } = await import('../../commands/compile.ts');
    await writePackage(args, out, (events) => compile({ ...options, out }, events));
  },
);
