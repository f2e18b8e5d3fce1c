/** 8-bit pixels brought to another size. */

/** `stretch` ignores the aspect ratio, `cover` crops the centre, `contain` adds black borders. */
export type Resize = 'stretch' | 'cover' | 'contain';

/** `data` is [height, width, channels]. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Fractional bits of a weight: as many as leave a sum of weighted bytes inside 32 bits. */
export const WEIGHT_BITS = 22;

/**
 * `pixels` at `width` x `height`, whatever size they are; of four channels the last is dropped first.
 * Resampled with a triangle kernel, antialiased, one axis after the other in integers: Pillow's BILINEAR to the bit.
 */
export function resized(pixels: Pixels, width: number, height: number, resize: Resize): Pixels {
  const channels = pixels.channels === 4 ? 3 : pixels.channels;
  const across = width / pixels.width;
  const down = height / pixels.height;
  const scale = resize === 'cover' ? Math.max(across, down) : Math.min(across, down);
  const x = placed(pixels.width, width, resize === 'stretch' ? across : scale);
  const y = placed(pixels.height, height, resize === 'stretch' ? down : scale);

  const rows = resampleRows(pixels, channels, weightsOf(pixels.width, x));
  const inner = resampleColumns(rows, x.size * channels, weightsOf(pixels.height, y));
  if (x.size === width && y.size === height) return { data: inner, width, height, channels };
  const data = new Uint8ClampedArray(width * height * channels);
  for (let row = 0; row < y.size; row++) {
    const line = inner.subarray(row * x.size * channels, (row + 1) * x.size * channels);
    data.set(line, ((y.border + row) * width + x.border) * channels);
  }
  return { data, width, height, channels };
}

/** One axis: the picture is scaled to `whole`, of which `size` from `first` on are kept, `border` from the edge. */
interface Placed {
  readonly whole: number;
  readonly first: number;
  readonly size: number;
  readonly border: number;
}

export function placed(from: number, to: number, scale: number): Placed {
  const whole = Math.max(1, Math.round(from * scale));
  return whole < to
    ? { whole, first: 0, size: whole, border: Math.floor((to - whole) / 2) }
    : { whole, first: Math.ceil((whole - to) / 2), size: to, border: 0 };
}

/** Output i is the sum over j < counts[i] of input starts[i] + j times weights[i * taps + j], a fixed-point number. */
interface Weights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  readonly taps: number;
}

/** Pillow's precompute_coeffs and normalize_coeffs_8bpc (src/libImaging/Resample.c) for its triangle filter. */
export function weightsOf(from: number, { whole, first, size }: Placed): Weights {
  const scale = from / whole;
  const support = Math.max(1, scale);
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
      raw[j] = Math.max(0, 1 - Math.abs((j + start - centre + 0.5) / support));
      sum += raw[j]!;
    }
    for (let j = 0; j < count; j++) {
      weights[i * taps + j] = Math.trunc(0.5 + (raw[j]! / sum) * 2 ** WEIGHT_BITS);
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
