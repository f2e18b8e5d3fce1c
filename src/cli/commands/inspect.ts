import { checkReplaceable, writeOneFile } from '../../emit/write.ts';
import { isModelLine, modelLineFile } from '../../report/model-line.ts';
import { optionsFor } from '../call.ts';
import { chainTable } from '../chain-table.ts';
import { command, print } from '../command.ts';
import { firstsOf } from '../first.ts';
import { firstOptions, modelFile, modelOptions, preprocessingOptions, shared } from '../options.ts';
import { planTree } from '../plan-tree.ts';
import { formatModel, formatNext } from '../tables.ts';
import { from } from '../yargs-options.ts';

export const inspectCommand = command(
  'inspect <model>',
  'Show where exits can go and what each place costs',
  (y) =>
    shared(firstOptions(preprocessingOptions(modelOptions(modelFile(y)))))
      .options(
        from('inspect', {
          all: 'every tap and every rejected value',
          svg: 'draw the model with its exits into this file',
        }),
      )
      .example('$0 inspect resnet56.onnx', 'taps, prefix costs, and the exits that compile would place')
      .example(
        '$0 inspect resnet56.onnx --first resnet20.onnx --preset imagenet',
        'the networks of the chain, what each costs and how it is fed',
      ),
  async (args) => {
    const { model } = args;
    if (args.svg !== undefined) await checkReplaceable(args.svg, isModelLine);
    const { inspect } = await import('../../commands/inspect.ts');
    const inspection = await inspect(
      optionsFor('inspect', { ...args, dims: args.dim, first: firstsOf(args) }),
    );
    const { taps, rejected, exits, networks, totalMacs, notCounted, notes } = inspection;
    if (args.svg !== undefined) {
      const line = exits.map(({ tap, ...exit }) => ({ ...exit, tap: tap.value }));
      await writeOneFile(args.svg, modelLineFile({ totalMacs, exits: line }));
    }
    if (args.json) {
      const placed = exits.map(({ id, tap, prefixMacs }) => ({ id, tap, prefixMacs }));
      const found = { taps, rejected, exits: placed, networks, totalMacs, notCounted, notes };
      return print(JSON.stringify(found, null, 2));
    }
    const columns = process.stdout.columns ?? 100;
    const isTree = !networks || exits.length > 0;
    const tree = isTree ? [planTree(inspection, { all: args.all ?? false, columns })] : [];
    const chain = networks ? [chainTable(networks)] : [];
    const next = exits.length > 0 || networks ? [formatNext(model, inspection)] : [];
    print([formatModel(model, inspection), ...chain, ...tree, ...next].join('\n\n'));
  },
);
