/** The layers that random classifiers are made of. */
import { float, GraphBuilder } from '../../src/graph/builder.ts';
import { boolTensor, elementCount, int64Tensor } from '../../src/graph/tensor.ts';
import type { Net, Value } from './net.ts';

export type Make = (net: Net, value: Value, other: number) => Value | undefined;

const isMap = ({ dims }: Value) => dims.length === 3;
const isTokens = ({ dims, axis }: Value) => dims.length === 2 && axis === 0;
const isVector = ({ dims, axis }: Value) => dims.length === 1 && axis === 0;
const sizeOf = ({ dims }: Value) => elementCount(dims);

/** Applies where the value is what `is` asks for; another step is then left out. */
const on =
  (is: (value: Value) => boolean, make: Make): Make =>
  (net, value, other) =>
    is(value) ? make(net, value, other) : undefined;

/** One of the values that may be joined with `value`. */
function partner(net: Net, value: Value, other: number, fits: (a: Value) => boolean): Value {
  const found = net.values.filter(fits);
  return found[other % Math.max(1, found.length)] ?? value;
}

const sameShape = (a: Value) => (b: Value) => a.axis === b.axis && a.dims.join() === b.dims.join();

const CHANNELS = [4, 6, 8, 16, 16];
const pool =
  (op: string): Make =>
  (net, value) => {
    const [c, h, w] = value.dims as [number, number, number];
    if (h < 4 || w < 4) return undefined;
    const name = net.op(op, [value.name], { kernel_shape: [2, 2], strides: [2, 2] });
    return { name, dims: [c, Math.floor(h / 2), Math.floor(w / 2)], axis: 0 };
  };
/** By name, what can be done to a value. Undefined where it does not apply: the step is then left out. */
export const STEPS: Readonly<Record<string, Make>> = {
  conv3: on(isMap, (net, v, other) => net.conv(v, CHANNELS[other % 5]!, 3, 1)),
  conv1: on(isMap, (net, v, other) => net.conv(v, CHANNELS[other % 5]!, 1, 1)),
  strided: on(isMap, (net, v, other) => (Math.min(v.dims[1]!, v.dims[2]!) < 4 ? undefined : net.conv(v, CHANNELS[other % 5]!, 3, 2))),
  residual: on(isMap, (net, v) => {
    const inner = net.like(net.conv(v, v.dims[0]!, 3, 1), 'Relu');
    return net.like(net.like(v, 'Add', [net.conv(inner, v.dims[0]!, 3, 1).name]), 'Relu');
  }),
  maxPool: on(isMap, pool('MaxPool')),
  averagePool: on(isMap, pool('AveragePool')),
  batchNorm: on(isMap, (net, v) => {
    const c = [v.dims[0]!];
    return net.like(v, 'BatchNormalization', [net.weight(c, 1), net.weight(c, 4), net.weight(c, 4), net.filled(c, 0.8)], { epsilon: float(1e-3) });
  }),
  squeezeExcite: on(isMap, (net, v) => {
    const pooled = { ...v, name: net.op('GlobalAveragePool', [v.name]), dims: [v.dims[0]!, 1, 1] };
    return net.like(v, 'Mul', [net.op('Sigmoid', [net.conv(pooled, v.dims[0]!, 1, 1).name])]);
  }),
  concat: on((v) => v.axis === 0, (net, v, other) => {
    const rest = v.dims.slice(1).join();
    const p = partner(net, v, other, (o) => o.axis === 0 && o.dims.length === v.dims.length && o.dims.slice(1).join() === rest && o.dims[0]! + v.dims[0]! <= 32);
    if (p.dims[0]! + v.dims[0]! > 32) return undefined;
    return { ...v, name: net.op('Concat', [v.name, p.name], { axis: 1 }), dims: [v.dims[0]! + p.dims[0]!, ...v.dims.slice(1)] };
  }),
  shuffle: on(isMap, (net, v) => {
    const [c, h, w] = v.dims as [number, number, number];
    if (c % 2) return undefined;
    const grouped = net.reshaped(v, [2, c / 2, h, w]);
    return net.reshaped(net.transposed(grouped, [0, 2, 1, 3, 4], [c / 2, 2, h, w], 0), v.dims);
  }),
  split: on(isMap, (net, v) => {
    const half = Math.floor(v.dims[0]! / 2);
    if (half === 0) return undefined;
    const sizes = [half, v.dims[0]! - half];
    const parts = [net.fresh('part'), net.fresh('part')];
    if (net.opset < 13) net.ops('Split', [v.name], { axis: 1, split: sizes }, parts);
    else net.ops('Split', [v.name, net.int64(sizes)], { axis: 1 }, parts);
    return { ...v, name: net.op('Concat', [parts[1]!, net.op('Relu', [parts[0]!])], { axis: 1 }) };
  }),
  mapToTokens: on(isMap, (net, v) => {
    const [c, h, w] = v.dims as [number, number, number];
    return net.transposed(net.reshaped(v, [c, h * w]), [0, 2, 1], [h * w, c], 0);
  }),
  poolToVector: on(isMap, (net, v) => ({ name: net.op('Flatten', [net.op('GlobalAveragePool', [v.name])], { axis: 1 }), dims: [v.dims[0]!], axis: 0 })),
  flatten: on((v) => v.axis === 0 && sizeOf(v) <= 512, (net, v) => net.reshaped(v, [sizeOf(v)])),
  tokensToMap: on(isTokens, (net, v) => net.reshaped(v, [v.dims[0]!, v.dims[1]!, 1])),
  project: on((v) => v.dims.length === 2, (net, v, other) => {
    const [l, d] = v.dims as [number, number];
    const to = CHANNELS[other % 5]!;
    return { ...v, name: net.op('MatMul', [v.name, net.weight([d, to], d)]), dims: [l, to] };
  }),
  /** Tokens as the channels of a signal. */
  conv1d: on(isTokens, (net, v, other) => {
    const [from, length] = v.dims as [number, number];
    const to = CHANNELS[other % 5]!;
    const name = net.op('Conv', [v.name, net.weight([to, from, 3], from * 3)], { kernel_shape: [3], pads: [1, 1] });
    return { name, dims: [to, length], axis: 0 };
  }),
  attention: on(isTokens, (net, v) => {
    const d = v.dims[1]!;
    const of = () => net.op('MatMul', [v.name, net.weight([d, d], d)]);
    const scores = net.op('MatMul', [of(), net.op('Transpose', [of()], { perm: [0, 2, 1] })]);
    const scaled = net.op('Mul', [scores, net.float(1 / d)]);
    return net.like(v, 'Add', [net.op('MatMul', [net.op('Softmax', [scaled], { axis: 2 }), of()])]);
  }),
  layerNorm: on(isTokens, (net, v) => {
    const d = v.dims[1]!;
    if (net.opset >= 17) return net.like(v, 'LayerNormalization', [net.filled([d], 1), net.weight([d], 4)], { axis: -1, epsilon: float(0.1) });
    const centred = net.op('Sub', [v.name, net.mean(v.name, 2, 1)]);
    const variance = net.op('Add', [net.mean(net.op('Mul', [centred, centred]), 2, 1), net.float(0.1)]);
    return { ...v, name: net.op('Div', [centred, net.op('Sqrt', [variance])]) };
  }),
  meanOfTokens: on(isTokens, (net, v) => ({ name: net.mean(v.name, 1, 0), dims: [v.dims[1]!], axis: 0 })),
  batchSecond: on((v) => v.axis === 0 && v.dims.length < 3, (net, v) => net.transposed(v, v.dims.length === 1 ? [1, 0] : [1, 0, 2], v.dims, 1)),
  batchFirst: on((v) => v.axis !== 0, (net, v) => net.batchFirst(v)),
  /** Goes on in two ways, one of which has the batch in the second place and is joined again later. */
  across: on(
    (v) => v.axis === 0 && v.dims.length < 3,
    (net, v) => {
      const perm = v.dims.length === 1 ? [1, 0] : [1, 0, 2];
      const second = net.transposed(v, perm, v.dims, 1);
      const first = net.like(net.batchFirst(net.like(second, 'Tanh')), 'Relu');
      const back = net.batchFirst(net.like(second, 'Sigmoid'));
      return net.like(net.like(first, 'Identity'), 'Add', [back.name]);
    },
  ),
  weightFirst: on((v) => v.axis === 1 && v.dims.length === 1, (net, v) => {
    const f = v.dims[0]!;
    return { ...v, name: net.op('MatMul', [net.weight([f, f], f), v.name]) };
  }),
  gemm: on(isVector, (net, v, other) => net.gemm(v, 4 + other)),
  matMul: on(isVector, (net, v, other) => {
    const to = 4 + other;
    const product = net.op('MatMul', [v.name, net.weight([v.dims[0]!, to], v.dims[0]!)]);
    return { name: net.op('Add', [product, net.weight([to], 4)]), dims: [to], axis: 0 };
  }),
  vectorToMap: on(isVector, (net, v) => net.reshaped(v, [v.dims[0]!, 1, 1])),
  relu: (net, v) => net.like(v, 'Relu'),
  tanh: (net, v) => net.like(v, 'Tanh'),
  identity: (net, v) => net.like(v, 'Identity'),
  dropout: (net, v) => net.like(v, 'Dropout'),
  add: (net, v, other) => net.like(v, 'Add', [partner(net, v, other, sameShape(v)).name]),
  gate: (net, v, other) => net.like(v, 'Mul', [net.op('Sigmoid', [partner(net, v, other, sameShape(v)).name])]),
  throughDouble: (net, v) => ({ ...v, name: net.op('Cast', [net.op('Tanh', [net.op('Cast', [v.name], { to: 11 })])], { to: 1 }) }),
  /** The batch size as a number in the graph, from wherever it was first needed. */
  reshapedByShape: on((v) => v.axis === 0 && sizeOf(v) <= 512, (net, v) => {
    const shape = net.op('Concat', [net.batchOf(v), net.int64([sizeOf(v)])], { axis: 0 });
    return { name: net.op('Reshape', [v.name, shape]), dims: [sizeOf(v)], axis: 0 };
  }),
  /** A branch that reads two values from around it. */
  branch: (net, v, other) => {
    const p = partner(net, v, other, sameShape(v));
    const condition = net.give(boolTensor(net.fresh('condition'), [], [other % 2 === 0]));
    const side = (op: string, inputs: string[]) => {
      const b = new GraphBuilder();
      const name = net.fresh('inner');
      b.op(op, inputs, {}, name);
      return { ...b.build('side'), outputs: [{ name, type: undefined }] };
    };
    const name = net.op('If', [condition], { then_branch: side('Add', [v.name, p.name]), else_branch: side('Neg', [p.name]) });
    return { ...v, name };
  },
  /** A reordering by indices that stand in the graph. */
  gathered: on((v) => v.dims.length > 0 && v.axis === 0, (net, v) => {
    const count = v.dims[0]!;
    const order = Array.from({ length: count }, (_, i) => (i * 5 + 3) % count);
    const indices = net.give(int64Tensor(net.fresh('order'), [count], order));
    return net.like(v, 'Gather', [indices], { axis: 1 });
  }),
}; // biome-ignore format: a table
