import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { widenModel } from '../../src/model/widen-model.ts';
import { rejectsWith } from '../expect.ts';
import { noise, tinyResidual } from '../models.ts';

const test = suite('widen-model');

/** Input [1, 4, 3] reshaped by a constant, then a matrix: `scores` [1, 5]. */
function reshaping(shape: readonly number[], inputs = 12): Model {
  const b = new GraphBuilder();
  const flat = b.op('Reshape', [b.input('x', 'float', [1, 4, 3]), b.int64(shape)]);
  const weight = b.initializer(floatTensor('w', [inputs, 5], noise(5 * inputs, 1)));
  b.op('MatMul', [flat, weight], {}, 'scores');
  b.output('scores', 'float', [1, 5]);
  return makeModel(b.build('reshaping'));
}

test('a dynamic batch is left alone', async () => {
  const model = tinyResidual();
  assert.is(await widenModel(model), model);
});

test('constants in Reshapes are widened, weights and other nodes are the same objects', async () => {
  for (const model of [tinyResidual({ batch: 1 }), reshaping([1, 12]), reshaping([1, -1])]) {
    const widened = await widenModel(model);
    assert.is((await observeFacts(widened)).batch, 'dynamic');
    for (const node of model.graph.nodes)
      if (node.opType !== 'Reshape') assert.ok(widened.graph.nodes.includes(node));
    for (const tensor of model.graph.initializers) {
      const isShape = tensor.dims.length === 1 && tensor.dims[0] === 2;
      assert.is(widened.graph.initializers.includes(tensor), !isShape, 'shapes that nothing reads are gone');
    }
  }
});

test('refused when samples would meet, or a shape stays', async () => {
  const mixing = () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float', [1, 5]);
    b.op('Sub', [x, b.op('ReduceMean', [x], { axes: [0], keepdims: 1 })], {}, 'y');
    b.op('Add', ['y', b.op('ReduceMax', [x], { keepdims: 1 })], {}, 'scores');
    b.output('scores', 'float', [1, 5]);
    return makeModel(b.build('mixing'));
  };
  const error = await rejectsWith('batch-not-widened', () => widenModel(mixing()));
  assert.match(error.message, 'depends on the batch around it');
  await rejectsWith('batch-not-widened', () => widenModel(reshaping([4, 3], 3)));
  await rejectsWith('batch-not-widened', () => widenModel(reshaping([12])));
});

test('NaN that a sample gives by itself too is the same, and one that a batch makes is not', async () => {
  const ending = (write: (b: GraphBuilder, y: string) => string): Model => {
    const b = new GraphBuilder();
    const y = b.op('Reshape', [b.input('x', 'float', [1, 4, 3]), b.int64([1, 12])]);
    b.op('Identity', [write(b, y)], {}, 'scores');
    b.output('scores', 'float', [1, 12]);
    return makeModel(b.build('ending'));
  };
  const widened = await widenModel(ending((b, y) => b.op('Add', [y, b.op('Log', [y])])));
  assert.is((await observeFacts(widened)).batch, 'dynamic');
  const breaking = ending((b, y) => {
    const samples = b.op('Cast', [b.op('Gather', [b.op('Shape', [y]), b.int64(0)], { axis: 0 })], { to: 1 });
    return b.op('Add', [y, b.op('Log', [b.op('Sub', [b.float(2.5), samples])])]);
  });
  const error = await rejectsWith('batch-not-widened', () => widenModel(breaking));
  assert.match(error.message, 'depends on the batch around it');
});

test.run();
