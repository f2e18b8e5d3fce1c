/** What the page uses of the compiled package that it is built with; vite.config.ts says which. */
import * as compiled from 'compiled-package';
import type * as ort from 'onnxruntime-web/wasm';

/** What a generated package says about one picture. */
export interface Result {
  readonly index: number;
  /** Where the package has class names. */
  readonly label?: string;
  readonly probability: number;
  readonly exit: number;
  readonly confidence: number;
  readonly relativeCost: number;
}

export interface OperatingPoint {
  readonly thresholds: readonly number[];
  readonly accuracy: number;
  readonly relativeCost: number;
}

/** A package whose thresholds are built into the model takes no options, and has one point. */
export type ClassifyOptions = { readonly at: string } | { readonly thresholds: readonly number[] };

export interface Model {
  classify(input: Float32Array, options: ClassifyOptions): Promise<readonly [Result, ...Result[]]>;
}

/** What all generated packages that take pictures have in common. The class has a name of its own in each. */
export interface ImagePackage {
  readonly exits: readonly unknown[];
  /** Cheapest first. */
  readonly operatingPoints: Readonly<Record<string, OperatingPoint>>;
  readonly preprocessing: { readonly width: number; readonly height: number; readonly resize: string | null };
  preprocess(picture: ImageData): Float32Array;
  readonly defaultPoint: string;
  readonly default: ModelClass;
}
export interface ModelClass {
  load(runtime: typeof ort): Promise<Model>;
}

export const {
  exits,
  operatingPoints,
  preprocessing,
  preprocess,
  defaultPoint,
  default: modelClass,
} = compiled as ImagePackage;
