/** A node's op and attributes as plain values. */
import { noShapeRule } from '../errors/index.ts';
import { floatTensor, int64Tensor } from './tensor.ts';
import type { Node, Tensor } from './types.ts';

/** `Conv`, or `offramp.RowsConv` outside the default domain. */
export const qualifiedOp = ({ domain, opType }: Node) => (domain ? `${domain}.${opType}` : opType);

/** An INT or FLOAT attribute, or `fallback`. */
export function numberOf(node: Node, key: string, fallback: number): number {
  const a = node.attributes[key];
  return a?.type === 'INT' || a?.type === 'FLOAT' ? a.value : fallback;
}

/** An INTS attribute, or `fallback`. */
export function numbersOf<T>(node: Node, key: string, fallback: T): readonly number[] | T {
  const a = node.attributes[key];
  return a?.type === 'INTS' || a?.type === 'FLOATS' ? a.value : fallback;
}

/** The tensor of a Constant node. */
export function tensorOf(node: Node): Tensor {
  const { value, value_int: int, value_ints: ints, value_float: f, value_floats: floats } = node.attributes;
  if (value?.type === 'TENSOR') return value.value;
  if (int?.type === 'INT') return int64Tensor('', [], [int.value]);
  if (ints?.type === 'INTS') return int64Tensor('', [ints.value.length], ints.value);
  if (f?.type === 'FLOAT') return floatTensor('', [], [f.value]);
  if (floats?.type === 'FLOATS') return floatTensor('', [floats.value.length], floats.value);
  throw noShapeRule(node.opType, node.name);
}
