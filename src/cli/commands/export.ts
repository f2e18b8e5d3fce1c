import { printKubernetesJob } from '../../commands/entries.ts';
import { exportTriton } from '../../commands/export-triton.ts';
import { OPTIONS } from '../../commands/options.ts';
import { writeOneFile } from '../../emit/write.ts';
import { optionsFor } from '../call.ts';
import { command, print, printResult } from '../command.ts';
import { externalData, packageFolder, shared } from '../options.ts';
import { from, place } from '../yargs-options.ts';

const tritonCommand = command(
  'triton <package> <repository>',
  'Write a compiled model, thresholds built in, as a model of a Triton repository',
  (y) =>
    shared(
      packageFolder(externalData(y)).positional(
        'repository',
        place(
          'repository',
          OPTIONS['export triton'].repository,
          'model repository; other models in it are left alone',
        ),
      ),
    )
      .options(
        from('export triton', {
          model: 'the original ONNX file; not needed for baked thresholds',
          first:
            'networks in front of it, files or packages, in any order (default: those that lie beside it)',
          at: "operating point to build in (default: the package's)",
          name: 'name that clients ask for (default: of the original)',
          'max-batch': 'most samples a run (default: what easy samples bear to wait for hard ones)',
          instances: 'copies that run at the same time (default: 2)',
          threads: 'threads of each copy (default: 1)',
          force: 'replace the model of that name',
        }),
      )
      .example('$0 export triton out/ models/ --model net.onnx', 'models/net, for Triton'),
  async (args) => {
    const options = optionsFor('export triton', { ...args, folder: args.package });
    const exported = await exportTriton(options);
    const batches = exported.maxBatch > 0 ? `up to ${exported.maxBatch} samples a run` : 'one sample a run';
    const text = `Written to ${exported.folder}: ${exported.name} at ${exported.at}, ${batches}`;
    printResult(args, exported, text);
  },
);

const kubernetesCommand = command(
  'k8s',
  'Write an Indexed Job of Kubernetes that makes features, one pod a shard; after -- the words for `features`',
  (y) =>
    shared(y)
      .options(
        from('export k8s', {
          shards: { describe: 'how many pods', demandOption: true },
          image: { describe: 'with offramp on its PATH', demandOption: true },
          claim: {
            describe: 'volume claim with model and data; the shards go there too',
            demandOption: true,
          },
          mount: 'where paths begin in the pods (default: /data)',
          name: "the Job's (default: offramp-features)",
          cpu: 'cores of each pod (default: 2)',
          memory: 'of each pod (default: 4Gi)',
          gpus: 'of NVIDIA, for each pod (default: none)',
          parallelism: 'pods at a time (default: all)',
          retries: 'of each shard (default: 3)',
          out: 'file to write (default: stdout)',
        }),
      )
      .example(
        '$0 export k8s --shards 8 --image registry/offramp --claim data -- net.onnx --train train --out features',
        'kubectl apply -f takes it',
      ),
  async (args) => {
    const { out } = args;
    const words = (args['--'] ?? []).map(String);
    const job = printKubernetesJob(optionsFor('export k8s', { ...args, words }));
    if (out === undefined) process.stdout.write(job);
    else {
      await writeOneFile(out, job);
      print(`Written to ${out}`);
    }
  },
);

export const exportCommand = command(
  'export',
  'Write what a serving engine or a cluster takes',
  (y) =>
    y.command(tritonCommand).command(kubernetesCommand).demandCommand(1, 'Export to what? triton or k8s.'),
  async () => {},
);
