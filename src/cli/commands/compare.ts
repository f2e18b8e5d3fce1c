import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OPTIONS } from '../../commands/options.ts';
import { filesIn } from '../../emit/write.ts';
import { badOption } from '../../errors/index.ts';
import { optionsFor } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { type Bound, checkBounds, figuresOfB, metricsFile, metricsOfBoth } from '../gate.ts';
import {
  dataOptions,
  METRICS,
  machineOptions,
  readingOptions,
  SAMPLES_A_RUN,
  shared,
  tokenizer,
  UNLABELLED,
} from '../options.ts';
import { formatComparison } from '../tables.ts';
import { from, place } from '../yargs-options.ts';

/** Bounds are of the second model. Throws `bad-option` where that is a plain one and the first is compiled: such bounds would hold whatever was lost. */
function refuseOriginalLast(a: string, b: string, bounds: readonly Bound[] = []): void {
  const isCompiled = (path: string) => existsSync(join(path, 'manifest.json'));
  if (bounds.length > 0 && isCompiled(a) && !isCompiled(b))
    throw badOption(
      '--fail-if',
      bounds[0]!.text,
      `the compiled model last, since bounds are of the second: \`npx onnx-offramp compare ${b} ${a} …\``,
    );
}

export const compareCommand = command(
  'compare <a> <b>',
  'Run two models on the same data, side by side: compiled ones, or a compiled and a plain one',
  (y) =>
    shared(machineOptions(dataOptions(readingOptions(tokenizer(y)))))
      .positional('a', place('a', OPTIONS.compare.a, 'folder that compile wrote, or ONNX file'))
      .positional('b', place('b', OPTIONS.compare.b, 'the same'))
      .options(
        from('compare', {
          test: { describe: 'samples as compile takes them', demandOption: true },
          at: 'operating point of both, or A,B (default: of each package)',
          labels: UNLABELLED,
          batch: SAMPLES_A_RUN,
          'fail-if':
            'end with 1 when B is beyond this: accuracy, agreement (in percent), drop (points that B loses), cost or latency (of A)',
          metrics: METRICS,
        }),
      )
      .example('$0 compare net.onnx out/ --test data/test --at fast', 'is what is lost more than chance?'),
  async (args) => {
    refuseOriginalLast(args.a, args.b, args.failIf);
    const writeMetrics = await metricsFile(args, [...(await filesIn(args.a)), ...(await filesIn(args.b))]);
    const options = optionsFor('compare', { ...args, dims: args.dim });
    const { compare } = await import('../../commands/compare.ts');
    const result = await watched(args, (events) => compare(options, events));
    printResult(args, result, `\n${formatComparison(result)}`);
    await writeMetrics(metricsOfBoth(result));
    checkBounds(args.failIf, { [result.b.path]: figuresOfB(result) });
  },
);
