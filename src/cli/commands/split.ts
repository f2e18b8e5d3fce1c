import { optionsFor } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { externalData, packageFolder, samplesAgainOptions, shared } from '../options.ts';
import { formatSplit } from '../split-table.ts';
import { from } from '../yargs-options.ts';

export const splitCommand = command(
  'split <package>',
  'Cut a compiled model at an exit: a package that answers what is easy, and a model repository of the rest for a server',
  (y) =>
    shared(samplesAgainOptions(externalData(packageFolder(y))))
      .options(
        from('split', {
          after: 'the last exit of the client, e.g. exit_1 (default: no client, all is for the server)',
          out: { describe: 'folder to write: client/ and server/', demandOption: true },
          model: {
            describe: 'the original: its ONNX file, or the folder that was compiled',
            demandOption: true,
          },
          first:
            'networks in front of it, files or packages, in any order (default: those that lie beside it)',
          at: 'operating points to serve (default: all of them)',
          bits: 'of a number of the features that travel, of a cut inside a network: 8, 16 or 32 (default: 32, which loses nothing)',
          send: 'what of a picture travels (default: pixels, where the package knows how they become its input)',
          calibration:
            'samples that scales of 8 bits are fitted on, and that client and server are checked on',
          test: 'samples that the loss of 8 or 16 bits is measured on (default: those of --calibration)',
          name: 'what names of served models begin with (default: of the original)',
          cache: 'folder for decoded data (default: ~/.cache/offramp)',
          threads: 'threads of ONNX Runtime while it is checked (default: all cores)',
          force: 'replace what was split into --out',
        }),
      )
      .example(
        '$0 split out/ --after exit_1 --model resnet56.onnx --out split/',
        'split/client for the app, split/server for the machines',
      ),
  async ({ package: folder, ...args }) => {
    const options = optionsFor('split', { ...args, folder });
    const { split } = await import('../../commands/split.ts');
    const result = await watched(args, (events) => split(options, events));
    printResult(args, result, formatSplit(result, options.out));
  },
);
