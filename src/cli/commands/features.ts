import { OPTIONS } from '../../commands/options.ts';
import { progressOf } from '../../errors/events.ts';
import { optionsFor } from '../call.ts';
import { command, printResult, watched } from '../command.ts';
import { firstsOf } from '../first.ts';
import { projectOptions, shared } from '../options.ts';
import { shardOf } from '../shard.ts';
import { from, place } from '../yargs-options.ts';

const shardCommand = command(
  '$0 <model>',
  'Make one shard of the features that compile with the same options trains from',
  (y) =>
    shared(projectOptions(y))
      .options(
        from('features', {
          out: { describe: 'folder of all shards', demandOption: true },
          shard:
            'i/n, from 1/n to n/n (default: from the environment of a Kubernetes or Slurm job, else 1/1)',
          shards: 'how many, where the environment tells which',
        }),
      )
      .example(
        '$0 features net.onnx --train data/train --shard 2/4 --out features/',
        'the second of four parts; what of it is there and whole is kept',
      ),
  async (args) => {
    const shard = shardOf(args.shard, args.shards, process.env);
    const options = optionsFor('features', { ...args, dims: args.dim, first: firstsOf(args), shard });
    const { extractShard } = await import('../../commands/extract-shard.ts');
    const made = await watched(args, (events) => extractShard(options, events));
    const { index, count } = made.shard;
    const text = `Shard ${index}/${count} is in ${args.out}: ${made.samples} samples from ${made.first} on`;
    printResult(args, made, text);
  },
);

const mergeCommand = command(
  'merge <folder>',
  'Put all shards together, once every one of them has proved whole',
  (y) =>
    shared(
      y.positional('folder', place('folder', OPTIONS['features merge'].folder, 'folder of all shards')),
    ).example('$0 features merge features/', 'for compile --features features/'),
  async (args) => {
    const { mergeShards } = await import('../../commands/entries.ts');
    const merged = await watched(args, (events) =>
      mergeShards(args.folder, { ...events, onProgress: progressOf(events)('merging') }),
    );
    const { folder, shards, identity } = merged;
    const text = `Merged ${shards} shards of ${identity.samples} samples into ${folder}; they are not needed any more`;
    printResult(args, merged, text);
  },
);

export const featuresCommand = command(
  'features',
  'Make the features that compile trains from, on as many machines as there are',
  (y) => y.command(shardCommand).command(mergeCommand),
  async () => {},
);
