/** The parts of a split: which stretches of the chain they are, and each as a file. */
import { createHash } from 'node:crypto';
import { provenance } from '../../emit/describe.ts';
import type { Manifest } from '../../emit/manifest.ts';
import type { PictureInput } from '../../emit/stub-pictures.ts';
import type { DataFiles } from '../../networks/data-folder.ts';
import { withAllBytes } from '../../parser/index.ts';
import { type LoweredPart, lowerPart, type Part, type PartTensor } from '../../passes/lower-part.ts';
import type { Runtime } from '../../passes/place-weights.ts';
import { type PixelLayout, takePixels } from '../../passes/take-pixels.ts';
import type { PolicyName } from '../../policies/index.ts';
import { type Preprocessing as PicturePreprocessing, tablesOf } from '../../runtime/pictures.ts';
import { networksWith } from '../chain-exits.ts';
import type { Reopened } from '../reopen.ts';
import { serializeUsing } from '../steps/lower-and-verify.ts';

/** A model that is split. */
export interface Splitting {
  readonly manifest: Manifest;
  readonly reopened: Reopened;
  /** Exits of the client, counted from the first; 0: there is no client. */
  readonly cut: number;
  /** The input that travels as pixels. */
  readonly pixels: Pixels | undefined;
}

export interface Pixels {
  readonly input: string;
  /** What is fed for each pixel value, [256] a channel: what the generated package feeds, bit for bit. */
  readonly tables: readonly Float32Array[];
  readonly layout: PixelLayout;
  /** Bytes of one. */
  readonly picture: number;
}

/** A part as a file. */
export interface PartFile {
  readonly bytes: Uint8Array;
  /** Its external data, by location. */
  readonly files: DataFiles;
  readonly takes: readonly PartTensor[];
  readonly gives: readonly PartTensor[];
}

/** How the pictures of `manifest` become the numbers of `input`. */
export const pixelsOf = ({ preprocessing }: Manifest, { input, ...size }: PictureInput): Pixels => ({
  input: input.name,
  tables: tablesOf({ ...preprocessing, ...size } as PicturePreprocessing),
  picture: size.width * size.height * preprocessing!.mean.length,
  layout: preprocessing!.layout === 'NHWC' ? 'NHWC' : 'NCHW',
});

/**
 * The stretch of each network behind exit `cut`, without networks that run for no exit at `thresholds`. The first one begins at the cut, the last one ends with
 * the original's answer.
 */
export function partsBehind(
  { exits, networks = [] }: Manifest,
  cut: number,
  thresholds: readonly number[],
): (Part & { readonly network: string })[] {
  const ids = networks.length > 0 ? networks.map(({ id }) => id) : ['original'];
  const found = ids.flatMap((network, n) => {
    const own = exits.flatMap(({ network = 0 }, k) => (network === n && k >= cut ? [k] : []));
    if (n === ids.length - 1) return [{ network, from: own[0] ?? exits.length }];
    const isOpen = own.some((k) => thresholds[k]! < 1);
    return isOpen ? [{ network, from: own[0]!, to: own.at(-1)! + 1 }] : [];
  });
  return found.map((part, n) => (n === 0 ? { ...part, from: cut } : part));
}

/**
 * The client: the chain up to exit `cut`, its thresholds an input. It holds its weights itself: in a file of external data those of the rest would
 * come along.
 */
export async function lowerClient(splitting: Splitting): Promise<LoweredPart> {
  const lowered = lowerStretch(splitting, { from: 0, to: splitting.cut }, undefined);
  const { files } = splitting.reopened.external;
  const graph = await withAllBytes(lowered.model.graph, (location) => files.get(location)!.copyOf);
  return { ...lowered, model: { ...lowered.model, graph } };
}

/** `part` for a server: `thresholds` built in, pictures taken as pixels. */
export function lowerServer(splitting: Splitting, part: Part, thresholds: readonly number[]): LoweredPart {
  const { pixels } = splitting;
  const lowered = lowerStretch(splitting, part, thresholds);
  if (!pixels || !lowered.takes.some(({ name }) => name === pixels.input)) return lowered;
  const { input, tables, layout } = pixels;
  return {
    ...lowered,
    model: takePixels(lowered.model, input, tables, layout),
    takes: lowered.takes.map((one) => (one.name === input ? { ...one, dataType: 'uint8' as const } : one)),
  };
}

function lowerStretch(
  { manifest, reopened: { chain, inspection } }: Splitting,
  part: Part,
  baked: readonly number[] | undefined,
): LoweredPart {
  const runtime: Runtime | undefined = baked ? undefined : manifest.model?.runtime;
  return lowerPart(networksWith(chain, chain.heads), part, {
    policy: manifest.policy as PolicyName,
    parameters: manifest.policyFit?.parameters ?? {},
    final: manifest.final?.weight,
    baked,
    ...(runtime && { runtime }),
    dropOutputs: true,
    metadata: provenance(inspection.source.sha256),
  });
}

/** `lowered` as a file, with the external data that it reads. */
export function fileOf({ reopened }: Splitting, { model, takes, gives }: LoweredPart): PartFile {
  const { model: bytes, files } = serializeUsing(model, reopened.external);
  return { bytes, files, takes, gives };
}

/** 12 hex digits that a served model's name ends with. */
export const hashOf = (bytes: Uint8Array): string => sha256Of(bytes).slice(0, 12);

/** Lower-case hex. */
export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
