import { optionsFor } from '../call.ts';
import { command, printResult } from '../command.ts';
import { packageFolder, shared } from '../options.ts';
import { from } from '../yargs-options.ts';

export const emitCommand = command(
  'emit <package>',
  'Generate the TypeScript package of a compiled model again, from its manifest.json',
  (y) =>
    shared(packageFolder(y))
      .options(
        from('emit', {
          check: 'write nothing; end with 1 and name the files that differ',
          'stub-only': 'write this one TypeScript file instead, which finds model.onnx in the package folder',
        }),
      )
      .example('$0 emit out/ --check', 'in CI: is what is committed what would be generated?'),
  async (args) => {
    const { emit } = await import('../../commands/emit.ts');
    const files = await emit(optionsFor('emit', { ...args, folder: args.package }));
    printResult(args, { files }, `${args.check ? 'As generated' : 'Written'}: ${files.join(', ')}`);
  },
);
