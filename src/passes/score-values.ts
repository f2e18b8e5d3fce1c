/** Values between a classifier's logits and its output: vectors of scores, constants, and values that are equal. */
import { elementCount, toNumbers } from '../graph/tensor.ts';
import { type DataType, type Model, type Node, opsetOf, type Tensor } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import type { Fact } from './exits.ts';

/** A graph with what is known of its values. */
export interface Values {
  readonly facts: ReadonlyMap<string, Fact>;
  readonly producer: ReadonlyMap<string, Node>;
  readonly initializer: ReadonlyMap<string, Tensor>;
  readonly opset: number;
}

export function valuesOf(model: Model, facts: ReadonlyMap<string, Fact>): Values {
  const { producer, initializer } = indexGraph(model.graph);
  return { facts, producer, initializer, opset: opsetOf(model) };
}

/** A float of `count` numbers a sample that all lie along one axis: [N, count] or [N, 1, 1, count], say. */
export function isVector(fact: Fact | undefined, count: number): boolean {
  if (fact?.batchAxis !== 0 || fact.batchTrouble) return false;
  if (fact.dataType !== 'float' && fact.dataType !== 'float16') return false;
  const own = fact.dims.slice(1);
  return elementCount(own) === count && (count === 1 || own.includes(count));
}

/** Number of classes when `fact` is one vector of scores a sample: [N, C] or [N, C, 1, 1]; else undefined. */
export function classesOf(fact: Fact | undefined): number | undefined {
  const classes = fact?.dims[1];
  return classes !== undefined && classes > 1 && isVector(fact, classes) ? classes : undefined;
}

/** Ops whose result holds the numbers of their first input, in its order. */
export const SAME = new Set([
  'Identity',
  'Cast',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Dropout',
  'Transpose',
]);

/** The earliest value that holds the same number a sample as `value`: before reshapes and broadcasts, and before exporters' Max(-inf, x). */
export function sameNumber(values: Values, value: string): string {
  const node = values.producer.get(value);
  if (!node) return value;
  const [x = '', y = ''] = node.inputs;
  const isMax = node.opType === 'Max' && scalarOf(values, x) === Number.NEGATIVE_INFINITY;
  const before = isMax ? y : x;
  const isSame = isMax || SAME.has(node.opType) || node.opType === 'Expand';
  return isSame && isVector(values.facts.get(before), 1) ? sameNumber(values, before) : value;
}

/** The number that `value` always is; undefined when it is not one constant number. */
export function scalarOf(values: Values, value: string): number | undefined {
  const numbers = constantOf(values, value);
  return numbers?.length === 1 ? numbers[0] : undefined;
}

const READABLE = new Set<DataType>(['float', 'float16', 'double', 'int64', 'int32']);

/** The elements of a constant of at most 64 bytes; undefined for anything else. */
export function constantOf(values: Values, value: string): readonly number[] | undefined {
  const node = values.producer.get(value);
  if (node && (node.opType === 'Identity' || node.opType === 'Cast'))
    return constantOf(values, node.inputs[0]!);
  const { value: own, value_float: float, value_int: int } = node?.attributes ?? {};
  if (float?.type === 'FLOAT' || int?.type === 'INT') return [(float ?? int)!.value as number];
  const tensor = own?.type === 'TENSOR' ? own.value : values.initializer.get(value);
  const isSmall =
    tensor && !tensor.external && tensor.bytes.byteLength <= 64 && READABLE.has(tensor.dataType);
  return isSmall ? toNumbers(tensor) : undefined;
}
