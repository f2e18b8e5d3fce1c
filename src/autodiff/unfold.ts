/** im2col and its inverse, as indices that are known when the graph is written. */
import type { TypedBuilder } from '../graph/infer.ts';
import { type Dims, slide, type Window } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';

/** [N, C, ...size] → [N, pixels, C] */
export function channelsLast(b: TypedBuilder, map: string): string {
  const [n, c, ...size] = b.dims(map) as [number, number, ...number[]];
  const flat = b.op('Reshape', [map, b.int64([n, c, elementCount(size)])]);
  return b.op('Transpose', [flat], { perm: [0, 2, 1] });
}

/** [N, pixels, C] → [N, pixels'·taps, C], the elements in each window over a map of `size`; those outside are 0. */
export function unfold(b: TypedBuilder, value: string, size: Dims, window: Window): string {
  return pick(b, value, unfoldIndex(size, window));
}

/** [N, elements, C] → [N, index.length, C]: the elements that `index` names; 0 where it names the one behind the last. */
export function pick(b: TypedBuilder, value: string, index: readonly number[]): string {
  const [n, elements, c] = b.dims(value) as [number, number, number];
  if (index.length === elements && index.every((at, i) => at === i)) return value;
  const zero = () => b.op('ConstantOfShape', [b.int64([n, 1, c])]);
  const source = index.includes(elements) ? b.op('Concat', [value, zero()], { axis: 1 }) : value;
  return b.op('Gather', [source, b.int64(index)], { axis: 1 });
}

/** For each output position and each tap of the window, the flat index of the element there; the element count if outside. */
function unfoldIndex(size: Dims, window: Window): number[] {
  const { kernel, strides, dilations, pads } = window;
  return positions(slide(size, window)).flatMap((at) =>
    positions(kernel).map((tap) =>
      flatIndex(
        at.map((o, i) => o * strides[i]! + tap[i]! * dilations[i]! - pads[i]!),
        size,
      ),
    ),
  );
}

/** Positions of a map that the same taps of a window read, and for which outputs. */
export interface PixelGroup {
  /** Flat indices in the map. */
  readonly pixels: readonly number[];
  /** Flat indices in the kernel. */
  readonly taps: readonly number[];
  /** For each pixel and each tap, the output whose window has it there; the number of outputs where there is none. */
  readonly outputs: readonly number[];
}

/**
 * Every position of a map of `size` with the taps that can meet it: all of them for stride 1, and by the position's remainder for larger ones,
 * so that nothing is computed for the outputs that strides leave out.
 */
export function groupByTaps(size: Dims, window: Window): PixelGroup[] {
  const { kernel, strides, dilations, pads } = window;
  const out = slide(size, window);
  const groups = new Map<string, { pixels: number[]; taps: number[][]; outputs: number[] }>();
  for (const [pixel, at] of positions(size).entries()) {
    const meets = (tap: readonly number[]) =>
      tap.every((k, i) => (at[i]! + pads[i]! - k * dilations[i]!) % strides[i]! === 0);
    const key = at.map((p, i) => (p + pads[i]!) % strides[i]!).join();
    const group = groups.get(key) ?? { pixels: [], taps: positions(kernel).filter(meets), outputs: [] };
    groups.set(key, group);
    group.pixels.push(pixel);
    for (const tap of group.taps) {
      const output = tap.map((k, i) => (at[i]! + pads[i]! - k * dilations[i]!) / strides[i]!);
      group.outputs.push(flatIndex(output, out));
    }
  }
  return [...groups.values()].map((g) => ({ ...g, taps: g.taps.map((tap) => flatIndex(tap, kernel)) }));
}

/** Where `at` lies in a box of `size`, the last axis fastest; the element count if outside. */
function flatIndex(at: readonly number[], size: Dims): number {
  if (at.some((p, i) => p < 0 || p >= size[i]!)) return elementCount(size);
  return at.reduce((flat, p, i) => flat * size[i]! + p, 0);
}

/** Every index of a box of `dims`, the last axis fastest. */
export function positions(dims: Dims): number[][] {
  return dims.reduce<number[][]>(
    (before, d) => before.flatMap((head) => Array.from({ length: d }, (_, i) => [...head, i])),
    [[]],
  );
}
