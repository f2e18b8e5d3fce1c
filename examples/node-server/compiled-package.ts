/**
 * A package that `npx onnx-offramp compile` wrote, opened by its folder. An app that knows its model writes
 * `import { Resnet56 } from 'resnet56'` instead and gets exact types; these are what all of them have in common.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Runtime } from './sessions.ts';

/** One or more samples as the model's input. */
export type Elements = Float32Array | Float64Array | Int32Array | Uint8Array;

export interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface Result {
  readonly index: number;
  readonly label?: string;
  readonly probability: number;
  readonly exitId: string;
  readonly confidence: number;
  readonly relativeCost: number;
}

export interface Governor {
  readonly at: string;
  classify(input: Elements): Promise<readonly Result[]>;
}

export interface Model {
  readonly statistics: {
    readonly counts: readonly number[];
    readonly meanRelativeCost: number;
    readonly drift: { readonly alarm: boolean } | undefined;
  };
  classify(input: Elements, options?: { readonly at?: string }): Promise<readonly Result[]>;
  /** Absent where thresholds are baked in. */
  governor?(options: { readonly targetLatencyMs: number; readonly fastest?: string }): Governor;
  release(): Promise<void>;
}

export interface CompiledPackage {
  readonly inputs: Readonly<
    Record<string, { readonly type: Tensor.Type; readonly dims: readonly (number | 'N')[] }>
  >;
  readonly exits: readonly { readonly id: string }[];
  readonly operatingPoints: Readonly<Record<string, { readonly thresholds: readonly number[] }>>;
  readonly defaultPoint: string;
  readonly sessionOptions: InferenceSession.SessionOptions;
  /** Throws a RangeError for a picture of the wrong size. Absent where the input is no picture. */
  readonly preprocess?: (picture: Picture) => Elements;
}

/** Throws an Error that says what is wrong with `folder`. `module`: the package's URL. */
export async function openPackage(
  folder: string,
  runtime: Runtime,
): Promise<{ compiled: CompiledPackage; model: Model; module: string }> {
  const file = join(resolve(folder), 'index.js');
  const module = pathToFileURL(file).href;
  const exported = existsSync(file) ? await import(module) : {};
  const modelClass: unknown = exported.default;
  if ('split' in exported)
    throw new Error(
      `${folder} is the client of a split: a server takes the folder server/ that lies beside it`,
    );
  if (!isModelClass(modelClass))
    throw new Error(
      existsSync(join(folder, 'server', 'manifest.json'))
        ? `${folder} is a split: give ${join(folder, 'server')}`
        : `${folder} holds no package that \`npx onnx-offramp compile\` wrote`,
    );
  return { compiled: exported as CompiledPackage, model: await modelClass.load(runtime), module };
}

/** Whether its input is one picture, as /classify takes them. */
export const takesPictures = ({ preprocess, inputs }: CompiledPackage): boolean =>
  preprocess !== undefined && Object.keys(inputs).length === 1;

function isModelClass(value: unknown): value is { load(runtime: Runtime): Promise<Model> } {
  return typeof value === 'function' && 'load' in value;
}
