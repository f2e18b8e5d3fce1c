import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributeValue, float, GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { type DataType, type Dim, type Graph, type Model, opsetOf } from '../../src/graph/types.ts';
import { randomFeeds } from '../../src/model/random-inputs.ts';
import { relativeGap } from '../../src/ort/gap.ts';
import { withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { raiseOpset } from '../../src/passes/raise-opset.ts';
import { hasCode } from '../expect.ts';

const test = suite('raise-opset, up to 22');

type Write = (b: GraphBuilder) => string | readonly string[];

/** A model of `opset` whose outputs are the values that `write` returns. */
function modelOf(opset: number, write: Write): Model {
  const b = new GraphBuilder();
  const outputs = [write(b)].flat().map((name) => ({ name, type: undefined }));
  return makeModel({ ...b.build('row'), outputs }, opset, 10);
}

const x = (b: GraphBuilder, dims: readonly Dim[] = ['N', 2, 5, 6], type: DataType = 'float') =>
  b.input('x', type, dims);
const vector = (b: GraphBuilder, values: readonly number[], name = 'vector') =>
  b.initializer(floatTensor(name, [values.length], values));
const op =
  (type: string, attributes: Record<string, AttributeValue> = {}, dims?: readonly Dim[]): Write =>
  (b) =>
    b.op(type, [x(b, dims)], attributes, 'y');
/** Behind a value that the file does not describe. */
const hidden =
  (type: string, attributes: Record<string, AttributeValue> = {}, dims?: readonly Dim[]): Write =>
  (b) =>
    b.op(type, [b.op('Relu', [x(b, dims)])], attributes, 'y');

const opsOf = (graph: Graph) => graph.nodes.map((n) => n.opType).join(' ');

async function same(raised: Model, model: Model, what: string) {
  const feeds = randomFeeds(model, {}, 2);
  const run = (m: Model) => withSession(m, { threads: 1, optimization: 'disabled' }, (s) => s.run(feeds));
  const [before, after] = [await run(model), await run(raised)];
  assert.equal(Object.keys(after), Object.keys(before), what);
  for (const [name, a] of Object.entries(before)) {
    const b = after[name]!;
    assert.is(b.type, a.type, what);
    assert.equal(b.dims, a.dims, what);
    if (!a.type.startsWith('float')) assert.equal(b.data, a.data, what);
    else assert.ok(relativeGap(floatsOf(a), floatsOf(b)) < 1e-6, `${what}: ${name} differs`);
  }
}

/** By row: the opset before, what the nodes are called in opset 22, and the graph. */
const ROWS: Record<string, [number, string, Write]> = {
  'Softmax, last axis by default': [11, 'Softmax', op('Softmax', {}, ['N', 7])],
  'Softmax, last axis from the back': [12, 'Relu Softmax', hidden('Softmax', { axis: -1 })],
  'Softmax over several axes': [11, 'Shape Flatten Softmax Reshape', op('Softmax', { axis: 1 })],
  'Softmax over the batch': [12, 'Shape Flatten Softmax Reshape', op('Softmax', { axis: 0 })],
  'Softmax before axes of one': [12, 'Softmax', op('Softmax', {}, ['N', 7, 1, 1])],
  'Softmax from the back over several': [12, 'Shape Flatten Softmax Reshape', op('Softmax', { axis: -2 })],
  'Softmax of unknown rank': [12, 'Relu Shape Flatten Softmax Reshape', hidden('Softmax', {}, ['N', 7])],
  'LogSoftmax over several axes': [11, 'Shape Flatten LogSoftmax Reshape', op('LogSoftmax')],
  'Hardmax over several axes': [11, 'Shape Flatten Hardmax Reshape', op('Hardmax', { axis: 2 })],
  Squeeze: [11, 'Constant Squeeze', op('Squeeze', { axes: [1, -1] }, ['N', 1, 5, 1])],
  'Squeeze of all': [12, 'Squeeze', op('Squeeze', {}, ['N', 1, 5, 1])],
  Unsqueeze: [11, 'Constant Unsqueeze', op('Unsqueeze', { axes: [0, -1] })],
  ReduceSum: [11, 'Constant ReduceSum', op('ReduceSum', { axes: [1, -1], keepdims: 0 })],
  'ReduceSum of all': [12, 'ReduceSum', op('ReduceSum', { keepdims: 0 })],
  'Split in parts that are given': [
    11,
    'Constant Split',
    (b) => b.ops('Split', [x(b)], { split: [2, 3], axis: 2 }, ['y', 'z']),
  ],
  'Split in equal parts': [12, 'Split', (b) => b.ops('Split', [x(b)], { axis: 3 }, ['y', 'z', 'w'])],
  'Split by an input': [13, 'Split', (b) => b.ops('Split', [x(b), b.int64([1, 4])], { axis: 2 }, ['y', 'z'])],
  ...Object.fromEntries(
    ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map(
      (kind): [string, [number, string, Write]] => [
        `Reduce${kind}`,
        [
          13,
          `Abs Constant Reduce${kind}`,
          (b) => b.op(`Reduce${kind}`, [b.op('Abs', [x(b)])], { axes: [-1, 1] }, 'y'),
        ],
      ],
    ),
  ),
  'ReduceMean of all': [17, 'ReduceMean', op('ReduceMean')],
  'BatchNormalization with statistics that nobody reads': [
    11,
    'BatchNormalization',
    (b) => {
      const inputs = [2, 1, 0.5, 3].map((v, i) => vector(b, [v, v / 2], `v${i}`));
      return b.op('BatchNormalization', [x(b), ...inputs], {});
    },
  ],
  'Dropout of opset 11': [11, 'Identity', op('Dropout', { ratio: 0.25 })],
  'Dropout of opset 12': [12, 'Dropout', op('Dropout')],
  'Clip and Pad': [
    11,
    'Clip Pad',
    (b) => {
      const y = b.op('Clip', [x(b), b.float(-0.5), b.float(0.25)]);
      return b.op('Pad', [y, b.int64([0, 0, 1, 2, 0, 0, 0, 1]), b.float(0.5)]);
    },
  ],
  'Resize by scales': [
    11,
    'Resize',
    (b) => b.op('Resize', [x(b), vector(b, [], 'roi'), vector(b, [1, 1, 1.5, 0.6])], { mode: 'linear' }),
  ],
  'Resize to sizes': [
    11,
    'Resize',
    (b) => {
      const none = vector(b, [], 'none');
      return b.op('Resize', [x(b, [2, 2, 5, 6]), none, none, b.int64([2, 2, 8, 3])], { mode: 'cubic' });
    },
  ],
  'Resize, nearest, in the ways that stayed': [
    11,
    'Resize Resize Resize',
    (b) => {
      const [y, roi, scales] = [x(b), vector(b, [], 'roi'), vector(b, [1, 1, 1.7, 0.7])];
      return ['asymmetric', 'align_corners', 'half_pixel'].map((coordinates) =>
        b.op('Resize', [y, roi, scales], { coordinate_transformation_mode: coordinates, mode: 'nearest' }),
      );
    },
  ],
  'Resize, tf_half_pixel_for_nn': [
    11,
    'Resize',
    (b) =>
      b.op('Resize', [x(b), vector(b, [], 'roi'), vector(b, [1, 1, 1.7, 0.45])], {
        coordinate_transformation_mode: 'tf_half_pixel_for_nn',
        mode: 'nearest',
        nearest_mode: 'floor',
      }),
  ],
  RoiAlign: [
    11,
    'RoiAlign',
    (b) => {
      const rois = b.initializer(floatTensor('rois', [2, 4], [0.5, 0, 4, 3.5, 1, 1, 3, 4]));
      const attributes = { output_height: 2, output_width: 3, sampling_ratio: 2, spatial_scale: float(1) };
      return b.op('RoiAlign', [x(b), rois, b.int64([0, 1])], attributes);
    },
  ],
  ...Object.fromEntries(
    [undefined, 'bilinear', 'bicubic', 'nearest'].map((mode): [string, [number, string, Write]] => [
      `GridSample, ${mode ?? 'without a mode'}`,
      [
        16,
        'GridSample',
        (b) => {
          const grid = Array.from({ length: 2 * 3 * 3 * 2 }, (_, i) => Math.sin(i * 1.3));
          const at = b.initializer(floatTensor('grid', [2, 3, 3, 2], grid));
          return b.op('GridSample', [x(b, [2, 2, 5, 6]), at], mode ? { mode } : {});
        },
      ],
    ]),
  ),
  GroupNormalization: [
    18,
    'Shape Constant Div Constant Concat Constant Constant Reshape Expand Reshape Reshape Expand Reshape GroupNormalization',
    (b) => {
      const affine = [vector(b, [2, -1], 'scale'), vector(b, [0.5, 3], 'bias')];
      return b.op('GroupNormalization', [x(b, ['N', 6, 3, 2]), ...affine], { num_groups: 2 });
    },
  ],
  'DFT along its default axis': [17, 'Constant DFT', op('DFT', {}, ['N', 8, 3, 1])],
  'DFT along another': [
    17,
    'Constant DFT',
    (b) => b.op('DFT', [x(b, ['N', 3, 8, 1]), b.int64(6)], { axis: 2, onesided: 1 }),
  ],
  'AveragePool, MaxPool and LpPool': [
    11,
    'AveragePool AveragePool AveragePool MaxPool MaxPool LpPool',
    (b) => {
      const y = x(b);
      const window = { kernel_shape: [3, 3], strides: [2, 2] };
      return [
        b.op('AveragePool', [y], { ...window, pads: [1, 1, 1, 1] }),
        b.op('AveragePool', [y], { ...window, pads: [1, 1, 1, 1], count_include_pad: 1 }),
        b.op('AveragePool', [y], { ...window, auto_pad: 'SAME_UPPER' }),
        b.op('MaxPool', [y], { ...window, ceil_mode: 1 }),
        b.op('MaxPool', [y], { ...window, auto_pad: 'SAME_LOWER' }),
        b.op('LpPool', [y], { ...window, pads: [1, 0, 1, 0], p: 3 }),
      ];
    },
  ],
  'AveragePool, rounded up': [
    11,
    'AveragePool AveragePool',
    (b) => {
      const y = x(b);
      const window = { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 };
      return [b.op('AveragePool', [y], window), b.op('AveragePool', [y], { ...window, pads: [1, 1, 1, 1] })];
    },
  ],
  'AveragePool, rounded up, with its padding counted': [
    11,
    'AveragePool',
    op('AveragePool', {
      kernel_shape: [3, 3],
      strides: [2, 2],
      ceil_mode: 1,
      pads: [1, 1, 1, 1],
      count_include_pad: 1,
    }),
  ],
  ...Object.fromEntries(
    [
      ['LSTM', 4],
      ['GRU', 3],
      ['RNN', 1],
    ].map(([type, gates]): [string, [number, string, Write]] => [
      `${type}`,
      [
        11,
        `${type}`,
        (b) => {
          const [size, hidden] = [3, 2];
          const weights = (name: string, width: number) => {
            const count = (gates as number) * hidden * width;
            const values = Array.from({ length: count }, (_, i) => Math.cos(i));
            return b.initializer(floatTensor(name, [1, count / width, width], values));
          };
          const y = x(b, [4, 2, size]);
          return b.ops(
            type as string,
            [y, weights('w', size), weights('r', hidden)],
            { hidden_size: hidden },
            ['all', 'last'],
          );
        },
      ],
    ]),
  ),
  'QuantizeLinear and DequantizeLinear': [
    11,
    'QuantizeLinear DequantizeLinear',
    (b) => {
      const zero = b.initializer({ name: 'zero', dataType: 'uint8', dims: [], bytes: Uint8Array.of(100) });
      const scale = b.float(0.0071);
      const q = b.op('QuantizeLinear', [x(b), scale, zero], {});
      return [q, b.op('DequantizeLinear', [q, scale, zero])];
    },
  ],
  'Scatter and its kin, TopK, Gather, ArgMax': [
    11,
    'ScatterElements ScatterND TopK ArgMax Cast Reshape',
    (b) => {
      const y = x(b, [2, 4]);
      const at = b.initializer({ ...b_int64([2, 1], [3, 0]), name: 'at' });
      const updates = b.initializer(floatTensor('updates', [2, 1], [5, 6]));
      const rows = b.initializer({ ...b_int64([1, 1], [1]), name: 'rows' });
      const row = b.initializer(floatTensor('row', [1, 4], [1, 2, 3, 4]));
      return [
        b.op('ScatterElements', [y, at, updates], { axis: 1 }),
        b.op('ScatterND', [y, rows, row]),
        ...b.ops('TopK', [y, b.int64([2])], { axis: 1 }, ['top', 'where']),
        b.op('Cast', [b.op('ArgMax', [y], { axis: 1 })], { to: 7 }),
        b.op('Reshape', [y, b.int64([0, -1, 2])]),
      ];
    },
  ],
};

function b_int64(dims: readonly number[], values: readonly number[]) {
  return {
    dataType: 'int64' as const,
    dims,
    bytes: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
  };
}

/** ONNX Runtime 1.30 has no RoiAlign of opset 22. */
const NEWEST: Record<string, number> = { RoiAlign: 21 };

for (const [name, [from, ops, write]] of Object.entries(ROWS)) {
  test(`${name}: the same outputs in every later opset`, async () => {
    const model = modelOf(from, write);
    for (let to = from + 1; to <= (NEWEST[ops] ?? 22); to++) {
      const raised = raiseOpset(model, to);
      assert.is(opsetOf(raised), to);
      await same(raised, model, `${name}, opset ${from} to ${to}`);
    }
    assert.is(opsOf(raiseOpset(model, 22).graph), ops);
  });
}

test('what is in place stays the same object, and what changed in between is not touched', () => {
  const model = modelOf(18, (b) => b.op('ReduceMean', [b.op('Softmax', [x(b)], { axis: 1 }), b.int64([1])]));
  assert.is(raiseOpset(model, 18), model);
  assert.is(raiseOpset(model, 17), model);
  assert.is(raiseOpset(model), model);
  const raised = raiseOpset(model, 22);
  assert.is(raised.graph, model.graph);
  assert.is(raised.irVersion, model.irVersion);
});

test('an old model goes up through every form between', async () => {
  const model = modelOf(8, (b) => {
    const scales = { type: 'FLOATS', value: [1, 1, 2, 3] } as const;
    const y = b.op('Clip', [b.op('Upsample', [x(b)], { scales })], { min: float(-0.5) });
    const parts = b.ops('Split', [y], { axis: 1 }, ['a', 'b']);
    return b.op('Softmax', [b.op('ReduceMean', [b.op('Concat', parts, { axis: 3 })], { axes: [2] })]);
  });
  const raised = raiseOpset(model, 22);
  await same(raised, model, 'opset 8 to 22');
  assert.is(
    opsOf(raised.graph),
    'Constant Constant Resize Constant Clip Split Concat Constant ReduceMean Shape Flatten Softmax Reshape',
  );
});

test('bodies are rewritten, and know the ranks of the graph around them', async () => {
  const branch = (name: string, keepdims: number) => {
    const b = new GraphBuilder(`${name}/`);
    const mean = b.op('ReduceMean', ['x'], { axes: [-1], keepdims });
    b.output(b.op('Relu', [b.op('Softmax', ['x'])]), 'float', ['N', 7]);
    b.output(mean, 'float', keepdims ? ['N', 1] : ['N']);
    return b.build(name);
  };
  const model = modelOf(11, (b) => {
    x(b, ['N', 7]);
    const branches = { then_branch: branch('then', 1), else_branch: branch('else', 0) };
    return b.ops('If', [b.bool(true)], branches, ['y', 'mean']);
  });
  const raised = raiseOpset(model, 22);
  await same(raised, model, 'If');
  const then = raised.graph.nodes[0]!.attributes.then_branch;
  assert.is(then?.type === 'GRAPH' && opsOf(then.value), 'Constant ReduceMean Softmax Relu');
});

test('what a run showed spares the form for unknown ranks', () => {
  const model = modelOf(12, hidden('Softmax', {}, ['N', 7]));
  const known = new Map([['Relu', { dataType: 'float', dims: [undefined, undefined] }]] as const);
  assert.is(opsOf(raiseOpset(model, 13, known).graph), 'Relu Softmax');
});

test('refuses, with the node and both opsets, what has no newer form', () => {
  const mean =
    (outputs: readonly string[]): Write =>
    (b) => {
      const inputs = [2, 1, 0.5, 3].map((v, i) => vector(b, [v, v], `v${i}`));
      b.ops('BatchNormalization', [x(b), ...inputs], {}, ['y', 'mean', 'var']);
      return outputs;
    };
  const refusals: Record<string, [number, Write]> = {
    'BatchNormalization has statistics that are read': [11, mean(['y', 'mean'])],
    'Dropout has a mask that is read': [11, (b) => b.ops('Dropout', [x(b)], {}, ['kept', 'mask'])],
    'Resize has tf_half_pixel_for_nn without floor': [
      12,
      op('Resize', { coordinate_transformation_mode: 'tf_half_pixel_for_nn', nearest_mode: 'ceil' }),
    ],
    'Swish is no operator that it knows': [20, op('Swish')],
  };
  for (const [why, [from, write]] of Object.entries(refusals)) {
    const refused = (e: Error) =>
      hasCode('cannot-raise-opset')(e) &&
      e.message.includes(`opset is ${from}, and Offramp cannot raise it to 22: ${why} (node "`);
    assert.throws(() => raiseOpset(modelOf(from, write), 22), refused, why);
  }
  const dropped = raiseOpset(modelOf(11, mean(['y'])), 22).graph.nodes[0]!;
  assert.equal(dropped.outputs, ['y']);
  assert.throws(() => raiseOpset(modelOf(11, op('Relu')), 23), hasCode('cannot-raise-opset'));
});

test.run();
