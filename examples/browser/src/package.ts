/** The compiled package that the page is built with; vite.config.ts says which. */
import * as compiled from 'compiled-package';
import * as ort from 'onnxruntime-web/wasm';

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
  readonly accuracy: number;
  readonly relativeCost: number;
}

export interface Model {
  /** Cheapest first. */
  readonly operatingPoints: Readonly<Record<string, OperatingPoint>>;
  classify(input: Float32Array, options: { readonly at?: string }): Promise<readonly [Result, ...Result[]]>;
}

/** What all generated packages that take pictures have in common. The class has a name of its own in each. */
export interface ImagePackage {
  readonly exits: readonly unknown[];
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
  preprocessing,
  preprocess,
  defaultPoint,
  default: modelClass,
} = compiled as ImagePackage;

/** Opens the package's model on onnxruntime-web's WebAssembly. */
export const loadModel = (): Promise<Model> => modelClass.load(ort);
