import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributeValue, float, GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import { type Graph, type Model, opsetOf } from '../../src/graph/types.ts';
import { randomFeeds } from '../../src/model/random-inputs.ts';
import { withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { sourceBytes } from '../../src/parser/source-bytes.ts';
import { raiseOpset } from '../../src/passes/raise-opset.ts';
import { hasCode } from '../expect.ts';
import { tinyResidual } from '../models.ts';

const test = suite('raise-opset');

/** A model of `opset` whose outputs are the values that `write` returns. */
function modelOf(opset: number, write: (b: GraphBuilder) => string | readonly string[]): Model {
  const b = new GraphBuilder();
  const outputs = [write(b)].flat().map((name) => ({ name, type: undefined }));
  return makeModel({ ...b.build('row'), outputs }, opset);
}

const map = (b: GraphBuilder) => b.input('x', 'float', ['N', 2, 5, 5]);
const floats = (values: readonly number[]) => ({ type: 'FLOATS', value: values }) as const;
const vector = (b: GraphBuilder, values: readonly number[]) =>
  b.initializer(floatTensor('vector', [values.length], values));
const op = (type: string, attributes: Record<string, AttributeValue>) => (b: GraphBuilder) =>
  b.op(type, [map(b)], attributes, 'y');
const half = (b: GraphBuilder) => b.op('Relu', [b.input('x', 'float16', ['N', 6])]);

async function outputsOf(model: Model, like = model) {
  const feeds = randomFeeds(like, {}, 2);
  const outputs = await withSession(model, { threads: 1, optimization: 'disabled' }, (s) => s.run(feeds));
  return Object.entries(outputs).map(([name, { type, dims, data }]) => ({ name, type, dims, data }));
}

const opsOf = (graph: Graph) => graph.nodes.map((n) => n.opType).join(' ');

/** By row: what the nodes are called in opset 12, the opset before, and the graph. */
const ROWS: Record<string, [string, number, (b: GraphBuilder) => string | readonly string[]]> = {
  'BatchNormalization, spatial': [
    'BatchNormalization',
    7,
    (b) => {
      const [scale, bias, mean, variance] = [2, 1, 0.5, 3].map((v) => b.float([v, v / 2]));
      return b.op('BatchNormalization', [map(b), scale!, bias!, mean!, variance!], { spatial: 1 });
    },
  ],
  Clip: ['Constant Constant Clip', 8, op('Clip', { min: float(-0.25), max: float(0.5) })],
  'Clip, below only': ['Constant Clip', 10, op('Clip', { min: float(-0.25) })],
  'Clip, above only': ['Constant Clip', 7, op('Clip', { max: float(0.5) })],
  'Clip of float16': ['Relu Constant Cast Clip', 10, (b) => b.op('Clip', [half(b)], { max: float(0.5) })],
  'Dropout, its mask not read': [
    'Identity Relu',
    7,
    (b) => b.op('Relu', [b.ops('Dropout', [map(b)], { ratio: 0.25 }, ['kept', 'mask'])[0]!]),
  ],
  'Dropout of opset 10': ['Identity', 10, op('Dropout', { ratio: 0.25 })],
  'Pad with a value': [
    'Constant Constant Pad',
    8,
    op('Pad', { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: 0.25 }),
  ],
  'Pad, reflected': ['Constant Pad', 10, op('Pad', { pads: [0, 0, 1, 2, 0, 0, 0, 1], mode: 'reflect' })],
  'Pad of float16': [
    'Relu Constant Constant Cast Pad',
    9,
    (b) => b.op('Pad', [half(b)], { pads: [0, 1, 0, 0], value: 0.25 }),
  ],
  'Resize, nearest, larger': [
    'Constant Resize',
    10,
    (b) => b.op('Resize', [map(b), vector(b, [1, 1, 2.5, 1.3])], { mode: 'nearest' }),
  ],
  'Resize, nearest, smaller': [
    'Constant Resize',
    10,
    (b) => b.op('Resize', [map(b), vector(b, [1, 1, 0.6, 0.5])]),
  ],
  'Resize, linear': [
    'Constant Resize',
    10,
    (b) => b.op('Resize', [map(b), vector(b, [1, 1, 2, 0.6])], { mode: 'linear' }),
  ],
  Scatter: [
    'ScatterElements Add',
    9,
    (b) => {
      const data = b.initializer(floatTensor('data', [1, 5], [1, 2, 3, 4, 5]));
      const at = b.initializer(int64Tensor('at', [1, 2], [4, 1]));
      const updates = b.initializer(floatTensor('updates', [1, 2], [-1, -2]));
      return b.op('Add', [map(b), b.op('Scatter', [data, at, updates], { axis: 1 })]);
    },
  ],
  'Slice of some axes': [
    'Constant Constant Constant Slice',
    9,
    op('Slice', { starts: [-3, 1], ends: [-1, 2], axes: [3, 1] }),
  ],
  'Slice to the end': [
    'Constant Constant Slice',
    7,
    op('Slice', { starts: [0, 1], ends: [2 ** 63, 2 ** 31 - 1] }),
  ],
  TopK: ['Constant TopK', 9, (b) => b.ops('TopK', [map(b)], { k: 3, axis: 1 + 1 }, ['values', 'indices'])],
  'Upsample by an attribute': [
    'Constant Constant Resize',
    7,
    op('Upsample', { scales: floats([1, 1, 2, 3]) }),
  ],
  'Upsample by an input': [
    'Constant Resize',
    9,
    (b) => b.op('Upsample', [map(b), vector(b, [1, 1, 1.5, 2])], { mode: 'linear' }),
  ],
  'Upsample by a Constant': [
    'Constant Constant Resize',
    9,
    (b) => {
      const scales = b.op('Constant', [], { value: floatTensor('', [4], [1, 1, 2, 2]) });
      return b.op('Upsample', [map(b), scales], { mode: 'nearest' });
    },
  ],
};

for (const [name, [ops, opset, write]] of Object.entries(ROWS)) {
  test(`${name}: other form, same outputs`, async () => {
    const model = modelOf(opset, write);
    const raised = raiseOpset(model);
    assert.is(opsetOf(raised), 12);
    assert.is(opsOf(raised.graph), ops);
    assert.equal(await outputsOf(raised, model), await outputsOf(model));
  });
}

test('forms of opset 9 and 10 that are still those of 12 stay the same objects', () => {
  const rows: [number, (b: GraphBuilder) => string][] = [
    [10, (b) => b.op('Slice', [map(b), b.int64([0]), b.int64([1])])],
    [10, (b) => b.ops('TopK', [map(b), b.int64([2])], {}, ['values', 'indices'])[0]!],
    [8, op('Clip', {})],
    [9, op('MeanVarianceNormalization', { axes: [0, 2, 3] })],
    [
      9,
      (b) =>
        b.op('BatchNormalization', [
          map(b),
          ...['s', 'b', 'm', 'v'].map((n) => b.initializer(floatTensor(n, [2], [1, 1]))),
        ]),
    ],
    [7, (b) => b.op('Softmax', [map(b)], { axis: 1 })],
  ];
  for (const [opset, write] of rows) {
    const model = modelOf(opset, write);
    assert.is(raiseOpset(model).graph, model.graph, opsOf(model.graph));
  }
});

test('a model of opset 11 or more is the very same; one without old forms keeps its graph', () => {
  for (const opset of [11, 12, 17, 23]) {
    const model = tinyResidual({ opset });
    assert.is(raiseOpset(model), model);
  }
  const model = tinyResidual({ opset: 9 });
  const raised = raiseOpset(model);
  assert.is(raised.graph, model.graph);
  assert.equal(raised.opsetImports, [{ domain: '', version: 12 }]);
  assert.is(raised.irVersion, model.irVersion);
});

test('branches and loop bodies are rewritten, with names that nobody else has', async () => {
  const branch = (name: string, attributes: Record<string, AttributeValue>) => {
    const b = new GraphBuilder(`${name}/`);
    b.output(b.op('Clip', ['x'], attributes, `${name}/y`), 'float', ['N', 2, 5, 5]);
    return b.build(name);
  };
  const model = modelOf(9, (b) => {
    b.output('unused', 'float', []);
    const which = b.initializer({ name: 'then/y/min', dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
    map(b);
    return b.op('If', [which], {
      then_branch: branch('then', { min: float(0) }),
      else_branch: branch('else', { max: float(0) }),
    });
  });
  const raised = raiseOpset(model);
  checkGraph(raised.graph);
  const then = raised.graph.nodes[0]!.attributes.then_branch;
  assert.is(then?.type === 'GRAPH' && then.value.nodes[0]!.outputs[0], 'then/y/min_1');
  assert.equal(await outputsOf(raised, model), await outputsOf(model));

  const scan = modelOf(9, (b) => {
    const body = new GraphBuilder('body/');
    const inputs = [body.input('sum', 'float', [2]), body.input('row', 'float', [2])];
    const sum = body.op('Clip', [body.op('Add', inputs)], { max: float(0.5) });
    body.output(sum, 'float', [2]);
    body.output(body.op('Identity', [sum]), 'float', [2]);
    const start = b.initializer(floatTensor('start', [2], [0, 0]));
    const rows = b.input('x', 'float', ['N', 2]);
    return b.ops('Scan', [start, rows], { body: body.build('body'), num_scan_inputs: 1 }, ['last', 'all']);
  });
  assert.equal(await outputsOf(raiseOpset(scan), scan), await outputsOf(scan));
});

test('other domains pass, with their opset, and so does the other name of the default one', () => {
  const model = modelOf(9, (b) => {
    b.nodes.push({ ...makeNode('Gelu', [map(b)], ['gelu']), domain: 'com.microsoft' });
    b.nodes.push({ ...makeNode('Clip', ['gelu'], ['y'], { min: float(0) }), domain: 'ai.onnx' });
    return 'y';
  });
  const microsoft = { domain: 'com.microsoft', version: 1 };
  const raised = raiseOpset({ ...model, opsetImports: [microsoft, { domain: 'ai.onnx', version: 9 }] });
  assert.equal(raised.opsetImports, [microsoft, { domain: 'ai.onnx', version: 12 }]);
  assert.is(raised.graph.nodes[0], model.graph.nodes[0]);
  assert.is(opsOf(raised.graph), 'Gelu Constant Clip');
});

test('nodes that stay are the same objects, and written back as the bytes they were', () => {
  const model = parseModel(
    serializeModel(
      modelOf(9, (b) => b.op('Relu', [b.op('Clip', [b.op('Relu', [map(b)])], { min: float(0) })])),
    ),
  );
  const raised = raiseOpset(model);
  const [first, , , last] = raised.graph.nodes;
  assert.is(opsOf(raised.graph), 'Relu Constant Clip Relu');
  const bytes = Buffer.from(serializeModel(raised));
  for (const node of [first!, last!]) {
    assert.ok(model.graph.nodes.includes(node));
    assert.ok(bytes.includes(Buffer.from(sourceBytes(node)!)));
  }
});

test('refuses, by name, what it has no row for and what has no other form', () => {
  const refusals: Record<string, [number, (b: GraphBuilder) => string | readonly string[]]> = {
    Affine: [8, op('Affine', {})],
    BatchNormalization: [8, (b) => b.op('BatchNormalization', [map(b), 's', 'b', 'm', 'v'], { spatial: 0 })],
    Dropout: [9, (b) => b.ops('Dropout', [map(b)], {}, ['kept', 'mask'])],
    MeanVarianceNormalization: [8, op('MeanVarianceNormalization', {})],
    Resize: [10, (b) => b.op('Resize', [map(b), vector(b, [1, 1, 2, 0.5])])],
    Scan: [8, op('Scan', {})],
  };
  for (const [name, [opset, write]] of Object.entries(refusals)) {
    const model = modelOf(opset, write);
    const initializers = ['s', 'b', 'm', 'v'].map((n) => floatTensor(n, [2], [1, 1]));
    const complete = {
      ...model,
      graph: { ...model.graph, initializers: [...model.graph.initializers, ...initializers] },
    };
    assert.throws(
      () => raiseOpset(complete),
      (e: Error) =>
        hasCode('cannot-raise-opset')(e) && e.message.includes(`${name} `) && e.message.includes('node "'),
      name,
    );
  }
});

test('refuses opsets below 7, and model-local functions', () => {
  assert.throws(() => raiseOpset(tinyResidual({ opset: 6 })), hasCode('opset-too-old'));
  assert.throws(
    () => raiseOpset({ ...tinyResidual({ opset: 9 }), functionCount: 1 }),
    hasCode('cannot-raise-opset'),
  );
});

test.run();
