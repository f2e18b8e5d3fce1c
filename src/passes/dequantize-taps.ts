/** Float values beside the int8 ones of a QOperator model: places where a float head can be hung. */
import { makeNode } from '../graph/builder.ts';
import type { Graph, Node } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** The inputs that hold scale and zero point of what an op makes; ONNX, and com.microsoft's (docs/ContribOperators.md). */
const OUTPUT_SCALE: Readonly<Record<string, readonly [scale: number, zeroPoint: number]>> = {
  QLinearConv: [6, 7],
  QLinearMatMul: [6, 7],
  QLinearAdd: [6, 7],
  QLinearMul: [6, 7],
  QGemm: [7, 8],
  QLinearAveragePool: [3, 4],
  QLinearGlobalAveragePool: [3, 4],
  QLinearLeakyRelu: [3, 4],
  QLinearSigmoid: [3, 4],
  QLinearSoftmax: [3, 4],
  QLinearConcat: [0, 1],
};

/** Behind every op that makes quantised numbers a DequantizeLinear `<value>/float`, which nothing reads and so vanishes where no exit is. */
export const dequantizeTaps: Pass = {
  name: 'dequantize-taps',
  run(graph: Graph): Graph {
    const names = allNames(graph);
    const nodes = graph.nodes.flatMap((node) => [node, ...dequantized(node, names)]);
    return nodes.length === graph.nodes.length ? graph : { ...graph, nodes };
  },
};

function dequantized(node: Node, names: ReadonlySet<string>): Node[] {
  const at = OUTPUT_SCALE[node.opType];
  const [value] = node.outputs;
  if (!at || !value || names.has(`${value}/float`)) return [];
  const [scale, zeroPoint = ''] = at.map((i) => node.inputs[i] ?? '');
  if (!scale) return [];
  const inputs = zeroPoint ? [value, scale, zeroPoint] : [value, scale];
  return [makeNode('DequantizeLinear', inputs, [`${value}/float`])];
}
