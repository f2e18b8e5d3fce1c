import { normalised } from '../runtime/pictures.ts';
import type { Alignment } from './align.ts';
import type { Preprocessing, View } from './types.ts';

export const PLAIN_VIEW: View = { mirror: false, dx: 0, dy: 0 };

/** Writes the sample at `records[at]…` as seen by `view` into `out[to]…`. */
export type Convert<Records> = (
  records: Records,
  at: number,
  view: View,
  out: Float32Array,
  to: number,
) => void;

/** Copies `n` elements of channel `c`, `fromStep` apart, to places `toStep` apart, normalised. */
type CopyRow<Records> = (
  records: Records,
  from: number,
  fromStep: number,
  out: Float32Array,
  to: number,
  toStep: number,
  n: number,
  c: number,
) => void;

/** Conversion of uint8 records, by one table of 256 values a channel, `[C, 256]`. */
export function convertBytes(alignment: Alignment, p: Preprocessing): Convert<Uint8Array> {
  const table = Float32Array.from({ length: 256 * alignment.channels }, (_, i) =>
    normalised(i & 255, i >> 8, p),
  );
  return convertWith(alignment, p, (records, from, fromStep, out, to, toStep, n, c) => {
    const base = c << 8;
    for (let i = 0; i < n; i++) out[to + i * toStep] = table[base + records[from + i * fromStep]!]!;
  });
}

/** Conversion of float32 records. */
export function convertFloats(alignment: Alignment, p: Preprocessing): Convert<Float32Array> {
  return convertWith(alignment, p, (records, from, fromStep, out, to, toStep, n, c) => {
    for (let i = 0; i < n; i++) out[to + i * toStep] = normalised(records[from + i * fromStep]!, c, p);
  });
}

function convertWith<Records>(a: Alignment, p: Preprocessing, copyRow: CopyRow<Records>): Convert<Records> {
  const { channels, height, width, from, to } = a;
  const rowsAreOne = from.y === width * from.x && to.y === width * to.x;
  const sourceOf = (c: number) => (p.channels === 'bgr' ? channels - 1 - c : c);

  return (records, at, { mirror, dx, dy }, out, start) => {
    if (dx !== 0 || dy !== 0) {
      for (let c = 0; c < channels; c++) {
        const black = normalised(0, c, p);
        const first = start + c * to.c;
        if (to.x === 1) out.fill(black, first, first + height * width);
        else for (let i = 0, t = first; i < height * width; i++, t += to.x) out[t] = black;
      }
    }
    const [left, right] = [Math.max(0, -dx), Math.min(width, width - dx)];
    const [top, bottom] = [Math.max(0, -dy), Math.min(height, height - dy)];
    if (left >= right) return;

    for (let c = 0; c < channels; c++) {
      const source = at + sourceOf(c) * from.c;
      const target = start + c * to.c;
      if (rowsAreOne && !mirror && dx === 0 && dy === 0) {
        copyRow(records, source, from.x, out, target, to.x, height * width, c);
        continue;
      }
      const first = (mirror ? width - 1 - left : left) * to.x;
      const step = mirror ? -to.x : to.x;
      for (let y = top; y < bottom; y++) {
        const pixel = source + (y + dy) * from.y + (left + dx) * from.x;
        copyRow(records, pixel, from.x, out, target + y * to.y + first, step, right - left, c);
      }
    }
  };
}
