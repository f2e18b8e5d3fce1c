/** Graph idioms that policies share, in whichever form the operator set has them. */
import type { GraphBuilder } from '../graph/builder.ts';

/** ReduceMax over one axis, dropped: its axes are an attribute before opset 18 and an input from there on. */
export function reduceMax(b: GraphBuilder, value: string, axis: number, opset: number, as?: string): string {
  return opset < 18
    ? b.op('ReduceMax', [value], { axes: [axis], keepdims: 0 }, as)
    : b.op('ReduceMax', [value, b.int64([axis])], { keepdims: 0 }, as);
}

/** ReduceSum over one axis, dropped: its axes are an attribute before opset 13. */
export function reduceSum(b: GraphBuilder, value: string, axis: number, opset: number): string {
  return opset < 13
    ? b.op('ReduceSum', [value], { axes: [axis], keepdims: 0 })
    : b.op('ReduceSum', [value, b.int64([axis])], { keepdims: 0 });
}

/** Column `index` of `value` [M, n], as [M]. */
export const column = (b: GraphBuilder, value: string, index: number): string =>
  b.op('Gather', [value, b.int64(index)], { axis: 1 });

/** Columns `from` to before `to` of `value` [M, n]. */
export const columns = (b: GraphBuilder, value: string, from: number, to: number): string =>
  b.op('Slice', [value, b.int64([from]), b.int64([to]), b.int64([1])]);

/** [M] → [M, 1]. */
export const asColumn = (b: GraphBuilder, value: string): string =>
  b.op('Reshape', [value, b.int64([-1, 1])]);
