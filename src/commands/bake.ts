/** A compiled model with the thresholds of one operating point built in: the original's own inputs, as serving engines and pipelines take them. */
import { join } from 'node:path';
import { provenance } from '../emit/describe.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { withMetadata } from '../emit/metadata.ts';
import { originalMissing, policyOutdated } from '../errors/index.ts';
import type { DataFiles } from '../networks/data-folder.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { loadModel } from '../parser/index.ts';
import { lowerChain } from '../passes/lower-exits.ts';
import type { PolicyName } from '../policies/index.ts';
import { networksWith } from './chain-exits.ts';
import { modelFile } from './hub-model.ts';
import { reopen } from './reopen.ts';
import { serializeChain } from './steps/lower-and-verify.ts';

export interface BakeOptions {
  /** What `compile` wrote. */
  readonly folder: string;
  /** Path of the original, or of its folder; needed unless `folder` has the thresholds of that point built in. */
  readonly model?: string;
  /** The networks in front of it, in any order; those that lie beside `model` are found. Of each, only where its file lies counts. */
  readonly first?: readonly (string | FirstOptions)[];
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string;
  /** Operating point to build in; the package's default by default. */
  readonly at?: string;
}

/** A model file with thresholds built in, and the external data that belong to it, by location. */
export interface Baked {
  readonly bytes: Uint8Array;
  readonly files: DataFiles;
}

/** The ONNX files that `options` name. */
export async function filesReadBy(
  { source }: Manifest,
  { folder, model, first = [] }: BakeOptions,
): Promise<string[]> {
  const named = [model, ...first.map((one) => (typeof one === 'string' ? one : one.model))];
  const paths = named.filter((path) => path !== undefined);
  return [
    join(folder, 'model.onnx'),
    ...(await Promise.all(paths.map((path) => modelFile(path, source.file)))),
  ];
}

/**
 * The package's own model where `point` is built into it, else one made anew from the original. Throws `original-missing`, `other-model`,
 * `network-missing`, `policy-outdated`, `unusable-heads`, and what reading a model throws.
 */
export async function bake(
  manifest: Manifest,
  point: OperatingPoint,
  { folder, model, first, externalDataFolder }: BakeOptions,
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
