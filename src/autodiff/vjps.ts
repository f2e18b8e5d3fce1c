/** Vector-Jacobian products, one rule per op (opset 17 forms): from the gradients of a node's outputs to those of its inputs. */
import { noGradientRule } from '../errors/index.ts';
import { numberOf } from '../graph/attributes.ts';
import { elementCount } from '../graph/tensor.ts';
import { masked, pointwise, scaled, type Vjp } from './vjp.ts';
import { blockedAverage, blockedConv, blockedNorm, reorderInput, reorderOutput } from './vjps-blocked.ts';
import { averagePool, conv, maxPool, rowsConv } from './vjps-conv.ts';
import { batchNormalization, layerNormalization } from './vjps-norm.ts';
import { gemm, matMul } from './vjps-product.ts';
import { extremum, reducedExtremum, reduceMean, reduceSum } from './vjps-reduce.ts';
import { concat, gather, gatherElements, reshape, slice, split, transpose } from './vjps-shape.ts';

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

/** By op, outside the default domain as `domain.op` (see `qualifiedOp`). */
export const VJPS: Readonly<Record<string, Vjp>> = {
  Abs: pointwise((b, x) => b.op('Sign', [x])),
  Add: ({ dy }) => [() => dy, () => dy],
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  Cast: ({ dy }) => [() => dy],
  Clip: ({ b, x, y, dy }) => [() => masked(b, b.op('Equal', [x[0]!, y[0]!]), dy)],
  Concat: concat,
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
  GatherElements: gatherElements,
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
  ReduceMean: reduceMean,
  ReduceMin: reducedExtremum,
  ReduceSum: reduceSum,
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
  Split: split,
  Sqrt: ({ b, y, dy }) => [() => b.op('Div', [scaled(b, dy, 0.5), y[0]!])],
  Squeeze: reshape,
  Sub: ({ b, dy }) => [() => dy, () => b.op('Neg', [dy])],
  Sum: ({ x, dy }) => x.map(() => () => dy),
  Tanh: pointwise((b, _, y) => b.op('Sub', [b.float(1), b.op('Mul', [y, y])])),
  Transpose: transpose,
  Unsqueeze: reshape,
  'com.microsoft.nchwc.ReorderInput': reorderInput,
  'com.microsoft.nchwc.ReorderOutput': reorderOutput,
  'offramp.BlockedAverage': blockedAverage,
  'offramp.BlockedConv': blockedConv,
  'offramp.BlockedNorm': blockedNorm,
  'offramp.RowsConv': rowsConv,
  Where: ({ b, x, dy }) => [
    undefined,
    () => b.op('Where', [x[0]!, dy, b.float(0)]),
    () => b.op('Where', [x[0]!, b.float(0), dy]),
  ],
};
