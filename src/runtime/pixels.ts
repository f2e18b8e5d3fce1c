/** 8-bit pixels brought to another size, antialiased, as Pillow does. */
import { bordered, type Placed, placed, type Resize } from './place.ts';

/** `data` is [height, width, channels]. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Fractional bits of a weight: as many as leave a sum of weighted bytes inside 32 bits. */
export const WEIGHT_BITS = 22;

/** Pillow's filters of these names: from how many pixels away a pixel counts where nothing shrinks, and how much. */
export const FILTERS = {
  bilinear: { support: 1, weightOf: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weightOf: (x: number) => cubic(Math.abs(x)) },
  lanczos: { support: 3, weightOf: (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type Filter = keyof typeof FILTERS;

/** Keys 1981 with a = -1/2, as Pillow writes it. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/**
 * `pixels` at `width` x `height`, whatever size they are; of four channels the last is dropped first. Resampled with `filter`, antialiased, one
 * axis after the other in integers: Pillow's to the bit.
 */
export function resized(
  pixels: Pixels,
  width: number,
  height: number,
  resize: Resize,
  filter: Filter = 'bilinear',
): Pixels {
  const channels = pixels.channels === 4 ? 3 : pixels.channels;
  const { x, y } = placed(pixels, { width, height }, resize);
  const rows = resampleRows(pixels, channels, weightsOf(pixels.width, x, filter));
  const inner = resampleColumns(rows, x.size * channels, weightsOf(pixels.height, y, filter));
  return { data: bordered(inner, { width, height }, x, y, channels), width, height, channels };
}

/** Output i is the sum over j < counts[i] of input starts[i] + j times weights[i * taps + j], a fixed-point number. */
interface Weights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  readonly taps: number;
}

/** Pillow's precompute_coeffs and normalize_coeffs_8bpc (src/libImaging/Resample.c). */
export function weightsOf(
  from: number,
  { whole, first, size }: Placed,
  filter: Filter = 'bilinear',
): Weights {
  const { weightOf } = FILTERS[filter];
  const scale = from / whole;
  const wider = Math.max(1, scale);
  const support = FILTERS[filter].support * wider;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(size);
  const counts = new Int32Array(size);
  const weights = new Int32Array(size * taps);
  const raw = new Float64Array(taps);
  for (let i = 0; i < size; i++) {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - start;
    let sum = 0;
    for (let j = 0; j < count; j++) {
      raw[j] = weightOf((j + start - centre + 0.5) / wider);
      sum += raw[j]!;
    }
    for (let j = 0; j < count; j++) {
      const weight = (raw[j]! / sum) * 2 ** WEIGHT_BITS;
      weights[i * taps + j] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, weights, taps };
}

/** [height, width, pixels.channels] → [height, n, channels], n the outputs of `across`. */
function resampleRows(
  { data, width, height, channels: stride }: Pixels,
  channels: number,
  { starts, counts, weights, taps }: Weights,
): Uint8ClampedArray {
  const size = starts.length;
  const out = new Uint8ClampedArray(height * size * channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const from = (y * width + starts[x]!) * stride;
      const count = counts[x]!;
      for (let c = 0; c < channels; c++, to++) {
        let sum = 1 << (WEIGHT_BITS - 1);
        for (let j = 0; j < count; j++) sum += data[from + j * stride + c]! * weights[x * taps + j]!;
        out[to] = sum >> WEIGHT_BITS;
      }
    }
  }
  return out;
}

/** [height, length] → [n, length], n the outputs of `down`. */
function resampleColumns(
  rows: Uint8ClampedArray,
  length: number,
  { starts, counts, weights, taps }: Weights,
): Uint8ClampedArray {
  const size = starts.length;
  const out = new Uint8ClampedArray(size * length);
  const sums = new Int32Array(length);
  for (let y = 0; y < size; y++) {
    sums.fill(1 << (WEIGHT_BITS - 1));
    for (let j = 0; j < counts[y]!; j++) {
      const from = (starts[y]! + j) * length;
      const weight = weights[y * taps + j]!;
      for (let i = 0; i < length; i++) sums[i]! += rows[from + i]! * weight;
    }
    for (let i = 0; i < length; i++) out[y * length + i] = sums[i]! >> WEIGHT_BITS;
  }
  return out;
}
