/** Small real networks with random weights, for tests that need a backbone. */
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { elementCount, floatTensor } from '../src/graph/tensor.ts';
import type { Model } from '../src/graph/types.ts';

export interface TinyOptions {
  readonly batch?: 'N' | 1;
  readonly opset?: number;
  readonly softmax?: boolean;
  readonly seed?: number;
}

/** Deterministic numbers in [-1, 1). */
export function noise(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A residual CNN: input [N, 3, 8, 8] → `scores` [N, 5], three blocks of which the second halves the map. */
export function tinyResidual({
  batch = 'N',
  opset = 17,
  softmax = false,
  seed = 1,
}: TinyOptions = {}): Model {
  const b = new GraphBuilder();
  let next = seed;
  const weight = (name: string, dims: number[]) => {
    const scale = Math.sqrt(3 / elementCount(dims.slice(1)));
    return b.initializer(
      floatTensor(
        name,
        dims,
        noise(elementCount(dims), next++).map((v) => v * scale * 1.4),
      ),
    );
  };
  const conv = (x: string, name: string, from: number, to: number, stride: number) =>
    b.op('Conv', [x, weight(`${name}.weight`, [to, from, 3, 3]), weight(`${name}.bias`, [to])], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
      strides: [stride, stride],
    });
  let x = b.op('Relu', [conv(b.input('image', 'float', [batch, 3, 8, 8]), 'stem', 3, 8, 1)], {}, 'stem');
  const block = (name: string, from: number, to: number, stride: number) => {
    const inner = b.op('Relu', [conv(x, `${name}.conv1`, from, to, stride)]);
    const outer = conv(inner, `${name}.conv2`, to, to, 1);
    const skip = from === to ? x : conv(x, `${name}.skip`, from, to, stride);
    x = b.op('Relu', [b.op('Add', [outer, skip])], {}, name);
  };
  block('block1', 8, 8, 1);
  block('block2', 8, 16, 2);
  block('block3', 16, 16, 1);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [x])], { axis: 1 });
  const logits = softmax ? 'logits' : 'scores';
  b.op('Gemm', [pooled, weight('fc.weight', [5, 16]), weight('fc.bias', [5])], { transB: 1 }, logits);
  if (softmax) b.op('Softmax', [logits], { axis: 1 }, 'scores');
  b.output('scores', 'float', [batch, 5]);
  return makeModel(b.build('tiny_residual'), opset);
}
