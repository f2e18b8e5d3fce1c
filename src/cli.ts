/** The command line: a command each, and what it prints. No logic of the compiler lives here. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { type CalibrateOptions, calibrate } from './calibrate-compiled.ts';
import { COMMAND_OPTIONS, commandOf, settingsFor } from './cli/config.ts';
import { nearest } from './cli/nearest.ts';
import {
  dataOptions,
  externalData,
  file,
  machineOptions,
  modelFile,
  modelOptions,
  packageFolder,
  projectOptions,
  refusal,
  runOptions,
  samplesAgainOptions,
  samplesARun,
  shared,
  size,
  thresholdOptions,
  tokenizer,
  unlabelled,
  words as wordList,
} from './cli/options.ts';
import { planTree } from './cli/plan-tree.ts';
import { ProgressPrinter } from './cli/progress.ts';
import { shardOf } from './cli/shard.ts';
import { comparison, dryRunTold, resultTable, sideBySide } from './cli/tables.ts';
import { type CompareOptions, compare } from './compare.ts';
import { type CompileOptions, compile } from './compile.ts';
import { writeOutput } from './emit/write.ts';
import { type EmitOptions, emit } from './emit-package.ts';
import { badUsage, OfframpError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { type Events, progressOf } from './events.ts';
import { printKubernetesJob } from './export/kubernetes-job.ts';
import { exportTriton } from './export-triton.ts';
import { type ExtractShardOptions, extractShard } from './extract-shard.ts';
import type { Compiled } from './finish.ts';
import { inspect } from './inspect.ts';
import { attachExits } from './passes/attach-exits.ts';
import { planCompile } from './plan-compile.ts';
import { lineOfPlan, modelLineFile } from './report/index.ts';
import { macs } from './report/numbers.ts';
import { RECIPE } from './train/recipes.ts';
import { mergeShards } from './train/shards.ts';

/** Errors that are nobody's bad input: exit code 1 instead of 2. */
const FAILURES = new Set([
  'session-failed',
  'pass-broke-invariant',
  'emitted-model-differs',
  'raised-model-differs',
  'disk-full',
  'cache-unwritable',
  'cache-damaged',
  'features-damaged',
  'shards-unusable',
  'nan-loss',
  'package-differs',
]);
const INTERRUPTED = 130;

const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
const interrupt = new AbortController();

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

const words = hideBin(process.argv);

export const cli = yargs(words)
  .scriptName('offramp')
  .usage(
    '$0 <command>\n\nTurns a trained ONNX classifier into one early-exit ONNX model and a TypeScript package.',
  )
  .version(version)
  .command(
    'inspect <model>',
    'Show where exits can go and what each place costs',
    (y) =>
      shared(modelOptions(modelFile(y)))
        .option('all', { type: 'boolean', default: false, describe: 'every tap and every rejected value' })
        .option('svg', { coerce: file('svg'), describe: 'draw the model with its exits into this file' })
        .example('$0 inspect resnet56.onnx', 'taps, prefix costs, and the exits that compile would place'),
    async (args) => {
      const { model, output, dim, exits, placement, taps, exitOutputs, widenBatch, externalDataFolder } =
        args;
      const {
        typed,
        plan,
        notes,
        given: own,
      } = await inspect({
        model,
        placement,
        ...given({ output, dims: dim, exits, taps, exitOutputs, widenBatch, externalDataFolder }),
      });
      const heads = () => own?.heads ?? attachExits(plan, { kind: args.head, seed: 1 });
      if (args.svg) await writeFile(args.svg, modelLineFile(lineOfPlan(plan, heads())));
      if (args.json)
        return print(
          JSON.stringify({ ...plan, notes }, (key, value) => (key === 'typed' ? undefined : value), 2),
        );
      print(
        `${model}: ${typed.classes} classes, ${typed.batch} batch, ${macs(plan.totalMacs)} MACs a sample`,
      );
      for (const note of notes) print(note);
      print(
        `scores: ${typed.output} (${typed.activation === 'none' ? 'logits' : typed.activation}), exits merge at ${typed.logits}\n`,
      );
      print(planTree(plan, { all: args.all, columns: process.stdout.columns ?? 100, heads: heads() }));
    },
  )
  .command(
    'compile <model>',
    'Attach, train and calibrate exits; write the early-exit model and its package',
    (y) =>
      shared(runOptions(thresholdOptions(projectOptions(y))))
        .default({ policy: 'max-prob', target: 'accuracy', thresholds: 'input', at: 'balanced' })
        .option('out', { type: 'string', demandOption: true, describe: 'folder to write' })
        .option('features', {
          coerce: file('features', 'a folder'),
          describe:
            'train from merged features in this folder, made by `offramp features` with the same options',
        })
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
        .option('epochs', {
          type: 'number',
          describe: `passes over the samples (distill: ${RECIPE.distill.epochs})`,
        })
        .option('batch', { type: 'number', describe: `training batch (distill: ${RECIPE.distill.batch})` })
        .option('learning-rate', {
          type: 'number',
          describe: `the highest of the schedule (distill: ${RECIPE.distill.learningRate})`,
        })
        .option('dry-run', {
          type: 'boolean',
          default: false,
          describe: 'write nothing: plan, and estimate time, memory and disk by trying a few samples',
        })
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
      if (args.dryRun) {
        const plan = await planCompile(options as CompileOptions, eventsOf(progress));
        return print(args.json ? JSON.stringify(plan, null, 2) : dryRunTold(plan));
      }
      const compiled = compile(options as CompileOptions, eventsOf(progress));
      printCompiled(await compiled.finally(() => progress.stop()), args, args.out);
    },
  )
  .command('features', 'Make the features that compile trains from, on as many machines as there are', (y) =>
    y
      .command(
        '$0 <model>',
        'Make one shard of the features that compile with the same options trains from',
        (z) =>
          shared(projectOptions(z))
            .option('out', { type: 'string', demandOption: true, describe: 'folder of all shards' })
            .option('shard', {
              type: 'string',
              describe:
                'i/n, from 1/n to n/n (default: from the environment of a Kubernetes or Slurm job, else 1/1)',
            })
            .option('shards', { type: 'number', describe: 'how many, where the environment tells which' })
            .example(
              '$0 features net.onnx --train data/train --shard 2/4 --out features/',
              'the second of four parts; what of it is there and whole is kept',
            ),
        async (args) => {
          const progress = printer(args);
          const { dim, shard, shards, ...rest } = args;
          const options = given({ ...rest, dims: dim, shard: shardOf(shard, shards, process.env) });
          const made = await extractShard(options as ExtractShardOptions, eventsOf(progress)).finally(() =>
            progress.stop(),
          );
          if (args.json) return print(JSON.stringify(made, null, 2));
          const { index, count } = made.shard;
          print(`Shard ${index}/${count} is in ${args.out}: ${made.samples} samples from ${made.first} on`);
        },
      )
      .command(
        'merge <folder>',
        'Put all shards together, once every one of them has proved whole',
        (z) =>
          shared(
            z.positional('folder', { type: 'string', demandOption: true, describe: 'folder of all shards' }),
          ).example('$0 features merge features/', 'for compile --features features/'),
        async (args) => {
          const progress = printer(args);
          const { onProgress, signal } = eventsOf(progress);
          const merged = await mergeShards(args.folder, {
            signal,
            onProgress: progressOf({ onProgress })('merging'),
          }).finally(() => progress.stop());
          const { folder, shards, identity } = merged;
          if (args.json) return print(JSON.stringify(merged, null, 2));
          print(
            `Merged ${shards} shards of ${identity.samples} samples into ${folder}; they are not needed any more`,
          );
        },
      ),
  )
  .command(
    'calibrate <package>',
    'Redo the thresholds of a compiled model, for another budget, policy or data; what is not said stays',
    (y) =>
      shared(
        externalData(machineOptions(runOptions(thresholdOptions(samplesAgainOptions(packageFolder(y)))))),
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
      shared(machineOptions(samplesAgainOptions(packageFolder(y))))
        .option('test', { type: 'string', demandOption: true, describe: 'samples as compile takes them' })
        .option('batch', samplesARun)
        .example('$0 evaluate out/ --test data/test', "compare with the manifest's figures"),
    async (args) => {
      const progress = printer(args);
      const { cache, threads, provider, labels, tokenizer } = args;
      const result = await evaluate(
        {
          folder: args.package,
          test: args.test,
          batch: args.batch,
          skipBad: args.skipBad,
          ...given({ cache, threads, provider, labels, tokenizer }),
        },
        eventsOf(progress),
      ).finally(() => progress.stop());
      if (args.json) return print(JSON.stringify(result, null, 2));
      print(`\n${resultTable(result.measured)}\n`);
      print(comparison(result));
    },
  )
  .command(
    'compare <a> <b>',
    'Run two models on the same data, side by side: compiled ones, or a compiled and a plain one',
    (y) =>
      shared(machineOptions(dataOptions(tokenizer(y))))
        .positional('a', {
          type: 'string',
          demandOption: true,
          describe: 'folder that compile wrote, or ONNX file',
        })
        .positional('b', { type: 'string', demandOption: true, describe: 'the same' })
        .option('test', { type: 'string', demandOption: true, describe: 'samples as compile takes them' })
        .option('at', {
          coerce: wordList,
          describe: 'operating point of both, or A,B (default: of each package)',
        })
        .option('labels', unlabelled)
        .option('batch', samplesARun)
        .example('$0 compare out/ net.onnx --test data/test', 'is what is lost more than chance?'),
    async (args) => {
      const progress = printer(args);
      const result = await compare(given(args) as CompareOptions, eventsOf(progress)).finally(() =>
        progress.stop(),
      );
      print(args.json ? JSON.stringify(result, null, 2) : `\n${sideBySide(result)}`);
    },
  )
  .command(
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
      if (args.json) return print(JSON.stringify({ files }, null, 2));
      print(`${check ? 'As generated' : 'Written'}: ${files.join(', ')}`);
    },
  )
  .command('export', 'Write what a serving engine or a cluster is told', (y) =>
    y
      .command(
        'triton <package> <repository>',
        'Write a compiled model, thresholds built in, as a model of a Triton repository',
        (z) =>
          shared(
            packageFolder(externalData(z)).positional('repository', {
              type: 'string',
              demandOption: true,
              describe: 'model repository; other models in it are left alone',
            }),
          )
            .option('model', {
              type: 'string',
              describe: 'the original ONNX file; not needed for baked thresholds',
            })
            .option('at', {
              type: 'string',
              describe: "operating point to build in (default: the package's)",
            })
            .option('name', {
              type: 'string',
              describe: 'name that clients ask for (default: of the original)',
            })
            .option('max-batch', {
              type: 'number',
              describe: 'most samples a run (default: what easy samples bear to wait for hard ones)',
            })
            .option('instances', {
              type: 'number',
              describe: 'copies that run at the same time (default: 2)',
            })
            .option('threads', { type: 'number', describe: 'threads of each copy (default: 1)' })
            .option('force', { type: 'boolean', default: false, describe: 'replace the model of that name' })
            .example('$0 export triton out/ models/ --model net.onnx', 'models/net, for Triton'),
        async (args) => {
          const { package: folder, repository, force, ...rest } = args;
          const { model, externalDataFolder, at, name, maxBatch, instances, threads } = rest;
          const exported = await exportTriton({
            folder,
            repository,
            force,
            ...given({ model, externalDataFolder, at, name, maxBatch, instances, threads }),
          });
          if (args.json) return print(JSON.stringify(exported, null, 2));
          const batches =
            exported.maxBatch > 0 ? `up to ${exported.maxBatch} samples a run` : 'one sample a run';
          print(`Written to ${exported.folder}: ${exported.name} at ${exported.at}, ${batches}`);
        },
      )
      .command(
        'k8s',
        'Write an Indexed Job of Kubernetes that makes features, one pod a shard; after -- what `offramp features` is told',
        (z) =>
          shared(z)
            .option('shards', { type: 'number', demandOption: true, describe: 'how many pods' })
            .option('image', { type: 'string', demandOption: true, describe: 'with offramp on its PATH' })
            .option('claim', {
              type: 'string',
              demandOption: true,
              describe: 'volume claim with model and data; the shards go there too',
            })
            .option('mount', { type: 'string', describe: 'where paths begin in the pods (default: /data)' })
            .option('name', { type: 'string', describe: "the Job's (default: offramp-features)" })
            .option('cpu', { type: 'string', describe: 'cores of each pod (default: 2)' })
            .option('memory', { type: 'string', describe: 'of each pod (default: 4Gi)' })
            .option('gpus', { type: 'number', describe: 'of NVIDIA, for each pod (default: none)' })
            .option('parallelism', { type: 'number', describe: 'pods at a time (default: all)' })
            .option('retries', { type: 'number', describe: 'of each shard (default: 3)' })
            .option('out', { type: 'string', describe: 'file to write (default: stdout)' })
            .example(
              '$0 export k8s --shards 8 --image registry/offramp --claim data -- net.onnx --train train --out features',
              'kubectl apply -f takes it',
            ),
        async (args) => {
          const { shards, image, claim, mount, name, cpu, memory, gpus, parallelism, retries, out } = args;
          const words = ((args as { '--'?: unknown[] })['--'] ?? []).map(String);
          const options = given({
            words,
            shards,
            image,
            claim,
            mount,
            name,
            cpu,
            memory,
            gpus,
            parallelism,
            retries,
          });
          const job = printKubernetesJob(options);
          if (out === undefined) process.stdout.write(job);
          else {
            await writeOutput(dirname(out), new Map([[basename(out), job]]), { update: true });
            print(`Written to ${out}`);
          }
        },
      )
      .demandCommand(1, 'Export to what? triton or k8s.'),
  )
  .completion('completion', 'Print what makes bash or zsh (by $SHELL) complete commands and options')
  .option('config', {
    type: 'string',
    global: true,
    describe: 'file with options (default: offramp.config.json, if it is here)',
  })
  .demandCommand(1, 'Which command? See offramp --help.')
  .recommendCommands()
  .strict()
  .parserConfiguration({ 'populate--': true })
  .wrap(Math.min(110, process.stdout.columns ?? 110))
  .epilogue(
    'Exit codes: 0 done; 1 failed, or a check did not hold; 2 bad usage or input; 130 interrupted.\nProgress goes to stderr, results to stdout. Nothing is coloured.',
  )
  .fail((message, error) => {
    throw refusal() ?? error ?? misused(message);
  });

/** Unknown options with the one that was meant. */
function misused(problem: string): OfframpError {
  const command = commandOf(words);
  const [, unknown] = /^Unknown arguments?: ([^,]+)/.exec(problem) ?? [];
  const near = unknown && nearest(unknown, COMMAND_OPTIONS[command ?? ''] ?? []);
  return badUsage(problem, near && `--${near}`, command);
}

function eventsOf(progress: ProgressPrinter): Events {
  return { onProgress: progress.update, onNote: progress.line, signal: interrupt.signal };
}

function printCompiled({ manifest, shown }: Compiled, { json }: { json: boolean }, folder: string): void {
  const { measuredOn, data } = manifest;
  const told = `\n${resultTable(manifest, shown)}\n\nMeasured on ${measuredOn} (${data[measuredOn]?.samples} samples). Written to ${folder}`;
  print(json ? JSON.stringify(manifest, null, 2) : told);
}

/** Whoever reads the output may have seen enough: `offramp inspect net.onnx | head`. */
function readerLeft(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}
process.stdout.on('error', readerLeft);

process.once('SIGINT', () => {
  interrupt.abort();
  process.once('SIGINT', () => process.exit(INTERRUPTED));
});

try {
  await cli.config(settingsFor(words)).parseAsync();
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
