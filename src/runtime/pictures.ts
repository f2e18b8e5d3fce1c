/** Pictures as a model's input. */
import type { Pixels } from './pixels.ts';
import { fits, type Resize } from './place.ts';
import { told } from './values.ts';

/**
 * 8-bit pixels, row by row: RGBA, RGB or gray, as the length of `data` says. An `ImageData` is one. Alpha is dropped.
 */
export interface Picture {
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** Bytes a pixel; tells a picture that has lost its end from one with fewer channels. */
  readonly channels?: number;
}

/** How a picture becomes the model's input: `normalised`. */
export interface Preprocessing {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  readonly channels: 'rgb' | 'bgr' | 'gray';
  readonly layout: 'NCHW' | 'NHWC';
  readonly scale: number;
  /** In place of `scale`: what pixels are multiplied by, rounded to float32. */
  readonly rescale?: number;
  /** In the order of `channels`. */
  readonly mean: readonly number[];
  /** In the order of `channels`. */
  readonly std: readonly number[];
  /** How pictures of another size are fitted; null refuses them. */
  readonly resize: Resize | null;
}

type InputArray = Float32Array | Float64Array | Uint8Array | Int32Array;

/** How a pixel becomes a number. */
type Normalisation = Pick<Preprocessing, 'scale' | 'rescale' | 'mean' | 'std'>;

/**
 * What is fed for a pixel of channel `c`: `(pixel / scale - mean[c]) / std[c]`; or, as Hugging Face's processors and transformers.js have it,
 * `(float32(pixel * rescale) - mean[c]) / std[c]`.
 */
export function normalised(pixel: number, c: number, { scale, rescale, mean, std }: Normalisation): number {
  const scaled = rescale === undefined ? pixel / scale : Math.fround(pixel * rescale);
  return (scaled - mean[c]!) / std[c]!;
}

/** What to feed for each pixel value, [256] a channel. */
export function tablesOf(preprocessing: Preprocessing): readonly Float32Array[] {
  return preprocessing.mean.map((_, c) =>
    Float32Array.from({ length: 256 }, (_, pixel) => normalised(pixel, c, preprocessing)),
  );
}

/** Brings pixels to a size. */
export type Resizer = (pixels: Pixels, width: number, height: number, resize: Resize) => Pixels;

export function isPictures(value: unknown): value is Picture | readonly Picture[] {
  return Array.isArray(value) || (typeof value === 'object' && value !== null && 'width' in value);
}

/** `value` as a list. Throws a RangeError when it is not as many as the model takes. */
export function picturesOf(value: Picture | readonly Picture[], batch: number | 'N'): readonly Picture[] {
  const pictures = 'width' in value ? [value] : value;
  if (batch !== 'N' && pictures.length !== batch)
    throw new RangeError(`${batch} expected, got ${pictures.length}`);
  return pictures;
}

/** Fills `input` with `pictures`, those of another size brought to the model's by `resizer`. Throws a TypeError or RangeError that names the picture. */
export function writePictures(
  pictures: readonly Picture[],
  preprocessing: Preprocessing,
  tables: readonly Float32Array[],
  input: InputArray,
  resizer?: Resizer,
): void {
  const size = input.length / pictures.length;
  for (const [n, picture] of pictures.entries()) {
    writePixels(fitted(picture, n, preprocessing, resizer), preprocessing, tables, input.subarray(n * size));
  }
}

/** Picture `n`, checked, at the model's size. */
function fitted(
  picture: Picture,
  n: number,
  { width, height, resize }: Preprocessing,
  resizer: Resizer | undefined,
): Pixels {
  if (typeof picture !== 'object' || picture === null)
    throw new TypeError(
      `picture ${n}: { data, width, height } with 8-bit data expected, got ${told(picture)}`,
    );
  const { data, width: w, height: h, channels: given } = picture;
  if (!/^\[object Uint8(Clamped)?Array\]$/.test(Object.prototype.toString.call(data))) {
    throw new TypeError(`picture ${n}: { data, width, height } with 8-bit data expected`);
  }
  const channels = data.length / (w * h);
  const isSize = Number.isInteger(w) && Number.isInteger(h) && w > 0 && h > 0;
  if (!isSize || (channels !== 1 && channels !== 3 && channels !== 4) || channels !== (given ?? channels)) {
    const what = given === undefined ? 'RGBA, RGB or gray' : `${given} channels`;
    throw new RangeError(`picture ${n}: ${data.length} bytes are not ${w} x ${h} pixels of ${what}`);
  }
  const pixels = { data, width: w, height: h, channels };
  if (fits(pixels, { width, height }, resize)) return pixels;
  if (resize && resizer) return resizer(pixels, width, height, resize);
  throw new RangeError(
    `picture ${n}: ${width} x ${height} pixels expected, got ${w} x ${h}; this model was compiled without --resize`,
  );
}

function writePixels(
  { data, channels }: Pixels,
  { width, height, channels: order, layout }: Preprocessing,
  tables: readonly Float32Array[],
  input: InputArray,
): void {
  const area = width * height;
  const step = layout === 'NCHW' ? 1 : tables.length;
  for (let c = 0; c < tables.length; c++) {
    const table = tables[c]!;
    const end = area * channels;
    let to = layout === 'NCHW' ? c * area : c;
    if (order === 'gray' && channels > 1) {
      for (let at = 0; at < end; at += channels, to += step) {
        input[to] = table[lumaOf(data[at]!, data[at + 1]!, data[at + 2]!)]!;
      }
      continue;
    }
    const from = channels === 1 ? 0 : order === 'bgr' ? 2 - c : c;
    for (let at = from; at < end; at += channels, to += step) input[to] = table[data[at]!]!;
  }
}

/** ITU-R 601 luma in 16-bit fixed point, as Pillow's convert('L'); equal channels keep their value. */
export function lumaOf(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}
