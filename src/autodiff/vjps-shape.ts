/** Gradients of what moves elements and computes nothing. */

import { numberOf, numbersOf } from '../graph/attributes.ts';
import type { TypedBuilder } from '../graph/infer.ts';
import { type Dims, positive, sliceOf } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import { type Vjp, zeros } from './vjp.ts';

/** Reshape, Flatten, Squeeze and Unsqueeze. */
export const reshape: Vjp = ({ b, dy, dims }) => [() => b.op('Reshape', [dy, b.int64(dims(0))])];

/** Puts slice `i` of `value` at `positions[i]` of an axis of `size`, zeros elsewhere. */
function placeAlong(b: TypedBuilder, value: string, axis: number, size: number, positions: Dims): string {
  const dims = b.dims(value);
  const padded = b.op('Concat', [value, zeros(b, dims.with(axis, 1))], { axis });
  const index = new Array<number>(size).fill(dims[axis]!);
  positions.forEach((at, i) => {
    index[at] = i;
  });
  return b.op('Gather', [padded, b.int64(index)], { axis });
}

export const slice: Vjp = ({ b, x, dy, dims }) => [
  () => {
    const cuts = sliceOf(
      dims(0),
      x.slice(1).map((name) => (name ? b.constant(name) : undefined)),
    );
    if (cuts.every((cut) => cut.step === 1)) {
      const after = cuts.map((cut, i) => dims(0)[i]! - cut.start - cut.size);
      return b.op('Pad', [dy, b.int64([...cuts.map((cut) => cut.start), ...after])]);
    }
    return cuts.reduce((value, { start, step, size }, axis) => {
      if (size === dims(0)[axis] && step === 1) return value;
      const positions = Array.from({ length: size }, (_, i) => start + i * step);
      return placeAlong(b, value, axis, dims(0)[axis]!, positions);
    }, dy);
  },
];

/** Up to about this many slices, a product with one-hot rows takes less time than ScatterElements. */
const FEW_SLICES = 256;

/**
 * Distinct constant indices: their slices are put back. Else the slices of dy are summed by index: ScatterElements takes them one after another, so
 * sums are always the same; those of ScatterND, in a seventh of the time, race.
 */
export const gather: Vjp = ({ node, b, x, dy, dims }) => [
  () => {
    const [data, index] = [dims(0), dims(1)];
    const axis = positive(numberOf(node, 'axis', 0), data.length);
    const [size, count] = [data[axis]!, elementCount(index)];
    const known = b.constant(x[1]!)?.map((i) => positive(i, size));
    const [before, after] = [data.slice(0, axis), data.slice(axis + 1)];
    const slices = b.op('Reshape', [dy, b.int64([...before, count, ...after])]);
    if (known && new Set(known).size === count) return placeAlong(b, slices, axis, size, known);
    const order = data.map((_, i) => i);
    const front = [axis, ...order.toSpliced(axis, 1)];
    const first = b.op('Transpose', [slices], { perm: front });
    const rows = b.op('Reshape', [first, b.int64([count, elementCount([...before, ...after])])]);
    const flat = b.op('Reshape', [x[1]!, b.int64([count])]);
    const sum = size <= FEW_SLICES ? oneHotSum(b, flat, rows, size) : scatterSum(b, flat, rows, size);
    const whole = b.op('Reshape', [sum, b.int64([size, ...before, ...after])]);
    return b.op('Transpose', [whole], { perm: order.map((i) => front.indexOf(i)) });
  },
];

/** [size, width]: the sum of those of `rows` [count, width] that `index` [count] sends to each place. */
const oneHotSum = (b: TypedBuilder, index: string, rows: string, size: number) =>
  b.op('Gemm', [b.op('OneHot', [index, b.int64(size), b.float([0, 1])]), rows], { transA: 1 });

/** As `oneHotSum`. */
function scatterSum(b: TypedBuilder, index: string, rows: string, size: number): string {
  const [count, width] = b.dims(rows) as [number, number];
  const column = b.op('Reshape', [index, b.int64([count, 1])]);
  const places = b.op('Expand', [column, b.int64([count, width])]);
  return b.op('ScatterElements', [zeros(b, [size, width]), places, rows], { axis: 0, reduction: 'add' });
}

export const concat: Vjp = ({ node, b, x, dy, dims }) => {
  const axis = numberOf(node, 'axis', 0);
  let parts: readonly string[] | undefined;
  return x.map((_, i) => () => {
    const sizes = x.map((_, j) => dims(j)[positive(axis, dims(j).length)]!);
    parts ??= b.ops(
      'Split',
      [dy, b.int64(sizes)],
      { axis },
      sizes.map(() => b.fresh('Split')),
    );
    return parts[i]!;
  });
};

export const gatherElements: Vjp = ({ node, b, x, dy, dims }) => [
  () => {
    const attributes = { axis: numberOf(node, 'axis', 0), reduction: 'add' };
    return b.op('ScatterElements', [zeros(b, dims(0)), x[1]!, dy], attributes);
  },
];

export const split: Vjp = ({ node, b, y, gradients }) => [
  () =>
    b.op(
      'Concat',
      y.map((name, i) => gradients[i] ?? zeros(b, b.dims(name))),
      { axis: numberOf(node, 'axis', 0) },
    ),
];

export const transpose: Vjp = ({ node, b, dy, dims }) => [
  () => {
    const order = dims(0).map((_, i) => i);
    const perm = numbersOf(node, 'perm', [...order].reverse());
    return b.op('Transpose', [dy], { perm: order.map((i) => perm.indexOf(i)) });
  },
];
