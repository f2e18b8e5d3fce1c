/**
 * Blocked maps: what `com.microsoft.nchwc` ops of ONNX Runtime read and write. A map [N, C, H, W] lies in memory as [N, C/b, H, W, b], b channels
 * side by side, and is still typed [N, C, H, W]: only these ops, elementwise ops of equal shapes and Reshape to [N, C/b, H·W, b] may touch it.
 * A filter [O, I, kh, kw] lies as [O/b, I/b, kh, kw, b of I, b of O].
 */

import type { AttributeValue } from '../graph/builder.ts';
import { makeNode } from '../graph/builder.ts';
import type { TypedBuilder } from '../graph/infer.ts';
import { elementCount } from '../graph/tensor.ts';

const NCHWC = 'com.microsoft.nchwc';

/** A node of the blocked layout. */
export function blockedOp(
  b: TypedBuilder,
  opType: string,
  inputs: readonly string[],
  attributes: Record<string, AttributeValue> = {},
  as?: string,
): string {
  const y = as ?? b.fresh(opType);
  b.add({ ...makeNode(opType, inputs, [y], attributes), domain: NCHWC });
  return y;
}

/** The same elements as `dims`. */
export const viewed = (b: TypedBuilder, value: string, dims: readonly number[]) =>
  b.dims(value).join() === dims.join() ? value : b.op('Reshape', [value, b.int64(dims)]);

/** [O, I, kh, kw] → the filter that a blocked Conv reads; I below `block` is of a plain map. */
export function blockFilter(b: TypedBuilder, weight: string, block: number): string {
  const [o, i, ...kernel] = b.dims(weight) as [number, number, ...number[]];
  const taps = elementCount(kernel);
  const plain = i < block;
  const split = plain ? [o / block, block, i, taps] : [o / block, block, i / block, block, taps];
  const swapped = b.op('Transpose', [viewed(b, weight, split)], {
    perm: plain ? [0, 2, 3, 1] : [0, 2, 4, 3, 1],
  });
  return viewed(b, swapped, [o, i, ...kernel]);
}

/** y = scale·x + shift, per channel, of a blocked map; `plus` is added. scale, shift: [C] */
export function affine(
  b: TypedBuilder,
  x: string,
  scale: string,
  shift: string,
  options: { readonly plus?: string; readonly as?: string } = {},
): string {
  const [n, c, ...size] = b.dims(x) as [number, number, ...number[]];
  const row = [n, c, 1, elementCount(size)];
  const inputs = [viewed(b, x, row), viewed(b, scale, [c, 1, 1, 1]), shift];
  if (options.plus) inputs.push(viewed(b, options.plus, row));
  const y = blockedOp(b, 'Conv', inputs, { kernel_shape: [1, 1], group: c });
  return b.op('Reshape', [y, b.int64(b.dims(x))], {}, options.as);
}

/** Σ x over all but channels, of a blocked map. [C] */
export function channelSum(b: TypedBuilder, x: string): string {
  const [n, c, ...size] = b.dims(x) as [number, number, ...number[]];
  const means = viewed(b, blockedOp(b, 'GlobalAveragePool', [x]), [n, c]);
  const sum = b.op('ReduceSum', [means, b.int64([0])], { keepdims: 0 });
  return b.op('Mul', [sum, b.float(elementCount(size))]);
}

/** Σ x·y over all but channels, of two blocked maps: each map of x is convolved with that of y as a window of its size. [C] */
export function channelDot(b: TypedBuilder, x: string, y: string): string {
  const [n, c, ...size] = b.dims(x) as [number, number, ...number[]];
  const maps = [viewed(b, x, [1, n * c, ...size]), viewed(b, y, [n * c, 1, ...size])];
  const dots = blockedOp(b, 'Conv', maps, { kernel_shape: size, group: n * c });
  return b.op('ReduceSum', [viewed(b, dots, [n, c]), b.int64([0])], { keepdims: 0 });
}
