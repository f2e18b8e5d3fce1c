/** Multiply-accumulates of a model's heavy ops, per sample, from observed shapes. */
import { numberOf, numbersOf } from '../graph/attributes.ts';
import { elementCount } from '../graph/tensor.ts';
import { isDefaultDomain, type Node } from '../graph/types.ts';
import { subgraphs } from '../graph/walk.ts';

type Dims = readonly number[];
type DimsOf = (value: string) => Dims | undefined;

/** A node's shapes: of input and output `i`, [] of one that is left out or unknown. */
interface Shapes {
  readonly node: Node;
  readonly input: (i: number) => Dims;
  readonly output: (i: number) => Dims;
}
/** MACs of a node; undefined where its form is one that is not counted. */
type Rule = (shapes: Shapes) => number | undefined;

/** Each output element is the product of a window and a filter. `weight`: the input that holds filters, [O, …filter]. */
const convolution =
  (weight: number): Rule =>
  ({ input, output }) =>
    elementCount(output(0)) * elementCount(input(weight).slice(1));

/** Each input element meets a filter. */
const transposedConvolution: Rule = ({ input }) => elementCount(input(0)) * elementCount(input(1).slice(1));

/** Each output element is the product of a row of input 0, turned round by `transA`, and a column. */
const product: Rule = ({ node, input, output }) => {
  const length = input(0).at(numberOf(node, 'transA', 0) === 1 ? -2 : -1);
  return elementCount(output(0)) * (length ?? 1);
};

/** Weights are packed; attribute K is the length of the products. */
const packedProduct: Rule = ({ node, output }) => elementCount(output(0)) * numberOf(node, 'K', 0);

/** Every step multiplies a sample's vector by W and its state by R: both are inputs of one matrix a direction. */
const recurrent: Rule = ({ input }) => {
  const steps = elementCount(input(0).slice(0, 2));
  return steps * (elementCount(input(1)) + elementCount(input(2)));
};

/** Queries by keys and weights by values: every element of both the queries and the result meets `length` keys. */
const attended = (queries: number, result: number, length: number) => (queries + result) * length;

/** com.microsoft's Attention: it projects input [B, S, D] by weights [D, q + k + v] itself; a past makes more keys. */
const projectingAttention: Rule = ({ node, input, output }) => {
  const [batch = 0, length = 0, width = 0] = input(0);
  const all = input(1)[1] ?? 0;
  const sizes = numbersOf(node, 'qkv_hidden_sizes', undefined) ?? [all / 3, all / 3, all / 3];
  const keys = output(1).at(3) ?? length;
  const rows = batch * length;
  return rows * width * all + attended(rows * sizes[0]!, rows * sizes[2]!, keys);
};

/** Attention over queries, keys and values that are inputs, [B, L, …] or [B, heads, L, size]; what was kept of earlier keys is output `present`. */
const plainAttention =
  (present: number): Rule =>
  ({ input, output }) => {
    const [queries, keys] = [input(0), input(1)];
    const length = output(present)[2] ?? (keys.length === 4 ? keys[2] : keys[1]);
    const packed = length === undefined || keys.length === 5 || queries.length === 5;
    return packed ? undefined : attended(elementCount(queries), elementCount(output(0)), length);
  };

/** Of two factors: one MAC for each combination of all indices, as in a matrix product; 0 where none is summed over. */
const einsum: Rule = ({ node, input }) => {
  const { equation } = node.attributes;
  if (equation?.type !== 'STRING' || node.inputs.length > 2) return undefined;
  const [left = '', right] = equation.value.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  const size = new Map<string, number>();
  const letters: string[] = [];
  for (const [i, term] of terms.entries()) {
    const dims = input(i);
    const [before = '', after] = term.split('...');
    const free = after === undefined ? 0 : dims.length - before.length - after.length;
    // Axes that `...` stands for are counted from the last, as in broadcasting.
    const rest = Array.from({ length: free }, (_, k) => `...${free - k}`);
    const indices = [...before, ...rest, ...(after ?? '')];
    letters.push(...indices);
    for (const [axis, index] of indices.entries())
      size.set(index, Math.max(size.get(index) ?? 1, dims[axis] ?? 1));
  }
  const isKept = (index: string) =>
    index.length > 1 || (right?.includes(index) ?? letters.indexOf(index) === letters.lastIndexOf(index));
  return terms.length === 1 || [...size.keys()].every(isKept) ? 0 : elementCount([...size.values()]);
};

const ONNX_RULES: Record<string, Rule> = {
  Conv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  DeformConv: convolution(1),
  ConvTranspose: transposedConvolution,
  Gemm: product,
  MatMul: product,
  MatMulInteger: product,
  QLinearMatMul: product,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Einsum: einsum,
  Attention: plainAttention(1),
};

/** Of ONNX Runtime's own domains (docs/ContribOperators.md): what optimised files consist of. */
const RUNTIME_RULES: Record<string, Rule> = {
  Conv: convolution(1),
  FusedConv: convolution(1),
  NhwcConv: convolution(1),
  NhwcFusedConv: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: transposedConvolution,
  ConvTransposeWithDynamicPads: transposedConvolution,
  FusedGemm: product,
  GemmFastGelu: product,
  QGemm: product,
  FusedMatMul: product,
  TransposeMatMul: product,
  FusedMatMulActivation: product,
  DynamicQuantizeMatMul: product,
  MatMulIntegerToFloat: product,
  MatMulInteger16: product,
  QLinearMatMul: product,
  MatMulNBits: packedProduct,
  MatMulBnb4: packedProduct,
  DynamicQuantizeLSTM: recurrent,
  Attention: projectingAttention,
  QAttention: projectingAttention,
  MultiHeadAttention: plainAttention(1),
  GroupQueryAttention: plainAttention(1),
};
/** Ops of those domains without products of any length. */
const RUNTIME_LIGHT = new Set([
  'BiasAdd', 'BiasGelu', 'BiasSoftmax', 'BiasSplitGelu', 'DequantizeLinear', 'DynamicSlice', 'EmbedLayerNormalization', 'ExpandDims',
  'FastGelu', 'GatherBlockQuantized', 'GatherND', 'Gelu', 'GroupNorm', 'LayerNormalization', 'MurmurHash3', 'NhwcMaxPool', 'Pad',
  'QEmbedLayerNormalization', 'QLinearAdd', 'QLinearAveragePool', 'QLinearConcat', 'QLinearGlobalAveragePool', 'QLinearLeakyRelu',
  'QLinearMul', 'QLinearReduceMean', 'QLinearSigmoid', 'QLinearSoftmax', 'QLinearWhere', 'QuantizeLinear', 'QuickGelu',
  'RotaryEmbedding', 'SimplifiedLayerNormalization', 'SkipGroupNorm', 'SkipLayerNormalization', 'SkipSimplifiedLayerNormalization',
  'Trilu', 'Upsample', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'MaxPool', 'ReorderInput', 'ReorderOutput',
]); // biome-ignore format: a list
/** '' too: some files leave the domain out. */
const RUNTIME_DOMAINS = new Set([
  'com.microsoft',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
  '',
  'ai.onnx',
]);

/** Of ai.onnx.ml. */
const ML_LIGHT = new Set([
  'ArrayFeatureExtractor', 'Binarizer', 'CastMap', 'CategoryMapper', 'DictVectorizer', 'FeatureVectorizer', 'Imputer', 'LabelEncoder',
  'Normalizer', 'OneHotEncoder', 'Scaler', 'ZipMap',
]); // biome-ignore format: a list

/** ONNX ops that do real arithmetic which the count leaves out. */
const UNCOUNTED = new Set(['DFT', 'STFT']);

/** MACs of `node` at batch 1; 0 for light ops; undefined when it is heavy and not counted. */
export function nodeMacs(node: Node, dimsOf: DimsOf): number | undefined {
  const { opType, domain } = node;
  const isOnnx = isDefaultDomain(domain);
  const isRuntime = RUNTIME_DOMAINS.has(domain);
  const rule = (isOnnx && ONNX_RULES[opType]) || (isRuntime && RUNTIME_RULES[opType]);
  if (rule) {
    const at = (names: readonly string[]) => (i: number) => dimsOf(names[i] ?? '') ?? [];
    return rule({ node, input: at(node.inputs), output: at(node.outputs) });
  }
  const isLight =
    (isOnnx && !UNCOUNTED.has(opType) && subgraphs(node).length === 0) ||
    (isRuntime && RUNTIME_LIGHT.has(opType)) ||
    (domain === 'ai.onnx.ml' && ML_LIGHT.has(opType));
  return isLight ? 0 : undefined;
}
