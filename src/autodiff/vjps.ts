/**
 * Vector-Jacobian products, one rule per op (opset 17 forms): from the gradient of a node's output to those of its inputs.
 * Heavier rules live in vjps-conv.ts and vjps-norm.ts.
 */
import { noGradientRule } from '../errors/index.ts';
import {
  type Dims,
  numberOf,
  numbersOf,
  positive,
  reducedAxes,
  sliceOf,
  type TypedBuilder,
} from '../graph/infer.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Node } from '../graph/types.ts';
import { averagePool, conv, maxPool, rowsConv } from './vjps-conv.ts';
import { batchNormalization, layerNormalization } from './vjps-norm.ts';

/** What a rule sees. */
export interface VjpContext {
  readonly node: Node;
  /** Where gradient nodes go; knows the shape of every value, the new ones included. */
  readonly b: TypedBuilder;
  /** Names of the node's inputs and outputs. */
  readonly x: readonly string[];
  readonly y: readonly string[];
  /** Gradient of output 0, in its shape. */
  readonly dy: string;
  /** As `dy`, but perhaps still to be broadcast to its shape: for rules that broadcast by themselves. */
  readonly looseDy: string;
  /** Gradients of all outputs; undefined where none arrived. */
  readonly gradients: readonly (string | undefined)[];
  /** Whether the gradient of input `i` will be asked for. */
  wants(i: number): boolean;
  /** Shape of input `i`. */
  dims(i: number): Dims;
}

/**
 * Per input, a thunk that builds its gradient, called only when wanted; undefined where there is none to build.
 * A gradient may keep the broadcast shape of the output: the engine sums it back (`sumTo`). One that is the same all along
 * some axes may have size 1 there.
 */
export type Vjp = (context: VjpContext) => readonly ((() => string) | undefined)[];

/** `gradient` summed over the axes along which `dims` was broadcast. [dims] */
export function sumTo(b: TypedBuilder, gradient: string, dims: Dims): string {
  const from = b.dims(gradient);
  const extra = from.length - dims.length;
  const axes = from.flatMap((d, i) => (i < extra || (d !== 1 && dims[i - extra] === 1) ? [i] : []));
  const sum = axes.length ? b.op('ReduceSum', [gradient, b.int64(axes)]) : gradient;
  return extra ? b.op('Reshape', [sum, b.int64(dims)]) : sum;
}

/** A float tensor of zeros that takes no room in the model. [dims] */
const zeros = (b: TypedBuilder, dims: Dims) => b.op('ConstantOfShape', [b.int64(dims)]);

const reshape: Vjp = ({ b, dy, dims }) => [() => b.op('Reshape', [dy, b.int64(dims(0))])];

/** dx = dy · f'(x), with the derivative built from x and y. */
const pointwise =
  (derivative: (b: TypedBuilder, x: string, y: string, node: Node) => string): Vjp =>
  ({ b, x, y, looseDy, node }) => [() => b.op('Mul', [looseDy, derivative(b, x[0]!, y[0]!, node)])];

/** dy where `mask`, else 0; nearly twice as fast as Where. */
const masked = (b: TypedBuilder, mask: string, dy: string) =>
  b.op('Mul', [dy, b.op('Cast', [mask], { to: 1 })]);

/** The output or gradient of a reduction with its reduced axes back as ones. */
function keptDims({ node, b, x, dims }: VjpContext, value: string): string {
  const axes = axesOf({ node, b, x, dims });
  if (numberOf(node, 'keepdims', 1)) return value;
  return b.op('Reshape', [value, b.int64(dims(0).map((d, i) => (axes.includes(i) ? 1 : d)))]);
}

const axesOf = ({ node, b, x, dims }: Pick<VjpContext, 'node' | 'b' | 'x' | 'dims'>) =>
  reducedAxes(node, dims(0).length, x[1] ? b.constant(x[1]) : undefined);

const scaled = (b: TypedBuilder, value: string, factor: number) =>
  factor === 1 ? value : b.op('Mul', [value, b.float(factor)]);

/** The share of each of `values` in their maximum or minimum `y`: ties share evenly. */
function winners(b: TypedBuilder, values: readonly string[], y: string): string[] {
  const hits = values.map((v) => b.op('Cast', [b.op('Equal', [v, y])], { to: 1 }));
  const count = b.op('Sum', hits);
  return hits.map((hit) => b.op('Div', [hit, count]));
}

const extremum: Vjp = ({ b, x, y, dy }) => {
  let shares: readonly string[] | undefined;
  return x.map((_, i) => () => {
    shares ??= winners(b, x, y[0]!);
    return b.op('Mul', [dy, shares[i]!]);
  });
};

const reducedExtremum: Vjp = (c) => [
  () => {
    const { b, x, y, dy } = c;
    const hit = b.op('Cast', [b.op('Equal', [x[0]!, keptDims(c, y[0]!)])], { to: 1 });
    const count = b.op('ReduceSum', [hit, b.int64(axesOf(c))]);
    return b.op('Mul', [hit, b.op('Div', [keptDims(c, dy), count])]);
  },
];

const gemm: Vjp = ({ node, b, x, dy }) => {
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

const matMul: Vjp = ({ b, x, dy, dims }) => {
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

/** Puts slice `i` of `value` at `positions[i]` of an axis of `size`, zeros elsewhere. */
function placeAlong(b: TypedBuilder, value: string, axis: number, size: number, positions: Dims): string {
  const dims = b.dims(value);
  const padded = b.op('Concat', [value, zeros(b, dims.with(axis, 1))], { axis });
  const index = new Array<number>(size).fill(dims[axis]!);
  positions.forEach((at, i) => {
    index[at] = i;
  });
  return b.op('Gather', [padded, b.int64(index)], { axis });
}

const slice: Vjp = ({ b, x, dy, dims }) => [
  () => {
    const cuts = sliceOf(
      dims(0),
      x.slice(1).map((name) => (name ? b.constant(name) : undefined)),
    );
    if (cuts.every((cut) => cut.step === 1)) {
      const after = cuts.map((cut, i) => dims(0)[i]! - cut.start - cut.size);
      return b.op('Pad', [dy, b.int64([...cuts.map((cut) => cut.start), ...after])]);
    }
    return cuts.reduce((value, { start, step, size }, axis) => {
      if (size === dims(0)[axis] && step === 1) return value;
      const positions = Array.from({ length: size }, (_, i) => start + i * step);
      return placeAlong(b, value, axis, dims(0)[axis]!, positions);
    }, dy);
  },
];

/** Distinct constant indices: their slices are put back. Else one-hot rows times dy, for ScatterND's sums race. */
const gather: Vjp = ({ node, b, x, dy, dims }) => [
  () => {
    const [data, index] = [dims(0), dims(1)];
    const axis = positive(numberOf(node, 'axis', 0), data.length);
    const [size, count] = [data[axis]!, elementCount(index)];
    const known = b.constant(x[1]!)?.map((i) => positive(i, size));
    const [before, after] = [data.slice(0, axis), data.slice(axis + 1)];
    const slices = b.op('Reshape', [dy, b.int64([...before, count, ...after])]);
    if (known && new Set(known).size === count) return placeAlong(b, slices, axis, size, known);
    const order = data.map((_, i) => i);
    const front = [axis, ...order.toSpliced(axis, 1)];
    const first = b.op('Transpose', [slices], { perm: front });
    const rows = b.op('Reshape', [first, b.int64([count, elementCount([...before, ...after])])]);
    const flat = b.op('Reshape', [x[1]!, b.int64([count])]);
    const hot = b.op('OneHot', [flat, b.int64(size), b.float([0, 1])]);
    const sum = b.op('Gemm', [hot, rows], { transA: 1 });
    const whole = b.op('Reshape', [sum, b.int64([size, ...before, ...after])]);
    return b.op('Transpose', [whole], { perm: order.map((i) => front.indexOf(i)) });
  },
];

const dropout: Vjp = ({ node, b, x, y, dy }) => [
  () => {
    const training = x[2] ? b.constant(x[2])?.[0] : 0;
    if (training === 0) return dy;
    if (!y[1] || training === undefined) throw noGradientRule('Dropout without a mask', node.name);
    const ratio = x[1] ? b.constant(x[1])?.[0] : 0.5;
    if (ratio === undefined) throw noGradientRule('Dropout with a computed ratio', node.name);
    return masked(b, y[1], scaled(b, dy, 1 / (1 - ratio)));
  },
];

export const VJPS: Readonly<Record<string, Vjp>> = {
  Abs: pointwise((b, x) => b.op('Sign', [x])),
  Add: ({ dy }) => [() => dy, () => dy],
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  Cast: ({ dy }) => [() => dy],
  Clip: ({ b, x, y, dy }) => [() => masked(b, b.op('Equal', [x[0]!, y[0]!]), dy)],
  Concat: ({ node, b, x, dy, dims }) => {
    const axis = numberOf(node, 'axis', 0);
    let parts: readonly string[] | undefined;
    return x.map((_, i) => () => {
      const sizes = x.map((_, j) => dims(j)[positive(axis, dims(j).length)]!);
      parts ??= b.ops(
        'Split',
        [dy, b.int64(sizes)],
        { axis },
        sizes.map(() => b.fresh('Split')),
      );
      return parts[i]!;
    });
  },
  Conv: conv,
  Div: ({ b, x, y, dy }) => [
    () => b.op('Div', [dy, x[1]!]),
    () => b.op('Neg', [b.op('Mul', [dy, b.op('Div', [y[0]!, x[1]!])])]),
  ],
  Dropout: dropout,
  Erf: pointwise((b, x) =>
    scaled(b, b.op('Exp', [b.op('Neg', [b.op('Mul', [x, x])])]), 2 / Math.sqrt(Math.PI)),
  ),
  Exp: pointwise((_, __, y) => y),
  Expand: ({ dy }) => [() => dy],
  Flatten: reshape,
  Gather: gather,
  GatherElements: ({ node, b, x, dy, dims }) => [
    () => {
      const attributes = { axis: numberOf(node, 'axis', 0), reduction: 'add' };
      return b.op('ScatterElements', [zeros(b, dims(0)), x[1]!, dy], attributes);
    },
  ],
  Gemm: gemm,
  GlobalAveragePool: ({ b, dy, dims }) => [() => scaled(b, dy, 1 / elementCount(dims(0).slice(2)))],
  Identity: ({ dy }) => [() => dy],
  LayerNormalization: layerNormalization,
  LeakyRelu: pointwise((b, x, _, node) =>
    b.op('Where', [b.op('Greater', [x, b.float(0)]), b.float(1), b.float(numberOf(node, 'alpha', 0.01))]),
  ),
  Log: ({ b, x, dy }) => [() => b.op('Div', [dy, x[0]!])],
  LogSoftmax: ({ node, b, y, dy }) => [
    () => {
      const sum = b.op('ReduceSum', [dy, b.int64([numberOf(node, 'axis', -1)])]);
      return b.op('Sub', [dy, b.op('Mul', [b.op('Exp', [y[0]!]), sum])]);
    },
  ],
  MatMul: matMul,
  Max: extremum,
  MaxPool: maxPool,
  Min: extremum,
  Mul: ({ b, x, dy }) => [() => b.op('Mul', [dy, x[1]!]), () => b.op('Mul', [dy, x[0]!])],
  Neg: ({ b, dy }) => [() => b.op('Neg', [dy])],
  Pow: ({ b, x, y, dy }) => [
    () => {
      const slope = b.op('Mul', [x[1]!, b.op('Pow', [x[0]!, b.op('Sub', [x[1]!, b.float(1)])])]);
      return b.op('Mul', [dy, slope]);
    },
    () => b.op('Mul', [dy, b.op('Mul', [y[0]!, b.op('Log', [x[0]!])])]),
  ],
  Reciprocal: pointwise((b, _, y) => b.op('Neg', [b.op('Mul', [y, y])])),
  ReduceMax: reducedExtremum,
  ReduceMean: (c) => [
    () => {
      const count = elementCount(axesOf(c).map((i) => c.dims(0)[i]!));
      return scaled(c.b, keptDims(c, c.dy), 1 / count);
    },
  ],
  ReduceMin: reducedExtremum,
  ReduceSum: (c) => [() => keptDims(c, c.dy)],
  // The sign of an output that is never negative is the derivative, in one pass.
  Relu: ({ b, y, looseDy }) => [() => b.op('Mul', [looseDy, b.op('Sign', [y[0]!])])],
  Reshape: reshape,
  Sigmoid: pointwise((b, _, y) => b.op('Sub', [y, b.op('Mul', [y, y])])),
  Slice: slice,
  Softmax: ({ node, b, y, dy }) => [
    () => {
      const weighted = b.op('Mul', [dy, y[0]!]);
      const sum = b.op('ReduceSum', [weighted, b.int64([numberOf(node, 'axis', -1)])]);
      return b.op('Sub', [weighted, b.op('Mul', [y[0]!, sum])]);
    },
  ],
  Softplus: pointwise((b, x) => b.op('Sigmoid', [x])),
  Split: ({ node, b, y, gradients }) => [
    () =>
      b.op(
        'Concat',
        y.map((name, i) => gradients[i] ?? zeros(b, b.dims(name))),
        { axis: numberOf(node, 'axis', 0) },
      ),
  ],
  Sqrt: ({ b, y, dy }) => [() => b.op('Div', [scaled(b, dy, 0.5), y[0]!])],
  Squeeze: reshape,
  Sub: ({ b, dy }) => [() => dy, () => b.op('Neg', [dy])],
  Sum: ({ x, dy }) => x.map(() => () => dy),
  Tanh: pointwise((b, _, y) => b.op('Sub', [b.float(1), b.op('Mul', [y, y])])),
  Transpose: ({ node, b, dy, dims }) => [
    () => {
      const order = dims(0).map((_, i) => i);
      const perm = numbersOf(node, 'perm', [...order].reverse());
      return b.op('Transpose', [dy], { perm: order.map((i) => perm.indexOf(i)) });
    },
  ],
  Unsqueeze: reshape,
  'offramp.RowsConv': rowsConv,
  Where: ({ b, x, dy }) => [
    undefined,
    () => b.op('Where', [x[0]!, dy, b.float(0)]),
    () => b.op('Where', [x[0]!, b.float(0), dy]),
  ],
};
