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

/** Weights, convolutions and classifiers that the nets with exits of their own are made of. */
export class NetBuilder extends GraphBuilder {
  private next: number;

  constructor(seed: number) {
    super();
    this.next = seed;
  }

  weight(name: string, dims: number[], gain = 1.4): string {
    const scale = gain * Math.sqrt(3 / elementCount(dims.slice(1)));
    const values = noise(elementCount(dims), this.next++).map((v) => v * scale);
    return this.initializer(floatTensor(name, dims, values));
  }

  /** Conv3x3 and Relu. */
  conv(x: string, name: string, from: number, to: number, stride = 1): string {
    const made = this.op('Conv', [x, this.weight(`${name}.weight`, [to, from, 3, 3])], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
      strides: [stride, stride],
    });
    return this.op('Relu', [made], {}, name);
  }

  /** Average pool and Gemm. */
  classifier(x: string, name: string, from: number, as: string): string {
    const pooled = this.op('Flatten', [this.op('GlobalAveragePool', [x])], { axis: 1 });
    const inputs = [pooled, this.weight(`${name}.weight`, [5, from], 8), this.weight(`${name}.bias`, [5])];
    return this.op('Gemm', inputs, { transB: 1 }, as);
  }
}

/**
 * A transformer encoder of three layers over 8 tokens of 24 features → `scores` [N, 5], from pictures [N, 3, 8, 8], or from `input_ids`
 * and `attention_mask` [N, 8] int64 (64 words). Every layer reads the batch size that was looked up once at the top (as PyTorch's dynamo
 * exporter writes it), and an attention mask [N, 1, 1, 8].
 */
export function tinyEncoder(opset = 17, reads: 'pictures' | 'words' = 'pictures'): Model {
  const b = new NetBuilder(31);
  const [tokens, width, heads] = [8, 24, 2];
  const words = reads === 'words';
  const input = words
    ? b.input('input_ids', 'int64', ['N', tokens])
    : b.input('image', 'float', ['N', 3, 8, 8]);
  const size = b.op('Gather', [b.op('Shape', [input]), b.int64([0])], { axis: 0 }, 'size');
  const sized = (...dims: number[]) => b.op('Concat', [size, b.int64(dims)], { axis: 0 });
  let x = words
    ? b.op('Gather', [b.weight('words', [64, width], 4), input], { axis: 0 }, 'tokens')
    : b.op('Reshape', [input, sized(tokens, width)], {}, 'tokens');
  const first = b.op('Slice', [x, b.int64([0]), b.int64([1]), b.int64([2])]);
  const masked = words
    ? b.op('Equal', [b.input('attention_mask', 'int64', ['N', tokens]), b.int64(0)])
    : b.op('Less', [first, b.float(-0.5)]);
  const shaped = b.op('Reshape', [b.op('Cast', [masked], { to: 1 }), sized(1, 1, tokens)]);
  const mask = b.op('Mul', [shaped, b.float(-9)], {}, 'mask');
  const linear = (v: string, name: string, gain = 1) =>
    b.op('MatMul', [v, b.weight(name, [width, width], gain)]);
  for (const layer of ['layer1', 'layer2', 'layer3']) {
    const split = (part: string, perm: number[]) =>
      b.op(
        'Transpose',
        [b.op('Reshape', [linear(x, `${layer}.${part}`), sized(tokens, heads, width / heads)])],
        { perm },
      );
    const scores = b.op('MatMul', [split('q', [0, 2, 1, 3]), split('k', [0, 2, 3, 1])]);
    const attention = b.op('Softmax', [b.op('Add', [scores, mask])], { axis: 3 });
    const mixed = b.op('MatMul', [attention, split('v', [0, 2, 1, 3])]);
    const joined = b.op(
      'Reshape',
      [b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), sized(tokens, width)],
      {},
    );
    x = b.op('Add', [x, b.op('Tanh', [linear(joined, `${layer}.out`)])], {}, layer);
  }
  const pooled = b.op('Reshape', [
    b.op('Slice', [x, b.int64([0]), b.int64([1]), b.int64([1])]),
    b.int64([-1, width]),
  ]);
  b.op(
    'Gemm',
    [pooled, b.weight('fc.weight', [5, width], 8), b.weight('fc.bias', [5])],
    { transB: 1 },
    'scores',
  );
  b.output('scores', 'float', ['N', 5]);
  return makeModel(b.build('tiny_encoder'), opset);
}

/** As BranchyNet: a chain with two side branches, the first with a convolution, the second ending in a Softmax. */
export function branchyNet(opset = 17, batch: 'N' | 1 = 'N'): Model {
  const b = new NetBuilder(11);
  const first = b.conv(b.input('image', 'float', [batch, 3, 8, 8]), 'conv1', 3, 8);
  b.classifier(b.conv(first, 'side1', 8, 12, 2), 'exit1', 12, 'exit1');
  const second = b.conv(first, 'conv2', 8, 16, 2);
  b.op('Softmax', [b.classifier(second, 'exit2', 16, 'exit2_logits')], { axis: 1 }, 'exit2');
  const third = b.conv(b.conv(second, 'conv3', 16, 16), 'conv4', 16, 16);
  b.classifier(third, 'fc', 16, 'logits');
  for (const name of ['exit1', 'exit2', 'logits']) b.output(name, 'float', [batch, 5]);
  return makeModel(b.build('branchy'), opset);
}

/** As MSDNet: two scales joined by Concat, a classifier on the coarse one at every depth; both scales go on across each exit. */
export function multiScaleNet(opset = 17): Model {
  const b = new NetBuilder(23);
  let fine = b.conv(b.input('image', 'float', ['N', 3, 8, 8]), 'fine0', 3, 6);
  let coarse = b.conv(fine, 'coarse0', 6, 8, 2);
  let [f, c] = [6, 8];
  for (const depth of [1, 2, 3]) {
    const grown = b.conv(fine, `fine${depth}.new`, f, 4);
    const down = b.conv(fine, `coarse${depth}.down`, f, 4, 2);
    const along = b.conv(coarse, `coarse${depth}.along`, c, 4);
    coarse = b.op('Concat', [coarse, down, along], { axis: 1 }, `coarse${depth}`);
    fine = b.op('Concat', [fine, grown], { axis: 1 }, `fine${depth}`);
    [f, c] = [f + 4, c + 8];
    const side = b.conv(coarse, `side${depth}`, c, 10, 2);
    b.classifier(side, `exit${depth}`, 10, `exit${depth}`);
    b.output(`exit${depth}`, 'float', ['N', 5]);
  }
  return makeModel(b.build('multi_scale'), opset);
}
