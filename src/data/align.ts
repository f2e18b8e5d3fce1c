import { elementCount } from '../graph/tensor.ts';
import { imageShape } from './preprocessing.ts';
import type { Layout } from './types.ts';

/** Steps, in elements, from one channel, row and column to the next. */
interface Strides {
  readonly c: number;
  readonly y: number;
  readonly x: number;
}

/** Where each element of a record goes in the model's input. A sample without axes is one row of one channel. */
export interface Alignment {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly from: Strides;
  readonly to: Strides;
  readonly isImage: boolean;
}

/**
 * How a record of dims `record` fills an input of dims `dims`: as it is, with channels moved to the other end, or with
 * axes of length 1 added or removed. One channel may also be flattened. Undefined when the shapes do not determine how.
 */
export function align(
  record: readonly number[],
  dims: readonly number[],
  layout: Layout,
): Alignment | undefined {
  const shape = imageShape(dims, layout);
  if (!shape) return alignFlat(record, dims);
  const { channels, height, width } = shape;
  const planar = [channels, height, width];
  const interleaved = [height, width, channels];
  const order = same(record, dims)
    ? layout
    : same(record, planar)
      ? 'NCHW'
      : same(record, interleaved)
        ? 'NHWC'
        : channels === 1 && isReshape(record, [height, width])
          ? layout
          : undefined;
  if (!order) return undefined;
  return {
    ...shape,
    from: strides(planar, order),
    to: strides(planar, layout),
    isImage: height > 1 && width > 1,
  };
}

function alignFlat(record: readonly number[], dims: readonly number[]): Alignment | undefined {
  if (!isReshape(record, dims)) return undefined;
  const axes = record.filter((d) => d !== 1);
  const isImage = axes.length === 2;
  const [height, width] = isImage ? (axes as [number, number]) : [1, elementCount(record)];
  const rows = strides([1, height, width], 'NCHW');
  return { channels: 1, height, width, from: rows, to: rows, isImage };
}

function strides([channels, height, width]: readonly number[], layout: Layout): Strides {
  return layout === 'NHWC'
    ? { c: 1, y: width! * channels!, x: channels! }
    : { c: height! * width!, y: width!, x: 1 };
}

/** Equal but for axes of length 1, or one of them flattened. */
export function isReshape(a: readonly number[], b: readonly number[]): boolean {
  const [x, y] = [a.filter((d) => d !== 1), b.filter((d) => d !== 1)];
  return elementCount(a) === elementCount(b) && (x.length <= 1 || y.length <= 1 || same(x, y));
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}
