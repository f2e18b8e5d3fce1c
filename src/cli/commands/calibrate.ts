import { type CalibrateOptions, calibrate } from '../../calibrate-compiled.ts';
import { command, given, printResult, watched } from '../command.ts';
import {
  externalData,
  machineOptions,
  packageFolder,
  runOptions,
  samplesAgainOptions,
  shared,
  thresholdOptions,
  thresholdsAsked,
} from '../options.ts';
import { compiledTold } from '../tables.ts';

export const calibrateCommand = command(
  'calibrate <package>',
  'Redo the thresholds of a compiled model, for another budget, policy or data; what is not said stays',
  (y) =>
    shared(externalData(machineOptions(runOptions(thresholdOptions(samplesAgainOptions(packageFolder(y)))))))
      .option('model', { type: 'string', demandOption: true, describe: 'the original ONNX file' })
      .option('calibration', { type: 'string', describe: 'chooses thresholds' })
      .option('validation', { type: 'string', describe: 'fits policies that learn' })
      .option('test', { type: 'string', describe: 'only reported' })
      .option('train', {
        type: 'string',
        describe: 'where compile cut the other data off it: they are cut again',
      })
      .option('out', { type: 'string', describe: 'folder to write (default: the package itself)' })
      .example(
        '$0 calibrate out/ --model net.onnx --calibration data/cal --test data/test --budget 0.5',
        'another operating point in seconds',
      ),
  async (args) => {
    const { package: folder } = args;
    const options = given({ ...args, ...thresholdsAsked(args), folder }) as CalibrateOptions;
    const calibrated = await watched(args, (events) => calibrate(options, events));
    printResult(args, calibrated.manifest, compiledTold(calibrated, args.out ?? folder));
  },
);
