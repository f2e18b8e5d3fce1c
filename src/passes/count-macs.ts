/** Multiply-accumulates of a model's heavy ops, per sample, from observed shapes. */
import { elementCount } from '../graph/tensor.ts';
import type { Node } from '../graph/types.ts';
import { subgraphs } from '../graph/walk.ts';

type DimsOf = (value: string) => readonly number[] | undefined;

/** The inputs that hold the activations and the weights, by op. */
const CONVOLUTIONS: Record<string, { weight: number }> = {
  Conv: { weight: 1 },
  FusedConv: { weight: 1 },
  ConvInteger: { weight: 1 },
  QLinearConv: { weight: 3 },
};
const PRODUCTS: Record<string, { left: number }> = {
  MatMul: { left: 0 },
  MatMulInteger: { left: 0 },
  QLinearMatMul: { left: 0 },
};
/** Ops that do real arithmetic which the count leaves out. */
const UNCOUNTED = new Set([
  'LSTM', 'GRU', 'RNN', 'Einsum', 'Attention', 'MultiHeadAttention', 'QAttention', 'DeformConv', 'DFT', 'STFT',
  'SVMClassifier', 'SVMRegressor', 'TreeEnsemble', 'TreeEnsembleClassifier', 'LinearClassifier', 'Scan', 'Loop', 'If',
]); // biome-ignore format: a list

/** MACs of `node` at batch 1; 0 for light ops; undefined when it is heavy and not counted. */
export function nodeMacs(node: Node, dimsOf: DimsOf): number | undefined {
  const dims = (i: number) => dimsOf(node.inputs[i] ?? '') ?? [];
  const output = dimsOf(node.outputs[0] ?? '') ?? [];
  const convolution = CONVOLUTIONS[node.opType];
  if (convolution) return elementCount(output) * elementCount(dims(convolution.weight).slice(1));
  if (node.opType === 'ConvTranspose') return elementCount(dims(0)) * elementCount(dims(1).slice(1));
  if (node.opType === 'Gemm') {
    const transposed = node.attributes.transA?.value === 1;
    return elementCount(output) * (dims(0)[transposed ? 0 : 1] ?? 1);
  }
  const product = PRODUCTS[node.opType];
  if (product) return elementCount(output) * (dims(product.left).at(-1) ?? 1);
  const foreign = node.domain !== '' && node.domain !== 'ai.onnx';
  return UNCOUNTED.has(node.opType) || foreign || subgraphs(node).length > 0 ? undefined : 0;
}
