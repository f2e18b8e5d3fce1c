/** What of a call's inputs travels to the server. */
import type * as Ort from 'onnxruntime-common';
import type { SentRows } from './wire.ts';

/** `tensor` of the input `name` as it is, its first axis the samples. Throws a RangeError where its values are not in main memory. */
export function sentAsIs(name: string, { type, dims, data, location }: Ort.Tensor): SentRows {
  if (location === 'cpu') return { name, type, dims: dims.slice(1), data };
  throw new RangeError(
    `input "${name}": a tensor in main memory expected, since its values may be sent to the server; this one is in "${location}"`,
  );
}

/**
 * The 8-bit pixels that `tensor` of the input `name` was made of, in the same order: what `tables`, [256] a channel, have turned them into
 * turned back. Throws a RangeError that names an element which is in none of them.
 */
export function sentAsPixels(
  name: string,
  tensor: Ort.Tensor,
  tables: readonly Float32Array[],
  layout: 'NCHW' | 'NHWC',
): SentRows {
  const { dims, data } = sentAsIs(name, tensor);
  const values = data as Float32Array;
  const pixels = new Uint8Array(values.length);
  const area = layout === 'NHWC' ? 1 : dims.reduce((product, dim) => product * dim, 1) / tables.length;
  for (let from = 0, c = 0; from < values.length; from += area, c = (c + 1) % tables.length) {
    const table = tables[c]!;
    const first = table[0]!;
    const step = (table[255]! - first) / 255;
    for (let i = from; i < from + area; i++) {
      // The tables are straight lines, rounded.
      const pixel = step === 0 ? 0 : Math.round((values[i]! - first) / step);
      if (table[pixel] !== values[i])
        throw new RangeError(
          `input "${name}": element ${i}, ${values[i]}, is no pixel that went through this model's preprocessing; the server is sent 8-bit pixels: give pictures, or what \`preprocess\` makes of them`,
        );
      pixels[i] = pixel;
    }
  }
  return { name, type: 'uint8', dims, data: pixels };
}

/** Rows `at` of `rows`, in that order. */
export function chosen(rows: SentRows, at: readonly number[]): SentRows {
  const { dims, data } = rows;
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (Array.isArray(data))
    return { ...rows, data: at.flatMap((row) => data.slice(row * size, (row + 1) * size)) };
  const values = data as Float32Array;
  const picked = new (values.constructor as typeof Float32Array)(at.length * size);
  for (const [i, row] of at.entries()) picked.set(values.subarray(row * size, (row + 1) * size), i * size);
  return { ...rows, data: picked };
}

/** The rows of all `parts`, one after another. Of no parts nothing. */
export function stacked(parts: readonly SentRows[]): SentRows {
  const [first] = parts;
  if (parts.length === 1) return first!;
  if (Array.isArray(first!.data)) return { ...first!, data: parts.flatMap(({ data }) => data as string[]) };
  const arrays = parts.map(({ data }) => data as Float32Array);
  const all = new (arrays[0]!.constructor as typeof Float32Array)(
    arrays.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return { ...first!, data: all };
}
