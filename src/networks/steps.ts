/** What adapters are made of, and their last step: the type. */
import type { GraphBuilder } from '../graph/builder.ts';
import { DATA_TYPES, type DataType } from '../graph/types.ts';

/** A part of an adapter. */
export interface Step {
  /** In plain words, for manifest and report; without it, the step only serves another. */
  readonly told?: string | undefined;
  /** It computes with float32. */
  readonly arithmetic?: boolean;
  /** Writes its nodes, and returns the value that they make of `value`. */
  readonly write: (b: GraphBuilder, value: string) => string;
}

/** A step of one node with `value` as its first input, and initializers that `others` writes. */
export const nodeStep = (
  opType: string,
  attributes: Parameters<GraphBuilder['op']>[2],
  others: (b: GraphBuilder) => readonly string[] = () => [],
  told?: string,
): Step => ({ told, write: (b, value) => b.op(opType, [value, ...others(b)], attributes) });

/** `value` with rows of `dims`: [N, …] → [N, ...dims]. */
export const reshape = (dims: readonly number[], told?: string): Step =>
  nodeStep('Reshape', {}, (b) => [b.int64([0, ...dims])], told);

const FLOATS: readonly DataType[] = ['float', 'float16', 'double'];

/** Least and largest float32 in the range of each integer type. */
const RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  uint8: [0, 2 ** 8 - 1],
  int8: [-(2 ** 7), 2 ** 7 - 1],
  uint16: [0, 2 ** 16 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  uint32: [0, 2 ** 32 - 2 ** 8],
  int32: [-(2 ** 31), 2 ** 31 - 2 ** 7],
  uint64: [0, 2 ** 64 - 2 ** 40],
  int64: [-(2 ** 63), 2 ** 63 - 2 ** 39],
};

export const cast = (to: DataType, told?: string): Step =>
  nodeStep('Cast', { to: DATA_TYPES.indexOf(to) }, undefined, told);

/**
 * Numbers of type `from` as `to`. Into integers they are rounded to the nearest and kept in range: Cast alone cuts off fractions, and what it
 * makes of 256 as a uint8 differs between providers. Undefined when one of the types is not of numbers.
 */
export function castSteps(from: DataType, to: DataType): readonly Step[] | undefined {
  if (from === to) return [];
  const isNumber = (type: DataType) => FLOATS.includes(type) || RANGES[type] !== undefined;
  if (!isNumber(from) || !isNumber(to)) return undefined;
  const [range, old] = [RANGES[to], RANGES[from]];
  if (!range || (old && range[0] <= old[0] && old[1] <= range[1])) return [cast(to, to)];
  return [
    ...(from === 'float' ? [] : [cast('float')]),
    nodeStep('Round', {}),
    nodeStep('Clip', {}, (b) => [b.float(range[0]), b.float(range[1])]),
    cast(to, to),
  ];
}
