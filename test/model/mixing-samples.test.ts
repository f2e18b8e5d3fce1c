/** Models whose answers depend on the batch, or on chance: found in the graph, refused with the node that does it and remedies that work. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { boolTensor, floatTensor } from '../../src/graph/tensor.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { widenModel } from '../../src/model/widen-model.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { fixInputs } from '../../src/passes/fix-inputs.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { rejectsWith } from '../expect.ts';
import { noise } from '../models.ts';
import { int, len, message, node } from '../parser/proto.ts';

const test = suite('mixing samples');

/** x [batch, 6] → `write` → a matrix → scores [batch, 4]. */
function classifier(
  write: (b: GraphBuilder, x: string) => string,
  opset = 17,
  batch: string | 1 = 'batch',
): Model {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', [batch, 6]);
  const weight = b.initializer(floatTensor('w', [6, 4], noise(24, 3)));
  b.op('MatMul', [write(b, x), weight], {}, 'scores');
  b.output('scores', 'float', [batch, 4]);
  return makeModel(b.build('classifier'), opset);
}

/** What PyTorch's and ONNX Runtime's dynamic quantisation writes in front of a layer. */
function quantised(b: GraphBuilder, x: string): string {
  b.ops('DynamicQuantizeLinear', [x], {}, ['q', 'scale', 'zero']);
  return b.op('DequantizeLinear', ['q', 'scale', 'zero']);
}

const contrib = (model: Model): Model => ({
  ...model,
  opsetImports: [...model.opsetImports, { domain: 'com.microsoft', version: 1 }],
});

test('DynamicQuantizeLinear is named, whatever the random input showed, and a batch of one is a way on', async () => {
  const model = classifier(quantised);
  const error = await rejectsWith('samples-not-independent', () => observeFacts(model));
  assert.match(error.message, 'node "q" (DynamicQuantizeLinear) quantises by the range of the whole batch');
  assert.match(error.hint, '`dims: { batch: 1 }`');
  const graph = runPasses(model.graph, [fixInputs({ dims: { batch: 1 } })]);
  assert.is((await observeFacts({ ...model, graph })).batch, 'fixed');
  assert.equal(graph.inputs[0]!.type!.dims, [1, 6]);
  assert.equal(graph.outputs[0]!.type!.dims, [1, 4]);
});

test('with a batch fixed at 1 it is fine, but not to be widened', async () => {
  const model = classifier(quantised, 17, 1);
  assert.is((await observeFacts(model)).batch, 'fixed');
  const error = await rejectsWith('batch-not-widened', () => widenModel(model));
  assert.match(error.message, 'DynamicQuantizeLinear');
});

test('it does not matter where no scores depend on it, or on weights alone', async () => {
  const beside = classifier((b, x) => {
    quantised(b, x);
    return x;
  });
  assert.is((await observeFacts(beside)).batch, 'dynamic');
  const weights = classifier((b, x) =>
    b.op('Mul', [x, quantised(b, b.initializer(floatTensor('v', [6], noise(6, 5))))]),
  );
  assert.is((await observeFacts(weights)).batch, 'dynamic');
});

test("inside a subgraph, inside a local function, and in ONNX Runtime's own operators", async () => {
  const branch = (prefix: string, write: (b: GraphBuilder, x: string) => string): Graph => {
    const b = new GraphBuilder(`${prefix}/`);
    b.output(write(b, 'x'), 'float', ['batch', 6]);
    return b.build('branch');
  };
  const nested = classifier((b) =>
    b.op('If', [b.bool(true)], {
      then_branch: branch('then', (inner, x) => quantised(inner, x)),
      else_branch: branch('else', (inner, x) => inner.op('Identity', [x])),
    }),
  );
  const inIf = await rejectsWith('samples-not-independent', () => observeFacts(nested));
  assert.match(inIf.message, '(DynamicQuantizeLinear in a branch of If)');

  const called = classifier((b, x) => b.op('Squash', [x]));
  const nodes = called.graph.nodes.map((n) => (n.opType === 'Squash' ? { ...n, domain: 'local' } : n));
  const body = len(
    25,
    len(1, 'Squash'),
    len(4, 'a'),
    len(5, 'b'),
    len(7, node('DynamicQuantizeLinear', ['a'], ['q', 's', 'z'])),
    len(7, node('DequantizeLinear', ['q', 's', 'z'], ['b'])),
    len(9, message(len(1, ''), int(2, 17))),
    len(10, 'local'),
  );
  const imports = len(8, message(len(1, 'local'), int(2, 1)));
  const bytes = message(serializeModel({ ...called, graph: { ...called.graph, nodes } }), imports, body);
  const inFunction = await rejectsWith('samples-not-independent', () => observeFacts(parseModel(bytes)));
  assert.match(inFunction.message, '(DynamicQuantizeLinear in function local:Squash)');

  const b8 = (b: GraphBuilder) =>
    b.initializer({ name: 'w8', dataType: 'int8', dims: [6, 6], bytes: new Uint8Array(36).fill(3) });
  const fused = classifier((b, x) => b.op('DynamicQuantizeMatMul', [x, b8(b), b.float(0.1)]));
  const foreign = fused.graph.nodes.map((n) =>
    n.opType.startsWith('Dynamic') ? { ...n, domain: 'com.microsoft' } : n,
  );
  const own = await rejectsWith('samples-not-independent', () =>
    observeFacts(contrib({ ...fused, graph: { ...fused.graph, nodes: foreign } })),
  );
  assert.match(own.message, '(DynamicQuantizeMatMul)');
});

test('what reduces or normalises along the batch is named, by attribute, by input and by default', async () => {
  const along: [string, number, (b: GraphBuilder, x: string) => string][] = [
    // The largest of a batch may well be in its first two samples: running it shows nothing then.
    ['ReduceMax', 13, (b, x) => b.op('Div', [x, b.op('ReduceMax', [x], { axes: [0], keepdims: 1 })])],
    ['ReduceSum', 17, (b, x) => b.op('Sub', [x, b.op('ReduceSum', [x, b.int64([-2])])])],
    ['ReduceMean', 17, (b, x) => b.op('Sub', [x, b.op('ReduceMean', [x])])],
    ['Softmax', 17, (b, x) => b.op('Softmax', [x], { axis: 0 })],
    ['MeanVarianceNormalization', 17, (b, x) => b.op('MeanVarianceNormalization', [x], { axes: [0] })],
  ];
  for (const [operator, opset, write] of along) {
    const error = await rejectsWith('samples-not-independent', () => observeFacts(classifier(write, opset)));
    assert.match(error.message, `(${operator}) goes along the batch axis`);
  }
  const within = classifier((b, x) => b.op('Sub', [x, b.op('ReduceMax', [x], { axes: [-1], keepdims: 1 })]));
  assert.is((await observeFacts(within)).batch, 'dynamic');
});

test('a BatchNormalization in training mode is named as that', async () => {
  const model = classifier((b, x) => {
    const four = ['scale', 'bias', 'mean', 'variance'].map((name, i) =>
      b.initializer(floatTensor(name, [6], new Float32Array(6).fill(i % 2 ? 0 : 1))),
    );
    return b.ops('BatchNormalization', [x, ...four], { training_mode: 1 }, ['bn', 'm', 'v'])[0]!;
  });
  const error = await rejectsWith('samples-not-independent', () => observeFacts(model));
  assert.match(error.message, 'node "bn" (BatchNormalization) is in training mode');
  assert.match(error.hint, 'model.eval()');
});

test('chance is named as chance, at a batch fixed at 1 too; a Dropout that is off is fine', async () => {
  const dropout = (ratio: number, training: boolean) => (b: GraphBuilder, x: string) =>
    b.op(
      'Dropout',
      [x, b.float(ratio), b.initializer(boolTensor('training', [], [training]))],
      {},
      'dropped',
    );
  const noisy = (b: GraphBuilder, x: string) => b.op('Add', [x, b.op('RandomNormalLike', [x], {}, 'noise')]);
  for (const batch of ['batch', 1] as const) {
    const error = await rejectsWith('not-deterministic', () =>
      observeFacts(classifier(dropout(0.5, true), 17, batch)),
    );
    assert.match(error.message, 'node "dropped" (Dropout) draws at random');
    await rejectsWith('not-deterministic', () => observeFacts(classifier(noisy, 17, batch)));
    await observeFacts(classifier(dropout(0.5, false), 17, batch));
    await observeFacts(classifier(dropout(0, true), 17, batch));
  }
});

test('where no operator mixes by definition the first node seen to do it is named; float16 is looked at like float', async () => {
  const shuffled = (b: GraphBuilder, x: string) => {
    const last = b.op('Gather', [x, b.int64([-1])], { axis: 0 });
    return b.op('Add', [x, b.op('Mul', [last, b.float(1)], {}, 'last')], {}, 'mixed');
  };
  const plain = await rejectsWith('samples-not-independent', () => observeFacts(classifier(shuffled)));
  assert.match(plain.message, 'first at node');
  assert.match(plain.hint, '`dims: { batch: 1 }`');

  const b = new GraphBuilder();
  const x = b.op('Cast', [b.input('x', 'float', ['N', 4])], { to: 10 });
  const last = b.op('Gather', [x, b.int64([-1])], { axis: 0 });
  b.output(b.op('Add', [x, last], {}, 'scores'), 'float16', ['N', 4]);
  await rejectsWith('samples-not-independent', () => observeFacts(makeModel(b.build('half'))));
});

test('a sample that depends on those before it alone, or behind it alone, is seen too', async () => {
  const shifted = (starts: number, pads: readonly number[]) => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float', ['N', 4]);
    const padded = b.op('Pad', [x, b.int64([...pads])]);
    const ends = starts === 0 ? -1 : Number.MAX_SAFE_INTEGER;
    const other = b.op('Slice', [padded, b.int64([starts]), b.int64([ends]), b.int64([0])]);
    const weight = b.initializer(floatTensor('w', [4, 3], noise(12, 3)));
    b.output(b.op('MatMul', [b.op('Add', [x, other]), weight], {}, 'scores'), 'float', ['N', 3]);
    return makeModel(b.build('shifted'));
  };
  for (const model of [shifted(0, [1, 0, 0, 0]), shifted(1, [0, 0, 1, 0])])
    await rejectsWith('samples-not-independent', () => observeFacts(model));
  const b = new GraphBuilder();
  const sums = b.op('CumSum', [b.input('x', 'float', ['N', 4]), b.int64(0)]);
  const weight = b.initializer(floatTensor('w', [4, 3], noise(12, 3)));
  b.output(b.op('MatMul', [sums, weight], {}, 'scores'), 'float', ['N', 3]);
  await rejectsWith('samples-not-independent', () => observeFacts(makeModel(b.build('sums'))));
});

test.run();
