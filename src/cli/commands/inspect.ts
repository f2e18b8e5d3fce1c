import { inspect } from '../../commands/inspect.ts';
import { checkFile, writeOneFile } from '../../emit/write.ts';
import { modelLineFile } from '../../report/index.ts';
import { optionsFor } from '../call.ts';
import { command, print } from '../command.ts';
import { modelFile, modelOptions, shared } from '../options.ts';
import { planTree } from '../plan-tree.ts';
import { formatModel, formatNext } from '../tables.ts';
import { from } from '../yargs-options.ts';

export const inspectCommand = command(
  'inspect <model>',
  'Show where exits can go and what each place costs',
  (y) =>
    shared(modelOptions(modelFile(y)))
      .options(
        from('inspect', {
          all: 'every tap and every rejected value',
          svg: 'draw the model with its exits into this file',
        }),
      )
      .example('$0 inspect resnet56.onnx', 'taps, prefix costs, and the exits that compile would place'),
  async (args) => {
    const { model } = args;
    if (args.svg !== undefined) await checkFile(args.svg);
    const inspection = await inspect(optionsFor('inspect', { ...args, dims: args.dim }));
    const { taps, rejected, exits, totalMacs, notCounted, notes } = inspection;
    if (args.svg !== undefined) {
      const line = exits.map(({ tap, ...exit }) => ({ ...exit, tap: tap.value }));
      await writeOneFile(args.svg, modelLineFile({ totalMacs, exits: line }));
    }
    if (args.json) {
      const placed = exits.map(({ id, tap, prefixMacs }) => ({ id, tap, prefixMacs }));
      return print(JSON.stringify({ taps, rejected, exits: placed, totalMacs, notCounted, notes }, null, 2));
    }
    const columns = process.stdout.columns ?? 100;
    const tree = planTree(inspection, { all: args.all ?? false, columns });
    const next = exits.length > 0 ? [formatNext(model, inspection)] : [];
    print([formatModel(model, inspection), tree, ...next].join('\n\n'));
  },
);
