import { isNamed } from '../../calibrate/index.ts';
import { evaluate } from '../../commands/evaluate.ts';
import { optionsFor } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { machineOptions, packageFolder, SAMPLES_A_RUN, samplesAgainOptions, shared } from '../options.ts';
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
        }),
      )
      .example('$0 evaluate out/ --test data/test', "compare with the manifest's figures"),
  async (args) => {
    const { package: folder, allPoints } = args;
    const options = optionsFor('evaluate', { ...args, folder });
    const result = await watched(args, (events) => evaluate(options, events));
    const isShown = (name: string) => allPoints || args.at !== undefined || isNamed(name);
    printResult(args, result, formatEvaluation(result, isShown));
  },
);
