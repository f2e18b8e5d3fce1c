/** Types and shapes of the ops that Offramp itself inserts: fully static, so symbols are bound to numbers first. */
import { noShapeRule, shapeMismatch, shapeNotStatic } from '../errors/index.ts';
import { type AttributeValue, GraphBuilder } from './builder.ts';
import { elementCount, floatTensor, int64Tensor, toNumbers } from './tensor.ts';
import type { DataType, Graph, Node, Tensor, ValueInfo } from './types.ts';
import { DATA_TYPES } from './types.ts';
import { allNames, ancestors } from './walk.ts';

export type Dims = readonly number[];

export interface StaticType {
  readonly dataType: DataType;
  readonly dims: Dims;
}

/** Type of every value of `graph`. Throws `shape-not-static`, `no-shape-rule`, `shape-mismatch`. */
export function inferTypes(graph: Graph): ReadonlyMap<string, StaticType> {
  return new TypedBuilder('', graph).types;
}

/** `graph` with symbolic dims of its inputs and outputs replaced by numbers: `bindDims(head, { N: 256 })`. */
export function bindDims(graph: Graph, symbols: Readonly<Record<string, number>>): Graph {
  const bind = (v: ValueInfo): ValueInfo => {
    const dims = v.type?.dims?.map((d) => (typeof d === 'string' ? (symbols[d] ?? d) : d));
    return v.type && dims ? { ...v, type: { ...v.type, dims } } : v;
  };
  return { ...graph, inputs: graph.inputs.map(bind), outputs: graph.outputs.map(bind), valueInfo: [] };
}

/** Multiply-accumulates of the heavy ops (Conv, ConvTranspose, Gemm, MatMul); an output element costs its dot product. */
export function countMacs(graph: Graph): number {
  const builder = new TypedBuilder(
    '',
    graph,
    ancestors(
      graph,
      graph.outputs.map((v) => v.name),
    ),
  );
  return builder.known.reduce((sum, node) => {
    const dims = (i: number) => builder.dims(node.inputs[i]!);
    const out = () => elementCount(builder.dims(node.outputs[0]!));
    switch (node.opType) {
      case 'Conv': return sum + out() * elementCount(dims(1).slice(1));
      case 'ConvTranspose': return sum + elementCount(dims(0)) * elementCount(dims(1).slice(1));
      case 'Gemm': return sum + out() * dims(0)[numberOf(node, 'transA', 0) ? 0 : 1]!;
      case 'MatMul': return sum + out() * dims(0).at(-1)!;
      default: return sum;
    } // biome-ignore format: a table
  }, 0);
}

/** A builder on top of `graph` that knows the type of every value, the new ones included. */
export class TypedBuilder extends GraphBuilder {
  readonly types = new Map<string, StaticType>();
  /** The nodes of `graph` whose types were inferred. */
  readonly known: readonly Node[];
  private readonly constants: Map<string, Tensor>;

  /** `only`: look at no other nodes of `graph`. */
  constructor(prefix: string, graph: Graph, only?: ReadonlySet<Node>) {
    super(prefix, allNames(graph));
    this.constants = new Map(graph.initializers.map((t) => [t.name, t]));
    for (const tensor of graph.initializers) this.types.set(tensor.name, tensor);
    for (const { name, type } of graph.inputs) {
      const dims = type?.dims?.filter((d) => typeof d === 'number');
      if (!type || !dims || dims.length !== type.dims?.length) throw shapeNotStatic(name);
      this.types.set(name, { dataType: type.dataType, dims });
      this.constants.delete(name);
    }
    this.known = only ? graph.nodes.filter((n) => only.has(n)) : graph.nodes;
    for (const node of this.known) this.learn(node);
  }

  override input(name: string, dataType: DataType, dims: Dims): string {
    this.types.set(name, { dataType, dims });
    return super.input(name, dataType, dims);
  }

  /** Adds `node` as it is. */
  add(node: Node): void {
    this.nodes.push(node);
    this.learn(node);
  }

  override ops(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue>,
    outputs: readonly string[],
  ): readonly string[] {
    super.ops(opType, inputs, attributes, outputs);
    this.learn(this.nodes.at(-1)!);
    return outputs;
  }

  typeOf(name: string): StaticType {
    const type = this.types.get(name) ?? this.initializers.find((t) => t.name === name);
    if (!type) throw shapeNotStatic(name);
    return type;
  }

  dims(name: string): Dims {
    return this.typeOf(name).dims;
  }

  /** Elements of a value that is known beforehand; undefined when it is not. */
  constant(name: string): readonly number[] | undefined {
    const tensor = this.constants.get(name) ?? this.initializers.find((t) => t.name === name);
    return tensor && toNumbers(tensor);
  }

  private learn(node: Node): void {
    const rule = RULES[qualifiedOp(node)];
    if (!rule) throw noShapeRule(node.opType, node.name);
    if (node.opType === 'Constant') this.constants.set(node.outputs[0]!, tensorOf(node));
    const made = rule({
      node,
      type: (i) => this.typeOf(node.inputs[i]!),
      dims: (i) => this.dims(node.inputs[i]!),
      constant: (i) => {
        const name = node.inputs[i];
        const value = name ? this.constant(name) : undefined;
        if (name && !value) throw shapeNotStatic(name);
        return value;
      },
    });
    node.outputs.forEach((name, i) => {
      if (name) this.types.set(name, made[i] ?? made[0]!);
    });
  }
}

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
function tensorOf(node: Node): Tensor {
  const { value, value_int: int, value_ints: ints, value_float: f, value_floats: floats } = node.attributes;
  if (value?.type === 'TENSOR') return value.value;
  if (int?.type === 'INT') return int64Tensor('', [], [int.value]);
  if (ints?.type === 'INTS') return int64Tensor('', [ints.value.length], ints.value);
  if (f?.type === 'FLOAT') return floatTensor('', [], [f.value]);
  if (floats?.type === 'FLOATS') return floatTensor('', [floats.value.length], floats.value);
  throw noShapeRule(node.opType, node.name);
}

/** How a kernel slides over the spatial axes; `pads` is [...begins, ...ends]. */
export interface Window {
  readonly kernel: Dims;
  readonly strides: Dims;
  readonly dilations: Dims;
  readonly pads: Dims;
}

/** The window of a Conv, ConvTranspose or pooling node; `kernel` for nodes that do not say it themselves. */
export function windowOf(node: Node, kernel: Dims = numbersOf(node, 'kernel_shape', [])): Window {
  const auto = node.attributes.auto_pad;
  if (auto?.type === 'STRING' && auto.value !== 'NOTSET' && auto.value !== 'VALID')
    throw noShapeRule(`${node.opType} with auto_pad ${auto.value}`, node.name);
  const ones = kernel.map(() => 1);
  return {
    kernel,
    strides: numbersOf(node, 'strides', ones),
    dilations: numbersOf(node, 'dilations', ones),
    pads: numbersOf(node, 'pads', [...ones, ...ones].fill(0)),
  };
}

/** Spatial dims that a window over `size` gives. */
export function slide(size: Dims, { kernel, strides, dilations, pads }: Window, ceil = false): number[] {
  const rank = kernel.length;
  return kernel.map((k, i) => {
    const room = size[i]! + pads[i]! + pads[i + rank]! - dilations[i]! * (k - 1) - 1;
    const steps = room / strides[i]!;
    const out = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceil && (out - 1) * strides[i]! >= size[i]! + pads[i]! ? out - 1 : out;
  });
}

/** Multidirectional broadcasting of shapes. */
export function broadcast(shapes: readonly Dims[], where: string): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((s) => s[i - rank + s.length] ?? 1).filter((d) => d !== 1);
    if (sizes.some((d) => d !== sizes[0])) throw shapeMismatch(where, shapes);
    return sizes[0] ?? 1;
  });
}

/** `axis` counted from the front. */
export const positive = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

/** Start and step per axis, and the size that is left, of a Slice node's constant arguments. */
export function sliceOf(dims: Dims, [starts, ends, axes, steps]: readonly (readonly number[] | undefined)[]) {
  const cut = dims.map((size) => ({ start: 0, step: 1, size }));
  (axes ?? starts!.map((_, i) => i)).forEach((axis, i) => {
    const at = positive(axis, dims.length);
    const size = dims[at]!;
    const step = steps?.[i] ?? 1;
    const clamp = (v: number, low: number, high: number) =>
      Math.min(Math.max(v < 0 ? v + size : v, low), high);
    const start = step > 0 ? clamp(starts![i]!, 0, size) : clamp(starts![i]!, 0, size - 1);
    const end = step > 0 ? clamp(ends![i]!, 0, size) : clamp(ends![i]!, -1, size - 1);
    cut[at] = { start, step, size: Math.max(0, Math.ceil((end - start) / step)) };
  });
  return cut;
}

/** The axes a reduction runs over, from the attribute or the second input. */
export function reducedAxes(node: Node, rank: number, constant: readonly number[] | undefined): number[] {
  const axes = numbersOf(node, 'axes', constant);
  if (axes?.length) return axes.map((a) => positive(a, rank)).sort((a, b) => a - b);
  return numberOf(node, 'noop_with_empty_axes', 0) ? [] : Array.from({ length: rank }, (_, i) => i);
}

interface Site {
  readonly node: Node;
  type(input: number): StaticType;
  dims(input: number): Dims;
  /** Elements of a constant input; undefined when it is omitted. Throws when it is not constant. */
  constant(input: number): readonly number[] | undefined;
}

/** Types of the outputs; missing ones are like the first. */
type Rule = (site: Site) => readonly StaticType[];

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

const RULES: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    ['Abs', 'Ceil', 'Clip', 'Erf', 'Exp', 'Floor', 'Identity', 'LeakyRelu', 'Log',
     'LogSoftmax', 'Neg', 'Not', 'Reciprocal', 'Relu', 'Round', 'ScatterElements', 'ScatterND', 'Sigmoid', 'Sign',
     'Softmax', 'Softplus', 'Sqrt', 'Tanh'].map((op) => [op, like]), // biome-ignore format: a list
  ),
  ...Object.fromEntries(
    ['Add', 'Div', 'Max', 'Mean', 'Min', 'Mul', 'Pow', 'Sub', 'Sum', 'And', 'Or'].map((op) => [
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
  Conv: shaped((s) => {
    const [n, , ...size] = s.dims(0);
    const [m, , ...kernel] = s.dims(1);
    return [n!, m!, ...slide(size, windowOf(s.node, kernel))];
  }),
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
  GlobalAveragePool: shaped((s) => s.dims(0).map((d, i) => (i < 2 ? d : 1))),
  GlobalMaxPool: shaped((s) => s.dims(0).map((d, i) => (i < 2 ? d : 1))),
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
  'offramp.RowsConv': (s) => {
    const size = numbersOf(s.node, 'size', []);
    const [o, c, ...kernel] = s.dims(1) as [number, number, ...number[]];
    const windows = (s.dims(0)[0]! / elementCount(size)) * elementCount(slide(size, windowOf(s.node)));
    return [of('float', [windows, o]), of('float', [windows, elementCount(kernel) * c])];
  },
};
