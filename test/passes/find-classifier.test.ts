/** Where logits are found behind an output, what is refused, and that answers of early exits have the output's units. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { Activation } from '../../src/passes/exits.ts';
import { giveValue } from '../../src/passes/give-value.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { rejectsWith } from '../expect.ts';
import { noise, tinyResidual } from '../models.ts';

const test = suite('passes: find classifier');

type Write = (b: GraphBuilder) => string;

/** The small net whose output is what `write` makes of its `scores` [N, 5]. */
function ending(write: Write, dims: (number | string)[] = ['N', 5], opset = 17): Model {
  const model = tinyResidual({ opset });
  const { graph } = model;
  const b = new GraphBuilder('', new Set([...graph.nodes.flatMap((n) => n.outputs), ...graph.initializers.map((t) => t.name)]));
  const output = write(b);
  const nodes = [...graph.nodes, ...b.nodes];
  const outputs = [{ name: output, type: { dataType: 'float' as const, dims } }];
  const opsetImports = [...model.opsetImports, { domain: 'com.microsoft', version: 1 }];
  return { ...model, opsetImports, graph: { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers], outputs } };
} // biome-ignore format: one statement a line

const soft = (b: GraphBuilder, from = 'scores') => b.op('Softmax', [from], { axis: 1 }, 'soft');
const sum = (b: GraphBuilder, op: string, from: string) => b.op(op, [from, b.int64([1])], { keepdims: 1 });
const largest = (b: GraphBuilder) => b.op('ReduceMax', ['scores'], { axes: [1], keepdims: 1 });
const quantised = (b: GraphBuilder, from: string) => {
  const zero = b.initializer({ name: 'zero', dataType: 'uint8', dims: [], bytes: Uint8Array.of(0) });
  const int8 = b.op('QuantizeLinear', [from, b.float(1 / 255), zero]);
  return b.op('DequantizeLinear', [int8, b.float(1 / 255), zero]);
};
/** One number a sample. */
const single = (b: GraphBuilder, as = 'z') =>
  b.op(
    'MatMul',
    ['scores', b.initializer(floatTensor('column', [5, 1], [0.3, -0.2, 0.1, 0.2, -0.1]))],
    {},
    as,
  );

const FOUND: readonly (readonly [string, Write, Activation, string, number?])[] = [
  ['Softmax, Cast, Cast', (b) => b.op('Cast', [b.op('Cast', [soft(b)], { to: 10 })], { to: 1 }), 'softmax', 'scores'],
  ['Softmax, Dropout, Identity', (b) => b.op('Identity', [b.op('Dropout', [soft(b)])]), 'softmax', 'scores'],
  ['Softmax, Unsqueeze, Squeeze', (b) => b.op('Squeeze', [b.op('Unsqueeze', [soft(b), b.int64([2])]), b.int64([2])]), 'softmax', 'scores'],
  [
    'Softmax over the last axis of [N, 1, 1, C], Transpose',
    (b) => {
      const last = b.op('Reshape', ['scores', b.int64([-1, 1, 1, 5])], {}, 'last');
      return b.op('Flatten', [b.op('Transpose', [b.op('Softmax', [last])], { perm: [0, 3, 1, 2] })], { axis: 1 });
    },
    'softmax', 'last',
  ],
  ['Softmax of opset 12, axis 1 by default, over [N, C, 1, 1]', (b) => {
    const map = b.op('Reshape', ['scores', b.int64([-1, 5, 1, 1])], {}, 'map');
    return b.op('Flatten', [b.op('Softmax', [map])], { axis: 1 });
  }, 'softmax', 'map', 12],
  ['Softmax, Clip to [0, 1]', (b) => b.op('Clip', [soft(b), b.float(0), b.float(1)]), 'softmax', 'scores'],
  ['Softmax, Clip to [1e-7, 1 - 1e-7]', (b) => b.op('Clip', [soft(b), b.float(1e-7), b.float(1 - 1e-7)]), 'softmax', 'scores'],
  ['Softmax, Clip to [0.01, 0.9]', (b) => b.op('Clip', [soft(b), b.float(0.01), b.float(0.9)]), 'scaled-softmax', 'scores'],
  ['Softmax × 100', (b) => b.op('Mul', [b.float(100), soft(b)]), 'scaled-softmax', 'scores'],
  ['Softmax / 0.5', (b) => b.op('Div', [soft(b), b.float([0.5])]), 'scaled-softmax', 'scores'],
  ['Softmax in int8', (b) => quantised(b, soft(b)), 'scaled-softmax', 'scores'],
  ['LogSoftmax, Identity', (b) => b.op('Identity', [b.op('LogSoftmax', ['scores'])]), 'log-softmax', 'scores'],
  ['Log of Softmax', (b) => b.op('Log', [soft(b)]), 'log-softmax', 'scores'],
  ['Log of Softmax + 1e-7', (b) => b.op('Log', [b.op('Add', [soft(b), b.float(1e-7)])]), 'log-softmax', 'scores'],
  ['Softmax written out', (b) => {
    const e = b.op('Exp', ['scores']);
    return b.op('Div', [e, sum(b, 'ReduceSum', e)]);
  }, 'softmax', 'scores'],
  ['Softmax written out, largest taken off', (b) => {
    const e = b.op('Exp', [b.op('Sub', ['scores', largest(b)])]);
    return b.op('Div', [e, sum(b, 'ReduceSum', e)]);
  }, 'softmax', 'scores'],
  ['LogSoftmax written out', (b) => {
    const z = b.op('Sub', ['scores', largest(b)]);
    return b.op('Sub', [z, b.op('Log', [sum(b, 'ReduceSum', b.op('Exp', [z]))])]);
  }, 'log-softmax', 'scores'],
  ['Softmax as JAX writes it: reshaped, broadcast, and never below -inf', (b) => {
    const one = (from: string) => b.op('Expand', [b.op('Reshape', [from, b.int64([-1, 1])]), b.int64([1, 1])]);
    const top = b.op('Max', [b.float(-1 / 0), b.op('ReduceMax', ['scores'], { axes: [1], keepdims: 0 })]);
    const e = b.op('Exp', [b.op('Sub', ['scores', one(top)])]);
    return b.op('Div', [e, one(b.op('ReduceSum', [e, b.int64([1])], { keepdims: 0 }))]);
  }, 'softmax', 'scores'],
  ['LogSoftmax by ReduceLogSumExp', (b) => b.op('Sub', ['scores', b.op('ReduceLogSumExp', ['scores'], { axes: [1] })]), 'log-softmax', 'scores'],
  ['both probabilities of a Sigmoid', (b) => {
    const p = b.op('Sigmoid', [single(b)]);
    return b.op('Concat', [b.op('Sub', [b.float(1), p]), p], { axis: 1 });
  }, 'softmax', 'z/classes'],
  ['logits, doubled', (b) => b.op('Mul', ['scores', b.float(2)], {}, 'doubled'), 'none', 'doubled'],
  ['distances, negative', (b) => b.op('Neg', [b.op('Sqrt', [b.op('Mul', ['scores', 'scores'])])], {}, 'near'), 'none', 'near'],
  ['logits by CLIP: scaled by the exponential of a constant', (b) => b.op('Mul', ['scores', b.op('Exp', [b.float(1)])], {}, 'scaled'), 'none', 'scaled'],
  ['logits weighted by a gate', (b) => b.op('Mul', ['scores', b.op('Sigmoid', [single(b)])], {}, 'gated'), 'none', 'gated'],
]; // biome-ignore format: a table

/** What a sample's numbers add up to when they are what `activation` says. */
const ADDED: Partial<Record<Activation, (row: readonly number[]) => number>> = {
  softmax: (row) => row.reduce((a, v) => a + v),
  'log-softmax': (row) => row.reduce((a, v) => a + Math.exp(v), 0),
};

/** `model` lowered with one exit, its heads sharp enough to differ from the original: a function of the threshold. */
async function lowered(model: Model) {
  const typed = await observeFacts(model);
  const [head] = attachExits(planExits(typed, { taps: ['block1'] }), { kind: 'pool', seed: 2 });
  const graph = runPasses(head!.graph, [inferenceForm]);
  const emitted = lowerExits(typed, [{ ...head!, graph }], { policy: 'max-prob' });
  const image = new Tensor('float32', noise(4 * 192, 8), [4, 3, 8, 8]);
  const original = await withSession(serializeModel(model), {}, (s) => s.run({ image }));
  const run = (threshold: number) =>
    withSession(emitted, {}, (s) => s.run({ image, thresholds: new Tensor('float32', Float32Array.of(threshold), [1]) }));
  const tapped = { ...typed.model, graph: { ...typed.model.graph, outputs: [{ name: 'block1', type: undefined }] } };
  const { block1 } = await withSession(tapped, {}, (s) => s.run({ image }));
  const { logits } = await withSession(makeModel(graph), {}, (s) => s.run({ features: block1! }));
  return { typed, run, original: original[typed.output]!, byHand: logits!.data as Float32Array };
} // biome-ignore format: one statement a line

for (const [name, write, activation, logits, opset] of FOUND) {
  test(`${name}: ${activation} of ${logits}, early answers too`, async () => {
    const { typed, run, original, byHand } = await lowered(ending(write, undefined, opset));
    assert.is(typed.activation, activation);
    assert.is(typed.logits, logits);
    const [early, late] = [await run(-1), await run(1)];
    const rows = floatsOf(early[typed.output]!);
    const width = rows.length / 4;
    assert.equal(early[typed.output]!.dims, original.dims);
    const whole = floatsOf(original);
    floatsOf(late[typed.output]!).forEach((v, i) => {
      // 1.2e-6 was seen on an AMD EPYC: ONNX Runtime rounds otherwise inside a branch.
      assert.ok(Math.abs(v - whole[i]!) <= 3e-6 * Math.max(1, Math.abs(whole[i]!)), `${v} ${whole[i]}`);
    });
    const added = ADDED[activation];
    for (let i = 0; i < 4; i++) {
      const row = [...rows.subarray(i * width, (i + 1) * width)];
      assert.is(
        argMaxRows(Float32Array.from(row), 1)[0],
        argMaxRows(byHand.slice(i * width, (i + 1) * width), 1)[0],
      );
      if (added) assert.ok(Math.abs(added(row) - 1) < 5e-3, `${row}`);
      if (activation === 'softmax')
        assert.ok(Math.abs(Math.max(...row) - (early.exit_confidence!.data[i] as number)) < 2e-3);
    }
  });
}

const REFUSED: readonly (readonly [string, Write, string, string?])[] = [
  ...['Relu', 'Tanh', 'Softplus', 'HardSigmoid', 'Elu', 'Exp'].map(
    (op) => [op, (b: GraphBuilder) => b.op('Identity', [b.op(op, ['scores'])]), 'no-logits', 'scores'] as const,
  ),
  ['Sigmoid', (b) => b.op('Cast', [b.op('Sigmoid', ['scores'])], { to: 1 }), 'several-labels', 'scores'],
  ['Sigmoid written out', (b) => {
    const e = b.op('Exp', [b.op('Neg', ['scores'])]);
    return b.op('Div', [b.float(1), b.op('Add', [e, b.float(1)])]);
  }, 'no-logits'],
  ['Swish', (b) => b.op('Mul', ['scores', b.op('Sigmoid', ['scores'])]), 'no-logits', 'scores'],
  ['Clip of logits', (b) => b.op('Clip', ['scores', b.float(-1), b.float(1)]), 'no-logits', 'scores'],
  ['Softmax over samples', (b) => b.op('Softmax', ['scores'], { axis: 0 }), 'no-logits', 'scores'],
  ['Softmax over an axis of 1', (b) => {
    const map = b.op('Reshape', ['scores', b.int64([-1, 5, 1])], {}, 'map');
    return b.op('Flatten', [b.op('Softmax', [map], { axis: -1 })], { axis: 1 });
  }, 'no-logits', 'map'],
  ['negative log-likelihoods', (b) => b.op('Neg', [b.op('LogSoftmax', ['scores'], { axis: 1 })]), 'no-logits', 'LogSoftmax'],
  ['Softmax × -1', (b) => b.op('Mul', [soft(b), b.float(-1)]), 'no-logits', 'soft'],
  ['Softmax, Clip to [0, 0.4]', (b) => b.op('Clip', [soft(b), b.float(0), b.float(0.4)]), 'no-logits', 'soft'],
  ['LogSoftmax × 0.4', (b) => b.op('Mul', [b.op('LogSoftmax', ['scores'], { axis: 1 }), b.float(0.4)]), 'no-logits', 'LogSoftmax'],
  ['a mean of two Softmaxes', (b) => {
    const other = b.op('Softmax', [b.op('Mul', ['scores', b.float(3)])], { axis: 1 });
    return b.op('Mul', [b.op('Add', [soft(b), other]), b.float(0.5)]);
  }, 'no-logits', 'Softmax'],
  ['a Softmax of the classes in another order', (b) => b.op('Gather', [soft(b), b.int64([4, 3, 2, 1, 0])], { axis: 1 }), 'no-logits', 'soft'],
  ['probabilities of a Sigmoid the other way round', (b) => {
    const p = b.op('Sigmoid', [single(b)]);
    return b.op('Concat', [p, b.op('Sub', [b.float(1), p])], { axis: 1 });
  }, 'no-logits'],
  ['values of TopK', (b) => b.ops('TopK', [soft(b), b.int64([3])], { axis: 1 }, ['best', 'which'])[0]!, 'not-class-scores', 'soft'],
  ['all values, sorted', (b) => b.ops('TopK', ['scores', b.int64([5])], { axis: 1 }, ['best', 'which'])[0]!, 'not-class-scores', 'scores'],
  ['Hardmax', (b) => b.op('Hardmax', ['scores'], { axis: 1 }), 'not-class-scores', 'scores'],
  ['one-hot of ArgMax', (b) => {
    const best = b.op('ArgMax', ['scores'], { axis: 1, keepdims: 0 });
    return b.op('OneHot', [best, b.int64(5), b.float([0, 1])], { axis: 1 });
  }, 'not-class-scores'],
  ['a product fused with Relu', (b) => {
    const eye = b.initializer(floatTensor('eye', [5, 5], Array.from({ length: 25 }, (_, i) => Number(i % 6 === 0))));
    b.op('FusedGemm', ['scores', eye], { activation: 'Relu' }, 'fused');
    b.nodes.push({ ...b.nodes.pop()!, domain: 'com.microsoft' });
    return 'fused';
  }, 'no-logits'],
  ['one number a sample', (b) => single(b), 'one-score'],
  ['the largest score', (b) => largest(b), 'one-score'],
  ['one number behind a Tanh', (b) => b.op('Tanh', [single(b)]), 'no-logits'],
  ['one number behind a Softmax', (b) => b.op('Softmax', [single(b)], { axis: 1 }), 'no-logits'],
  ['only the class', (b) => b.op('Cast', [b.op('ArgMax', ['scores'], { axis: 1, keepdims: 0 })], { to: 6 }), 'no-class-scores'],
]; // biome-ignore format: a table

for (const [name, write, code, remedy] of REFUSED) {
  test(`${name} is refused: ${code}${remedy ? ', and --output ' : ''}${remedy ?? ''}${remedy ? ' helps' : ''}`, async () => {
    const model = ending(write);
    const { graph } = model;
    const open = { ...model, graph: { ...graph, outputs: graph.outputs.map(({ name }) => ({ name, type: undefined })) } };
    const error = await rejectsWith(code, () => observeFacts(open));
    assert.match(error.message, graph.outputs[0]!.name);
    const told = /`output: '(\S+)'` has/.exec(error.hint!)?.[1];
    assert.is(told, remedy);
    if (!remedy) return;
    const typed = await observeFacts(giveValue(open, remedy), { output: remedy });
    assert.is(typed.output, remedy);
  });
} // biome-ignore format: one statement a line

test('a Softmax along the batch is named as one', async () => {
  const over = ending((b) => b.op('Softmax', ['scores'], { axis: 0 }));
  const error = await rejectsWith('no-logits', () => observeFacts(over));
  assert.match(error.message, 'its Softmax runs along the batch axis, over the samples');
});

test('scores of all classes are preferred to decisions, and two outputs of scores are for the user to choose from', async () => {
  const withTop = ending((b) => b.ops('TopK', [soft(b), b.int64([3])], { axis: 1 }, ['best', 'which'])[0]!);
  const outputs = ['best', 'soft'].map((name) => ({ name, type: undefined }));
  assert.is((await observeFacts({ ...withTop, graph: { ...withTop.graph, outputs } })).output, 'soft');
  const withSigmoid = ending((b) => b.op('Sigmoid', ['scores'], {}, 'labels'));
  const two = ['labels', 'scores'].map((name) => ({ name, type: undefined }));
  await rejectsWith('ambiguous-output', () =>
    observeFacts({ ...withSigmoid, graph: { ...withSigmoid.graph, outputs: two } }),
  );
});

for (const [name, write, dims] of [
  ['[N, 1]', (b) => b.op('Sigmoid', [single(b)], {}, 'p'), ['N', 1]],
  ['[N]', (b) => b.op('Sigmoid', [b.op('Reshape', [single(b, 'y'), b.int64([-1])], {}, 'z')], {}, 'p'), ['N']],
  ['[N, 1, 1, 1], flattened', (b) => b.op('Flatten', [b.op('Sigmoid', [b.op('Reshape', [single(b, 'y'), b.int64([-1, 1, 1, 1])], {}, 'z')])], {}, 'p'), ['N', 1]],
  ['[N, 1] in half precision', (b) => {
    b.op('Cast', [single(b, 'y')], { to: 10 }, 'z');
    return b.op('Cast', [b.op('Sigmoid', ['z'])], { to: 1 }, 'p');
  }, ['N', 1]],
] as readonly [string, Write, (string | number)[]][]) {
  test(`one Sigmoid score a sample, ${name}: two classes inside, the output as it was`, async () => {
    const { typed, run, original, byHand } = await lowered(ending(write, dims));
    assert.is(typed.activation, 'sigmoid');
    assert.is(typed.classes, 2);
    assert.is(typed.logits, 'z/classes');
    const [early, late] = [await run(-1), await run(1)];
    assert.equal(late.p!.dims, original.dims);
    assert.equal(early.p!.dims, original.dims);
    for (const [i, p] of (late.p!.data as Float32Array).entries())
      assert.ok(Math.abs(p - (original.data[i] as number)) < (name.includes("half") ? 1e-3 : 1e-6));
    for (const [i, p] of (early.p!.data as Float32Array).entries()) {
      assert.ok(Math.abs(p - 1 / (1 + Math.exp(byHand[2 * i]! - byHand[2 * i + 1]!))) < 2e-3);
      assert.ok(Math.abs(p - (original.data[i] as number)) > 1e-4);
      assert.ok(Math.abs(Math.max(p, 1 - p) - (early.exit_confidence!.data[i] as number)) < 2e-3);
    }
  });
} // biome-ignore format: a table

test('one number without a Sigmoid is a logit when it is named', async () => {
  const typed = await observeFacts(
    ending((b) => single(b), ['N', 1]),
    { output: 'z' },
  );
  assert.is(typed.activation, 'logit');
  assert.is(typed.output, 'z');
  assert.is(typed.logits, 'z/classes');
  assert.is(typed.classes, 2);
});

test('infinite and undefined scores pass through both classes unchanged', async () => {
  const b = new GraphBuilder();
  const z = b.op('MatMul', [
    b.input('x', 'float', ['N', 2]),
    b.initializer(floatTensor('w', [2, 1], [1, 1])),
  ]);
  b.output(b.op('Sigmoid', [z], {}, 'p'), 'float', ['N', 1]);
  const { model } = await observeFacts(makeModel(b.build('tiny')));
  const x = new Tensor('float32', Float32Array.of(1 / 0, 0, -1 / 0, 0, Number.NaN, 0, 88, 15), [4, 2]);
  const { p } = await withSession(model, {}, (s) => s.run({ x }));
  assert.equal([...(p!.data as Float32Array)], [1, 0, Number.NaN, 1]);
});

test.run();
