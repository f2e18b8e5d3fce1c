import { type CompareOptions, compare } from '../../compare.ts';
import { command, given, printResult, watched } from '../command.ts';
import {
  dataOptions,
  machineOptions,
  readingOptions,
  samplesARun,
  shared,
  tokenizer,
  unlabelled,
  words,
} from '../options.ts';
import { sideBySide } from '../tables.ts';

export const compareCommand = command(
  'compare <a> <b>',
  'Run two models on the same data, side by side: compiled ones, or a compiled and a plain one',
  (y) =>
    shared(machineOptions(dataOptions(readingOptions(tokenizer(y)))))
      .positional('a', {
        type: 'string',
        demandOption: true,
        describe: 'folder that compile wrote, or ONNX file',
      })
      .positional('b', { type: 'string', demandOption: true, describe: 'the same' })
      .option('test', { type: 'string', demandOption: true, describe: 'samples as compile takes them' })
      .option('at', {
        coerce: words,
        describe: 'operating point of both, or A,B (default: of each package)',
      })
      .option('labels', unlabelled)
      .option('batch', samplesARun)
      .example('$0 compare out/ net.onnx --test data/test', 'is what is lost more than chance?'),
  async (args) => {
    const options = given({ ...args, dims: args.dim }) as CompareOptions;
    const result = await watched(args, (events) => compare(options, events));
    printResult(args, result, `\n${sideBySide(result)}`);
  },
);
