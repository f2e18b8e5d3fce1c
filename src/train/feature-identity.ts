/** Everything that features depend on, as plain data: equal identities mean equal numbers. */
import { createHash } from 'node:crypto';
import type { Dataset, InputSpec, Preprocessing, View } from '../data/index.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import { ONNXRUNTIME_VERSION } from '../ort/session.ts';
import type { TypedModel } from '../passes/exits.ts';
import type { Slot } from './extractor.ts';

const VERSION = 2;
const DEFAULT_PROVIDER = 'cpu';

export interface FeatureIdentity {
  readonly version: number;
  /** sha256 of the model's bytes. */
  readonly model: string;
  readonly batch: 'dynamic' | 'fixed';
  /** Hash of the samples; where splits are cut off `--train`, it depends on seed and labels too. */
  readonly data: string;
  readonly samples: number;
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  /** Its version, and its execution provider: each rounds in its own way. */
  readonly onnxruntime: string;
  readonly provider: string;
  readonly views: readonly View[];
  readonly features: readonly FeatureFacts[];
}

/** A feature that is kept of every sample; the logits come last. */
export interface FeatureFacts {
  /** The exit's id, or `logits`. */
  readonly id: string;
  readonly value: string;
  /** Operators between the value and the kept feature. */
  readonly stem: readonly string[];
  readonly as: 'float' | 'float16';
  /** Per sample. */
  readonly dims: readonly number[];
}

export function identityOf(of: {
  readonly modelHash: string;
  readonly typed: TypedModel;
  readonly dataset: Dataset;
  readonly provider: string | undefined;
  readonly views: readonly View[];
  readonly slots: readonly Slot[];
}): FeatureIdentity {
  const { dataset, slots } = of;
  return {
    version: VERSION,
    model: of.modelHash,
    batch: of.typed.batch,
    data: dataset.hash,
    samples: dataset.size,
    inputs: dataset.inputs,
    preprocessing: dataset.preprocessing,
    onnxruntime: ONNXRUNTIME_VERSION,
    provider: of.provider ?? DEFAULT_PROVIDER,
    views: of.views,
    features: slots.map(({ id, request, dims }) => ({
      id,
      value: request.value,
      stem: request.stem?.nodes.map((node) => node.opType) ?? [],
      as: request.as,
      dims,
    })),
  };
}

/** Name of the file that holds one feature in one view. Exits that read the same share it. */
export function keyOf(of: FeatureIdentity, feature: FeatureFacts, view: View): string {
  const { value, stem, as, dims } = feature;
  const key = JSON.stringify([
    of.version,
    of.model,
    of.batch,
    value,
    stem,
    as,
    dims,
    of.samples,
    of.data,
    of.inputs,
    of.preprocessing,
    view,
    of.onnxruntime,
    ...(of.provider === DEFAULT_PROVIDER ? [] : [of.provider]),
  ]);
  return createHash('sha256').update(key).digest('hex').slice(0, 40);
}

export const recordBytesOf = ({ dims, as }: FeatureFacts): number => elementCount(dims) * elementBytes(as)!;

/** The files that `of` stands for: names and bytes a record. */
export function filesOf(of: FeatureIdentity): { readonly name: string; readonly recordBytes: number }[] {
  const all = of.views.flatMap((view) =>
    of.features.map((feature) => [keyOf(of, feature, view), recordBytesOf(feature)] as const),
  );
  return [...new Map(all)].map(([name, recordBytes]) => ({ name, recordBytes }));
}

/** The differences of `found` from `wanted`, a phrase each; empty where they are equal. */
export function differencesOf(found: FeatureIdentity, wanted: FeatureIdentity): string[] {
  const short = (hash: string) => hash.replace(/^(random-)?(.{12}).*$/, '$1$2');
  const describe: { readonly [key in keyof FeatureIdentity]: (of: FeatureIdentity) => string } = {
    version: (of) => `format ${of.version}`,
    model: (of) => `model ${short(of.model)}`,
    batch: (of) => `${of.batch} batch`,
    data: (of) => `data ${short(of.data)}`,
    samples: (of) => `${of.samples} samples`,
    inputs: (of) => `inputs ${of.inputs.map(({ name, dims }) => `${name} [${dims.join(', ')}]`).join(', ')}`,
    preprocessing: (of) => `preprocessing ${JSON.stringify(of.preprocessing)}`,
    onnxruntime: (of) => `ONNX Runtime ${of.onnxruntime}`,
    provider: (of) => `provider ${of.provider}`,
    views: (of) => `${of.views.length} view${of.views.length === 1 ? '' : 's'}`,
    features: (of) =>
      `exits at ${of.features
        .slice(0, -1)
        .map(({ value, stem, dims }) => [value, ...stem, `[${dims.join(', ')}]`].join(' '))
        .join(', ')}`,
  };
  return (Object.keys(describe) as (keyof FeatureIdentity)[])
    .filter((key) => JSON.stringify(found[key]) !== JSON.stringify(wanted[key]))
    .map((key) => `${describe[key](found)} instead of ${describe[key](wanted)}`);
}
