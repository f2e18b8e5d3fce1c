/** Type and shape rules, one per op that Offramp itself inserts. */
import { numberOf, numbersOf, tensorOf } from './attributes.ts';
import {
  broadcast,
  type Dims,
  positive,
  reducedAxes,
  type StaticType,
  sliceOf,
  slide,
  windowOf,
} from './shapes.ts';
import { elementCount } from './tensor.ts';
import { DATA_TYPES, type DataType, type Node } from './types.ts';

/** A node with what is known of its inputs. */
interface Site {
  readonly node: Node;
  type(input: number): StaticType;
  dims(input: number): Dims;
  /** Elements of a constant input; undefined when it is omitted. Throws when it is not constant. */
  constant(input: number): readonly number[] | undefined;
}

/** Types of the outputs; missing ones are like the first. */
export type Rule = (site: Site) => readonly StaticType[];

const of = (dataType: DataType, dims: Dims): StaticType => ({ dataType, dims });
const like: Rule = (s) => [s.type(0)];
const shaped =
  (dims: (s: Site) => Dims): Rule =>
  (s) => [of(s.type(0).dataType, dims(s))];
const spread = (s: Site) =>
  broadcast(
    s.node.inputs.map((_, i) => s.dims(i)),
    s.node.name,
  );
const elementwise = shaped(spread);
const comparison: Rule = (s) => [of('bool', spread(s))];
const constants = (s: Site, from: number) => s.node.inputs.slice(from).map((_, i) => s.constant(i + from));

const reduce = shaped((s) => {
  const axes = reducedAxes(s.node, s.dims(0).length, s.constant(1));
  const keep = numberOf(s.node, 'keepdims', 1);
  return s.dims(0).flatMap((d, i) => (axes.includes(i) ? (keep ? [1] : []) : [d]));
});

const arg: Rule = (s) => {
  const axis = positive(numberOf(s.node, 'axis', 0), s.dims(0).length);
  const keep = numberOf(s.node, 'keepdims', 1);
  return [
    of(
      'int64',
      s.dims(0).flatMap((d, i) => (i === axis ? (keep ? [1] : []) : [d])),
    ),
  ];
};

const pool: Rule = (s) => {
  const [n, c, ...size] = s.dims(0);
  const dims = [n!, c!, ...slide(size, windowOf(s.node), numberOf(s.node, 'ceil_mode', 0) === 1)];
  return [of(s.type(0).dataType, dims), of('int64', dims)];
};

const convolution = shaped((s) => {
  const [n, , ...size] = s.dims(0);
  const [m, , ...kernel] = s.dims(1);
  return [n!, m!, ...slide(size, windowOf(s.node, kernel))];
});
const onePixel = shaped((s) => s.dims(0).map((d, i) => (i < 2 ? d : 1)));

/** By op, outside the default domain as `domain.op` (see `qualifiedOp`). */
export const SHAPE_RULES: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    ['Abs', 'Ceil', 'Clip', 'Erf', 'Exp', 'Floor', 'Identity', 'LeakyRelu', 'Log',
     'LogSoftmax', 'Neg', 'Not', 'Reciprocal', 'Relu', 'Round', 'ScatterElements', 'ScatterND', 'Sigmoid', 'Sign',
     'Softmax', 'Softplus', 'Sqrt', 'Tanh'].map((op) => [op, like]), // biome-ignore format: a list
  ),
  ...Object.fromEntries(
    ['Add', 'Div', 'Max', 'Mean', 'Min', 'Mod', 'Mul', 'Pow', 'Sub', 'Sum', 'And', 'Or'].map((op) => [
      op,
      elementwise,
    ]),
  ),
  ...Object.fromEntries(
    ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'].map((op) => [op, comparison]),
  ),
  ...Object.fromEntries(
    ['ReduceL2', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'ReduceSumSquare'].map((op) => [
      op,
      reduce,
    ]),
  ),
  ArgMax: arg,
  ArgMin: arg,
  AveragePool: pool,
  MaxPool: pool,
  BatchNormalization: (s) => [s.type(0), s.type(3), s.type(4)],
  Cast: (s) => [of(DATA_TYPES[numberOf(s.node, 'to', 0)]!, s.dims(0))],
  Concat: shaped((s) => {
    const axis = positive(numberOf(s.node, 'axis', 0), s.dims(0).length);
    const total = s.node.inputs.reduce((sum, _, i) => sum + s.dims(i)[axis]!, 0);
    return s.dims(0).with(axis, total);
  }),
  Constant: (s) => [tensorOf(s.node)],
  ConstantOfShape: (s) => {
    const value = s.node.attributes.value;
    return [of(value?.type === 'TENSOR' ? value.value.dataType : 'float', s.constant(0)!)];
  },
  Conv: convolution,
  ConvTranspose: shaped((s) => {
    const [n, , ...size] = s.dims(0);
    const [, m, ...kernel] = s.dims(1);
    const { strides, dilations, pads } = windowOf(s.node, kernel);
    const extra = numbersOf(
      s.node,
      'output_padding',
      kernel.map(() => 0),
    );
    const spatial = size.map((d, i) => strides[i]! * (d - 1) + dilations[i]! * (kernel[i]! - 1) + 1
      + extra[i]! - pads[i]! - pads[i + size.length]!); // biome-ignore format: one formula
    return [n!, m! * numberOf(s.node, 'group', 1), ...spatial];
  }),
  DepthToSpace: shaped((s) => {
    const [n, c, h, w] = s.dims(0);
    const block = numberOf(s.node, 'blocksize', 1);
    return [n!, c! / block ** 2, h! * block, w! * block];
  }),
  Dropout: (s) => [s.type(0), of('bool', s.dims(0))],
  Expand: shaped((s) => broadcast([s.dims(0), s.constant(1)!], s.node.name)),
  Flatten: shaped((s) => {
    const axis = positive(numberOf(s.node, 'axis', 1), s.dims(0).length);
    return [elementCount(s.dims(0).slice(0, axis)), elementCount(s.dims(0).slice(axis))];
  }),
  Gather: shaped((s) => {
    const axis = positive(numberOf(s.node, 'axis', 0), s.dims(0).length);
    return [...s.dims(0).slice(0, axis), ...s.dims(1), ...s.dims(0).slice(axis + 1)];
  }),
  GatherElements: shaped((s) => s.dims(1)),
  Gemm: shaped((s) => [
    s.dims(0)[numberOf(s.node, 'transA', 0) ? 1 : 0]!,
    s.dims(1)[numberOf(s.node, 'transB', 0) ? 0 : 1]!,
  ]),
  GlobalAveragePool: onePixel,
  GlobalMaxPool: onePixel,
  LayerNormalization: (s) => {
    const axis = positive(numberOf(s.node, 'axis', -1), s.dims(0).length);
    const statistic = of(
      'float',
      s.dims(0).map((d, i) => (i < axis ? d : 1)),
    );
    return [s.type(0), statistic, statistic];
  },
  MatMul: shaped((s) => {
    const [a, b] = [s.dims(0), s.dims(1)];
    const batch =
      a.length > 2 || b.length > 2 ? broadcast([a.slice(0, -2), b.slice(0, -2)], s.node.name) : [];
    return [...batch, ...(a.length > 1 ? [a.at(-2)!] : []), ...(b.length > 1 ? [b.at(-1)!] : [])];
  }),
  OneHot: (s) => {
    const dims = s.dims(0);
    const axis = positive(numberOf(s.node, 'axis', -1), dims.length + 1);
    return [of(s.type(2).dataType, dims.toSpliced(axis, 0, s.constant(1)![0]!))];
  },
  Pad: shaped((s) => s.dims(0).map((d, i) => d + s.constant(1)![i]! + s.constant(1)![i + s.dims(0).length]!)),
  Reshape: shaped((s) => {
    const dims = s.constant(1)!.map((d, i) => (d === 0 ? s.dims(0)[i]! : d));
    const rest = elementCount(s.dims(0)) / elementCount(dims.filter((d) => d !== -1));
    return dims.map((d) => (d === -1 ? rest : d));
  }),
  Shape: (s) => [of('int64', [s.dims(0).length])],
  Slice: shaped((s) => sliceOf(s.dims(0), constants(s, 1)).map((cut) => cut.size)),
  Split: (s) => {
    const axis = positive(numberOf(s.node, 'axis', 0), s.dims(0).length);
    const count = s.node.outputs.length;
    const sizes = s.constant(1) ?? s.node.outputs.map(() => s.dims(0)[axis]! / count);
    return sizes.map((size) => of(s.type(0).dataType, s.dims(0).with(axis, size)));
  },
  Squeeze: shaped((s) => {
    const axes = s.constant(1)?.map((a) => positive(a, s.dims(0).length));
    return s.dims(0).filter((d, i) => (axes ? !axes.includes(i) : d !== 1));
  }),
  Transpose: shaped((s) => {
    const dims = s.dims(0);
    return numbersOf(
      s.node,
      'perm',
      dims.map((_, i) => dims.length - 1 - i),
    ).map((p) => dims[p]!);
  }),
  Unsqueeze: shaped((s) => {
    const axes = s.constant(1)!;
    const rank = s.dims(0).length + axes.length;
    const at = axes.map((a) => positive(a, rank));
    const rest = [...s.dims(0)];
    return Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : rest.shift()!));
  }),
  Where: (s) => [of(s.type(1).dataType, spread(s))],
  'com.microsoft.nchwc.Conv': convolution,
  'com.microsoft.nchwc.GlobalAveragePool': onePixel,
  'com.microsoft.nchwc.ReorderInput': like,
  'com.microsoft.nchwc.ReorderOutput': like,
  'offramp.BlockedAverage': onePixel,
  'offramp.BlockedConv': convolution,
  'offramp.BlockedNorm': (s) => [s.type(0), s.type(1), s.type(2)],
  'offramp.RowsConv': (s) => {
    const size = numbersOf(s.node, 'size', []);
    const [o, c, ...kernel] = s.dims(1) as [number, number, ...number[]];
    const windows = (s.dims(0)[0]! / elementCount(size)) * elementCount(slide(size, windowOf(s.node)));
    return [of('float', [windows, o]), of('float', [windows, elementCount(kernel) * c])];
  },
};
