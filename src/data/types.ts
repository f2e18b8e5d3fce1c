import type { DataType } from '../graph/types.ts';
import type { PointSampling } from '../runtime/affine.ts';
import type { Filter } from '../runtime/pixels.ts';
import type { Resize } from '../runtime/place.ts';

export type { Resize };

/** How pixels of another size are made: by a filter of Pillow's, antialiased, or at points, as transformers.js does in Node. */
export type Resample = Filter | PointSampling;

/** An input of the model that samples are made for. */
export interface InputSpec {
  readonly name: string;
  /** Of one sample, without the batch axis: `[3, 32, 32]`, `[28, 28]`, `[1960]`. */
  readonly dims: readonly number[];
  readonly dataType: DataType;
}

/**
 * How pixels become the model's numbers: `value = (pixel / scale - mean[c]) / std[c]`, computed in double and rounded
 * once to float32. Plain JSON: it goes into the manifest and the generated stub repeats it.
 */
export interface Preprocessing {
  readonly scale: number;
  /** In place of `scale`, as Hugging Face's processors have it: pixels are multiplied by this and rounded to float32 before mean and std. */
  readonly rescale?: number;
  /** One entry a channel, in the model's order (blue first for `bgr`); one entry when there is no channel axis. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** `[C, H, W]` or `[H, W]`, `[H, W, C]`, or no channel axis. */
  readonly layout: Layout;
  /** `any`: a channel count without a colour meaning. Records hold rgb; `bgr` reverses them. */
  readonly channels: 'rgb' | 'bgr' | 'gray' | 'any';
  /** How images of another size are fitted; without it they are refused. */
  readonly resize?: Resize;
  /** `bilinear` where left out. */
  readonly resample?: Resample;
}

export type Layout = 'NCHW' | 'NHWC' | 'flat';

/**
 * A view of an image, for augmentation: shifted, then mirrored, as torchvision's RandomCrop and RandomHorizontalFlip do.
 * Pixel (y, x) of the shifted image is (y + dy, x + dx) of the stored one, and black (0, before normalisation) outside it.
 */
export interface View {
  readonly mirror: boolean;
  readonly dx: number;
  readonly dy: number;
}

/** A file that was left out because it could not be read. */
export interface Skipped {
  readonly file: string;
  readonly reason: string;
}

/** Samples, labelled unless said otherwise, read from fixed-size records on disk. */
export interface Dataset {
  readonly path: string;
  readonly size: number;
  /** `[size]`; all -1 when `unlabelled`. */
  readonly labels: Int32Array;
  readonly unlabelled?: boolean | undefined;
  /** Random numbers: they show that everything runs, and nothing else. The hash begins with `random-`. */
  readonly random?: boolean | undefined;
  /** In class order, where the data name them; may be fewer than the model's classes. */
  readonly classNames: readonly string[] | undefined;
  /** Identity of records and labels, independent of path and preprocessing. */
  readonly hash: string;
  readonly skipped: readonly Skipped[];
  /** What a sample consists of, in the order it is stored. */
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  /** Of a subset: the samples of `whole` that it is made of, in its order. */
  readonly partOf?: { readonly whole: Dataset; readonly samples: Int32Array };
  /** Records have height and width, so views other than the plain one mean something. */
  readonly isImage: boolean;
  /** Dims of one record; `[H, W, C]`, rgb or gray, when it came from an image file. */
  readonly recordDims: readonly number[];
  /** `float` is float32, little-endian. */
  readonly recordType: 'uint8' | 'float';

  /** Raw records of samples `indices`, one after another: `[n, ...recordDims]` in `recordType`. */
  readRecords(indices: ArrayLike<number>): Promise<Uint8Array>;

  /**
   * The model's inputs for samples `indices`, `[n, elements of all inputs side by side]`, as float32 whatever their types.
   * One view for all or one each; `out` (at least as long) is filled and returned when given.
   */
  read(indices: ArrayLike<number>, views?: View | readonly View[], out?: Float32Array): Promise<Float32Array>;

  /** Closes the records; on a subset, does nothing (its parent owns them). */
  close(): Promise<void>;
}

export type Progress = (done: number, total: number) => void;
