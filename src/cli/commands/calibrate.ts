import { optionsFor, thresholdsOf } from '../call.ts';
import { command } from '../command.ts';
import {
  externalData,
  machineOptions,
  packageFolder,
  runOptions,
  samplesAgainOptions,
  shared,
  thresholdOptions,
} from '../options.ts';
import { writePackage } from '../write-package.ts';
import { from } from '../yargs-options.ts';

export const calibrateCommand = command(
  'calibrate <package>',
  'Redo the thresholds of a compiled model, for another budget, policy or data; what is not said stays',
  (y) =>
    shared(externalData(machineOptions(runOptions(thresholdOptions(samplesAgainOptions(packageFolder(y)))))))
      .options(
        from('calibrate', {
          model: { describe: 'the original ONNX file', demandOption: true },
          first:
            'networks in front of it, files or packages, in any order (default: those that lie beside it)',
          calibration: 'chooses thresholds',
          validation: 'fits policies that learn',
          test: 'only reported',
          train: 'where compile cut the other data off it: they are cut again',
          out: 'folder to write (default: the package itself)',
        }),
      )
      .example(
        '$0 calibrate out/ --model net.onnx --calibration data/cal --test data/test --budget 0.5',
        'another operating point in seconds',
      ),
  async (args) => {
    const { package: folder } = args;
    const options = optionsFor('calibrate', { ...args, ...thresholdsOf(args), folder });
    const { calibrate } = await import('../../commands/calibrate.ts');
    await writePackage(args, args.out ?? folder, (events) => calibrate(options, events));
  },
);
