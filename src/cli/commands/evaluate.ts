import { isNamed, pointNamed } from '../../calibrate/index.ts';
import { filesIn } from '../../emit/write.ts';
import { optionsFor } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { checkBounds, checkFigures, figuresOf, metricsFile, metricsOf } from '../gate.ts';
import {
  METRICS,
  machineOptions,
  packageFolder,
  SAMPLES_A_RUN,
  samplesAgainOptions,
  shared,
} from '../options.ts';
import { formatEvaluation } from '../tables.ts';
import { from } from '../yargs-options.ts';

export const evaluateCommand = command(
  'evaluate <package>',
  'Run a compiled model on data and report its operating points',
  (y) =>
    shared(machineOptions(samplesAgainOptions(packageFolder(y))))
      .options(
        from('evaluate', {
          test: { describe: 'samples as compile takes them', demandOption: true },
          at: 'operating points to measure (default: all of them)',
          'all-points': 'a row for each of them, not only for those with a name of their own',
          batch: SAMPLES_A_RUN,
          'fail-if':
            'end with 1 when the points --at, or the default one, are beyond this: accuracy, agreement (in percent), drop (in points) or cost',
          metrics: METRICS,
        }),
      )
      .example('$0 evaluate out/ --test data/test', "compare with the manifest's figures"),
  async (args) => {
    const { package: folder, allPoints } = args;
    checkFigures(args.failIf, ['accuracy', 'agreement', 'drop', 'cost'], 'compare measures latency');
    const writeMetrics = await metricsFile(args, await filesIn(folder));
    const options = optionsFor('evaluate', { ...args, folder });
    const { evaluate } = await import('../../commands/evaluate.ts');
    const result = await watched(args, (events) => evaluate(options, events));
    const isShown = (name: string) => allPoints || args.at !== undefined || isNamed(name);
    printResult(args, result, formatEvaluation(result, isShown));
    const { measured, isLabelled } = result;
    await writeMetrics(metricsOf(measured, isLabelled));
    const points = (args.at ?? [measured.defaultPoint]).map((name) =>
      pointNamed(measured.operatingPoints, name),
    );
    const { accuracy } = measured.baseline;
    checkBounds(
      args.failIf,
      Object.fromEntries(points.map((point) => [point.name, figuresOf(point, accuracy, isLabelled)])),
    );
  },
);
