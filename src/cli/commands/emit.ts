import { type EmitOptions, emit } from '../../emit-package.ts';
import { command, given, printResult } from '../command.ts';
import { file, packageFolder, shared } from '../options.ts';

export const emitCommand = command(
  'emit <package>',
  'Generate the TypeScript package of a compiled model again, from its manifest.json',
  (y) =>
    shared(packageFolder(y))
      .option('check', {
        type: 'boolean',
        default: false,
        describe: 'write nothing; end with 1 and name the files that differ',
      })
      .option('stub-only', {
        coerce: file('stub-only'),
        describe: 'write this one TypeScript file instead, which finds model.onnx in the package folder',
      })
      .example('$0 emit out/ --check', 'in CI: is what is committed what would be generated?'),
  async (args) => {
    const { package: folder, check, stubOnly } = args;
    const files = await emit(given({ folder, check, stubOnly }) as EmitOptions);
    printResult(args, { files }, `${check ? 'As generated' : 'Written'}: ${files.join(', ')}`);
  },
);
