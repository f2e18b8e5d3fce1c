/** A compiled model as a model repository of NVIDIA's Triton Inference Server, which batches and scales it. */

import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { leavingCostsAt, titleOf } from '../emit/chain-words.ts';
import { checkBaked } from '../emit/check-baked.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { packageNameOf } from '../emit/names.ts';
import { readPackage } from '../emit/read-package.ts';
import { checkApart, checkOutput, writeOutput } from '../emit/write.ts';
import { cannotBatch } from '../errors/index.ts';
import { largestBatch } from '../export/largest-batch.ts';
import { warmUpSizes } from '../export/triton-config.ts';
import { classifierOutputs, printTritonModel, withoutBatchName } from '../export/triton-model.ts';
import { openDataFolder } from '../networks/data-folder.ts';
import { withSession } from '../ort/session.ts';
import { type BakeOptions, bake, filesReadBy } from './bake.ts';
import { exportPerNetwork, networksBefore } from './export-per-network.ts';
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
  /**
   * The networks of a chain as models of their own, `<name>_1`, `<name>_2`, …, and `name` as a script for Triton's Python backend that sends samples on from
   * one to the next: survivors of many requests then share a run.
   */
  readonly perNetwork?: boolean;
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
  /** With `perNetwork`, the models of its networks, which it asks: they lie beside it. */
  readonly networks: readonly string[];
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
  if (options.perNetwork) {
    const most = manifest.batch === 'fixed' ? 0 : (options.maxBatch ?? MOST_A_NETWORK);
    const networks = await exportPerNetwork(manifest, point, {
      ...options,
      ...{ name, instances, threads, maxBatch: most, force: options.force ?? false },
      notes: describePoint(manifest, point, 0),
    });
    return { name, folder: target, at: point.name, maxBatch: most, instances, threads, networks };
  }

  const baked = await bake(manifest, point, options);
  const maxBatch = manifest.batch === 'fixed' ? 0 : (options.maxBatch ?? batchFor(manifest, point));
  const data = await openDataFolder(baked.files, defaultCache());
  const session = { threads, externalDataFolder: data.folder };
  const outputs = await withSession(baked.bytes, session, async (running) => {
    const described = classifierOutputs(running, manifest);
    const stuck = described.find((output) => maxBatch > 0 && output.dims[0] !== -1);
    if (stuck) throw cannotBatch(stuck.name, stuck.dims);
    for (const samples of warmUpSizes(maxBatch))
      await checkBaked(running, samples, manifest, point, folder, session);
    return described;
  }).finally(() => data.close());

  const model = printTritonModel({
    manifest,
    ...baked,
    name,
    notes: describePoint(manifest, point, maxBatch),
    inputs: manifest.inputs.map(({ dims, ...input }) => ({ ...input, dims: withoutBatchName(dims) })),
    outputs,
    maxBatch,
    instances,
    threads,
  });
  await writeOutput(target, model, options);
  const stale = await networksBefore(repository, name);
  if (stale.length > 0) await writeOutput(repository, new Map(), { update: true, stale });
  return { name, folder: target, at: point.name, maxBatch, instances, threads, networks: [] };
}

/** Samples a run of a network alone: those that leave early wait for nobody. */
const MOST_A_NETWORK = 32;

/** The package's without its scope, of what Triton takes. */
export const servedName = ({ name, source }: Manifest) =>
  packageNameOf(name === undefined ? source.file : `${name.replace(/^@[^/]*\//, '')}.onnx`);

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
