/** The models of a folder: those of a split's server, described by its manifest.json, or that of a compiled package. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import type { CompiledPackage } from './compiled-package.ts';
import type { TensorSpec } from './protocol.ts';
import { DATATYPES, type Session, type Sessions, type ValueFacts } from './sessions.ts';
import { ARRAYS, type Tensor, type Tensors } from './tensors.ts';

/** A model under /v2. */
export interface ModelSpec {
  readonly name: string;
  /** Operating points that it answers for. */
  readonly points: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** In the order samples meet them. */
  readonly parts: readonly Part[];
  /** What the second output, the exit taken, says of samples that go on to the next part. */
  readonly inPlay: number;
}

/** A stretch of a model, in a file of its own. */
export interface Part {
  /** The network that it runs. */
  readonly network: string;
  readonly session: Session;
  /** Names: of the request's inputs, or of what the part before gives. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Inputs that are the same for all samples. */
  readonly constants: Tensors;
}

/** As `npx onnx-offramp split` writes it. */
interface SplitManifest {
  readonly models: readonly SplitModel[];
}

interface SplitModel {
  readonly name: string;
  /** Absent where somebody else wrote the manifest. */
  readonly points?: readonly string[];
  readonly inputs: readonly TensorSpec[];
  /** Class scores, exit taken, the policy's score. */
  readonly outputs: readonly TensorSpec[];
  readonly inPlay: number;
  readonly parts: readonly {
    readonly network: string;
    readonly file: string;
    /** Of the file; absent where somebody else wrote the manifest. */
    readonly sha256?: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  }[];
}

/** Idle threads that spin would slow down the other sessions. */
const SESSION_OPTIONS = {
  logSeverityLevel: 3,
  extra: { session: { intra_op: { allow_spinning: '0' } } },
} as const;

/** What a split's server folder says of its models; undefined where `folder` is none. */
export function readSplit(folder: string): SplitManifest | undefined {
  const file = join(folder, 'manifest.json');
  if (!existsSync(file)) return undefined;
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  return Array.isArray(manifest.models) ? manifest : undefined;
}

/** Rejects with an Error that says which file is missing, or is not what the manifest says. */
export const openSplit = (folder: string, { models }: SplitManifest, sessions: Sessions): Promise<ModelSpec[]> =>
  Promise.all(
    models.map(async (model) => {
      checkTensors(model);
      return { ...model, points: model.points ?? [], parts: await Promise.all(model.parts.map((part) => openPart(folder, part, sessions))) };
    }),
  ); // biome-ignore format: as it is read

function checkTensors({ name, inputs, outputs, parts }: SplitModel): void {
  const unknown = [...inputs, ...outputs].find(({ datatype }) => !(datatype in ARRAYS));
  if (unknown) throw new Error(`${name}: this server does not know the type of ${unknown.name}, ${unknown.datatype}`);
  const samples = inputs.map(({ shape }) => shape[0]!).find((size) => size > 1);
  if (samples !== undefined && parts.length > 1)
    throw new Error(`${name} takes ${samples} samples a run: this server sends them on one by one, and needs it in one part`);
  const given = new Set(inputs.map((input) => input.name));
  for (const { file, inputs: takes, outputs: gives } of parts) {
    const missing = takes.find((input) => !given.has(input));
    if (missing !== undefined) throw new Error(`${file} takes ${missing}, which no request and no part before it gives`);
    for (const output of gives) given.add(inputOf(output));
  }
} // biome-ignore format: one line

async function openPart(folder: string, part: SplitModel['parts'][number], sessions: Sessions): Promise<Part> {
  const { file, sha256, inputs, outputs } = part;
  const path = resolve(folder, file);
  if (!path.startsWith(resolve(folder) + sep)) throw new Error(`${file}: it lies outside ${folder}`);
  if (sha256 !== undefined && existsSync(path)) {
    const found = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (found !== sha256) throw new Error(`${file} is not the file that manifest.json tells of: its SHA-256 is ${found}`);
  }
  const session = await sessions.open(path, SESSION_OPTIONS);
  const missing = [
    ...inputs.filter((input) => !session.inputNames.includes(input)),
    ...outputs.filter((output) => !session.outputNames.includes(output)),
  ];
  if (missing.length > 0) throw new Error(`${file} is not what manifest.json says: it has no ${missing.join(', ')}`);
  return { ...part, session, constants: new Map() };
} // biome-ignore format: one line

/** The input of a later part that `output` becomes: one that is changed on the way ends with `_out`. */
export const inputOf = (output: string): string => output.replace(/_out$/, '');

/**
 * The model of a compiled package by its package's name, at the default operating point, and as `<name>_<point>` at each. A model whose
 * thresholds are baked in is at one point only.
 */
export async function openWhole(
  folder: string,
  { inputs, operatingPoints, defaultPoint, sessionOptions }: CompiledPackage,
  sessions: Sessions,
): Promise<ModelSpec[]> {
  const session = await sessions.open(join(resolve(folder), 'model.onnx'), sessionOptions);
  const { name: packageName } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string };
  const base = packageName.replace(/^@[^/]*\//, '');
  const own = Object.keys(inputs);
  const thresholdsName = session.inputNames.find((name) => !own.includes(name));
  const specOf = (name: string, type: ValueFacts['type'], dims: readonly (number | string)[]): TensorSpec => ({
    name,
    datatype: DATATYPES[type]!,
    shape: dims.map((size) => (typeof size === 'number' ? size : -1)),
  });
  const atPoint = (name: string, points: readonly string[], constants: Tensors): ModelSpec => ({
    name,
    points,
    inputs: Object.entries(inputs).map(([input, { type, dims }]) => specOf(input, type, dims)),
    outputs: session.outputs.map((output) => specOf(output.name, output.type, output.shape)),
    inPlay: -1,
    parts: [{ network: 'whole', session, inputs: own, outputs: session.outputNames, constants }],
  });
  if (thresholdsName === undefined) return [atPoint(base, Object.keys(operatingPoints), new Map())];
  const thresholdsOf = (point: string) => {
    const data = Float32Array.from(operatingPoints[point]!.thresholds);
    const tensor: Tensor = { datatype: 'FP32', shape: [data.length], data };
    return new Map([[thresholdsName, tensor]]);
  };
  return [
    atPoint(base, [defaultPoint], thresholdsOf(defaultPoint)),
    ...Object.keys(operatingPoints).map((point) => atPoint(`${base}_${point}`, [point], thresholdsOf(point))),
  ];
} // biome-ignore format: one line
