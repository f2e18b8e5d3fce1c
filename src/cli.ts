/** The command line: words to options, results to text. No logic of the compiler lives here. */
import { readFileSync } from 'node:fs';
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { type CalibrateOptions, calibrate } from './calibrate-compiled.ts';
import { ProgressPrinter } from './cli/progress.ts';
import { comparison, formatMacs, planTable, resultTable } from './cli/tables.ts';
import { type CompileOptions, compile } from './compile.ts';
import { type EmitOptions, emit } from './emit-package.ts';
import { badOption, OfframpError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import type { Events } from './events.ts';
import { exportTriton } from './export-triton.ts';
import type { Compiled } from './finish.ts';
import { inspect } from './inspect.ts';
import { HEAD_KINDS, type HeadKind } from './passes/exits.ts';
import { PLACEMENTS } from './passes/plan-exits.ts';
import { POLICY_NAMES } from './policies/index.ts';

/** Errors that are nobody's bad input: exit code 1 instead of 2. */
const FAILURES = new Set([
  'session-failed',
  'pass-broke-invariant',
  'emitted-model-differs',
  'disk-full',
  'nan-loss',
  'package-differs',
]);
const INTERRUPTED = 130;

const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
const interrupt = new AbortController();

/** yargs rewraps what a coercion throws, so the coded error waits here for `fail`. */
let refused: OfframpError | undefined;
function refuse(option: string, value: string, expected: string): OfframpError {
  refused = badOption(option, value, expected);
  return refused;
}

const numbers = (name: string) => (value: unknown) => {
  const list = [value]
    .flat()
    .flatMap((v) => String(v).split(','))
    .map((v) => Number(v.trim()));
  if (list.some((v) => !Number.isFinite(v)))
    throw refuse(`--${name}`, String(value), 'numbers, separated by commas');
  return list;
};
const words = (value: unknown) =>
  [value]
    .flat()
    .flatMap((v) => String(v).split(','))
    .map((v) => v.trim());
const headKinds = (value: unknown) => {
  const odd = words(value).find((word) => !(HEAD_KINDS as readonly string[]).includes(word));
  if (odd !== undefined) throw refuse('--head', odd, HEAD_KINDS.join(', '));
  return words(value) as HeadKind[];
};
const file = (name: string) => (value: unknown) => {
  if (typeof value !== 'string' || value === '') throw refuse(`--${name}`, String(value), 'a file');
  return value;
};
/** `0.6,3ms`: costs relative to the original, and milliseconds. */
const budgets = (value: unknown) => {
  const all = words(value);
  const isTime = (word: string) => word.endsWith('ms');
  return {
    budgets: numbers('budget')(all.filter((word) => !isTime(word))),
    budgetsMs: numbers('budget')(all.filter(isTime).map((word) => word.slice(0, -'ms'.length))),
  };
};
/** `8GB`, `500MB` or bytes. */
const size = (name: string) => (value: unknown) => {
  const match = /^([\d.]+)\s*([KMGT]?)B?$/i.exec(String(value));
  if (!match) throw refuse(`--${name}`, String(value), 'a size such as 8GB or 500MB');
  return Number(match[1]) * 1000 ** ['', 'K', 'M', 'G', 'T'].indexOf(match[2]!.toUpperCase());
};
const settings = (value: unknown): Record<string, number> =>
  Object.fromEntries(
    words(value).map((pair) => {
      const [key, number] = pair.split('=');
      if (!key || !(Number(number) > 0)) throw refuse('--dim', pair, 'NAME=SIZE');
      return [key, Number(number)];
    }),
  );

const modelOptions = <T>(y: Argv<T>) =>
  y
    .option('output', { type: 'string', describe: 'output with the class scores, when there are several' })
    .option('dim', { describe: 'size of a symbolic dimension, NAME=SIZE', coerce: settings })
    .option('exits', { type: 'number', describe: 'how many exits (default: as many of 3 as fit)' })
    .option('placement', { choices: PLACEMENTS, default: 'spread' as const, describe: 'where exits go' })
    .option('taps', { coerce: words, describe: 'explicit taps by value name, instead of --placement' })
    .option('exit-outputs', {
      coerce: words,
      describe: 'outputs of a model that has exits already, earliest first, its own last: trains nothing',
    })
    .option('head', {
      coerce: headKinds,
      default: ['strided'],
      defaultDescription: 'strided',
      describe: `branch family, or one an exit: ${HEAD_KINDS.join(', ')}`,
    });

const dataOptions = <T>(y: Argv<T>) =>
  y
    .option('preset', {
      choices: ['imagenet', 'cifar10', 'mnist', 'unit', 'none'] as const,
      describe: 'usual preprocessing',
    })
    .option('scale', { type: 'number', describe: 'pixels are divided by this first, e.g. 255' })
    .option('mean', { coerce: numbers('mean'), describe: 'then this is subtracted, one value a channel' })
    .option('std', { coerce: numbers('std'), describe: 'then divided by this' })
    .option('layout', { choices: ['NCHW', 'NHWC', 'flat'] as const, describe: "axes of the model's input" })
    .option('channels', {
      choices: ['rgb', 'bgr', 'gray'] as const,
      describe: "colour order of the model's input",
    })
    .option('resize', {
      choices: ['stretch', 'cover', 'contain'] as const,
      describe: 'fit pictures of another size',
    })
    .option('skip-bad', {
      type: 'boolean',
      default: false,
      describe: 'leave unreadable pictures out instead of stopping',
    });

const runOptions = <T>(y: Argv<T>) =>
  y
    .option('force', { type: 'boolean', default: false, describe: 'replace what is in --out' })
    .option('prove', {
      choices: ['some', 'all'] as const,
      default: 'some' as const,
      describe: 'how many reported samples the emitted model is checked on',
    })
    .option('cache', {
      type: 'string',
      describe: 'folder for decoded data and features (default: ~/.cache/offramp)',
    })
    .option('threads', { type: 'number', describe: 'threads of ONNX Runtime (default: all cores)' });

/** Without defaults of their own: `calibrate` leaves what is not said as it was. */
const thresholdOptions = <T>(y: Argv<T>) =>
  y
    .option('policy', {
      choices: [...POLICY_NAMES, 'auto'] as const,
      describe: 'what makes a sample leave; auto compares all of them',
    })
    .option('target', { choices: ['accuracy', 'agreement'] as const, describe: 'what thresholds preserve' })
    .option('budget', {
      coerce: budgets,
      describe: 'average cost relative to the original, e.g. 0.6, or average time on this machine, e.g. 3ms',
    })
    .option('min-accuracy', {
      coerce: numbers('min-accuracy'),
      describe: 'least accuracy on the calibration data, e.g. 0.92',
    })
    .option('max-accuracy-drop', {
      coerce: numbers('max-accuracy-drop'),
      describe: 'e.g. 0.005 for half a point',
    })
    .option('confidence', {
      type: 'number',
      describe: 'promise every --max-accuracy-drop with this probability, e.g. 0.95',
    })
    .option('thresholds', {
      choices: ['input', 'baked'] as const,
      describe: 'an input of the model, or built in',
    })
    .option('at', { type: 'string', describe: 'operating point by default, and the one to bake' });

const shared = <T>(y: Argv<T>) =>
  y
    .option('json', { type: 'boolean', default: false, describe: 'machine-readable result on stdout' })
    .option('quiet', { alias: 'q', type: 'boolean', default: false, describe: 'no progress' });

/** Drops what was not given, so that exact optional properties stay absent. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as never;
}

function printer(args: { quiet: boolean }): ProgressPrinter {
  const tty = process.stderr.isTTY === true && !process.env.CI;
  return new ProgressPrinter({ quiet: args.quiet, tty, write: (line) => process.stderr.write(`${line}\n`) });
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const cli = yargs(hideBin(process.argv))
  .scriptName('offramp')
  .usage(
    '$0 <command>\n\nTurns a trained ONNX classifier into one early-exit ONNX model and a TypeScript package.',
  )
  .version(version)
  .command(
    'inspect <model>',
    'Show where exits can go and what each place costs',
    (y) =>
      shared(
        modelOptions(y.positional('model', { type: 'string', demandOption: true, describe: 'ONNX file' })),
      )
        .option('all', { type: 'boolean', default: false, describe: 'every tap and every rejected value' })
        .example('$0 inspect resnet56.onnx', 'taps, prefix costs, and the exits that compile would place'),
    async (args) => {
      const { model, output, dim, exits, placement, taps, exitOutputs } = args;
      const { typed, plan } = await inspect({
        model,
        placement,
        ...given({ output, dims: dim, exits, taps, exitOutputs }),
      });
      if (args.json)
        return print(JSON.stringify(plan, (key, value) => (key === 'typed' ? undefined : value), 2));
      print(
        `${model}: ${typed.classes} classes, ${typed.batch} batch, ${formatMacs(plan.totalMacs)} MACs a sample`,
      );
      print(
        `scores: ${typed.output} (${typed.activation === 'none' ? 'logits' : typed.activation}), exits merge at ${typed.logits}\n`,
      );
      print(planTable(plan, args.all));
    },
  )
  .command(
    'compile <model>',
    'Attach, train and calibrate exits; write the early-exit model and its package',
    (y) =>
      shared(
        runOptions(
          thresholdOptions(
            dataOptions(
              modelOptions(
                y.positional('model', { type: 'string', demandOption: true, describe: 'ONNX file' }),
              ),
            ),
          ),
        ),
      )
        .default({ policy: 'max-prob', target: 'accuracy', thresholds: 'input', at: 'balanced' })
        .option('train', {
          type: 'string',
          describe: 'image folder, IDX, npz or npy: fits the heads',
        })
        .option('validation', { type: 'string', describe: 'fits the confidence heads' })
        .option('calibration', { type: 'string', describe: 'chooses thresholds' })
        .option('test', { type: 'string', describe: 'only reported' })
        .option('out', { type: 'string', demandOption: true, describe: 'folder to write' })
        .option('labels', { type: 'string', describe: 'text file, one class name a line' })
        .option('recipe', {
          choices: ['distill', 'pteenet-v1', 'pteenet-v2'] as const,
          default: 'distill' as const,
        })
        .option('lambda', { type: 'number', describe: 'cost weight of the pteenet recipes' })
        .option('survivors', {
          type: 'boolean',
          default: false,
          describe: 'heads learn most from samples that earlier ones do not take',
        })
        .option('views', {
          type: 'number',
          describe:
            'cached views of each training picture: 1 plain, 2 mirrored too, up to 6 shifted too (default: 2)',
        })
        .option('epochs', { type: 'number' })
        .option('batch', { type: 'number', describe: 'training batch' })
        .option('learning-rate', { type: 'number' })
        .option('seed', { type: 'number', default: 1 })
        .option('cache-limit', {
          coerce: size('cache-limit'),
          describe: 'most that cached features may take, e.g. 8GB',
        })
        .example(
          '$0 compile net.onnx --preset imagenet --train data/train --calibration data/cal --test data/test --out out/',
          'one early-exit model with its package',
        ),
    async (args) => {
      const progress = printer(args);
      const { dim, budget, minAccuracy, maxAccuracyDrop, ...rest } = args;
      const asked = { ...budget, minAccuracies: minAccuracy, maxAccuracyDrops: maxAccuracyDrop };
      const options = given({ ...rest, ...asked, dims: dim });
      const compiled = compile(options as CompileOptions, eventsOf(progress));
      printCompiled(await compiled.finally(() => progress.stop()), args, args.out);
    },
  )
  .command(
    'calibrate <package>',
    'Redo the thresholds of a compiled model, for another budget, policy or data; what is not said stays',
    (y) =>
      shared(
        runOptions(
          thresholdOptions(
            y.positional('package', {
              type: 'string',
              demandOption: true,
              describe: 'folder that compile wrote',
            }),
          ),
        ),
      )
        .option('model', { type: 'string', demandOption: true, describe: 'the original ONNX file' })
        .option('calibration', { type: 'string', describe: 'chooses thresholds' })
        .option('validation', { type: 'string', describe: 'fits policies that learn' })
        .option('test', { type: 'string', describe: 'only reported' })
        .option('train', {
          type: 'string',
          describe: 'where compile cut the other data off it: they are cut again',
        })
        .option('out', { type: 'string', describe: 'folder to write (default: the package itself)' })
        .option('skip-bad', { type: 'boolean', default: false })
        .example(
          '$0 calibrate out/ --model net.onnx --calibration data/cal --test data/test --budget 0.5',
          'another operating point in seconds',
        ),
    async (args) => {
      const progress = printer(args);
      const { package: folder, budget, minAccuracy, maxAccuracyDrop, ...rest } = args;
      const asked = { ...budget, minAccuracies: minAccuracy, maxAccuracyDrops: maxAccuracyDrop };
      const options = given({ ...rest, ...asked, folder });
      const calibrated = calibrate(options as CalibrateOptions, eventsOf(progress));
      printCompiled(await calibrated.finally(() => progress.stop()), args, args.out ?? folder);
    },
  )
  .command(
    'evaluate <package>',
    'Run a compiled model on data and report every operating point',
    (y) =>
      shared(
        y.positional('package', {
          type: 'string',
          demandOption: true,
          describe: 'folder that compile wrote',
        }),
      )
        .option('test', { type: 'string', demandOption: true, describe: 'labelled samples' })
        .option('batch', { type: 'number', default: 32, describe: 'samples a run' })
        .option('skip-bad', { type: 'boolean', default: false })
        .option('cache', { type: 'string', describe: 'folder for decoded data (default: ~/.cache/offramp)' })
        .option('threads', { type: 'number' })
        .example('$0 evaluate out/ --test data/test', "compare with the manifest's figures"),
    async (args) => {
      const progress = printer(args);
      const { cache, threads } = args;
      const result = await evaluate(
        {
          folder: args.package,
          test: args.test,
          batch: args.batch,
          skipBad: args.skipBad,
          ...given({ cache, threads }),
        },
        eventsOf(progress),
      ).finally(() => progress.stop());
      if (args.json) return print(JSON.stringify(result, null, 2));
      print(`\n${resultTable(result.measured)}\n`);
      print(comparison(result));
    },
  )
  .command(
    'emit <package>',
    'Generate the TypeScript package of a compiled model again, from its manifest.json',
    (y) =>
      shared(
        y.positional('package', {
          type: 'string',
          demandOption: true,
          describe: 'folder that compile wrote',
        }),
      )
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
      if (args.json) return print(JSON.stringify({ files }, null, 2));
      print(`${check ? 'As generated' : 'Written'}: ${files.join(', ')}`);
    },
  )
  .command(
    'export <target> <package> <repository>',
    'Write a compiled model, thresholds built in, as a model repository of a serving engine',
    (y) =>
      shared(
        y
          .positional('target', {
            choices: ['triton'] as const,
            demandOption: true,
            describe: 'serving engine',
          })
          .positional('package', {
            type: 'string',
            demandOption: true,
            describe: 'folder that compile wrote',
          })
          .positional('repository', {
            type: 'string',
            demandOption: true,
            describe: 'model repository; other models in it are left alone',
          }),
      )
        .option('model', {
          type: 'string',
          describe: 'the original ONNX file; not needed for baked thresholds',
        })
        .option('at', { type: 'string', describe: "operating point to build in (default: the package's)" })
        .option('name', { type: 'string', describe: 'name that clients ask for (default: of the original)' })
        .option('max-batch', {
          type: 'number',
          describe: 'most samples a run (default: what easy samples bear to wait for hard ones)',
        })
        .option('instances', { type: 'number', describe: 'copies that run at the same time (default: 2)' })
        .option('threads', { type: 'number', describe: 'threads of each copy (default: 1)' })
        .option('force', { type: 'boolean', default: false, describe: 'replace the model of that name' })
        .example('$0 export triton out/ models/ --model net.onnx', 'models/net, for Triton'),
    async (args) => {
      const { package: folder, repository, force, model, at, name, maxBatch, instances, threads } = args;
      const exported = await exportTriton({
        folder,
        repository,
        force,
        ...given({ model, at, name, maxBatch, instances, threads }),
      });
      if (args.json) return print(JSON.stringify(exported, null, 2));
      const batches = exported.maxBatch > 0 ? `up to ${exported.maxBatch} samples a run` : 'one sample a run';
      print(`Written to ${exported.folder}: ${exported.name} at ${exported.at}, ${batches}`);
    },
  )
  .demandCommand(1, 'Which command? See offramp --help.')
  .recommendCommands()
  .strict()
  .wrap(Math.min(110, process.stdout.columns ?? 110))
  .fail((message, error) => {
    throw refused ?? error ?? new OfframpError('bad-usage', message, 'See offramp --help.');
  });

function eventsOf(progress: ProgressPrinter): Events {
  return { onProgress: progress.update, onNote: progress.line, signal: interrupt.signal };
}

function printCompiled({ manifest, shown }: Compiled, { json }: { json: boolean }, folder: string): void {
  const { measuredOn, data } = manifest;
  const told = `\n${resultTable(manifest, shown)}\n\nMeasured on ${measuredOn} (${data[measuredOn]?.samples} samples). Written to ${folder}`;
  print(json ? JSON.stringify(manifest, null, 2) : told);
}

process.once('SIGINT', () => {
  interrupt.abort();
  process.once('SIGINT', () => process.exit(INTERRUPTED));
});

try {
  await cli.parseAsync();
} catch (error) {
  if (interrupt.signal.aborted) {
    process.stderr.write('\nInterrupted. What is in the cache will be used by the next run.\n');
    process.exitCode = INTERRUPTED;
  } else if (error instanceof OfframpError) {
    const trail =
      error.trail.length > 0 && process.env.OFFRAMP_DEBUG ? `\n  while: ${error.trail.join(' › ')}` : '';
    process.stderr.write(`offramp: ${error.message} [${error.code}]\n  ${error.hint}${trail}\n`);
    process.exitCode = FAILURES.has(error.code) ? 1 : 2;
  } else {
    process.stderr.write(
      `offramp: ${error instanceof Error ? (process.env.OFFRAMP_DEBUG ? error.stack : error.message) : error}\n  This is a bug: please report it (OFFRAMP_DEBUG=1 shows more).\n`,
    );
    process.exitCode = 1;
  }
}
