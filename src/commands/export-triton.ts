/** A compiled model as a model repository of NVIDIA's Triton Inference Server, which batches and scales it. */

import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { leavingCostsAt, titleOf } from '../emit/chain-words.ts';
import { checkBaked } from '../emit/check-baked.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { packageNameOf } from '../emit/names.ts';
import { readPackage } from '../emit/read-package.ts';
import { type Content, checkApart, checkOutput, writeOutput } from '../emit/write.ts';
import { cannotBatch, emittedModelDiffers } from '../errors/index.ts';
import { largestBatch } from '../export/largest-batch.ts';
import { printTritonConfig, type TensorSpec, warmUpSizes } from '../export/triton-config.ts';
import { openDataFolder } from '../networks/data-folder.ts';
import { type Session, withSession } from '../ort/session.ts';
import { dataTypeOf } from '../ort/tensors.ts';
import { isOneScore } from '../passes/exits.ts';
import { type Baked, type BakeOptions, bake, filesReadBy } from './bake.ts';
import { checkCall } from './options.ts';

export interface ExportTritonOptions extends BakeOptions {
  /** The model repository: a folder with one folder a model. Others in it are left alone. */
  readonly repository: string;
  /** Name that clients ask for; the source file's by default. */
  readonly name?: string;
  /** Most samples a run; by default what early exits bear (`largestBatch`). Of no use with a fixed batch. */
  readonly maxBatch?: number;
  /** Copies of the model, which run at the same time; 2 by default, as Triton has it for ONNX Runtime on a CPU. */
  readonly instances?: number;
  /**
   * Threads of each; 1 by default. Several threads spin between their ops, which Triton has no parameter against, and that
   * slows down every other instance on the machine.
   */
  readonly threads?: number;
  /** Replace the model of that name in the repository. */
  readonly force?: boolean;
}

export interface ExportedTriton {
  readonly name: string;
  /** Its folder in the repository. */
  readonly folder: string;
  readonly at: string;
  /** 0: one sample a run. */
  readonly maxBatch: number;
  readonly instances: number;
  readonly threads: number;
}

/**
 * Writes `<repository>/<name>/`: config.pbtxt, labels.txt where labels are known, and the model as version 1, its
 * thresholds built in, since an input without a batch axis cannot be batched. The model is run once before: at the
 * batch sizes it is served with, and against the package's own. Throws `not-a-package`, `unknown-operating-point`,
 * `bad-option`, `original-missing`, `other-model`, `network-missing`, `policy-outdated`, `unusable-heads`, `cannot-batch`, `emitted-model-differs`,
 * `output-not-empty` and `output-failed`.
 */
export async function exportTriton(options: ExportTritonOptions): Promise<ExportedTriton> {
  checkCall('export triton', options);
  const { folder, repository, instances = 2, threads = 1 } = options;
  const manifest = await readPackage(folder);
  const point = pointNamed(manifest.operatingPoints, options.at ?? manifest.defaultPoint);
  const name = options.name ?? servedName(manifest);
  const target = join(repository, name);
  await checkOutput(target, options);
  await checkApart(target, await filesReadBy(manifest, options));

  const baked = await bake(manifest, point, options);
  const maxBatch = manifest.batch === 'fixed' ? 0 : (options.maxBatch ?? batchFor(manifest, point));
  const data = await openDataFolder(baked.files, defaultCache());
  const session = { threads, externalDataFolder: data.folder };
  const outputs = await withSession(baked.bytes, session, async (running) => {
    const described = outputsOf(running, manifest);
    const stuck = described.find((output) => maxBatch > 0 && output.dims[0] !== -1);
    if (stuck) throw cannotBatch(stuck.name, stuck.dims);
    for (const samples of warmUpSizes(maxBatch))
      await checkBaked(running, samples, manifest, point, folder, session);
    return described;
  }).finally(() => data.close());

  // Triton names the largest of an output's numbers, which says nothing where there is one score.
  const labels = isOneScore(manifest.activation) ? undefined : manifest.labels;
  const config = printTritonConfig({
    name,
    notes: describePoint(manifest, point, maxBatch),
    inputs: manifest.inputs.map(({ name, dataType, dims }) => ({
      name,
      dataType,
      dims: dims.map((size) => (size === 'N' ? -1 : size)),
    })),
    outputs,
    scores: manifest.outputs.scores,
    labelFile: labels && LABELS,
    maxBatch,
    instances,
    threads,
  });
  await writeOutput(
    target,
    new Map<string, Content>([
      ['config.pbtxt', config],
      ...(labels ? [[LABELS, labelLines(labels)] as const] : []),
      ...modelFiles(baked),
    ]),
    options,
  );
  return { name, folder: target, at: point.name, maxBatch, instances, threads };
}

/** The package's without its scope, of what Triton takes. */
const servedName = ({ name, source }: Manifest) =>
  packageNameOf(name === undefined ? source.file : `${name.replace(/^@[^/]*\//, '')}.onnx`);

const LABELS = 'labels.txt';

function describePoint(manifest: Manifest, point: OperatingPoint, maxBatch: number): string[] {
  const { source, networks, version, measuredOn } = manifest;
  const { name, accuracy, relativeCost } = point;
  const what = networks ? titleOf(manifest) : `${source.file} with early exits`;
  return [
    `${what}, at the operating point ${name}, by Offramp ${version}.`,
    `On ${measuredOn} data: accuracy ${accuracy.toFixed(4)}, relative cost ${relativeCost.toFixed(4)}.`,
    ...(maxBatch > 1
      ? ['A run is answered when its last sample is: no request waits for others to join it.']
      : []),
  ];
}

function batchFor(manifest: Manifest, { thresholds, exitShares }: OperatingPoint): number {
  return largestBatch(leavingCostsAt(manifest, thresholds), exitShares);
}

/** The classifier's outputs, with the shapes that ONNX Runtime, and with it Triton, sees. */
function outputsOf({ outputMetadata }: Session, { outputs }: Manifest): TensorSpec[] {
  return [outputs.scores, outputs.exitIndex, outputs.exitConfidence].map((name) => {
    const output = outputMetadata.find((o) => o.name === name);
    if (!output?.isTensor) throw emittedModelDiffers(`it has no output ${name}`);
    const dims = output.shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1));
    return { name, dataType: dataTypeOf(output.type), dims };
  });
}

/** One class a line: its place is its index. */
const labelLines = (labels: readonly string[]) =>
  labels.map((label) => `${label.replace(/[\r\n]+/g, ' ')}\n`).join('');

/**
 * A model of several files lies in a folder that is called model.onnx itself
 * (https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md#onnx-models).
 */
function modelFiles({ bytes, files }: Baked): [string, Content][] {
  if (files.size === 0) return [['1/model.onnx', bytes]];
  return [
    ['1/model.onnx/model.onnx', bytes],
    ...Array.from(files, ([file, content]): [string, Content] => [`1/model.onnx/${file}`, content]),
  ];
}
