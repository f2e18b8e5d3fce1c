/** What a split is on the disk: the client's package, and the repository of what the server serves. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leavingCostsAt } from '../../emit/chain-words.ts';
import { TOKENIZER_FILE } from '../../emit/file-names.ts';
import type { Manifest, ManifestSent, ManifestSplit, OperatingPoint } from '../../emit/manifest.ts';
import { printManifest } from '../../emit/manifest-json.ts';
import { withMetadata } from '../../emit/metadata.ts';
import { emitPackage } from '../../emit/stub.ts';
import { type Content, leftovers } from '../../emit/write.ts';
import { largestBatch } from '../../export/largest-batch.ts';
import {
  printServerManifest,
  type ServerManifest,
  type ServerModel,
  serverTensor,
} from '../../export/server-manifest.ts';
import type { TensorSpec } from '../../export/triton-config.ts';
import { modelFiles, printTritonModel, withoutBatchName } from '../../export/triton-model.ts';
import { elementBytes } from '../../graph/tensor.ts';
import { type PartFile, type Pixels, sha256Of } from './parts.ts';
import type { Rest } from './rests.ts';

export const CLIENT = 'client';
export const SERVER = 'server';

/** A rest under its name. */
export interface NamedRest extends Rest {
  readonly name: string;
  /** Scores, exit and confidence, with their shapes. */
  readonly outputs: readonly TensorSpec[];
}

export type Files = ReadonlyMap<string, Content>;

/** The client's manifest: `manifest` with what the client is asked at, and `split`. */
export function clientManifest(
  manifest: Manifest,
  points: readonly OperatingPoint[],
  model: readonly Uint8Array[],
  dataFiles: readonly string[],
  split: ManifestSplit,
): Manifest {
  // heads.onnx is for `calibrate`, which takes the whole package.
  const { heads: _, dataFiles: __, ...rest } = forPoints(manifest, points);
  const hash = createHash('sha256');
  for (const piece of model) hash.update(piece);
  return {
    ...rest,
    ...(dataFiles.length > 0 && { dataFiles }),
    model: { ...manifest.model, sha256: hash.digest('hex') },
    split,
  };
}

/** `manifest` with `points` alone. */
export function forPoints(manifest: Manifest, points: readonly OperatingPoint[]): Manifest {
  const { defaultPoint } = manifest;
  const isThere = points.some(({ name }) => name === defaultPoint);
  return {
    ...manifest,
    operatingPoints: points,
    defaultPoint: isThere ? defaultPoint : points.at(-1)!.name,
  };
}

/** The package of the client. `folder`: what was split. */
export async function clientFiles(
  folder: string,
  manifest: Manifest,
  points: readonly OperatingPoint[],
  client: PartFile,
  split: ManifestSplit,
): Promise<Files> {
  const model = withMetadata(client.bytes, forPoints(manifest, points));
  const own = clientManifest(manifest, points, model, [...client.files.keys()], split);
  const tokenizer = manifest.tokenizer && (await readFile(join(folder, TOKENIZER_FILE)));
  return new Map<string, Content>([
    ['model.onnx', model],
    ...client.files,
    ...(tokenizer ? [[TOKENIZER_FILE, tokenizer] as const] : []),
    ['manifest.json', printManifest(own)],
    ...emitPackage(own),
  ]);
}

/** The model repository: each of `rests` as Triton takes it, its parts, and manifest.json. */
export function serverFiles(manifest: Manifest, cut: number, rests: readonly NamedRest[]): Files {
  const served = rests.flatMap((rest) => [
    ...Array.from(
      tritonModel(manifest, cut, rest),
      ([path, content]) => [`${rest.name}/${path}`, content] as const,
    ),
    ...rest.parts.flatMap(({ bytes, files }, n) => modelFiles(`${rest.name}/${partPath(n)}`, bytes, files)),
  ]);
  return new Map<string, Content>([
    ...served,
    ['manifest.json', printServerManifest(rests.map((rest) => serverModel(manifest, rest)))],
  ]);
}

const WHOLE = '1/model.onnx';
/** Triton looks into folders whose names are numbers. */
const partPath = (n: number) => `parts/${n + 1}.onnx`;

/** Where the ONNX file of `part` is, relative to what `path` names. */
const fileAt = (path: string, { files }: PartFile) => (files.size > 0 ? `${path}/model.onnx` : path);

function serverModel(manifest: Manifest, { name, points, file, parts, outputs }: NamedRest): ServerModel {
  const { networks, exits } = manifest;
  const whole = { ...file, network: networks?.at(-1)?.id ?? 'original' };
  const described = parts.length > 0 ? parts : [whole];
  return {
    name,
    points: points.map((point) => point.name),
    inputs: file.takes.map((tensor) => serverTensor(tensor.name, tensor.dataType, tensor.dims)),
    outputs: outputs.map(({ name, dataType, dims }) => serverTensor(name, dataType, dims)),
    inPlay: exits.length,
    parts: described.map((part, n) => ({
      network: part.network,
      file: `${name}/${fileAt(parts.length > 0 ? partPath(n) : WHOLE, part)}`,
      sha256: sha256Of(part.bytes),
      inputs: part.takes.map((tensor) => tensor.name),
      outputs: [...outputs, ...part.gives].map((tensor) => tensor.name),
    })),
  };
}

/** Copies and threads as `export triton` has them. */
const [INSTANCES, THREADS] = [2, 1];

export function tritonModel(
  manifest: Manifest,
  cut: number,
  { name, points, file, outputs }: NamedRest,
): Files {
  const names = points.map((point) => point.name).join(', ');
  const behind = cut > 0 ? `What comes behind ${manifest.exits[cut - 1]!.id} of` : 'All of';
  return printTritonModel({
    manifest,
    ...file,
    name,
    notes: [
      `${behind} ${manifest.source.file} with early exits, at ${points.length === 1 ? 'the operating point' : 'the operating points'} ${names}, by Offramp ${manifest.version}.`,
    ],
    inputs: file.takes.map(({ name, dataType, dims }) => ({ name, dataType, dims: withoutBatchName(dims) })),
    outputs,
    maxBatch:
      manifest.batch === 'fixed'
        ? 0
        : Math.max(CLIENT_BATCH, Math.min(...points.map((point) => batchBehind(manifest, point, cut)))),
    instances: INSTANCES,
    threads: THREADS,
  });
}

/** Samples a request of a client, unless it is told otherwise; Triton answers none with more than its model takes. */
const CLIENT_BATCH = 32;

/** As `export triton` chooses it, of the samples that go on behind exit `cut`. */
function batchBehind(manifest: Manifest, { thresholds, exitShares }: OperatingPoint, cut: number): number {
  const costs = leavingCostsAt(manifest, thresholds);
  const spent = Math.max(0, ...costs.slice(0, cut).filter((_, k) => thresholds[k]! < 1));
  const shares = exitShares.slice(cut);
  const going = shares.reduce((sum, share) => sum + share, 0);
  // Nobody went on when it was measured.
  if (going === 0) return largestBatch([1], [1]);
  return largestBatch(
    costs.slice(cut).map((cost) => cost - spent),
    shares.map((share) => share / going),
  );
}

/** What the client sends, as its manifest says it. `exact`: the rest that takes it without rounding. */
export const sentOf = ({ takes }: PartFile, exact: PartFile, pixels: Pixels | undefined): ManifestSent[] =>
  takes.map(({ name, dataType, dims, role }, i) => ({
    name,
    dataType,
    dims,
    role: name === pixels?.input ? 'pixels' : role,
    ...(dataType !== exact.takes[i]!.dataType && {
      bits: dataType === 'int8' ? (8 as const) : (16 as const),
    }),
  }));

/** Of a sample. */
export const bytesOf = (sends: readonly ManifestSent[]): number =>
  sends.reduce((sum, { dataType, dims }) => {
    const elements = dims.reduce<number>((product, size) => (size === 'N' ? product : product * size), 1);
    return sum + elements * (elementBytes(dataType) ?? 0);
  }, 0);

/** What an earlier split left in `out`, relative to it. */
export async function filesBefore(out: string): Promise<string[]> {
  const client = await leftovers(join(out, CLIENT));
  const served = await readFile(join(out, SERVER, 'manifest.json'), 'utf8')
    .then((text) => namesIn(JSON.parse(text)))
    .catch(() => []);
  return [...client.map((name) => `${CLIENT}/${name}`), ...served.map((name) => `${SERVER}/${name}`)];
}

/** Names of models that `split` gave: nothing else is taken away. */
const namesIn = ({ models }: ServerManifest): string[] => models.map(({ name }) => name).filter(isSplitName);

/** Whether a served model is called as `split` calls them. */
export const isSplitName = (name: string): boolean => /^[A-Za-z0-9_]+_[0-9a-f]{12}$/.test(name);
