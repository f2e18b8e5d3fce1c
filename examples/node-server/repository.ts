/** The models of a folder: those of a split's server, described by its manifest.json, or that of a compiled package. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CompiledPackage } from './compiled-package.ts';
import type { TensorSpec } from './protocol.ts';
import { DATATYPES, type Session, type Sessions } from './sessions.ts';
import { ARRAYS, type Tensor, type Tensors } from './tensors.ts';

/** A model under /v2. */
export interface ModelSpec {
  readonly name: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** In the order samples meet them. */
  readonly parts: readonly Part[];
  /** The `exit_index` of samples that go on to the next part. */
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
  readonly models: readonly {
    readonly name: string;
    readonly inputs: readonly TensorSpec[];
    readonly outputs: readonly TensorSpec[];
    readonly inPlay: number;
    readonly parts: readonly {
      readonly network: string;
      readonly file: string;
      readonly inputs: readonly string[];
      readonly outputs: readonly string[];
    }[];
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
export function openSplit(folder: string, { models }: SplitManifest, sessions: Sessions): Promise<ModelSpec[]> {
  return Promise.all(
    models.map(async ({ name, inputs, outputs, inPlay, parts }) => {
      const unknown = [...inputs, ...outputs].find(({ datatype }) => !(datatype in ARRAYS));
      if (unknown) throw new Error(`${name}: ${unknown.name} is of a type that this server does not know, ${unknown.datatype}`);
      const opened = parts.map(async (part) => {
        const session = await sessions.open(resolve(folder, part.file), SESSION_OPTIONS);
        const { inputNames, outputNames } = session;
        const missing = [
          ...part.inputs.filter((input) => !inputNames.includes(input)),
          ...part.outputs.filter((output) => !outputNames.includes(output)),
        ];
        if (missing.length > 0) throw new Error(`${part.file} is not what manifest.json says: it has no ${missing.join(', ')}`);
        return { ...part, session, constants: new Map() };
      });
      return { name, inputs, outputs, inPlay, parts: await Promise.all(opened) };
    }),
  );
} // biome-ignore format: one line

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
  const specOf = (name: string) => {
    const { type, shape } = [...session.inputs, ...session.outputs].find((value) => value.name === name)!;
    return { name, datatype: DATATYPES[type]!, shape: shape.map((size) => (typeof size === 'number' ? size : -1)) };
  };
  const own = Object.keys(inputs);
  const thresholdsName = session.inputNames.find((name) => !own.includes(name));
  const atPoint = (name: string, constants: Tensors): ModelSpec => ({
    name,
    inputs: own.map(specOf),
    outputs: session.outputNames.map(specOf),
    inPlay: -1,
    parts: [{ network: 'whole', session, inputs: own, outputs: session.outputNames, constants }],
  });
  if (thresholdsName === undefined) return [atPoint(base, new Map())];
  const thresholdsOf = (point: string) => {
    const data = Float32Array.from(operatingPoints[point]!.thresholds);
    const tensor: Tensor = { datatype: 'FP32', shape: [data.length], data };
    return new Map([[thresholdsName, tensor]]);
  };
  return [
    atPoint(base, thresholdsOf(defaultPoint)),
    ...Object.keys(operatingPoints).map((point) => atPoint(`${base}_${point}`, thresholdsOf(point))),
  ];
} // biome-ignore format: one line
