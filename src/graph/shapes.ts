/** Arithmetic of static shapes: windows, broadcasting, axes, slices. */
import { noShapeRule, shapeMismatch } from '../errors/index.ts';
import { numberOf, numbersOf } from './attributes.ts';
import type { DataType, Node } from './types.ts';

export type Dims = readonly number[];

export interface StaticType {
  readonly dataType: DataType;
  readonly dims: Dims;
}

/** How a kernel slides over the spatial axes; `pads` is [...begins, ...ends]. */
export interface Window {
  readonly kernel: Dims;
  readonly strides: Dims;
  readonly dilations: Dims;
  readonly pads: Dims;
}

/** The window of a Conv, ConvTranspose or pooling node; `kernel`: for nodes without the attribute `kernel_shape`. */
export function windowOf(node: Node, kernel: Dims = numbersOf(node, 'kernel_shape', [])): Window {
  const auto = node.attributes.auto_pad;
  if (auto?.type === 'STRING' && auto.value !== 'NOTSET' && auto.value !== 'VALID')
    throw noShapeRule(`${node.opType} with auto_pad ${auto.value}`, node.name);
  const ones = kernel.map(() => 1);
  return {
    kernel,
    strides: numbersOf(node, 'strides', ones),
    dilations: numbersOf(node, 'dilations', ones),
    pads: numbersOf(node, 'pads', [...ones, ...ones].fill(0)),
  };
}

/** Spatial dims that a window over `size` gives. */
export function slide(size: Dims, { kernel, strides, dilations, pads }: Window, ceil = false): number[] {
  const rank = kernel.length;
  return kernel.map((k, i) => {
    const room = size[i]! + pads[i]! + pads[i + rank]! - dilations[i]! * (k - 1) - 1;
    const steps = room / strides[i]!;
    const out = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceil && (out - 1) * strides[i]! >= size[i]! + pads[i]! ? out - 1 : out;
  });
}

/** Multidirectional broadcasting of shapes. */
export function broadcast(shapes: readonly Dims[], where: string): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((s) => s[i - rank + s.length] ?? 1).filter((d) => d !== 1);
    if (sizes.some((d) => d !== sizes[0])) throw shapeMismatch(where, shapes);
    return sizes[0] ?? 1;
  });
}

/** `axis` counted from the front. */
export const positive = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

/** Start and step per axis, and the size that is left, of a Slice node's constant arguments. */
export function sliceOf(dims: Dims, [starts, ends, axes, steps]: readonly (readonly number[] | undefined)[]) {
  const cut = dims.map((size) => ({ start: 0, step: 1, size }));
  (axes ?? starts!.map((_, i) => i)).forEach((axis, i) => {
    const at = positive(axis, dims.length);
    const size = dims[at]!;
    const step = steps?.[i] ?? 1;
    const clamp = (v: number, low: number, high: number) =>
      Math.min(Math.max(v < 0 ? v + size : v, low), high);
    const start = step > 0 ? clamp(starts![i]!, 0, size) : clamp(starts![i]!, 0, size - 1);
    const end = step > 0 ? clamp(ends![i]!, 0, size) : clamp(ends![i]!, -1, size - 1);
    cut[at] = { start, step, size: Math.max(0, Math.ceil((end - start) / step)) };
  });
  return cut;
}

/** The axes a reduction runs over, from the attribute or the second input. */
export function reducedAxes(node: Node, rank: number, constant: readonly number[] | undefined): number[] {
  const axes = numbersOf(node, 'axes', constant);
  if (axes?.length) return axes.map((a) => positive(a, rank)).sort((a, b) => a - b);
  return numberOf(node, 'noop_with_empty_axes', 0) ? [] : Array.from({ length: rank }, (_, i) => i);
}
