import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors.ts';
import { makeModel } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { Head, TypedModel } from '../../src/passes/exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import type { PolicyName } from '../../src/passes/policy-scores.ts';
import { inferenceForm } from '../../src/passes/training-form.ts';
import { noise, tinyResidual } from '../models.ts';

const test = suite('lower-exits');

const TAPS = ['stem', 'block1', 'block2'];
const SAMPLE = 3 * 8 * 8;
const COUNT = 64;
const samples = noise(COUNT * SAMPLE, 99).map((v, i) => v * (1 + Math.floor(i / SAMPLE) / 16));

async function prepare(model: Model, kind: 'strided' | 'pool' = 'pool') {
  const typed = await observeFacts(model);
  const plan = planExits(typed, { taps: TAPS });
  const heads = attachExits(plan, { kind, seed: 3 }).map((head) => ({
    ...head,
    graph: runPasses(head.graph, [inferenceForm]),
  }));
  return { typed, heads: heads.map(sharpened) };
}

/** Heads start near-uniform; larger classifier weights make scores that differ between samples. */
function sharpened(head: Head): Head {
  const initializers = head.graph.initializers.map((t) => {
    if (t.name !== 'classifier/weight' && t.name !== 'confidence/weight') return t;
    const values = new Float32Array(Uint8Array.from(t.bytes).buffer).map((v) => v * 40);
    return { ...t, bytes: new Uint8Array(values.buffer) };
  });
  return { ...head, graph: { ...head.graph, initializers } };
}

interface ByHand {
  readonly logits: Float32Array[];
  readonly scores: Float32Array[];
}

/** Every exit's logits and score for every sample: taps from the original, then each head on its own, then softmax. */
async function byHand(
  typed: TypedModel,
  heads: readonly Head[],
  policy: PolicyName,
  data: Float32Array,
): Promise<ByHand> {
  const count = data.length / SAMPLE;
  const classes = typed.classes;
  const graph = typed.model.graph;
  const outputs = [...heads.map((h) => h.exit.tap.value), typed.logits].map((name) => ({
    name,
    type: undefined,
  }));
  const values = await withSession({ ...typed.model, graph: { ...graph, outputs } }, {}, async (session) => {
    const rows = [];
    for (let i = 0; i < count; i++) {
      const image = new Tensor('float32', data.slice(i * SAMPLE, (i + 1) * SAMPLE), [1, 3, 8, 8]);
      rows.push(await session.run({ image }));
    }
    return rows;
  });
  const logits: Float32Array[] = [];
  const scores: Float32Array[] = [];
  for (const head of heads) {
    const all = new Float32Array(count * classes);
    const confidence = new Float32Array(count);
    await withSession(makeModel(head.graph), {}, async (session) => {
      for (let i = 0; i < count; i++) {
        const out = await session.run({ features: values[i]![head.exit.tap.value]! });
        all.set(out.logits!.data as Float32Array, i * classes);
        confidence[i] = (out.confidence!.data as Float32Array)[0]!;
      }
    });
    logits.push(all);
    scores.push(policy === 'confidence' ? confidence : softmaxMax(all, classes));
  }
  const final = Float32Array.from(values.flatMap((v) => [...(v[typed.logits]!.data as Float32Array)]));
  return { logits: [...logits, final], scores };
}

function softmaxMax(logits: Float32Array, classes: number): Float32Array {
  return Float32Array.from({ length: logits.length / classes }, (_, i) => {
    const row = [...logits.slice(i * classes, (i + 1) * classes)];
    const largest = Math.max(...row);
    return 1 / row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
  });
}

/** In the middle of the widest gap between neighbouring scores around `share` of the samples. */
function midway(scores: Float32Array, share: number): number {
  const sorted = [...scores].sort((a, b) => a - b);
  const from = Math.floor((share - 0.1) * (sorted.length - 1));
  const gaps = sorted
    .slice(from, from + Math.ceil(0.2 * sorted.length))
    .map((s, i) => sorted[from + i + 1]! - s);
  const i = from + gaps.indexOf(Math.max(...gaps));
  return Math.fround((sorted[i]! + sorted[i + 1]!) / 2);
}

const exitOf = (hand: ByHand, thresholds: readonly number[], i: number) => {
  const k = thresholds.findIndex((t, e) => t < 1 && hand.scores[e]![i]! > t);
  return k < 0 ? thresholds.length : k;
};

async function runLowered(
  model: Model,
  data: Float32Array,
  batch: number,
  thresholds: readonly number[] | undefined,
) {
  const exits: number[] = [];
  const scores: number[] = [];
  const confidences: number[] = [];
  await withSession(model, {}, async (session) => {
    for (let at = 0; at < data.length; at += batch * SAMPLE) {
      const slice = data.slice(at, at + batch * SAMPLE);
      const image = new Tensor('float32', slice, [slice.length / SAMPLE, 3, 8, 8]);
      const feeds = thresholds
        ? { image, thresholds: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]) }
        : { image };
      const out = await session.run(feeds);
      assert.equal(out.exit_index!.dims, [slice.length / SAMPLE]);
      assert.equal(out.exit_confidence!.dims, [slice.length / SAMPLE]);
      exits.push(...[...(out.exit_index!.data as BigInt64Array)].map(Number));
      scores.push(...(out.scores!.data as Float32Array));
      confidences.push(...(out.exit_confidence!.data as Float32Array));
    }
  });
  return { exits, scores, confidences };
}

function expectByHand(
  got: Awaited<ReturnType<typeof runLowered>>,
  hand: ByHand,
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
      const hand = await byHand(typed, heads, policy, samples);
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

test('closed exits are passed by, all closed is the original', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const hand = await byHand(typed, heads, 'max-prob', samples);
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
  const hand = await byHand(typed, heads, 'max-prob', samples);
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
  const hand = await byHand(typed, heads, 'max-prob', samples);
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
  const hand = await byHand(typed, heads, 'max-prob', samples);
  const model = lowerExits(typed, heads, { policy: 'max-prob', baked: [1, 1, 1] });
  const got = await runLowered(model, samples, 64, undefined);
  expectByHand(got, hand, [1, 1, 1], typed.classes);
});

test('a batch fixed at 1 gets the single-sample form, at an opset without ScatterND too', async () => {
  for (const opset of [9, 17]) {
    const { typed, heads } = await prepare(tinyResidual({ batch: 1, opset }));
    assert.is(typed.batch, 'fixed');
    const hand = await byHand(typed, heads, 'max-prob', samples);
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

const hasCode = (code: string) => (error: unknown) => error instanceof OfframpError && error.code === code;

test.run();
