/**
 * Raises the opset of a model: each node gets the form that its operator has in the newer opset. Which operators have another form
 * there, and which have not, was found by comparing all their schemas (docs/Changelog.md of ONNX). That both models do the same is proved by
 * running them (`raise-model.ts`).
 */
import { cannotRaiseOpset, opsetTooOld } from '../errors/index.ts';
import {
  type Graph,
  isDefaultDomain,
  type Model,
  type Node,
  opsetOf,
  type TensorType,
} from '../graph/types.ts';
import { allNames, mapSubgraphs } from '../graph/walk.ts';
import { type Pass, runPasses } from './pass.ts';
import {
  axesInput,
  axisInput,
  countedParts,
  explicit,
  identity,
  inputs,
  otherModes,
  overFlattened,
  perChannel,
  type Row,
  refused,
  renamed,
  resized,
  withoutSpatial,
  withoutStatistics,
  withoutTwoSizes,
} from './raise-rows.ts';
import { type Raise, Scope } from './raise-scope.ts';

/**
 * Opsets `least` to `most` are known. The operators that regroup a batch (GatherND, ScatterND) came with `needed`; below it a model is
 * raised to `raised`.
 */
const OPSETS = { least: 7, needed: 11, raised: 12, most: 22 } as const;

/** The newest opset that a model can be raised to; also the newest one with an If on every backend. */
export const NEWEST_RAISED: number = OPSETS.most;

/** The operators of which some form in opsets 7 to 21 is none in a later one up to 22: since which opset, and what becomes of it. */
const CHANGED: Readonly<Record<string, Readonly<Record<number, Row>>>> = {
  BatchNormalization: { 9: withoutSpatial, 14: withoutStatistics },
  Clip: { 11: inputs('min', 'max') },
  DFT: { 20: axisInput },
  Dropout: { 10: identity, 12: identity }, //                   10: a bool mask; 12: `ratio` an input
  GridSample: { 20: otherModes },
  GroupNormalization: { 21: perChannel },
  Hardmax: { 13: overFlattened },
  LogSoftmax: { 13: overFlattened },
  MeanVarianceNormalization: { 9: refused('has other attributes before opset 9') },
  Pad: { 11: inputs('pads', 'value') },
  ReduceL1: { 18: axesInput },
  ReduceL2: { 18: axesInput },
  ReduceLogSum: { 18: axesInput },
  ReduceLogSumExp: { 18: axesInput },
  ReduceMax: { 18: axesInput },
  ReduceMean: { 18: axesInput },
  ReduceMin: { 18: axesInput },
  ReduceProd: { 18: axesInput },
  ReduceSum: { 13: axesInput },
  ReduceSumSquare: { 18: axesInput },
  Resize: { 11: resized, 13: withoutTwoSizes }, //              11: `roi`, and ways to find coordinates
  RoiAlign: { 16: explicit('coordinate_transformation_mode', 'output_half_pixel') },
  Scan: { 9: refused('goes over a batch, too, before opset 9') },
  Scatter: { 11: renamed('ScatterElements') },
  Slice: { 10: inputs('starts', 'ends', 'axes') },
  Softmax: { 13: overFlattened },
  Split: { 13: inputs('split'), 18: countedParts },
  Squeeze: { 13: axesInput },
  TopK: { 10: inputs('k') },
  Unsqueeze: { 13: axesInput },
  Upsample: { 11: resized }, //                                  9: `scales` an input; 10: Resize
}; // biome-ignore format: a table

/**
 * The operators whose forms in opsets 7 to 21 mean the same up to 22, which adds types, optional attributes and inputs, broadcasting, and
 * axes and indices from the back. (The negative indices that OneHot ignored before 11 have always counted from the back in ONNX Runtime.)
 */
const UNCHANGED = new Set([
  'Abs', 'Acos', 'Acosh', 'Add', 'AffineGrid', 'And', 'ArgMax', 'ArgMin', 'Asin', 'Asinh', 'Atan', 'Atanh', 'AveragePool',
  'Bernoulli', 'BitShift', 'BitwiseAnd', 'BitwiseNot', 'BitwiseOr', 'BitwiseXor', 'BlackmanWindow', 'Cast', 'CastLike', 'Ceil',
  'Celu', 'CenterCropPad', 'Col2Im', 'Compress', 'Concat', 'ConcatFromSequence', 'Constant', 'ConstantOfShape', 'Conv',
  'ConvInteger', 'ConvTranspose', 'Cos', 'Cosh', 'CumSum', 'DeformConv', 'DepthToSpace', 'DequantizeLinear', 'Det', 'Div',
  'DynamicQuantizeLinear', 'Einsum', 'Elu', 'Equal', 'Erf', 'Exp', 'Expand', 'EyeLike', 'Flatten', 'Floor', 'GRU', 'Gather',
  'GatherElements', 'GatherND', 'Gelu', 'Gemm', 'GlobalAveragePool', 'GlobalLpPool', 'GlobalMaxPool', 'Greater',
  'GreaterOrEqual', 'HammingWindow', 'HannWindow', 'HardSigmoid', 'HardSwish', 'Identity', 'If', 'ImageDecoder',
  'InstanceNormalization', 'IsInf', 'IsNaN', 'LRN', 'LSTM', 'LayerNormalization', 'LeakyRelu', 'Less', 'LessOrEqual', 'Log',
  'Loop', 'LpNormalization', 'LpPool', 'MatMul', 'MatMulInteger', 'Max', 'MaxPool', 'MaxRoiPool', 'MaxUnpool', 'Mean',
  'MelWeightMatrix', 'Min', 'Mish', 'Mod', 'Mul', 'Multinomial', 'Neg', 'NegativeLogLikelihoodLoss', 'NonMaxSuppression',
  'NonZero', 'Not', 'OneHot', 'Optional', 'OptionalGetElement', 'OptionalHasElement', 'Or', 'PRelu', 'Pow', 'QLinearConv',
  'QLinearMatMul', 'QuantizeLinear', 'RNN', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Range',
  'Reciprocal', 'RegexFullMatch', 'Relu', 'Reshape', 'ReverseSequence', 'Round', 'STFT', 'ScatterElements', 'ScatterND', 'Selu',
  'SequenceAt', 'SequenceConstruct', 'SequenceEmpty', 'SequenceErase', 'SequenceInsert', 'SequenceLength', 'SequenceMap',
  'Shape', 'Shrink', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Size', 'SoftmaxCrossEntropyLoss', 'Softplus', 'Softsign',
  'SpaceToDepth', 'SplitToSequence', 'Sqrt', 'StringConcat', 'StringNormalizer', 'StringSplit', 'Sub', 'Sum', 'Tan', 'Tanh',
  'TfIdfVectorizer', 'ThresholdedRelu', 'Tile', 'Transpose', 'Trilu', 'Unique', 'Where', 'Xor',
]); // biome-ignore format: a list

/** The opset that a model of `opset` is raised to when nobody asks for another: 12 below 11, else its own. */
export const usableOpset = (opset: number) => (opset < OPSETS.needed ? OPSETS.raised : opset);

/**
 * `model` in opset `to` (11 to 22; without it 12 for a model below 11); the very same when its own is not lower. Nodes in forms that did not
 * change stay the same objects, and those of other domains pass. `known`: types and ranks of values that the model itself does not describe.
 *
 * What becomes an input is made by a Constant node: an initializer would have to be a graph input up to IR version 3, which stays too, since from
 * 4 on such initializers can be overridden and ONNX Runtime no longer takes them for constants. Throws `opset-too-old` below 7, and
 * `cannot-raise-opset`, naming the node.
 */
export function raiseOpset(
  model: Model,
  to: number = usableOpset(opsetOf(model)),
  known: ReadonlyMap<string, TensorType> = new Map(),
): Model {
  const from = opsetOf(model);
  if (from >= to) return model;
  if (from < OPSETS.least) throw opsetTooOld(from, `Offramp takes ${OPSETS.least} and above`);
  if (to > OPSETS.most)
    throw cannotRaiseOpset(from, to, 'all nodes', `opsets above ${OPSETS.most} are not known to it`);
  if (model.functionCount > 0) {
    const why = 'model-local functions have opsets of their own';
    throw cannotRaiseOpset(from, to, `${model.functionCount} in all`, why);
  }
  const opsetImports = model.opsetImports.map((o) =>
    isDefaultDomain(o.domain) ? { domain: o.domain, version: to } : o,
  );
  return { ...model, graph: runPasses(model.graph, [newForms(from, to, known)]), opsetImports };
}

/** Rewrites the nodes of a graph, subgraphs included. */
const newForms = (from: number, to: number, known: Raise['known']): Pass => ({
  name: 'raise-opset',
  run: (graph) => rewrite(graph, { from, to, known, names: allNames(graph) }),
});

function rewrite(graph: Graph, raise: Raise, outer?: Scope): Graph {
  const scope = new Scope(graph, raise, outer);
  for (const node of graph.nodes) {
    const within = mapSubgraphs(node, (sub) => rewrite(sub, raise, scope));
    scope.nodes.push(isDefaultDomain(node.domain) ? newForm(within, scope, raise) : within);
    scope.learn(node);
  }
  const same = scope.nodes.every((node, i) => node === graph.nodes[i]);
  return same ? graph : { ...graph, nodes: scope.nodes };
}

/** Opset by opset, since a row may make another operator of it. */
function newForm(node: Node, scope: Scope, { from, to }: Raise): Node {
  if (!CHANGED[node.opType] && !UNCHANGED.has(node.opType))
    throw scope.refusal(node, 'is no operator that it knows');
  let form = node;
  for (let opset = from + 1; opset <= to; opset++)
    form = CHANGED[form.opType]?.[opset]?.(form, scope) ?? form;
  return form;
}
