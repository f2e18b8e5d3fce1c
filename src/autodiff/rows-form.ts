/**
 * Maps as rows, [N·pixels, C], the form that heads are trained in: a convolution is one Gather of the elements in its windows (im2col, Chellapilla et
 * al. 2006) and one product for the whole batch, its weight gradient reads the same columns, and no map is transposed on the way.
 * ONNX has no such convolution: until gradients are there it is an op of our own, `offramp.RowsConv` (x [N·pixels, C], weight [O, C, ...kernel],
 * bias [O]; y [N·pixels', O], columns [N·pixels', taps·C]), which `leaveRows` writes as ONNX ops.
 */

import { numberOf, numbersOf } from '../graph/attributes.ts';
import { makeNode } from '../graph/builder.ts';
import { checkKeptTypes, type TypedBuilder } from '../graph/infer.ts';
import { type Window, windowOf } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Node } from '../graph/types.ts';
import type { Pass } from '../passes/pass.ts';
import { EnteringLayout, OWN_DOMAIN, rewriteNodes } from './map-layout.ts';
import { channelsLast, unfold } from './unfold.ts';

/** Columns beyond this are slower to write and read than a map is to convolve: 75 MB were, 38 MB were not (bench/README.md). */
const MOST_COLUMN_BYTES = 2 ** 26;

/**
 * Puts convolutions without groups into rows unless their columns are too large, and those that follow them and can be written for rows:
 * BatchNormalization, Relu, Add, GlobalAveragePool. Values that anything else reads come back as maps of their names. Shapes must be
 * static (`bindDims`).
 */
export const enterRows: Pass = {
  name: 'enter-rows',
  run: (graph) => (graph.nodes.some(isPlainConv) ? new EnteringRows(graph, 'rows/').run() : graph),
  ensures: checkKeptTypes,
};

const isPlainConv = (node: Node) =>
  node.opType === 'Conv' && node.domain === '' && numberOf(node, 'group', 1) === 1;

class EnteringRows extends EnteringLayout {
  protected convolution(node: Node): string | undefined {
    if (!isPlainConv(node) || this.columnBytes(node) > MOST_COLUMN_BYTES) return undefined;
    const { b } = this;
    const [x, ...others] = node.inputs as [string, ...string[]];
    const y = node.outputs[0]!;
    const { kernel: kernel_shape, ...window } = windowOf(node, b.dims(others[0]!).slice(2));
    const size = b.dims(x).slice(2);
    const outputs = [b.fresh(`${y}/rows`), b.fresh(`${y}/columns`)];
    const attributes = { size, kernel_shape, ...window };
    const inputs = [this.insideOf(x), ...others];
    b.add({ ...makeNode('RowsConv', inputs, outputs, attributes), domain: OWN_DOMAIN });
    return outputs[0];
  }

  protected normalisation(node: Node, x: string): string {
    const outputs = [this.b.fresh(`${node.outputs[0]}/rows`), ...node.outputs.slice(1)];
    this.b.add({ ...node, inputs: [x, ...node.inputs.slice(1)], outputs });
    return outputs[0]!;
  }

  protected average(node: Node, x: string): void {
    const { b } = this;
    const y = node.outputs[0]!;
    const [n, c, ...size] = b.dims(node.inputs[0]!) as [number, number, ...number[]];
    const byMap = b.op('Reshape', [x, b.int64([n, elementCount(size), c])]);
    const mean = b.op('ReduceMean', [byMap], { axes: [1], keepdims: 0 });
    b.op('Reshape', [mean, b.int64(b.dims(y))], {}, y);
  }

  /** [N, C, ...size] → [N·pixels, C] */
  protected toLayout(map: string): string {
    const { b } = this;
    const [n, c, ...size] = b.dims(map) as [number, number, ...number[]];
    return b.op('Reshape', [channelsLast(b, map), b.int64([n * elementCount(size), c])]);
  }

  protected toMap(rows: string, name: string): void {
    const { b } = this;
    const dims = b.dims(name);
    const [n, c, ...size] = dims as [number, number, ...number[]];
    const byMap = b.op('Reshape', [rows, b.int64([n, elementCount(size), c])]);
    b.op('Reshape', [b.op('Transpose', [byMap], { perm: [0, 2, 1] }), b.int64(dims)], {}, name);
  }

  private columnBytes(conv: Node): number {
    const [n, , ...size] = this.b.dims(conv.outputs[0]!);
    return 4 * n! * elementCount(size) * elementCount(this.b.dims(conv.inputs[1]!).slice(1));
  }
}

/** What a RowsConv convolves: the spatial dims of its input and how its window slides over them. */
export function rowsWindow(node: Node): { readonly size: readonly number[]; readonly window: Window } {
  return { size: numbersOf(node, 'size', []), window: windowOf(node) };
}

/** Writes what `enterRows` left behind as ONNX ops: RowsConv, and BatchNormalization of rows. */
export const leaveRows: Pass = {
  name: 'leave-rows',
  ensures: checkKeptTypes,
  run: (graph) =>
    rewriteNodes(graph, 'rows/', (b, node) => {
      if (node.opType === 'RowsConv' && node.domain === OWN_DOMAIN) convolve(b, node);
      else if (isNormalization(b, node)) normalize(b, node);
      else return false;
      return true;
    }),
};

function convolve(b: TypedBuilder, node: Node): void {
  const [x, weight, ...bias] = node.inputs as [string, string, ...string[]];
  const [y, columns] = node.outputs as [string, string];
  const { size, window } = rowsWindow(node);
  const [o, c, ...kernel] = b.dims(weight) as [number, number, ...number[]];
  const taps = elementCount(kernel);
  const n = b.dims(x)[0]! / elementCount(size);
  const byMap = b.op('Reshape', [x, b.int64([n, elementCount(size), c])]);
  b.op('Reshape', [unfold(b, byMap, size, window), b.int64(b.dims(columns))], {}, columns);
  const byTap = b.op('Transpose', [b.op('Reshape', [weight, b.int64([o, c, taps])])], { perm: [2, 1, 0] });
  const matrix = b.op('Reshape', [byTap, b.int64([taps * c, o])]);
  b.op('Gemm', [columns, matrix, ...bias], {}, y);
}

/** Of rows, by the batch's own statistics: ONNX Runtime's kernel takes rows one number at a time. */
const isNormalization = (b: TypedBuilder, node: Node) =>
  node.opType === 'BatchNormalization' &&
  numberOf(node, 'training_mode', 0) === 1 &&
  b.dims(node.inputs[0]!).length === 2;

/** Ioffe & Szegedy 2015, algorithm 1, over [R, C]. */
function normalize(b: TypedBuilder, node: Node): void {
  const [x, scale, shift] = node.inputs as [string, string, string];
  const [y, batchMean, batchVariance] = node.outputs as [string, string, string];
  const mean = (value: string, as: string) => b.op('ReduceMean', [value], { axes: [0], keepdims: 0 }, as);
  const centred = b.op('Sub', [x, mean(x, batchMean)]);
  const variance = mean(b.op('Mul', [centred, centred]), batchVariance);
  const epsilon = b.float(numberOf(node, 'epsilon', 1e-5));
  const deviation = b.op('Sqrt', [b.op('Add', [variance, epsilon])]);
  b.op('Add', [b.op('Mul', [centred, b.op('Div', [scale, deviation])]), shift], {}, y);
}
