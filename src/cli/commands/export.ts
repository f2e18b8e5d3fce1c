import { basename, dirname } from 'node:path';
import { writeOutput } from '../../emit/write.ts';
import { printKubernetesJob } from '../../export/kubernetes-job.ts';
import { exportTriton } from '../../export-triton.ts';
import { command, given, print, printResult } from '../command.ts';
import { externalData, packageFolder, shared } from '../options.ts';

const tritonCommand = command(
  'triton <package> <repository>',
  'Write a compiled model, thresholds built in, as a model of a Triton repository',
  (y) =>
    shared(
      packageFolder(externalData(y)).positional('repository', {
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
    const { package: folder, repository, force, ...rest } = args;
    const { model, externalDataFolder, at, name, maxBatch, instances, threads } = rest;
    const asked = given({ model, externalDataFolder, at, name, maxBatch, instances, threads });
    const exported = await exportTriton({ folder, repository, force, ...asked });
    const batches = exported.maxBatch > 0 ? `up to ${exported.maxBatch} samples a run` : 'one sample a run';
    const told = `Written to ${exported.folder}: ${exported.name} at ${exported.at}, ${batches}`;
    printResult(args, exported, told);
  },
);

const kubernetesCommand = command(
  'k8s',
  'Write an Indexed Job of Kubernetes that makes features, one pod a shard; after -- what `offramp features` is told',
  (y) =>
    shared(y)
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
    const asked = { words, shards, image, claim, mount, name, cpu, memory, gpus, parallelism, retries };
    const job = printKubernetesJob(given(asked));
    if (out === undefined) process.stdout.write(job);
    else {
      await writeOutput(dirname(out), new Map([[basename(out), job]]), { update: true });
      print(`Written to ${out}`);
    }
  },
);

export const exportCommand = command(
  'export',
  'Write what a serving engine or a cluster is told',
  (y) =>
    y.command(tritonCommand).command(kubernetesCommand).demandCommand(1, 'Export to what? triton or k8s.'),
  async () => {},
);
