/** 8-bit pixels at another size, sampled at points as libvips' affine does, which transformers.js resizes by in Node. */
import type { Pixels } from './pixels.ts';
import { bordered, type Placed, placed, type Resize } from './place.ts';

/** Of libvips' interpolators. */
export type PointSampling = 'affine-nearest' | 'affine-bilinear' | 'affine-bicubic';

/** Weights are whole 4096ths. */
const UNIT_BITS = 12;
/** Bicubic weights are known for so many places between two pixels. */
const PLACES = 64;

/** `count` neighbours of a pixel from `start` on, and their weights in 4096ths. */
interface Stencil {
  readonly start: number;
  readonly weights: readonly number[];
}

/**
 * `pixels` at `width` x `height`, whatever size they are; of four channels the last is dropped first. Each pixel of the result is what lies at
 * one point of the picture, so where it shrinks, pixels between the points are not seen; outside the picture all is black. The
 * same bytes as sharp's `affine([width / w, 0, 0, height / h], { interpolator })`, and the part of it that `resize` keeps.
 */
export function pointSampled(
  pixels: Pixels,
  width: number,
  height: number,
  resize: Resize,
  sampling: PointSampling,
): Pixels {
  const channels = pixels.channels === 4 ? 3 : pixels.channels;
  const { x, y } = placed(pixels, { width, height }, resize);
  const isSame = x.whole === pixels.width && y.whole === pixels.height;
  const kernel = isSame ? 'affine-nearest' : sampling;
  const [across, down] = stencilsOf(pixels, x, y, kernel);
  const sum = kernel === 'affine-bilinear' ? bilinearSum : separableSum;
  const inner = new Uint8ClampedArray(x.size * y.size * channels);
  for (let row = 0, to = 0; row < y.size; row++)
    for (let column = 0; column < x.size; column++)
      for (let c = 0; c < channels; c++, to++) inner[to] = sum(pixels, across[column]!, down[row]!, c);
  return { data: bordered(inner, { width, height }, x, y, channels), width, height, channels };
}

function stencilsOf(pixels: Pixels, x: Placed, y: Placed, kernel: PointSampling) {
  const scale = { across: x.whole / pixels.width, down: y.whole / pixels.height };
  // The inverse of the matrix as libvips computes it: the last bit of a step decides which pixel is nearest.
  const inverse = 1 / (scale.across * scale.down);
  const border = kernel === 'affine-bicubic' ? 2 : 1;
  const across: Stencil[] = [];
  // Columns are reached by adding steps, rows by multiplying.
  for (let n = 0, at = border; n < x.first + x.size; n++, at += inverse * scale.down)
    if (n >= x.first) across.push(stencilAt(at, border, kernel));
  const down = Array.from({ length: y.size }, (_, n) =>
    stencilAt((y.first + n) * (inverse * scale.across) + border, border, kernel),
  );
  return [across, down] as const;
}

function stencilAt(at: number, border: number, kernel: PointSampling): Stencil {
  const pixel = Math.floor(at);
  if (kernel === 'affine-nearest') return { start: pixel - border, weights: [1 << UNIT_BITS] };
  if (kernel === 'affine-bilinear') {
    const far = Math.trunc((at - pixel) * (1 << UNIT_BITS));
    return { start: pixel - border, weights: [(1 << UNIT_BITS) - far, far] };
  }
  const place = (Math.trunc(at * PLACES * 2) & (PLACES * 2 - 1)) + 1;
  return { start: pixel - border - 1, weights: catmullRom((place >> 1) / PLACES) };
}

/** Weights of four pixels in a row for a point `t` between the middle two (Catmull and Rom 1974), cut to 4096ths. */
function catmullRom(t: number): number[] {
  const rest = -0.5 * t * (1 - t);
  const first = rest * (1 - t);
  const last = t * rest;
  const difference = last - first;
  const weights = [first, 1 - t - first + difference, t - last - difference, last];
  return weights.map((weight) => Math.trunc(weight * (1 << UNIT_BITS)));
}

/** A pixel's channel `c`; 0 outside the picture. */
function channelAt({ data, width, height, channels }: Pixels, x: number, y: number, c: number): number {
  return x < 0 || y < 0 || x >= width || y >= height ? 0 : data[(y * width + x) * channels + c]!;
}

const rounded = (sum: number): number => (sum + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;

/** Along the rows, each rounded, then down the column. */
function separableSum(pixels: Pixels, across: Stencil, down: Stencil, c: number): number {
  let sum = 0;
  for (let j = 0; j < down.weights.length; j++) {
    let line = 0;
    for (let i = 0; i < across.weights.length; i++)
      line += across.weights[i]! * channelAt(pixels, across.start + i, down.start + j, c);
    sum += down.weights[j]! * rounded(line);
  }
  return rounded(sum);
}

/** All four pixels at once: their weights are rounded, not the sums of the rows. */
function bilinearSum(pixels: Pixels, across: Stencil, down: Stencil, c: number): number {
  const [left, top] = [across.start, down.start];
  const [upper, lower] = down.weights as [number, number];
  const far = across.weights[1]!;
  const upperFar = (upper * far) >> UNIT_BITS;
  const lowerFar = (lower * far) >> UNIT_BITS;
  return rounded(
    (upper - upperFar) * channelAt(pixels, left, top, c) +
      upperFar * channelAt(pixels, left + 1, top, c) +
      (lower - lowerFar) * channelAt(pixels, left, top + 1, c) +
      lowerFar * channelAt(pixels, left + 1, top + 1, c),
  );
}
