import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { makeNode } from '../../src/graph/builder.ts';
import { int64Tensor } from '../../src/graph/tensor.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { cutSegments } from '../../src/passes/cut-segments.ts';
import type { Head, TypedModel } from '../../src/passes/exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { tinyEncoder, tinyResidual } from '../models.ts';
import { type ByHand, byHand, COUNT, midway, prepare, runLowered, SAMPLE, samples } from './by-hand.ts';

const test = suite('lower-exits');

interface Scored extends ByHand {
  readonly scores: readonly Float32Array[];
}

async function scoredByHand(
  typed: TypedModel,
  heads: readonly Head[],
  policy: 'max-prob' | 'confidence',
  data: Float32Array,
): Promise<Scored> {
  const hand = await byHand(typed, heads, data);
  const tops = hand.logits.slice(0, -1).map((l) => softmaxMax(l, typed.classes));
  return { ...hand, scores: policy === 'confidence' ? hand.confidences : tops };
}

function softmaxMax(logits: Float32Array, classes: number): Float32Array {
  return Float32Array.from({ length: logits.length / classes }, (_, i) => {
    const row = [...logits.slice(i * classes, (i + 1) * classes)];
    const largest = Math.max(...row);
    return 1 / row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
  });
}

const exitOf = (hand: Scored, thresholds: readonly number[], i: number) => {
  const k = thresholds.findIndex((t, e) => t < 1 && hand.scores[e]![i]! > t);
  return k < 0 ? thresholds.length : k;
};

function expectByHand(
  got: Awaited<ReturnType<typeof runLowered>>,
  hand: Scored,
  thresholds: readonly number[],
  classes: number,
) {
  const largest = Math.max(...hand.logits.flatMap((l) => [...l]).map(Math.abs));
  got.exits.forEach((exit, i) => {
    assert.is(exit, exitOf(hand, thresholds, i), `sample ${i}`);
    for (let c = 0; c < classes; c++) {
      const expected = hand.logits[exit]![i * classes + c]!;
      const error = Math.abs(got.scores[i * classes + c]! - expected) / largest;
      assert.ok(error < 1e-5, `sample ${i} class ${c}: ${error}`);
    }
    if (exit < thresholds.length) assert.ok(Math.abs(got.confidences[i]! - hand.scores[exit]![i]!) < 1e-5);
  });
}

for (const policy of ['max-prob', 'confidence'] as const) {
  for (const opset of [11, 13, 17, 18, 21]) {
    test(`equals heads + ${policy} by hand, opset ${opset}, batches of 1, 2, 7 and 64`, async () => {
      const { typed, heads } = await prepare(tinyResidual({ opset }), opset === 17 ? 'strided' : 'pool');
      const hand = await scoredByHand(typed, heads, policy, samples);
      const thresholds = hand.scores.map((s) => midway(s, 0.7));
      const model = lowerExits(typed, heads, { policy });
      for (const batch of [1, 2, 7, 64]) {
        const got = await runLowered(model, samples, batch, thresholds);
        expectByHand(got, hand, thresholds, typed.classes);
        assert.is(new Set(got.exits).size, 4, 'every exit is taken by some sample');
      }
    });
  }
}

test('an encoder: masks come along, and shapes that hold the batch size are made anew for those that go on', async () => {
  for (const opset of [13, 17]) {
    const { typed, heads } = await prepare(tinyEncoder(opset), 'token', ['layer1', 'layer2']);
    assert.equal(
      heads.map((h) => [h.exit.tap.value, h.kind]),
      [
        ['layer1', 'token'],
        ['layer2', 'token'],
      ],
    );
    const { carried } = cutSegments(typed, ['layer1', 'layer2']);
    assert.equal(
      carried.map((c) => [...c.live].sort()),
      [
        ['image', 'layer1', 'mask'],
        ['image', 'layer2', 'mask'],
      ],
    );
    assert.ok(carried[0]!.remade.some((n) => n.outputs[0] === 'size'));
    const hand = await scoredByHand(typed, heads, 'max-prob', samples);
    const thresholds = hand.scores.map((s) => midway(s, 0.6));
    const model = lowerExits(typed, heads, { policy: 'max-prob' });
    for (const batch of [1, 2, 7, 64]) {
      const got = await runLowered(model, samples, batch, thresholds);
      expectByHand(got, hand, thresholds, typed.classes);
      assert.is(new Set(got.exits).size, 3, 'every exit is taken by some sample');
    }
    const exact = await runLowered(model, samples, 7, [1, 1]);
    expectByHand(exact, hand, [1, 1], typed.classes);
  }
});

test('closed exits are passed by, all closed is the original', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const hand = await scoredByHand(typed, heads, 'max-prob', samples);
  const model = lowerExits(typed, heads, { policy: 'max-prob' });
  for (const thresholds of [
    [1, midway(hand.scores[1]!, 0.5), 1],
    [1, 1, 1],
    [Number.POSITIVE_INFINITY, 1, 2],
    [-1, 0.5, 0.5],
  ]) {
    const got = await runLowered(model, samples, 7, thresholds);
    expectByHand(got, hand, thresholds, typed.classes);
  }
});

test('a batch may come in any order', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const hand = await scoredByHand(typed, heads, 'max-prob', samples);
  const thresholds = hand.scores.map((s) => midway(s, 0.6));
  const model = lowerExits(typed, heads, { policy: 'max-prob' });
  const reversed = Float32Array.from({ length: samples.length }, (_, i) => {
    const sample = COUNT - 1 - Math.floor(i / SAMPLE);
    return samples[sample * SAMPLE + (i % SAMPLE)]!;
  });
  const forward = await runLowered(model, samples, 64, thresholds);
  const backward = await runLowered(model, reversed, 64, thresholds);
  assert.equal(backward.exits.reverse(), forward.exits);
});

test('NaN runs to the end, alone and among others', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const data = samples.slice(0, 8 * SAMPLE);
  data.fill(Number.NaN, 2 * SAMPLE, 3 * SAMPLE);
  for (const policy of ['max-prob', 'confidence'] as const) {
    const model = lowerExits(typed, heads, { policy });
    for (const batch of [1, 8]) {
      const got = await runLowered(model, data, batch, [0, 0, 0]);
      assert.equal(got.exits, [0, 0, 3, 0, 0, 0, 0, 0]);
    }
  }
});

test('baked thresholds: the original inputs, closed exits gone, indices kept', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const hand = await scoredByHand(typed, heads, 'max-prob', samples);
  const thresholds = [midway(hand.scores[0]!, 0.6), 1, midway(hand.scores[2]!, 0.5)];
  const model = lowerExits(typed, heads, { policy: 'max-prob', baked: thresholds });
  assert.equal(
    model.graph.inputs.map((v) => v.name),
    ['image'],
  );
  const got = await runLowered(model, samples, 7, undefined);
  expectByHand(got, hand, thresholds, typed.classes);
});

test('all exits baked closed leaves the original with two more outputs', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const hand = await scoredByHand(typed, heads, 'max-prob', samples);
  const model = lowerExits(typed, heads, { policy: 'max-prob', baked: [1, 1, 1] });
  const got = await runLowered(model, samples, 64, undefined);
  expectByHand(got, hand, [1, 1, 1], typed.classes);
});

test('a batch fixed at 1 gets the single-sample form, at an opset without ScatterND too', async () => {
  for (const opset of [9, 17]) {
    const { typed, heads } = await prepare(tinyResidual({ batch: 1, opset }));
    assert.is(typed.batch, 'fixed');
    const hand = await scoredByHand(typed, heads, 'max-prob', samples);
    const thresholds = hand.scores.map((s) => midway(s, 0.7));
    const model = lowerExits(typed, heads, { policy: 'max-prob' });
    expectByHand(await runLowered(model, samples, 1, thresholds), hand, thresholds, typed.classes);
  }
});

test('what lies behind the logits stays there and runs once', async () => {
  const { typed, heads } = await prepare(tinyResidual({ softmax: true }));
  assert.is(typed.logits, 'logits');
  assert.is(typed.activation, 'softmax');
  const model = lowerExits(typed, heads, { policy: 'max-prob' });
  assert.is(model.graph.nodes.at(-1)!.opType, 'Softmax');
  const got = await runLowered(model, samples, 64, [0.3, 0.3, 0.3]);
  for (let i = 0; i < COUNT; i++) {
    const sum = got.scores.slice(i * 5, i * 5 + 5).reduce((a, v) => a + v, 0);
    assert.ok(Math.abs(sum - 1) < 1e-5);
  }
});

test('refuses a dynamic batch below opset 11 and a name that is taken', async () => {
  const old = await prepare(tinyResidual({ opset: 9 }));
  assert.throws(() => lowerExits(old.typed, old.heads, { policy: 'max-prob' }), hasCode('opset-too-old'));
  const model = tinyResidual();
  const nodes = model.graph.nodes.map((n) => ({
    ...n,
    outputs: n.outputs.map((o) => (o === 'stem' ? 'thresholds' : o)),
    inputs: n.inputs.map((o) => (o === 'stem' ? 'thresholds' : o)),
  }));
  const typed = await observeFacts({ ...model, graph: { ...model.graph, nodes } });
  assert.throws(() => lowerExits(typed, [], { policy: 'max-prob' }), hasCode('name-taken'));
});

test('refuses to lose an output unless asked to', async () => {
  const model = tinyResidual();
  const outputs = [
    ...model.graph.outputs,
    { name: 'block3', type: { dataType: 'float' as const, dims: ['N', 16, 4, 4] } },
  ];
  const { typed, heads } = await prepare({ ...model, graph: { ...model.graph, outputs } });
  assert.throws(() => lowerExits(typed, heads, { policy: 'max-prob' }), hasCode('other-outputs'));
  const lowered = lowerExits(typed, heads, { policy: 'max-prob', dropOutputs: true });
  assert.equal(
    lowered.graph.outputs.map((v) => v.name),
    ['scores', 'exit_index', 'exit_confidence'],
  );
});

test('refuses scores that are made of more than logits, whether outputs may go or not', async () => {
  // A Softmax written out, as jax2tf does: the sum is brought to a shape that is read off a value behind the first exit.
  const { graph, ...rest } = tinyResidual();
  const logits = graph.nodes.map((node) =>
    node.outputs.includes('scores') ? { ...node, name: '', outputs: ['logits'] } : node,
  );
  const shape = (name: string, values: number[]) => int64Tensor(name, [values.length], values);
  const written = [
    makeNode('Exp', ['logits'], ['e']),
    makeNode('ReduceSum', ['e', 'second'], ['sum'], { keepdims: 1 }),
    makeNode('Shape', ['block3'], ['whole']),
    makeNode('Slice', ['whole', 'first', 'second', 'first'], ['rows']),
    makeNode('Concat', ['rows', 'classes'], ['size'], { axis: 0 }),
    makeNode('Expand', ['sum', 'size'], ['sums']),
    makeNode('Div', ['e', 'sums'], ['scores']),
  ];
  const initializers = [
    ...graph.initializers,
    shape('first', [0]),
    shape('second', [1]),
    shape('classes', [5]),
  ];
  const model = { ...rest, graph: { ...graph, nodes: [...logits, ...written], initializers } };
  const { typed, heads } = await prepare(model);
  for (const dropOutputs of [false, true])
    assert.throws(
      () => lowerExits(typed, heads, { policy: 'max-prob', dropOutputs }),
      hasCode('scores-lost'),
    );
});

const hasCode = (code: string) => (error: unknown) => error instanceof OfframpError && error.code === code;

test.run();
