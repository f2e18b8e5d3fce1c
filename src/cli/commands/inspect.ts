import { inspect } from '../../commands/inspect.ts';
import { checkFile, writeOneFile } from '../../emit/write.ts';
import { attachExits } from '../../passes/attach-exits.ts';
import { lineOfPlan, modelLineFile } from '../../report/index.ts';
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
    const { plan, notes } = inspection;
    const heads = () => inspection.given?.heads ?? attachExits(plan, { kind: args.head, seed: 1 });
    if (args.svg !== undefined) await writeOneFile(args.svg, modelLineFile(lineOfPlan(plan, heads())));
    if (args.json) {
      const withoutTyped = (key: string, value: unknown) => (key === 'typed' ? undefined : value);
      return print(JSON.stringify({ ...plan, notes }, withoutTyped, 2));
    }
    const tree = planTree(plan, {
      all: args.all ?? false,
      columns: process.stdout.columns ?? 100,
      heads: heads(),
    });
    const next = plan.exits.length > 0 ? [formatNext(model, inspection)] : [];
    print([formatModel(model, inspection), tree, ...next].join('\n\n'));
  },
);
