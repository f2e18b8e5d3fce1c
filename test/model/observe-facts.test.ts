import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';

const test = suite('observe facts');

const editGraph = (model: Model, edit: (b: GraphBuilder) => void): Model => {
  const b = new GraphBuilder('extra/', new Set(model.graph.nodes.flatMap((n) => n.outputs)));
  edit(b);
  const { graph } = model;
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...graph.nodes, ...b.nodes],
      initializers: [...graph.initializers, ...b.initializers],
      outputs: b.outputs.length > 0 ? b.outputs : graph.outputs,
    },
  };
};

test('every value gets type, shape and batch axis', async () => {
  const typed = await observeFacts(tinyResidual());
  assert.is(typed.batch, 'dynamic');
  assert.is(typed.classes, 5);
  assert.equal(typed.facts.get('block2'), { dataType: 'float', dims: [1, 16, 4, 4], batchAxis: 0 });
  assert.equal(typed.facts.get('image'), { dataType: 'float', dims: [1, 3, 8, 8], batchAxis: 0 });
  assert.equal(typed.facts.get('fc.weight'), { dataType: 'float', dims: [5, 16], batchAxis: undefined });
  for (const node of typed.model.graph.nodes)
    for (const name of node.outputs) assert.ok(typed.facts.has(name));
});

test('a batch axis that moved, one that is k·N, and contents that hold N are distinguished', async () => {
  const model = editGraph(tinyResidual(), (b) => {
    b.op('Transpose', ['stem'], { perm: [1, 0, 2, 3] }, 'moved');
    b.op('Reshape', ['stem', b.initializer(int64Tensor('flat', [2], [-1, 64]))], {}, 'folded');
    b.op('Shape', ['stem'], {}, 'shape');
    b.op('ReduceMean', ['stem'], { axes: [0], keepdims: 1 }, 'mixed');
    b.op('Shape', ['fc.weight'], {}, 'constant');
  });
  const { facts } = await observeFacts(model);
  assert.is(facts.get('moved')!.batchAxis, 1);
  assert.is(facts.get('folded')!.batchAxis, undefined);
  assert.match(facts.get('folded')!.batchTrouble!, 'axis 0 is not N but 16 at N = 2');
  assert.match(facts.get('shape')!.batchTrouble!, 'holds the batch size');
  assert.match(facts.get('mixed')!.batchTrouble!, 'mixes samples');
  assert.is(facts.get('constant')!.batchTrouble, undefined);
});

test('logits are found behind Softmax, LogSoftmax and reshapes; without them the output itself', async () => {
  const cases: [string, (b: GraphBuilder) => string, string, string][] = [
    ['softmax', (b) => b.op('Softmax', ['scores'], { axis: 1 }), 'scores', 'softmax'],
    ['log-softmax', (b) => b.op('LogSoftmax', ['scores'], { axis: 1 }), 'scores', 'log-softmax'],
    [
      'softmax, then a reshape',
      (b) => b.op('Flatten', [b.op('Softmax', ['scores'], { axis: 1 })]),
      'scores',
      'softmax',
    ],
    ['a product', (b) => b.op('Mul', ['scores', b.float(2)], {}, 'doubled'), 'doubled', 'none'],
  ];
  for (const [name, write, logits, activation] of cases) {
    const model = editGraph(tinyResidual(), (b) => void b.output(write(b), 'float', ['N', 5]));
    const typed = await observeFacts(model);
    assert.is(typed.logits, logits, name);
    assert.is(typed.activation, activation, name);
  }
});

test('a fixed batch of 1 is seen as such; another fixed batch is refused', async () => {
  const typed = await observeFacts(tinyResidual({ batch: 1 }));
  assert.is(typed.batch, 'fixed');
  assert.is(typed.facts.get('block2')!.batchAxis, 0);
  const model = tinyResidual();
  const inputs = [{ name: 'image', type: { dataType: 'float' as const, dims: [4, 3, 8, 8] } }];
  await rejectsWith('fixed-batch', () => observeFacts({ ...model, graph: { ...model.graph, inputs } }));
});

test('a symbolic size that is no batch must be given', async () => {
  const b = new GraphBuilder();
  const pooled = b.op('GlobalAveragePool', [b.input('x', 'float', ['N', 4, 'length'])]);
  const weight = b.initializer(
    floatTensor(
      'w',
      [4, 3],
      Float32Array.from({ length: 12 }, (_, i) => i / 10),
    ),
  );
  b.output(b.op('MatMul', [b.op('Flatten', [pooled]), weight]), 'float', ['N', 3]);
  const model = makeModel(b.build('sequence'));
  await rejectsWith('unknown-input-dim', () => observeFacts(model));
  const typed = await observeFacts(model, { dims: { length: 6 } });
  assert.equal(typed.facts.get('x')!.dims, [1, 4, 6]);
});

test('a map of probabilities (scikit-learn) is refused with the remedy', async () => {
  const b = new GraphBuilder();
  const scores = b.op('Softmax', [b.input('x', 'float', ['N', 4])], { axis: 1 });
  b.nodes.push({
    opType: 'ZipMap',
    domain: 'ai.onnx.ml',
    name: 'zip',
    inputs: [scores],
    outputs: ['probabilities'],
    attributes: { classlabels_int64s: { type: 'INTS', value: [0, 1, 2, 3] } },
  });
  b.output(b.op('ArgMax', [scores], { axis: 1, keepdims: 0 }, 'label'), 'int64', ['N']);
  b.outputs.push({ name: 'probabilities', type: undefined });
  const model = makeModel(b.build('sklearn'), 13);
  const opsetImports = [...model.opsetImports, { domain: 'ai.onnx.ml', version: 1 }];
  const error = await rejectsWith('no-class-scores', () => observeFacts({ ...model, opsetImports }));
  assert.match(error.hint ?? '', 'zipmap');
});

test('scores of type double are refused with remedies, and a Cast of them to float works', async () => {
  const doubled = (back: boolean) =>
    editGraph(tinyResidual(), (b) => {
      const double = b.op('Cast', ['scores'], { to: 11 }, 'double');
      if (back) b.output(b.op('Cast', [double], { to: 1 }, 'cast'), 'float', ['N', 5]);
      else b.output(double, 'double', ['N', 5]);
    });
  const error = await rejectsWith('no-class-scores', () => observeFacts(doubled(false)));
  assert.match(error.message, 'double: double [1,5]');
  assert.match(error.hint, /model\.float\(\).*Cast/s);
  assert.is((await observeFacts(doubled(true))).output, 'cast');
});

test('no class scores, several outputs with scores, an unknown output', async () => {
  const outputs = (names: string[]) => (b: GraphBuilder) => {
    for (const name of names) b.output(name, 'float', undefined as never);
  };
  await rejectsWith('no-class-scores', () => observeFacts(editGraph(tinyResidual(), outputs(['block3']))));
  const two = editGraph(tinyResidual(), (b) => {
    b.output('scores', 'float', ['N', 5]);
    b.output(b.op('Relu', ['scores'], {}, 'again'), 'float', ['N', 5]);
  });
  await rejectsWith('ambiguous-output', () => observeFacts(two));
  assert.is((await observeFacts(two, { output: 'scores' })).output, 'scores');
  await rejectsWith('unknown-output', () => observeFacts(two, { output: 'nothing' }));
});

test('a model that mixes the samples of a batch is refused', async () => {
  const model = editGraph(tinyResidual(), (b) => {
    const mean = b.op('ReduceMean', ['scores'], { axes: [0], keepdims: 1 });
    b.output(b.op('Sub', ['scores', mean]), 'float', ['N', 5]);
  });
  await rejectsWith('samples-not-independent', () => observeFacts(model));
});

test('also where a batch makes NaN of a sample, and where scores are half floats', async () => {
  const breaking = editGraph(tinyResidual(), (b) => {
    const samples = b.op('Cast', [b.op('Gather', [b.op('Shape', ['scores']), b.int64(0)], { axis: 0 })], {
      to: 1,
    });
    b.output(b.op('Add', ['scores', b.op('Log', [b.op('Sub', [b.float(2.5), samples])])]), 'float', ['N', 5]);
  });
  const error = await rejectsWith('samples-not-independent', () => observeFacts(breaking));
  assert.match(error.message, 'between numbers and NaN or infinities');
  const half = (mixed: boolean) =>
    editGraph(tinyResidual(), (b) => {
      const scores = b.op('Cast', ['scores'], { to: 10 }, 'half');
      const mean = b.op('ReduceMean', [scores], { axes: [mixed ? 0 : 1], keepdims: 1 });
      b.output(b.op('Sub', [scores, mean]), 'float16', ['N', 5]);
    });
  await observeFacts(half(false));
  await rejectsWith('samples-not-independent', () => observeFacts(half(true)));
});

test('a sample whose scores are NaN whatever the batch is no reason to refuse', async () => {
  const model = editGraph(tinyResidual(), (b) => {
    const unknown = b.op('Log', [b.op('Sub', ['scores', b.float(1e3)])]);
    b.output(b.op('Add', ['scores', unknown]), 'float', ['N', 5]);
  });
  assert.is((await observeFacts(model)).batch, 'dynamic');
});

test('a model that ONNX Runtime does not load says so', async () => {
  const model = editGraph(
    tinyResidual(),
    (b) => void b.output(b.op('NoSuchOp', ['scores']), 'float', ['N', 5]),
  );
  await rejectsWith('session-failed', () => observeFacts(model));
});

test.run();
