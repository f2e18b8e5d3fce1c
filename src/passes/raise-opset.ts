/**
 * The operators that regroup a batch (GatherND, ScatterND) came with opset 11. A model of opset 7 to 10 is rewritten in the
 * forms of opset 12: which operators have another form there, and which have not, was found by comparing all their schemas
 * (docs/Changelog.md of ONNX). That both models do the same is proved by running them (`raise-model.ts`).
 */
import { cannotRaiseOpset, opsetTooOld } from '../errors/index.ts';
import { makeNode, toAttribute } from '../graph/builder.ts';
import { floatTensor, int64Tensor, toNumbers } from '../graph/tensor.ts';
import {
  type Attribute,
  DATA_TYPES,
  type DataType,
  type Graph,
  isDefaultDomain,
  type Model,
  type Node,
  opsetOf,
  type Tensor,
} from '../graph/types.ts';
import { allNames, indexGraph, mapSubgraphs } from '../graph/walk.ts';
import { type Pass, runPasses } from './pass.ts';

/** Opsets below `needed` and not below `least` are raised to `raised`. Softmax means something else from 13 on. */
const OPSETS = { least: 7, needed: 11, raised: 12 } as const;

/** What a node becomes; the very same node when its form did not change. */
type Row = (node: Node, scope: Scope) => Node;

/** The operators of which some form in opsets 7 to 10 is none in opset 12, and since when. */
const CHANGED: Readonly<Record<string, Row>> = {
  BatchNormalization: withoutSpatial, //                                          9: no `spatial`
  Clip: (node, scope) => asInputs(node, ['min', 'max'], scope), //               11: inputs
  Dropout: identity, //                                                          10: a bool mask; 12: `ratio` an input
  MeanVarianceNormalization: from9('has other attributes'), //                    9: `axes`
  Pad: (node, scope) => asInputs(node, ['pads', 'value'], scope), //             11: inputs
  Resize: resized, //                                                            11: `roi`, and ways to find coordinates
  Scan: from9('goes over a batch, too,'), //                                      9: no batch axis
  Scatter: (node) => ({ ...node, opType: 'ScatterElements' }), //                11: renamed
  Slice: (node, scope) => asInputs(node, ['starts', 'ends', 'axes'], scope), //  10: inputs
  TopK: (node, scope) => asInputs(node, ['k'], scope), //                        10: an input
  Upsample: resized, //                                                           9: `scales` an input; 10: Resize
}; // biome-ignore format: a table

/**
 * The operators whose forms in opsets 7 to 10 mean the same in opset 12, which adds types, optional attributes and inputs, broadcasting, and
 * axes and indices from the back. (The negative indices that OneHot ignored before 11 have always counted from the back in ONNX Runtime.)
 */
const UNCHANGED = new Set([
  'Abs', 'Acos', 'Acosh', 'Add', 'And', 'ArgMax', 'ArgMin', 'Asin', 'Asinh', 'Atan', 'Atanh', 'AveragePool', 'Cast', 'Ceil',
  'Compress', 'Concat', 'Constant', 'ConstantOfShape', 'Conv', 'ConvInteger', 'ConvTranspose', 'Cos', 'Cosh', 'DepthToSpace',
  'DequantizeLinear', 'Div', 'Elu', 'Equal', 'Erf', 'Exp', 'Expand', 'EyeLike', 'Flatten', 'Floor', 'GRU', 'Gather', 'Gemm',
  'GlobalAveragePool', 'GlobalLpPool', 'GlobalMaxPool', 'Greater', 'HardSigmoid', 'Hardmax', 'Identity', 'If',
  'InstanceNormalization', 'IsInf', 'IsNaN', 'LRN', 'LSTM', 'LeakyRelu', 'Less', 'Log', 'LogSoftmax', 'Loop',
  'LpNormalization', 'LpPool', 'MatMul', 'MatMulInteger', 'Max', 'MaxPool', 'MaxRoiPool', 'MaxUnpool', 'Mean', 'Min', 'Mod',
  'Mul', 'Multinomial', 'Neg', 'NonMaxSuppression', 'NonZero', 'Not', 'OneHot', 'Or', 'PRelu', 'Pow', 'QLinearConv',
  'QLinearMatMul', 'QuantizeLinear', 'RNN', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike',
  'Reciprocal', 'ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp', 'ReduceMax', 'ReduceMean', 'ReduceMin',
  'ReduceProd', 'ReduceSum', 'ReduceSumSquare', 'Relu', 'Reshape', 'ReverseSequence', 'RoiAlign', 'Selu', 'Shape', 'Shrink',
  'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Size', 'Softmax', 'Softplus', 'Softsign', 'SpaceToDepth', 'Split', 'Sqrt', 'Squeeze',
  'StringNormalizer', 'Sub', 'Sum', 'Tan', 'Tanh', 'TfIdfVectorizer', 'ThresholdedRelu', 'Tile', 'Transpose', 'Unsqueeze',
  'Where', 'Xor',
]); // biome-ignore format: a list

/**
 * `model` in opset 12 when its own is 7 to 10, the very same when it is 11 or more. Nodes in forms that did not change stay the same
 * objects. What becomes an input is made by a Constant node: an initializer would have to be a graph input up to IR version 3, which stays
 * too, since from 4 on such initializers can be overridden and ONNX Runtime no longer takes them for constants. Throws `opset-too-old` below
 * 7, and `cannot-raise-opset`, naming the node.
 */
export function raiseOpset(model: Model): Model {
  const opset = opsetOf(model);
  if (opset >= OPSETS.needed) return model;
  if (opset < OPSETS.least) throw opsetTooOld(opset, `Offramp takes ${OPSETS.least} and above`);
  if (model.functionCount > 0)
    throw cannotRaiseOpset(
      opset,
      `${model.functionCount} in all`,
      'model-local functions have opsets of their own',
    );
  const opsetImports = model.opsetImports.map((o) =>
    isDefaultDomain(o.domain) ? { domain: o.domain, version: OPSETS.raised } : o,
  );
  return { ...model, graph: runPasses(model.graph, [newForms(opset)]), opsetImports };
}

/** Rewrites the nodes of a graph of `opset`, subgraphs included. */
const newForms = (opset: number): Pass => ({
  name: 'raise-opset',
  run: (graph) => rewrite(graph, { opset, names: allNames(graph) }),
});

interface Setting {
  readonly opset: number;
  /** Names of all scopes; grows. */
  readonly names: Set<string>;
}

function rewrite(graph: Graph, setting: Setting, outer?: Scope): Graph {
  const scope = new Scope(graph, setting, outer);
  for (const node of graph.nodes) {
    const within = mapSubgraphs(node, (sub) => rewrite(sub, setting, scope));
    scope.nodes.push(isDefaultDomain(node.domain) ? newForm(within, scope) : within);
    scope.learn(node);
  }
  const same = scope.nodes.every((node, i) => node === graph.nodes[i]);
  return same ? graph : { ...graph, nodes: scope.nodes };
}

function newForm(node: Node, scope: Scope): Node {
  const row = CHANGED[node.opType];
  if (row) return row(node, scope);
  if (UNCHANGED.has(node.opType)) return node;
  throw scope.refusal(node, 'is no operator that it knows');
}

/** The graph that is being rewritten, with what is known of its values. */
class Scope {
  /** What was rewritten so far. */
  readonly nodes: Node[] = [];
  private readonly constants: Map<string, Tensor>;
  private readonly types: Map<string, DataType>;

  constructor(
    private readonly graph: Graph,
    private readonly setting: Setting,
    outer?: Scope,
  ) {
    const declared = [...graph.inputs, ...graph.valueInfo, ...graph.outputs];
    this.constants = new Map([
      ...(outer?.constants ?? []),
      ...graph.initializers.map((t) => [t.name, t] as const),
    ]);
    this.types = new Map([
      ...(outer?.types ?? []),
      ...graph.initializers.map((t) => [t.name, t.dataType] as const),
      ...declared.flatMap(({ name, type }) => (type ? [[name, type.dataType] as const] : [])),
    ]);
  }

  get opset(): number {
    return this.setting.opset;
  }

  isRead(value: string): boolean {
    return indexGraph(this.graph).consumers.has(value) || this.graph.outputs.some((v) => v.name === value);
  }

  /** The numbers of a constant; undefined for what is computed. */
  numbersOf(value: string): readonly number[] | undefined {
    const tensor = this.constants.get(value);
    return tensor && toNumbers(tensor);
  }

  /** Remembers what `node` makes: a constant, or values of the type it names or else of its first floating input. */
  learn({ opType, inputs, outputs, attributes: { value, to } }: Node): void {
    const tensor = value?.type === 'TENSOR' ? value.value : undefined;
    if (opType === 'Constant' && tensor) this.constants.set(outputs[0]!, tensor);
    const named = to?.type === 'INT' ? DATA_TYPES[to.value] : tensor?.dataType;
    const type = named ?? inputs.map((name) => this.types.get(name)).find((t) => t && FLOATING.has(t));
    for (const output of outputs) if (type && !this.types.has(output)) this.types.set(output, type);
  }

  /** `tensor` as a value named after `stem`; a scalar in the type of the value `like`. */
  constant(stem: string, tensor: Tensor, like: string): string {
    const type = tensor.dims.length === 0 ? (this.types.get(like) ?? 'float') : tensor.dataType;
    const name = this.fresh(stem);
    const plain = type === tensor.dataType ? name : this.fresh(`${stem}/float`);
    this.nodes.push(makeNode('Constant', [], [plain], { value: tensor }));
    this.constants.set(plain, tensor);
    if (plain !== name) this.nodes.push(makeNode('Cast', [plain], [name], { to: DATA_TYPES.indexOf(type) }));
    return name;
  }

  refusal(node: Node, why: string) {
    return cannotRaiseOpset(this.opset, `node "${node.name || node.outputs[0]}"`, `${node.opType} ${why}`);
  }

  private fresh(stem: string): string {
    const { names } = this.setting;
    let name = stem;
    for (let i = 1; names.has(name); i++) name = `${stem}_${i}`;
    names.add(name);
    return name;
  }
}

const FLOATING = new Set<DataType>(['float', 'float16', 'double']);

/** `node` with the attributes `names` as its inputs 1, 2, …; the same when it has none of them, as in a later form. */
function asInputs(node: Node, names: readonly string[], scope: Scope): Node {
  if (!names.some((name) => node.attributes[name])) return node;
  const [data] = node.inputs as [string];
  const made = names.map((name) => {
    const attribute = node.attributes[name];
    return attribute ? scope.constant(`${node.outputs[0]}/${name}`, tensorOf(attribute), data) : '';
  });
  while (made.at(-1) === '') made.pop();
  return { ...without(node, names), inputs: [data, ...made] };
}

/** Lists and INTs as vectors, a FLOAT as a scalar. */
function tensorOf({ type, value }: Attribute): Tensor {
  const list = [value].flat() as number[];
  if (type === 'FLOAT') return floatTensor('', [], list);
  return type === 'FLOATS'
    ? floatTensor('', [list.length], list)
    : int64Tensor('', [list.length], list.map(held));
}

/** The end of an open slice is INT64_MAX, which no number holds; any end beyond the data means the same. */
const held = (value: number) => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));

/** `node` without the attributes `names`; the same when it has none of them. */
function without(node: Node, names: readonly string[]): Node {
  const kept = Object.entries(node.attributes).filter(([name]) => !names.includes(name));
  const same = kept.length === Object.keys(node.attributes).length;
  return same ? node : { ...node, attributes: Object.fromEntries(kept) };
}

function withoutSpatial(node: Node, scope: Scope): Node {
  if (node.attributes.spatial?.value === 0)
    throw scope.refusal(node, 'has statistics of every position (spatial = 0)');
  return without(node, ['spatial']);
}

/** What Dropout is outside of training. Its mask, which has another type in later forms, must not be asked for. */
function identity(node: Node, scope: Scope): Node {
  const [output, mask] = node.outputs as [string, string?];
  if (mask && scope.isRead(mask)) throw scope.refusal(node, 'has a mask that is read');
  return { ...node, opType: 'Identity', outputs: [output], attributes: {} };
}

/** Upsample and the first Resize are a Resize whose coordinates are divided by the scale and cut off; up where it shrinks. */
function resized(node: Node, scope: Scope): Node {
  const [data, scales] = asInputs(node, ['scales'], scope).inputs as [string, string];
  const known = node.attributes.mode?.value === 'linear' ? [] : (scope.numbersOf(scales) ?? []);
  const shrinks = known.some((scale) => scale < 1);
  if (shrinks && known.some((scale) => scale > 1))
    throw scope.refusal(node, 'enlarges one axis and shrinks another');
  const roi = scope.constant(`${node.outputs[0]}/roi`, floatTensor('', [0], []), data);
  return {
    ...node,
    opType: 'Resize',
    inputs: [data, roi, scales],
    attributes: {
      ...without(node, ['scales']).attributes,
      coordinate_transformation_mode: toAttribute('asymmetric'),
      nearest_mode: toAttribute(shrinks ? 'ceil' : 'floor'),
    },
  };
}

/** An operator that was another one before opset 9. */
function from9(otherwise: string): Row {
  return (node, scope) => {
    if (scope.opset < 9) throw scope.refusal(node, `${otherwise} before opset 9`);
    return node;
  };
}
