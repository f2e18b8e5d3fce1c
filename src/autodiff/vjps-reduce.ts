/** Gradients of sums, means, maxima and minima. */

import { numberOf } from '../graph/attributes.ts';
import type { TypedBuilder } from '../graph/infer.ts';
import { reducedAxes } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import { scaled, type Vjp, type VjpContext } from './vjp.ts';

/** The output or gradient of a reduction with its reduced axes back as ones. */
function keptDims({ node, b, x, dims }: VjpContext, value: string): string {
  const axes = axesOf({ node, b, x, dims });
  if (numberOf(node, 'keepdims', 1)) return value;
  return b.op('Reshape', [value, b.int64(dims(0).map((d, i) => (axes.includes(i) ? 1 : d)))]);
}

const axesOf = ({ node, b, x, dims }: Pick<VjpContext, 'node' | 'b' | 'x' | 'dims'>) =>
  reducedAxes(node, dims(0).length, x[1] ? b.constant(x[1]) : undefined);

/** The share of each of `values` in their maximum or minimum `y`: ties share evenly. */
function winners(b: TypedBuilder, values: readonly string[], y: string): string[] {
  const hits = values.map((v) => b.op('Cast', [b.op('Equal', [v, y])], { to: 1 }));
  const count = b.op('Sum', hits);
  return hits.map((hit) => b.op('Div', [hit, count]));
}

/** Max and Min of several inputs. */
export const extremum: Vjp = ({ b, x, y, dy }) => {
  let shares: readonly string[] | undefined;
  return x.map((_, i) => () => {
    shares ??= winners(b, x, y[0]!);
    return b.op('Mul', [dy, shares[i]!]);
  });
};

/** ReduceMax and ReduceMin. */
export const reducedExtremum: Vjp = (c) => [
  () => {
    const { b, x, y, dy } = c;
    const hit = b.op('Cast', [b.op('Equal', [x[0]!, keptDims(c, y[0]!)])], { to: 1 });
    const count = b.op('ReduceSum', [hit, b.int64(axesOf(c))]);
    return b.op('Mul', [hit, b.op('Div', [keptDims(c, dy), count])]);
  },
];

export const reduceSum: Vjp = (c) => [() => keptDims(c, c.dy)];

export const reduceMean: Vjp = (c) => [
  () => {
    const count = elementCount(axesOf(c).map((i) => c.dims(0)[i]!));
    return scaled(c.b, keptDims(c, c.dy), 1 / count);
  },
];
