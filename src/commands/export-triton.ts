/** A compiled model as a model repository of NVIDIA's Triton Inference Server, which batches and scales it. */

import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { leavingCostsAt, titleOf } from '../emit/chain-words.ts';
import { checkBaked } from '../emit/check-baked.ts';
import { provenance } from '../emit/describe.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { withMetadata } from '../emit/metadata.ts';
import { packageNameOf } from '../emit/names.ts';
import { readPackage } from '../emit/read-package.ts';
import { type Content, checkOutput, writeOutput } from '../emit/write.ts';
import { cannotBatch, emittedModelDiffers, originalMissing, policyOutdated } from '../errors/index.ts';
import { largestBatch } from '../export/largest-batch.ts';
import { printTritonConfig, type TensorSpec, warmUpSizes } from '../export/triton-config.ts';
import { type DataFiles, openDataFolder } from '../networks/data-folder.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { type Session, withSession } from '../ort/session.ts';
import { dataTypeOf } from '../ort/tensors.ts';
import { loadModel } from '../parser/index.ts';
import { isOneScore } from '../passes/exits.ts';
import { lowerChain } from '../passes/lower-exits.ts';
import type { PolicyName } from '../policies/index.ts';
import { networksWith } from './chain-exits.ts';
import { modelFile } from './hub-model.ts';
import { checkCall } from './options.ts';
import { reopen } from './reopen.ts';
import { serializeChain } from './steps/lower-and-verify.ts';

export interface ExportTritonOptions {
  /** What `compile` wrote. */
  readonly folder: string;
  /** The model repository: a folder with one folder a model. Others in it are left alone. */
  readonly repository: string;
  /** Path of the original ONNX file; needed unless `folder` has the thresholds of that point built in. */
  readonly model?: string;
  /** The networks in front of it, in any order; those that lie beside `model` are found. Of each, only where its file lies counts. */
  readonly first?: readonly (string | FirstOptions)[];
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string;
  /** Operating point to build in; the package's default by default. */
  readonly at?: string;
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

/** A model file with thresholds built in, and the external data that belong to it, by location. */
interface Baked {
  readonly bytes: Uint8Array;
  readonly files: DataFiles;
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
  const name = options.name ?? packageNameOf(manifest.source.file);
  const target = join(repository, name);
  await checkOutput(target, options);

  const baked = await bakedModel(manifest, point, options);
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

/** The package's own model when `point` is built into it, else one made anew from the original. */
async function bakedModel(
  manifest: Manifest,
  point: OperatingPoint,
  { folder, model, first, externalDataFolder }: ExportTritonOptions,
): Promise<Baked> {
  if (manifest.outputs.thresholds === null && point.name === manifest.defaultPoint) {
    const { bytes, externalFiles } = await loadModel(join(folder, 'model.onnx'));
    const files = externalFiles.map((file) => [file, { copyOf: join(folder, file) }] as const);
    return { bytes, files: new Map(files) };
  }
  if (model === undefined) throw originalMissing(folder, point.name);
  const { parameters = {} } = manifest.policyFit ?? {};
  if (manifest.policy === 'ensemble' && !parameters.rho) throw policyOutdated(folder, manifest.policy, 'rho');
  const file = await modelFile(model, manifest.source.file);
  const reopened = await reopen(folder, manifest, { model: file, first, externalDataFolder, session: {} });
  const { inspection, chain, external } = reopened;
  const lowered = lowerChain(networksWith(chain, chain.heads), {
    policy: manifest.policy as PolicyName,
    parameters,
    final: manifest.final?.weight,
    baked: point.thresholds,
    dropOutputs: true,
    metadata: provenance(inspection.source.sha256),
  });
  const { model: bytes, files } = serializeChain(lowered, chain, external);
  return { bytes: Buffer.concat(withMetadata(bytes, { ...manifest, defaultPoint: point.name })), files };
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
