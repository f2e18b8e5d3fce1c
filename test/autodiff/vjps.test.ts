import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VJPS } from '../../src/autodiff/vjps.ts';
import { float } from '../../src/graph/builder.ts';
import { apartOf, type Case, checkGradient, type Input, positive, t } from './check-gradient.ts';

const test = suite('vjps');

const both = (op: string, make = t): Case[] =>
  ([[[2, 3], [2, 3]], [[2, 3], [3]], [[3], [2, 3]], [[2, 1, 4], [3, 1]], [[1, 3, 1], [2, 1, 4]], [[2, 3], []], [[], [2, 3]]])
    .map(([a, c]) => ({ op, inputs: [make(...a!), make(...c!)] })); // biome-ignore format: a table

const unary = (op: string, make = t, attributes = {}): Case[] => [
  { op, inputs: [make(2, 3, 4)], attributes },
  { op, inputs: [make()], attributes },
];

const conv = (x: number[], w: number[], attributes = {}, bias = false): Case => ({
  op: 'Conv',
  inputs: [t(...x), t(...w), ...(bias ? [t(w[0]!)] : [])],
  attributes: { kernel_shape: w.slice(2), ...attributes },
});

const pool = (
  op: string,
  make: (...d: number[]) => Input,
  dims: number[],
  attributes: Case['attributes'],
): Case => ({
  op,
  inputs: [make(...dims)],
  attributes: attributes!,
});

const reduction = (op: string, make = t): Case[] =>
  op === 'ReduceSum'
    ? [
        { op, inputs: [make(2, 3, 4)] },
        { op, inputs: [make(2, 3, 4), [0, 2]], attributes: { keepdims: 0 } },
        { op, inputs: [make(2, 3, 4), [-1]] },
      ]
    : [
        { op, inputs: [make(2, 3, 4)], attributes: { keepdims: 0 } },
        { op, inputs: [make(2, 3, 4)], attributes: { axes: [0, 2], keepdims: 0 } },
        { op, inputs: [make(2, 3, 4)], attributes: { axes: [-1] } },
      ];

const norm = (dims: number[], training_mode: number): Case => ({
  op: 'BatchNormalization',
  inputs: [t(...dims), ...Array.from({ length: 3 }, () => t(dims[1]!)), positive(dims[1]!)],
  attributes: { training_mode, momentum: float(0), epsilon: 1e-3 },
  more: training_mode ? ['mean', 'variance'] : [],
  wrt: [0, 1, 2],
});

const CASES: readonly Case[] = [
  ...unary('Abs', apartOf),
  ...both('Add'),
  pool('AveragePool', t, [2, 3, 6, 6], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('AveragePool', t, [2, 3, 7, 6], { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }),
  pool('AveragePool', t, [2, 3, 7, 6], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    count_include_pad: 1,
  }),
  pool('AveragePool', t, [1, 2, 7, 8], { kernel_shape: [3, 3], strides: [2, 3] }),
  pool('AveragePool', t, [2, 3, 9], { kernel_shape: [4], strides: [3] }),
  norm([4, 3, 2, 5], 1),
  norm([8, 3], 1),
  norm([4, 3, 6], 1),
  norm([4, 3, 2, 5], 0),
  { op: 'Cast', inputs: [t(2, 3)], attributes: { to: 1 } },
  { op: 'Clip', inputs: [apartOf(3, 5), -0.4, 0.3] },
  { op: 'Clip', inputs: [apartOf(3, 5), undefined, 0.3] },
  { op: 'Concat', inputs: [t(2, 3), t(2, 1), t(2, 2)], attributes: { axis: 1 } },
  { op: 'Concat', inputs: [t(2, 3, 2), t(1, 3, 2)], attributes: { axis: -3 } },
  { op: 'Concat', inputs: [t(2, 3), t(2, 1)], attributes: { axis: -1 }, wrt: [1] },
  conv([2, 3, 6, 5], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }, true),
  conv([2, 3, 6, 5], [4, 3, 3, 3]),
  conv([2, 3, 6, 5], [4, 3, 1, 1], {}, true),
  conv([2, 3, 8, 8], [4, 3, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv([2, 3, 7, 9], [4, 3, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv([2, 3, 8, 9], [4, 3, 3, 2], { pads: [0, 1, 2, 0], strides: [2, 3] }),
  conv([1, 3, 8, 8], [4, 3, 1, 1], { strides: [2, 2] }),
  conv([1, 2, 9, 8], [3, 2, 3, 3], { pads: [2, 2, 2, 2], dilations: [2, 2] }),
  conv([1, 2, 9, 8], [3, 2, 3, 2], { pads: [1, 0, 1, 2], dilations: [2, 1], strides: [2, 2] }),
  conv([1, 2, 4, 4], [3, 2, 2, 2], { pads: [2, 3, 2, 2] }),
  conv([2, 4, 5, 5], [6, 2, 3, 3], { pads: [1, 1, 1, 1], group: 2 }, true),
  conv([2, 4, 6, 6], [4, 1, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2], group: 4 }),
  conv([2, 3, 10], [4, 3, 3], { pads: [1, 1] }, true),
  conv([2, 3, 10], [4, 3, 4], { pads: [1, 2], strides: [3] }),
  conv([1, 2, 4, 4, 4], [2, 2, 2, 2, 2], { strides: [2, 2, 2] }),
  conv([1, 2, 3, 4, 3], [2, 2, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1], strides: [2, 2, 2] }),
  ...both('Div', positive),
  { op: 'Dropout', inputs: [t(4, 6), 0.3, true], attributes: { seed: 3 }, more: ['mask'] },
  { op: 'Dropout', inputs: [t(4, 6)] },
  ...unary('Erf'),
  ...unary('Exp'),
  { op: 'Expand', inputs: [t(3, 1), [2, 3, 4]] },
  { op: 'Flatten', inputs: [t(2, 3, 4)], attributes: { axis: 2 } },
  { op: 'Gather', inputs: [t(5, 3), [4, 0, 4, -1]] },
  { op: 'Gather', inputs: [t(2, 5, 3), [1, 1, 2]], attributes: { axis: 1 } },
  { op: 'Gather', inputs: [t(2, 3, 5), [0]], attributes: { axis: -1 } },
  { op: 'Gather', inputs: [t(2, 4, 5), [3, 0, -2]], attributes: { axis: 1 } },
  { op: 'Gather', inputs: [t(300, 3), [4, 299, 4, -1, 0]] },
  { op: 'Gather', inputs: [t(2, 300, 2), [299, 1, 1]], attributes: { axis: 1 } },
  { op: 'GatherElements', inputs: [t(4), [1, 1, 3]] },
  { op: 'Gemm', inputs: [t(2, 3), t(3, 4), t(4)] },
  { op: 'Gemm', inputs: [t(2, 3), t(4, 3)], attributes: { transB: 1 } },
  { op: 'Gemm', inputs: [t(3, 2), t(3, 4), t(2, 1)], attributes: { transA: 1, alpha: 0.5, beta: 2.5 } },
  { op: 'Gemm', inputs: [t(3, 2), t(4, 3), t(2, 4)], attributes: { transA: 1, transB: 1, alpha: float(2) } },
  { op: 'Gemm', inputs: [t(2, 3), t(4, 3), t()], attributes: { transB: 1 } },
  { op: 'GlobalAveragePool', inputs: [t(2, 3, 4, 5)] },
  { op: 'Identity', inputs: [t(2, 3)] },
  { op: 'LayerNormalization', inputs: [t(2, 3, 4), t(4), t(4)], attributes: { axis: -1, epsilon: 1e-3 } },
  { op: 'LayerNormalization', inputs: [t(2, 3, 4), t(3, 4)], attributes: { axis: 1, epsilon: 1e-3 } },
  ...unary('LeakyRelu', apartOf, { alpha: 0.2 }),
  ...unary('Log', positive),
  { op: 'LogSoftmax', inputs: [t(3, 4)], attributes: { axis: -1 } },
  { op: 'LogSoftmax', inputs: [t(2, 4, 3)], attributes: { axis: 1 } },
  { op: 'MatMul', inputs: [t(2, 3), t(3, 4)] },
  { op: 'MatMul', inputs: [t(2, 5, 2, 3), t(2, 5, 3, 4)] },
  { op: 'MatMul', inputs: [t(5, 2, 3), t(3, 4)] },
  { op: 'MatMul', inputs: [t(2, 3), t(5, 3, 4)] },
  { op: 'MatMul', inputs: [t(2, 1, 2, 3), t(5, 3, 4)] },
  { op: 'MatMul', inputs: [t(3), t(3, 4)] },
  { op: 'MatMul', inputs: [t(5, 2, 3), t(3)] },
  { op: 'MatMul', inputs: [t(3), t(5, 3, 4)] },
  { op: 'MatMul', inputs: [t(3), t(3)] },
  { op: 'Max', inputs: [apartOf(3, 4), 0.1] },
  { op: 'Max', inputs: [apartOf(3, 4), apartOf(4)] },
  pool('MaxPool', apartOf, [2, 3, 6, 6], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('MaxPool', apartOf, [2, 3, 7, 6], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  { ...pool('MaxPool', apartOf, [2, 3, 9], { kernel_shape: [3], strides: [1] }), more: ['indices'] },
  { op: 'Min', inputs: [apartOf(3, 4), 0.1, apartOf(4)] },
  ...both('Mul'),
  ...unary('Neg'),
  { op: 'Pow', inputs: [t(2, 3), 2] },
  { op: 'Pow', inputs: [positive(2, 3), -1.5] },
  { op: 'Pow', inputs: [positive(2, 3), positive(3)] },
  ...unary('Reciprocal', positive),
  ...reduction('ReduceMax', apartOf),
  ...reduction('ReduceMean'),
  ...reduction('ReduceMin', apartOf),
  ...reduction('ReduceSum'),
  ...unary('Relu', apartOf),
  { op: 'Reshape', inputs: [t(2, 3, 4), [0, -1]] },
  ...unary('Sigmoid'),
  { op: 'Slice', inputs: [t(5, 6), [1], [4]] },
  { op: 'Slice', inputs: [t(5, 6), [-5, 1], [2, 100], [1, 0], [2, 1]] },
  { op: 'Slice', inputs: [t(5, 6), [4], [-100], [0], [-2]] },
  { op: 'Softmax', inputs: [t(3, 4)], attributes: { axis: -1 } },
  { op: 'Softmax', inputs: [t(2, 4, 3)], attributes: { axis: 1 } },
  ...unary('Softplus'),
  { op: 'Split', inputs: [t(2, 6), [1, 2, 3]], attributes: { axis: 1 }, more: ['b', 'c'], reads: [0, 2] },
  ...unary('Sqrt', positive),
  { op: 'Squeeze', inputs: [t(2, 1, 3), [1]] },
  ...both('Sub'),
  { op: 'Sum', inputs: [t(2, 3), t(3), t(2, 1)] },
  ...unary('Tanh'),
  { op: 'Transpose', inputs: [t(2, 3, 4)], attributes: { perm: [2, 0, 1] } },
  { op: 'Transpose', inputs: [t(2, 3)] },
  { op: 'Unsqueeze', inputs: [t(2, 3), [0, -1]] },
  { op: 'Where', inputs: [true, t(2, 3), t(3)] },
  { op: 'Where', inputs: [false, t(2, 1), t(3)] },
];

/** What training does with convolutions without groups. */
const IN_ROWS = CASES.filter(({ op, attributes }) => op === 'Conv' && !attributes?.group).map(
  (c): Case => ({ ...c, inRows: true }),
);

const shown = (i: Input) => (typeof i === 'object' && 'dims' in i ? `[${i.dims}]` : String(i));

for (const c of [...CASES, ...IN_ROWS]) {
  const label = `${c.inRows ? 'in rows: ' : ''}${c.op}(${c.inputs.map(shown).join(', ')}) ${JSON.stringify(c.attributes ?? {})}`;
  test(label, () => checkGradient(c));
}

test('every rule has a case', () => {
  // Those of maps in another layout have tests of their own: IN_ROWS, and blocked-form.test.ts.
  const isOwn = (op: string) => op.includes('.');
  const missing = Object.keys(VJPS).filter((op) => !isOwn(op) && !CASES.some((c) => c.op === op));
  assert.ok(IN_ROWS.length > 3);
  assert.equal(missing, []);
});

test.run();
