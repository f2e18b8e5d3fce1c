import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { float, GraphBuilder, makeNode } from '../../src/graph/builder.ts';
import { bindDims, countMacs, inferTypes } from '../../src/graph/infer.ts';
import { boolTensor, floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import { checkTypes, signed } from '../autodiff/check-gradient.ts';

const test = suite('infer');

/** A graph of nodes on `x` [2, 4, 6, 6], `r` [3, 4] and an index `i` [3] in 0..3. */
function graphOf(build: (b: GraphBuilder) => void) {
  const b = new GraphBuilder();
  b.input('x', 'float', [2, 4, 6, 6]);
  b.input('r', 'float', [3, 4]);
  b.op('ArgMax', ['r'], { axis: 1, keepdims: 0 }, 'i');
  build(b);
  return b.build('infer');
}

const values = new Map([
  ['x', signed(288, 1)],
  ['r', signed(12, 2)],
]);

test('every rule agrees with ONNX Runtime', async () => {
  const graph = graphOf((b) => {
    for (const op of [
      'Abs',
      'Ceil',
      'Erf',
      'Exp',
      'Floor',
      'Identity',
      'LeakyRelu',
      'LogSoftmax',
      'Neg',
      'Reciprocal',
    ])
      b.op(op, ['r']);
    for (const op of ['Relu', 'Round', 'Sigmoid', 'Sign', 'Softmax', 'Softplus', 'Sqrt', 'Tanh', 'Log'])
      b.op(op, ['r']);
    for (const op of ['Add', 'Div', 'Max', 'Mean', 'Min', 'Mul', 'Pow', 'Sub', 'Sum'])
      b.op(op, ['r', b.float([1, 2, 3, 4])]);
    const more = b.op('Greater', ['r', b.float(0)]);
    for (const op of ['Equal', 'GreaterOrEqual', 'Less', 'LessOrEqual'])
      b.op(op, ['r', b.float([1], [1, 1, 1])]);
    b.op('Not', [b.op('And', [more, b.op('Or', [more, b.bool(true)])])]);
    for (const op of ['ReduceL2', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSumSquare']) {
      b.op(op, ['x'], { axes: [-1, 1], keepdims: 0 });
    }
    b.op('ReduceSum', ['x', b.int64([0])]);
    b.op('ReduceSum', ['x'], { noop_with_empty_axes: 1 });
    b.op('ArgMin', ['x'], { axis: -2 });
    b.op('Clip', ['r', b.float(0)]);
    b.op('Cast', ['r'], { to: 11 });
    b.op('Constant', [], { value: int64Tensor('', [2], [1, 2]) });
    b.op('Constant', [], { value_float: float(2) });
    b.op('Constant', [], { value_ints: [1, 2, 3] });
    b.op('ConstantOfShape', [b.int64([2, 3])], { value: boolTensor('', [1], [true]) });
    b.op('Concat', ['r', 'r'], { axis: -1 });
    b.op('DepthToSpace', ['x'], { blocksize: 2 });
    b.op('Expand', ['r', b.int64([2, 1, 4])]);
    b.op('Flatten', ['x'], { axis: 0 });
    b.op('Gather', ['x', b.op('Reshape', ['i', b.int64([3, 1])])], { axis: 1 });
    b.op('GatherElements', ['r', b.op('Unsqueeze', ['i', b.int64([1])])], { axis: 1 });
    b.op('GlobalMaxPool', ['x']);
    b.op('AveragePool', ['x'], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 });
    b.ops('MaxPool', ['x'], { kernel_shape: [2, 3], pads: [0, 1, 1, 1] }, ['p', 'pi']);
    b.op('OneHot', ['i', b.int64(4), b.float([0, 1])], { axis: 0 });
    b.op('Pad', ['r', b.int64([0, 1, 2, 0])]);
    b.op('Reshape', ['x', b.int64([0, -1, 2])]);
    b.op(
      'ScatterElements',
      ['r', b.op('Unsqueeze', ['i', b.int64([-1])]), b.op('ReduceMax', ['r'], { axes: [1] })],
      { axis: 1 },
    );
    b.op('Shape', ['x']);
    b.op('Slice', ['x', b.int64([-1, 0]), b.int64([-9, 5]), b.int64([3, 1]), b.int64([-2, 2])]);
    b.ops('Split', ['x'], { axis: 2 }, ['s1', 's2', 's3']);
    b.op('Squeeze', [b.op('Unsqueeze', ['x', b.int64([0, 3])])]);
    b.op('Transpose', ['x'], { perm: [0, 2, 3, 1] });
    b.op('Where', [more, 'r', b.float(0)]);
  });
  await checkTypes(graph, values);
});

test('refuses what it does not know, naming the node', () => {
  const unknown = graphOf((b) => b.op('Det', ['r'], {}, 'det'));
  assert.throws(
    () => inferTypes(unknown),
    (e: { code: string; message: string }) => e.code === 'no-shape-rule' && /Det.*"det"/.test(e.message),
  );
  const foreign = { ...unknown, nodes: [{ ...makeNode('Relu', ['r'], ['y']), domain: 'com.example' }] };
  assert.throws(
    () => inferTypes(foreign),
    (e: { code: string }) => e.code === 'no-shape-rule',
  );
  const computed = graphOf((b) => b.op('Reshape', ['x', b.op('Shape', ['r'])]));
  assert.throws(
    () => inferTypes(computed),
    (e: { code: string }) => e.code === 'shape-not-static',
  );
  const clash = graphOf((b) => b.op('Add', ['x', 'r'], {}, 'sum'));
  assert.throws(
    () => inferTypes(clash),
    (e: { code: string }) => e.code === 'shape-mismatch',
  );
});

test('symbols are bound to numbers first', () => {
  const b = new GraphBuilder();
  b.input('x', 'float', ['N', 3]);
  b.op('Relu', ['x'], {}, 'y');
  b.output('y', 'float', ['N', 3]);
  const graph = b.build('open');
  assert.throws(
    () => inferTypes(graph),
    (e: { code: string }) => e.code === 'shape-not-static',
  );
  const bound = bindDims(graph, { N: 7 });
  assert.equal(inferTypes(bound).get('y'), { dataType: 'float', dims: [7, 3] });
  assert.equal(bound.outputs[0]!.type!.dims, [7, 3]);
  assert.equal(graph.inputs[0]!.type!.dims, ['N', 3]);
});

test('MACs of the heavy ops, of what the outputs need', () => {
  const b = new GraphBuilder();
  b.input('x', 'float', [2, 4, 6, 6]);
  const weight = (name: string, ...dims: number[]) =>
    b.initializer(floatTensor(name, dims, new Float32Array(dims.reduce((n, d) => n * d, 1))));
  const conv = b.op('Conv', ['x', weight('w', 8, 2, 3, 3)], {
    group: 2,
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  });
  const up = b.op('ConvTranspose', [conv, weight('u', 8, 5, 2, 2)], { strides: [2, 2] });
  const flat = b.op('Flatten', [up]);
  const gemm = b.op('Gemm', [flat, weight('g', 7, 180)], { transB: 1 });
  b.op('MatMul', [gemm, weight('m', 7, 3)], {}, 'y');
  b.op('MatMul', [gemm, weight('unused', 7, 100)]);
  b.output('y', 'float', [2, 3]);
  const macs = 2 * 8 * 9 * (2 * 9) + 2 * 8 * 9 * (5 * 4) + 2 * 7 * 180 + 2 * 3 * 7;
  assert.is(countMacs(b.build('macs')), macs);
});

test.run();
