/** Analysis: which axis of a value holds its channels. Exporters keep maps as [N, C, H, W] or [N, H, W, C] (videos and volumes with an axis more), signals as [N, C, L], tokens as [N, L, D]. */
import type { Node } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import type { TypedModel } from './exits.ts';

/** Ops whose result has its channels behind the batch, by ONNX's definition. */
const SECOND = new Set([
  'Conv', 'ConvTranspose', 'QLinearConv', 'ConvInteger', 'BatchNormalization', 'InstanceNormalization', 'LRN', 'MaxPool',
  'FusedConv', 'AveragePool', 'LpPool', 'GlobalAveragePool', 'GlobalMaxPool', 'QLinearAveragePool', 'QLinearGlobalAveragePool',
]); // biome-ignore format: a list
/** Ops whose result has its features last. */
const LAST = new Set([
  'MatMul', 'Gemm', 'QLinearMatMul', 'MatMulInteger', 'FusedMatMul', 'MatMulNBits', 'LayerNormalization', 'SkipLayerNormalization',
  'Attention', 'MultiHeadAttention', 'Gather', 'NhwcConv', 'NhwcFusedConv', 'NhwcMaxPool',
]); // biome-ignore format: a list

/** Index, among the axes behind the batch, of the channels of `value`: found where it was made, else by its rank. */
export function channelAxisOf(typed: TypedModel, value: string): number {
  const rank = typed.facts.get(value)!.dims.length;
  return (axisIn(typed, value) ?? (rank > 3 ? 1 : rank - 1)) - 1;
}

function axisIn(typed: TypedModel, value: string): number | undefined {
  const { producer } = indexGraph(typed.model.graph);
  const dimsOf = (name: string) => typed.facts.get(name)?.dims;
  const node = producer.get(value);
  const dims = dimsOf(value);
  if (!node || !dims) return undefined;
  if (SECOND.has(node.opType)) return 1;
  if (LAST.has(node.opType)) return dims.length - 1;
  if (node.opType === 'Transpose') {
    const before = axisIn(typed, node.inputs[0]!);
    return before === undefined ? undefined : permuted(node, dims.length).indexOf(before);
  }
  const like = node.inputs.find((name) => producer.has(name) && sameRank(dimsOf(name), dims, node));
  return like === undefined ? undefined : axisIn(typed, like);
}

/** An input whose axes are those of the result: of the same shape, or joined along one axis. */
const sameRank = (input: readonly number[] | undefined, output: readonly number[], { opType }: Node) =>
  input?.length === output.length && (opType === 'Concat' || input.every((d, i) => d === output[i]));

function permuted(node: Node, rank: number): readonly number[] {
  const { perm } = node.attributes;
  return perm?.type === 'INTS' ? perm.value : Array.from({ length: rank }, (_, i) => rank - 1 - i);
}
