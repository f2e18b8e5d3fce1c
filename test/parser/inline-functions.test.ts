import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkGraph } from '../../src/graph/check.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import { indexGraph } from '../../src/graph/walk.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { inlineFunctions, parseModel, serializeModel } from '../../src/parser/index.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { hasCode } from '../expect.ts';
import { noise } from '../models.ts';
import { int, len, message, node, packed, model as smallModel } from './proto.ts';

const test = suite('parser: inline functions');

const DOMAIN = len(7, 'lib');
const call = (name: string, inputs: string[], outputs: string[], ...more: Uint8Array[]) =>
  len(1, node(name, inputs, outputs, DOMAIN, ...more));
/** AttributeProto: of type INTS, or one that stands for an attribute of the call. */
const ints = (name: string, ...values: number[]) =>
  len(5, len(1, name), ...values.map((v) => int(8, v)), int(20, 7));
const reference = (name: string, to: string, type: number) =>
  len(5, len(1, name), int(20, type), len(21, to));
/** Opset imports of a function: of the default domain, and of `lib`. */
const OPSET = (version: number) =>
  message(len(9, len(1, ''), int(2, version)), len(9, len(1, 'lib'), int(2, 1)));
const fn = (name: string, inputs: string[], outputs: string[], ...fields: Uint8Array[]) =>
  len(
    25,
    len(1, name),
    len(10, 'lib'),
    ...inputs.map((i) => len(4, i)),
    ...outputs.map((o) => len(5, o)),
    ...fields,
  );
const typed = (name: string, ...dims: (number | string)[]) =>
  message(
    len(1, name),
    len(
      2,
      len(1, int(1, 1), len(2, ...dims.map((d) => len(1, typeof d === 'number' ? int(1, d) : len(2, d))))),
    ),
  );
const weight = (name: string, ...dims: number[]) => {
  const { bytes } = floatTensor(name, dims, noise(elementCount(dims), name.length));
  return len(5, packed(1, ...dims), int(2, 1), len(8, name), len(9, bytes));
};

/** As PyTorch's dynamo exporter: a convolution whose pads are the call's, a Relu in an `If` of another function, and one of a default axis. */
function dynamo(opset = 17): Uint8Array {
  const branch = (name: string, op: string) =>
    len(
      5,
      len(1, name),
      int(20, 5),
      len(
        6,
        len(2, name),
        len(1, node(op, ['v'], ['same'])),
        len(12, len(1, 'same'), len(2, len(1, int(1, 1)))),
      ),
    );
  return message(
    smallModel(
      call('conv', ['x', 'w1'], ['c1'], ints('pads', 1, 1, 1, 1)),
      call('relu', ['c1', 'yes'], ['r1']),
      call('conv', ['r1', 'w2'], ['c2'], ints('pads', 0, 0, 0, 0)),
      call('relu', ['c2', 'yes'], ['r2']),
      call('score', ['r2', 'fc'], ['scores']),
      weight('w1', 4, 3, 3, 3),
      weight('w2', 5, 4, 3, 3),
      weight('fc', 5, 6),
      len(5, packed(1, 1), int(2, 9), len(8, 'yes'), len(9, Uint8Array.of(1))),
      len(11, typed('x', 'N', 3, 6, 6)),
      len(12, typed('scores', 'N', 6)),
    ),
    len(8, len(1, 'lib'), int(2, 1)),
    fn('conv', ['x', 'w', 'b'], ['y'], len(7, node('Conv', ['x', 'w', 'b'], ['y'], reference('pads', 'pads', 7), reference('group', 'missing', 2))), OPSET(opset)),
    fn('id', ['v'], ['w'], len(7, node('Identity', ['v'], ['w'])), OPSET(opset)),
    fn(
      'relu',
      ['v', 'c'],
      ['out'],
      len(7, node('If', ['c'], ['made'], branch('then_branch', 'Relu'), branch('else_branch', 'Identity'))),
      len(7, node('id', ['made'], ['out'], DOMAIN)),
      OPSET(opset),
    ),
    fn(
      'score',
      ['map', 'matrix'],
      ['s'],
      len(7, node('GlobalAveragePool', ['map'], ['mean'])),
      len(7, node('Flatten', ['mean'], ['y'], reference('axis', 'from', 2))),
      len(7, node('MatMul', ['y', 'matrix'], ['s'])),
      len(11, len(1, 'from'), int(3, 1), int(20, 2)),
      OPSET(opset),
    ),
  ); // biome-ignore format: a model
}

test('calls become the nodes of their functions; the model does what it did', async () => {
  const model = parseModel(dynamo());
  const inlined = inlineFunctions(model);
  assert.is(inlined.functionCount, 0);
  assert.is(inlined.unknownFields, undefined);
  assert.equal(inlined.opsetImports.map((o) => o.domain), ['']);
  checkGraph(inlined.graph);
  const ops = inlined.graph.nodes.map((n) => n.opType);
  assert.equal(ops, ['Conv', 'If', 'Identity', 'Conv', 'If', 'Identity', 'GlobalAveragePool', 'Flatten', 'MatMul']);
  const { producer } = indexGraph(inlined.graph);
  assert.equal(producer.get('c1')!.attributes, { pads: { type: 'INTS', value: [1, 1, 1, 1] } });
  assert.equal(producer.get('c2')!.inputs, ['r1', 'w2', '']);
  assert.equal(producer.get('scores')!.inputs, ['scores/y', 'fc']);
  assert.is(producer.get('scores/y')!.attributes.axis!.value, 1);

  const x = new Tensor('float32', noise(216, 5), [2, 3, 6, 6]);
  const run = (bytes: Uint8Array) =>
    withSession(bytes, { threads: 1 }, async (session) => [...((await session.run({ x })).scores!.data as Float32Array)]);
  assert.equal(await run(serializeModel(inlined)), await run(dynamo()));
}); // biome-ignore format: short lists

test('what functions compute is counted, and exits can stand between them', async () => {
  const typedModel = await observeFacts(inlineFunctions(parseModel(dynamo())));
  const plan = planExits(typedModel, { taps: ['r1'] });
  assert.is(plan.totalMacs, 36 * 4 * 27 + 16 * 5 * 36 + 5 * 6);
  assert.is(plan.exits[0]!.prefixMacs, 36 * 4 * 27);
});

test('functions of another operator set stay, and a model without functions is the same object', () => {
  const other = parseModel(dynamo(16));
  assert.is(inlineFunctions(other), other);
  const plain = parseModel(smallModel(len(1, node('Relu', ['x'], ['y'])), len(11, typed('x')), len(12, typed('y'))));
  assert.is(inlineFunctions(plain), plain);
}); // biome-ignore format: short lists

test('a function that reads what it does not make is refused, one whose nodes stand in another order is sorted', async () => {
  const body = (...nodes: Uint8Array[]) => [...nodes.map((one) => len(7, one)), OPSET(17)];
  const first = node('Relu', ['a'], ['t']);
  const second = (read: string) => node('Relu', [read], ['b']);
  const withFunction = (...fields: Uint8Array[]) =>
    parseModel(
      message(
        smallModel(call('two', ['x'], ['y']), len(11, typed('x', 'N', 3)), len(12, typed('y', 'N', 3))),
        len(8, len(1, 'lib'), int(2, 1)),
        fn('two', ['a'], ['b'], ...fields),
      ),
    );
  assert.throws(
    () => inlineFunctions(withFunction(...body(first, second('elsewhere')))),
    hasCode('invalid-graph'),
  );
  const { graph } = inlineFunctions(withFunction(...body(second('t'), first)));
  assert.equal(
    graph.nodes.flatMap(({ outputs }) => outputs),
    ['y/t', 'y'],
  );
});

test.run();
