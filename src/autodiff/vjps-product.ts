/** Gradients of matrix products. */
import { numberOf } from '../graph/attributes.ts';
import type { Dims } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import { scaled, sumTo, type Vjp } from './vjp.ts';

export const gemm: Vjp = ({ node, b, x, dy }) => {
  const [alpha, beta] = [numberOf(node, 'alpha', 1), numberOf(node, 'beta', 1)];
  const [transA, transB] = [numberOf(node, 'transA', 0), numberOf(node, 'transB', 0)];
  const product = (left: string, right: string, tl: number, tr: number) =>
    b.op('Gemm', [left, right], { alpha: { type: 'FLOAT', value: alpha }, transA: tl, transB: tr });
  return [
    () => (transA ? product(x[1]!, dy, transB, 1) : product(dy, x[1]!, 0, 1 - transB)),
    () => (transB ? product(dy, x[0]!, 1, transA) : product(x[0]!, dy, 1 - transA, 0)),
    () => scaled(b, dy, beta),
  ];
};

export const matMul: Vjp = ({ b, x, dy, dims }) => {
  const [left, right] = [dims(0), dims(1)];
  const view = (value: string, to: Dims) =>
    b.dims(value).join() === to.join() ? value : b.op('Reshape', [value, b.int64(to)]);
  const swapped = (value: string) => {
    const perm = b.dims(value).map((_, i) => i);
    return b.op('Transpose', [value], { perm: [...perm.slice(0, -2), perm.at(-1)!, perm.at(-2)!] });
  };
  const a = left.length > 1 ? x[0]! : view(x[0]!, [1, ...left]);
  const c = right.length > 1 ? x[1]! : view(x[1]!, [...right, 1]);
  const [m, k, n] = [b.dims(a).at(-2)!, b.dims(a).at(-1)!, b.dims(c).at(-1)!];
  const batch = b.dims(dy).slice(0, Math.max(left.length, right.length, 2) - 2);
  const g = view(dy, [...batch, m, n]);
  const rows = elementCount(batch) * m;
  return [
    () => {
      const da = b.op('MatMul', [g, swapped(c)]);
      return left.length > 1 ? da : view(sumTo(b, da, [1, k]), left);
    },
    () => {
      // A matrix shared by the whole batch: one tall product instead of many small ones and their sum.
      if (right.length === 2) return b.op('Gemm', [view(a, [rows, k]), view(g, [rows, n])], { transA: 1 });
      const dc = b.op('MatMul', [swapped(a), g]);
      return right.length > 1 ? dc : view(sumTo(b, dc, [k, 1]), right);
    },
  ];
};
