import { OPTIONS } from '../../commands/options.ts';
import { checkReplaceable, writeOneFile } from '../../emit/write.ts';
import { isKubernetesJob } from '../../export/kubernetes-job.ts';
import { optionsFor } from '../call.ts';
import { command, print, printResult } from '../command.ts';
import { externalData, packageFolder, shared } from '../options.ts';
import { from, place } from '../yargs-options.ts';

const BAKED = {
  model: 'the original: its ONNX file, or the folder that was compiled; not needed for baked thresholds',
  first: 'networks in front of it, files or packages, in any order (default: those that lie beside it)',
  at: "operating point to build in (default: the package's)",
};

const transformersCommand = command(
  'transformers <package> <folder>',
  'Write a folder that pipelines of transformers.js run as they are, thresholds built in',
  (y) =>
    shared(
      packageFolder(externalData(y)).positional(
        'folder',
        place('folder', OPTIONS['export transformers'].out, 'folder to write'),
      ),
    )
      .options(
        from('export transformers', {
          ...BAKED,
          'hf-config': "the original's config files, where they do not lie in the folder that --model names",
          force: 'replace what Offramp wrote there',
        }),
      )
      .example(
        '$0 export transformers out/ my-model-fast/ --model my-model/ --at fast',
        "pipeline('image-classification', './my-model-fast')",
      ),
  async ({ package: folder, folder: out, ...args }) => {
    const { exportTransformers } = await import('../../commands/export-transformers.ts');
    const exported = await exportTransformers(optionsFor('export transformers', { ...args, folder, out }));
    printResult(
      args,
      exported,
      `Written to ${out}, for ${exported.task} at ${exported.at}: ${exported.files.join(', ')}`,
    );
  },
);

const onnxCommand = command(
  'onnx <package> <file>',
  'Write the model alone, thresholds built in: the inputs and outputs of the original',
  (y) =>
    shared(
      packageFolder(externalData(y)).positional(
        'file',
        place('file', OPTIONS['export onnx'].file, 'file to write'),
      ),
    )
      .options(from('export onnx', { ...BAKED, force: 'replace the file' }))
      .example('$0 export onnx out/ fast.onnx --model net.onnx --at fast', 'for any ONNX Runtime'),
  async ({ package: folder, ...args }) => {
    const { exportOnnx } = await import('../../commands/export-onnx.ts');
    const exported = await exportOnnx(optionsFor('export onnx', { ...args, folder }));
    const beside =
      exported.externalData.length > 0 ? `, with ${exported.externalData.join(', ')} beside it` : '';
    printResult(args, exported, `Written to ${exported.file}, at ${exported.at}${beside}`);
  },
);

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
          ...BAKED,
          name: 'name that clients ask for (default: of the original)',
          'max-batch': 'most samples a run (default: what easy samples bear to wait for hard ones)',
          'per-network':
            'the networks of a chain as models of their own, and a script (Python backend) that sends samples on',
          instances: 'copies that run at the same time (default: 2)',
          threads: 'threads of each copy (default: 1)',
          force: 'replace the model of that name',
        }),
      )
      .example('$0 export triton out/ models/ --model net.onnx', 'models/net, for Triton'),
  async (args) => {
    const options = optionsFor('export triton', { ...args, folder: args.package });
    const { exportTriton } = await import('../../commands/export-triton.ts');
    const exported = await exportTriton(options);
    const batches = exported.maxBatch > 0 ? `up to ${exported.maxBatch} samples a run` : 'one sample a run';
    const others =
      exported.networks.length > 0
        ? `, which asks ${exported.networks.join(', ')} beside it (all of them are needed, and Triton's Python backend with NumPy)`
        : '';
    const text = `Written to ${exported.folder}: ${exported.name} at ${exported.at}, ${batches}${others}`;
    printResult(args, exported, text);
  },
);

const kserveCommand = command(
  'kserve <package> <folder>',
  'Write a model repository and an InferenceService of KServe; of a package, or of the server/ that split wrote',
  (y) =>
    shared(
      packageFolder(externalData(y)).positional(
        'folder',
        place('folder', OPTIONS['export kserve'].out, 'folder to write'),
      ),
    )
      .options(
        from('export kserve', {
          ...BAKED,
          storage: {
            describe: 'where the cluster will find what is in models/: s3://…, gs://…, pvc://claim/path, …',
            demandOption: true,
          },
          service: 'name of the InferenceService (default: of the model)',
          name: 'name that clients ask for (default: of the original)',
          'max-batch': 'most samples a run (default: what easy samples bear to wait for hard ones)',
          instances: 'copies that run at the same time (default: 2)',
          threads: 'threads of each copy (default: 1)',
          cpu: 'cores of each replica (default: copies times threads)',
          memory: 'of each replica (default: 2Gi)',
          'min-replicas': 'least replicas (default: 1)',
          'max-replicas': 'most replicas (default: 1)',
          force: 'replace what is in the folder',
        }),
      )
      .example(
        '$0 export kserve split/server/ cluster/ --storage s3://bucket/models',
        'copy cluster/models there, then kubectl apply -f cluster/inference-service.yaml',
      ),
  async ({ package: folder, folder: out, ...args }) => {
    const options = optionsFor('export kserve', { ...args, folder, out });
    const { exportKserve } = await import('../../commands/export-kserve.ts');
    const exported = await exportKserve(options);
    const text = `Written to ${out}: ${exported.models.join(', ')}\nNext: copy ${out}/models to ${options.storage}, then kubectl apply -f ${out}/inference-service.yaml`;
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
    if (out !== undefined) await checkReplaceable(out, isKubernetesJob);
    const { printKubernetesJob } = await import('../../commands/entries.ts');
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
    y
      .command(transformersCommand)
      .command(onnxCommand)
      .command(tritonCommand)
      .command(kserveCommand)
      .command(kubernetesCommand)
      .demandCommand(1, 'Export to what? transformers, onnx, triton, kserve or k8s.'),
  async () => {},
);
