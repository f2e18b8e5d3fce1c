/** What model.onnx itself says to those that have nothing but the file: `metadata_props`, as JSON under keys of `offramp.`. */
import { metadataBytes } from '../parser/index.ts';
import type { Manifest } from './manifest.ts';

/** By key; each value is JSON, with fields as in the manifest. docs/metadata.md tells every key and field. */
export function metadataOf(manifest: Omit<Manifest, 'model'>): ReadonlyMap<string, string> {
  const { operatingPoints, exits, networks, labels } = manifest;
  const values = {
    operating_points: operatingPoints.map(({ name, thresholds, relativeCost, accuracy, agreement }) => ({
      ...{ name, thresholds, relativeCost, accuracy, agreement },
    })),
    default_point: manifest.defaultPoint,
    measured_on: manifest.measuredOn,
    exits: exits.map(({ id, head, relativeCost }) => ({ id, head, relativeCost })),
    classes: labels,
    preprocessing: manifest.preprocessing,
    activation: manifest.activation,
    networks: networks?.map(({ file, relativeCost, accuracy }) => ({ file, relativeCost, accuracy })),
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new Map(given.map(([key, value]) => [`offramp.${key}`, JSON.stringify(value)]));
}

/**
 * `model` with what `manifest` says of it, in pieces, since models are large. Entries of a repeated field may stand anywhere in a message, so they are put
 * behind it.
 */
export const withMetadata = (
  model: Uint8Array,
  manifest: Omit<Manifest, 'model'>,
): readonly [Uint8Array, Uint8Array] => [model, metadataBytes(metadataOf(manifest))];
