import { isNamed } from '../../calibrate/index.ts';
import { type EvaluateOptions, evaluate } from '../../evaluate.ts';
import { command, given, printResult, watched } from '../command.ts';
import {
  machineOptions,
  packageFolder,
  samplesAgainOptions,
  samplesARun,
  shared,
  words,
} from '../options.ts';
import { evaluationTold } from '../tables.ts';

export const evaluateCommand = command(
  'evaluate <package>',
  'Run a compiled model on data and report its operating points',
  (y) =>
    shared(machineOptions(samplesAgainOptions(packageFolder(y))))
      .option('test', { type: 'string', demandOption: true, describe: 'samples as compile takes them' })
      .option('at', { coerce: words, describe: 'operating points to measure (default: all of them)' })
      .option('all-points', {
        type: 'boolean',
        default: false,
        describe: 'a row for each of them, not only for those with a name of their own',
      })
      .option('batch', samplesARun)
      .example('$0 evaluate out/ --test data/test', "compare with the manifest's figures"),
  async (args) => {
    const { package: folder, allPoints, ...rest } = args;
    const options = given({ ...rest, folder }) as EvaluateOptions;
    const result = await watched(args, (events) => evaluate(options, events));
    const isShown = (name: string) => allPoints || args.at !== undefined || isNamed(name);
    printResult(args, result, evaluationTold(result, isShown));
  },
);
