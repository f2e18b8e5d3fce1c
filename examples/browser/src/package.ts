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
  /** Of the client of a split: who answered. */
  readonly where?: Where;
}

export type Where = 'client' | 'server' | 'client, server unreachable' | 'client, server refused';

export interface OperatingPoint {
  readonly thresholds: readonly number[];
  readonly accuracy: number;
  readonly relativeCost: number;
}

/** A package whose thresholds are built into the model takes no options, and has one point. */
export type ClassifyOptions = { readonly at: string } | { readonly thresholds: readonly number[] };

export interface Model {
  classify(input: Float32Array, options: ClassifyOptions): Promise<readonly [Result, ...Result[]]>;
  /** Of the client of a split, these among others. */
  readonly statistics: { toJSON(): Traffic };
}

/** What has been asked of a split's server. */
export interface Traffic {
  /** Answers in all. */
  readonly samples: number;
  /** Those that the server was asked for. */
  readonly asked: number;
  /** Those of them that it did not give. */
  readonly unanswered: number;
  readonly bytesSent: number;
  /** Why it did not answer the last time. */
  readonly problem: string | undefined;
}

/** What all generated packages that take pictures have in common. The class has a name of its own in each. */
export interface ImagePackage {
  readonly exits: readonly { readonly id: string }[];
  /** Cheapest first. */
  readonly operatingPoints: Readonly<Record<string, OperatingPoint>>;
  readonly preprocessing: {
    readonly width: number;
    readonly height: number;
    /** One a channel. */
    readonly mean: readonly number[];
    readonly resize: string | null;
  };
  preprocess(picture: ImageData): Float32Array;
  readonly defaultPoint: string;
  /** Of the client of a split: its last exit. */
  readonly split?: { readonly after: string };
  readonly default: ModelClass;
}

export interface ModelClass {
  /** `options` are for the client of a split. */
  load(
    runtime: typeof ort,
    options?: { readonly server: string; readonly fetch: typeof fetch; readonly restMs: number },
  ): Promise<Model>;
}

export const {
  exits,
  operatingPoints,
  preprocessing,
  preprocess,
  defaultPoint,
  split,
  default: modelClass,
} = compiled as ImagePackage;
