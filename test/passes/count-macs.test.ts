import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeNode } from '../../src/graph/builder.ts';
import { nodeMacs } from '../../src/passes/count-macs.ts';

const test = suite('count MACs');

type Dims = readonly (readonly number[])[];

/** MACs of a node whose inputs and outputs have these dims; an empty list stands for one that is left out. */
function macs(op: string, inputs: Dims, outputs: Dims, attributes = {}): number | undefined {
  const dims = new Map<string, readonly number[]>();
  const named = (all: Dims, prefix: string) =>
    all.map((d, i) => {
      if (d.length > 0) dims.set(`${prefix}${i}`, d);
      return d.length > 0 ? `${prefix}${i}` : '';
    });
  const at = op.lastIndexOf('.');
  const node = makeNode(op.slice(at + 1), named(inputs, 'in'), named(outputs, 'out'), attributes);
  return nodeMacs({ ...node, domain: op.slice(0, Math.max(at, 0)) }, (name) => dims.get(name));
}

test('convolutions, whatever they are fused with or how they are laid out', () => {
  const [x, w, y] = [
    [1, 8, 10, 10],
    [16, 8, 3, 3],
    [1, 16, 5, 5],
  ];
  const expected = 16 * 25 * 8 * 9;
  assert.is(macs('com.microsoft.FusedConv', [x, w], [y]), expected);
  assert.is(macs('FusedConv', [x, w], [y]), expected);
  assert.is(macs('com.microsoft.nchwc.Conv', [x, w], [y]), expected);
  const last = [
    [1, 10, 10, 8],
    [16, 3, 3, 8],
    [1, 5, 5, 16],
  ];
  assert.is(macs('com.microsoft.NhwcConv', last.slice(0, 2), last.slice(2)), expected);
  assert.is(macs('com.microsoft.NhwcFusedConv', last.slice(0, 2), last.slice(2)), expected);
  assert.is(macs('com.microsoft.QLinearConv', [x, [1], [1], w], [y]), expected);
  assert.is(macs('DeformConv', [x, w, [1, 18, 5, 5]], [y]), expected);
  assert.is(
    macs(
      'Conv',
      [
        [1, 3, 4, 8, 8],
        [6, 3, 3, 3, 3],
      ],
      [[1, 6, 4, 8, 8]],
    ),
    6 * 256 * 3 * 27,
  );
  const up = [
    [8, 4, 2, 2],
    [1, 4, 20, 20],
  ];
  assert.is(macs('com.microsoft.ConvTransposeWithDynamicPads', [x, up[0]!], [up[1]!]), 8 * 100 * 4 * 4);
});

test('matrix products: fused, transposed, quantised, packed', () => {
  const [a, b, y] = [
    [1, 7, 32],
    [32, 12],
    [1, 7, 12],
  ];
  const expected = 7 * 12 * 32;
  for (const op of ['FusedMatMul', 'TransposeMatMul', 'GemmFastGelu', 'DynamicQuantizeMatMul'])
    assert.is(macs(`com.microsoft.${op}`, [a, b], [y]), expected, op);
  assert.is(macs('com.microsoft.FusedMatMul', [[1, 32, 7], b], [y], { transA: 1 }), expected);
  assert.is(macs('com.microsoft.FusedMatMul', [a, [12, 32]], [y], { transB: 1 }), expected);
  assert.is(
    macs(
      'com.microsoft.FusedGemm',
      [
        [1, 32],
        [64, 32],
      ],
      [[1, 64]],
      { transB: 1 },
    ),
    32 * 64,
  );
  assert.is(macs('com.microsoft.QGemm', [[1, 32], [1], [1], [32, 64]], [[1, 64]]), 32 * 64);
  assert.is(macs('com.microsoft.QGemm', [[32, 1], [1], [1], [32, 64]], [[1, 64]], { transA: 1 }), 32 * 64);
  const packed = [[1, 7, 64], [12, 2, 16], [24]];
  assert.is(macs('com.microsoft.MatMulNBits', packed, [y], { K: 64, N: 12, bits: 4 }), 7 * 12 * 64);
  assert.is(macs('com.microsoft.MatMulBnb4', packed, [y], { K: 64, N: 12 }), 7 * 12 * 64);
});

test('attention: projections where the op has them, every query by every key, every weight by every value', () => {
  const [length, width] = [10, 24];
  const x = [1, length, width];
  const both = 2 * length * length * width;
  const projected = length * width * 3 * width;
  for (const op of ['Attention', 'QAttention'])
    assert.is(macs(`com.microsoft.${op}`, [x, [width, 3 * width]], [x]), projected + both, op);
  // A past of 5 keys; queries and keys of 16 features in all, values of 24.
  const [present, sizes] = [[2, 1, 4, 15, 6], { qkv_hidden_sizes: [16, 16, 24] }];
  assert.is(
    macs('com.microsoft.Attention', [x, [width, 56]], [x, present], sizes),
    length * width * 56 + length * 15 * (16 + 24),
  );
  const memory = [1, 6, width];
  assert.is(macs('com.microsoft.MultiHeadAttention', [x, memory, memory], [x]), 2 * length * 6 * width);
  assert.is(macs('com.microsoft.GroupQueryAttention', [x, [1, 10, 12], [1, 10, 12]], [x]), both);
  const heads = [1, 4, length, 6];
  assert.is(macs('Attention', [heads, heads, heads], [heads]), both);
  assert.is(macs('com.microsoft.MultiHeadAttention', [[1, 10, 4, 3, 6]], [x]), undefined);
});

test('recurrent layers: every step, each gate, both directions', () => {
  const [steps, width, hidden] = [12, 8, 5];
  const x = [steps, 1, width];
  const weights = (gates: number, ways: number) => [
    x,
    [ways, gates * hidden, width],
    [ways, gates * hidden, hidden],
  ];
  const each = steps * hidden * (width + hidden);
  assert.is(macs('LSTM', weights(4, 1), [[steps, 1, 1, hidden]]), 4 * each);
  assert.is(macs('GRU', weights(3, 2), [[steps, 2, 1, hidden]]), 2 * 3 * each);
  assert.is(macs('RNN', weights(1, 1), [[steps, 1, 1, hidden]]), each);
  const layout = [[1, steps, width], ...weights(1, 1).slice(1)];
  assert.is(macs('RNN', layout, [[1, steps, 1, hidden]], { layout: 1 }), each);
});

test('Einsum: a product of two, with and without `->` and `...`; not where nothing is summed', () => {
  const count = (equation: string, inputs: Dims) => macs('Einsum', inputs, [[1]], { equation });
  assert.is(
    count('bij,jk->bik', [
      [1, 7, 32],
      [32, 12],
    ]),
    7 * 32 * 12,
  );
  assert.is(
    count('ij, jk', [
      [7, 32],
      [32, 12],
    ]),
    7 * 32 * 12,
  );
  assert.is(
    count('...ij,...jk->...ik', [
      [1, 4, 7, 6],
      [1, 4, 6, 7],
    ]),
    4 * 7 * 6 * 7,
  );
  assert.is(
    count('...j,jk->...k', [
      [1, 9, 6],
      [6, 3],
    ]),
    9 * 6 * 3,
  );
  assert.is(
    count('bi,bi->bi', [
      [1, 9],
      [1, 9],
    ]),
    0,
  );
  assert.is(count('bij->bji', [[1, 9, 3]]), 0);
  assert.is(
    count('ij,jk,kl->il', [
      [2, 3],
      [3, 4],
      [4, 5],
    ]),
    undefined,
  );
});

test('light ops are free, unknown ones are listed', () => {
  const x = [1, 8, 16];
  for (const op of ['BiasGelu', 'SkipLayerNormalization', 'EmbedLayerNormalization', 'QLinearAdd'])
    assert.is(macs(`com.microsoft.${op}`, [x, x], [x]), 0, op);
  assert.is(macs('ai.onnx.ml.Scaler', [x], [x]), 0);
  assert.is(macs('ai.onnx.ml.SVMClassifier', [x], [x]), undefined);
  assert.is(macs('com.microsoft.LongformerAttention', [x], [x]), undefined);
  assert.is(macs('my.domain.Conv', [x, x], [x]), undefined);
  assert.is(macs('STFT', [x], [x]), undefined);
});

test.run();
