/** Parts of small chains, one after the other, against the whole model. Against plain arithmetic: `checkParts` in `test/fuzz/by-hand.ts`. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { Random } from '../../src/graph/random.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { subgraphs } from '../../src/graph/walk.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { type Feeds, Tensor } from '../../src/ort/session.ts';
import { type LowerOptions, lowerChain, type NetworkWithExits } from '../../src/passes/lower-exits.ts';
import { lowerPart, type Part } from '../../src/passes/lower-part.ts';
import { POLICY_NAMES } from '../../src/policies/index.ts';
import { PARAMETERS } from '../fuzz/random-heads.ts';
import { NetBuilder, noise, tinyEncoder, tinyResidual } from '../models.ts';
import { COUNT, midway, prepare, prepareVaried, SAMPLE, samples } from './by-hand.ts';
import { chained, front, type Link, last, pictures, quarters, twoWays } from './chain-by-hand.ts';
import { withParts, withWhole } from './parts-by-hand.ts';

const test = suite('lower-part');

/** Samples `from` to `to - 1`. */
type Some = (from: number, to: number) => Feeds;
const imagesOf =
  (data: Float32Array): Some =>
  (from, to) => ({
    image: new Tensor('float32', data.slice(from * SAMPLE, to * SAMPLE), [to - from, 3, 8, 8]),
  });

interface Trial {
  readonly networks: readonly NetworkWithExits[];
  readonly options: Omit<LowerOptions, 'baked'>;
  readonly thresholds: readonly number[];
  readonly some: Some;
  readonly batches?: readonly number[];
  /** The sums of a MatMul end in another bit in a branch than in a main graph, whatever ONNX Runtime optimizes. */
  readonly hasMatMul?: boolean;
}

/** The parts that end behind the exits in `cuts`, with the last one. */
const partsAt = (cuts: readonly number[]): Part[] =>
  [0, ...cuts].map((from, i) => (cuts[i] === undefined ? { from } : { from, to: cuts[i] }));

/**
 * Each sample leaves the parts that `cuts` makes where it leaves the whole, with the same bits when ONNX Runtime optimizes no more than `basic`: beyond,
 * it fuses nodes and lays out maps otherwise in a branch than in a main graph. With all optimizations, within 1e-5 of the largest score. Returns where
 * samples left.
 */
async function expectSame(trial: Trial, cuts: readonly number[], baked = false): Promise<number[]> {
  const { networks, thresholds, some, batches = [1, 2, 7, 64], hasMatMul = false } = trial;
  const options = { ...trial.options, ...(baked && { baked: thresholds }) };
  const parts = partsAt(cuts).map((part) => lowerPart(networks, part, options));
  for (const { model } of parts) checkGraph(model.graph);
  const whole = lowerChain(networks, options);
  const limits = baked ? undefined : thresholds;
  const places = new Set<number>();
  for (const optimization of ['basic', 'all'] as const) {
    const of = { exits: thresholds.length, optimization };
    await withWhole(whole, of, (askWhole) =>
      withParts(parts, of, async (askParts) => {
        for (const batch of batches)
          for (let at = 0; at < COUNT; at += batch) {
            const feeds = some(at, Math.min(COUNT, at + batch));
            const [expected, found] = [await askWhole(feeds, limits), await askParts(feeds, limits)];
            const where = `cuts ${cuts}, batch ${batch}, from sample ${at}, ${optimization}`;
            assert.equal(found.exits, expected.exits, where);
            if (optimization === 'basic' && !hasMatMul) assert.equal(found, expected, where);
            else expectNear(found.scores, expected.scores, where);
            for (const exit of found.exits) places.add(exit);
          }
      }),
    );
  }
  return [...places].sort((a, b) => a - b);
}

function expectNear(found: readonly number[], expected: readonly number[], where: string): void {
  const largest = Math.max(...expected.map(Math.abs));
  for (const [i, z] of expected.entries())
    assert.ok(Math.abs(found[i]! - z) <= 1e-5 * largest, `${where}: ${found[i]} is not ${z}`);
}

const trialOf = (links: readonly Link[], options: Trial['options']): Trial => ({
  networks: chained(links),
  options,
  thresholds: quarters(links),
  some: imagesOf(pictures),
});

const withTaps = await front(twoWays({ seed: 30 }), 'first_1', ['left', 'right']);
const second = await front(twoWays({ seed: 40, opset: 17 }), 'first_2', ['left'], [1, 2, 3, 4, 0]);
const withExits = await last(tinyResidual({ seed: 5 }), ['block1', 'block2']);
const three = [withTaps, second, withExits];

test('a chain of three networks with exits inside, cut behind each of its exits', async () => {
  const trial = trialOf(three, { policy: 'max-prob', final: 0.25 });
  for (const cut of trial.thresholds.keys()) {
    const places = await expectSame(trial, [cut + 1]);
    assert.equal(places, [0, 1, 2, 3, 4, 5, 6, 7]);
  }
});

test('built-in thresholds, some of which close exits, the one before the cut among them', async () => {
  const trial = { ...trialOf(three, { policy: 'max-prob', final: 0.25 }), batches: [7] };
  for (const isOpen of [(k: number) => k % 2 === 0, (k: number) => k % 2 === 1, (k: number) => k > 3]) {
    const thresholds = trial.thresholds.map((t, k) => (isOpen(k) ? t : 1));
    for (const cut of thresholds.keys()) await expectSame({ ...trial, thresholds }, [cut + 1], true);
  }
});

test('exits that are closed when it runs: all, those before the cut, those behind it', async () => {
  const trial = { ...trialOf(three, { policy: 'max-prob', final: 0.25 }), batches: [7] };
  for (const cut of [2, 3, 6]) {
    for (const isOpen of [
      () => false,
      (k: number) => k >= cut,
      (k: number) => k < cut,
      (k: number) => k < cut - 1,
    ]) {
      const thresholds = trial.thresholds.map((t, k) => (isOpen(k) ? t : 1));
      await expectSame({ ...trial, thresholds }, [cut]);
    }
  }
});

test('many parts: one a network, one an exit, and parts of parts', async () => {
  const trial = { ...trialOf(three, { policy: 'max-prob', final: 0.25 }), batches: [1, 7] };
  const all = [...trial.thresholds.keys()].map((k) => k + 1);
  for (const cuts of [[3, 5], all, [1, 3, 5], [2, 4, 6], [3, 5, 7]])
    for (const baked of [false, true]) await expectSame(trial, cuts, baked);
});

test('every policy, with and without a say of the exits in the last answer', async () => {
  const { typed, heads } = await prepareVaried();
  for (const policy of POLICY_NAMES) {
    const parameters = PARAMETERS[policy](heads.length, typed.classes, new Random(1, 'parameters'));
    for (const final of [0, 0.25]) {
      const options = { policy, parameters, final };
      const thresholds = await thresholdsFor([{ typed, heads }], options);
      const trial = {
        networks: [{ typed, heads }],
        options,
        thresholds,
        some: imagesOf(samples),
        batches: [7],
      };
      const places = await expectSame(trial, [2]);
      assert.ok(places.length > 1, `${policy}: ${places}`);
      await expectSame(trial, [1, 2, 3], true);
    }
  }
});

/** For each exit, one that about half of the samples that come to it are above. */
async function thresholdsFor(
  networks: readonly NetworkWithExits[],
  options: Omit<LowerOptions, 'baked'>,
): Promise<number[]> {
  const exits = networks.flatMap(({ heads }) => heads).length;
  const thresholds: number[] = Array(exits).fill(1);
  await withWhole(lowerChain(networks, options), { exits }, async (ask) => {
    for (let k = 0; k < exits; k++) {
      thresholds[k] = -1e6;
      const { exits: at, confidences } = await ask(imagesOf(samples)(0, COUNT), thresholds);
      const scores = Float32Array.from(confidences.filter((_, i) => at[i] === k));
      thresholds[k] = scores.length > 1 ? Math.min(midway(scores, 0.5), 1 - 2 ** -24) : 1;
    }
  });
  return thresholds;
}

test('operator sets 11 to 22, and what stands behind the logits, which every part has', async () => {
  for (const [opset, softmax] of [
    [11, true],
    [13, false],
    [18, true],
    [21, false],
    [22, true],
  ] as const) {
    const { typed, heads } = await prepare(tinyResidual({ opset, softmax }));
    const networks = [{ typed, heads }];
    const options = { policy: 'max-prob', final: 0.5 } as const;
    const thresholds = await thresholdsFor(networks, options);
    const trial = { networks, options, thresholds, some: imagesOf(samples), batches: [7] };
    for (const cut of [1, 3]) await expectSame(trial, [cut]);
  }
});

test('a batch fixed at 1: a sample that has left has features of zeros or its own, and nothing is gathered', async () => {
  const single = await front(twoWays({ seed: 30, batch: 1 }), 'first_1', ['left']);
  const links = [single, await last(tinyResidual({ batch: 1 }), ['block1', 'block2'])];
  const trial = { ...trialOf(links, { policy: 'max-prob', final: 0.25 }), batches: [1] };
  for (const baked of [false, true])
    for (const cut of trial.thresholds.keys()) await expectSame(trial, [cut + 1], baked);
  await expectSame({ ...trial, thresholds: trial.thresholds.map((t, k) => (k % 2 ? 1 : t)) }, [1, 3], true);
});

test('scores in float16, and features in float16', async () => {
  const half = await front(twoWays({ seed: 20, isHalf: true }), 'first_1', ['left']);
  const links = [half, await last(halfNet(), ['map'])];
  const trial = { ...trialOf(links, { policy: 'max-prob' }), batches: [1, 7] };
  const { gives } = lowerPart(trial.networks, { from: 0, to: 3 }, trial.options);
  assert.equal(gives, [
    { name: 'map', dataType: 'float16', dims: ['N', 8, 4, 4], role: 'feature', channelAxis: 1 },
  ]);
  for (const cut of trial.thresholds.keys()) await expectSame(trial, [cut + 1]);
});

/** Reads `image` in float and goes on in float16, behind `map` [N, 8, 4, 4]. */
function halfNet(): Model {
  const b = new NetBuilder(61);
  const map = b.conv(b.input('image', 'float', ['N', 3, 8, 8]), 'conv1', 3, 8, 2);
  const half = b.op('Cast', [map], { to: 10 }, 'map');
  const deeper = b.conv(b.op('Cast', [half], { to: 1 }), 'conv2', 8, 8, 2);
  b.op('Cast', [b.classifier(deeper, 'fc', 8, 'full')], { to: 10 }, 'scores');
  b.output('scores', 'float16', ['N', 5]);
  return makeModel(b.build('half'), 17);
}

test('texts: masks travel along, the words do not for being counted once at the input', async () => {
  const typed = await observeFacts(tinyEncoder(17, 'words'));
  const { heads } = await prepare(tinyEncoder(17, 'words'), 'token', ['layer1', 'layer2']);
  const ids = noise(COUNT * 8, 5).map((v) => Math.floor((v + 1) * 32));
  const mask = noise(COUNT * 8, 6).map((v) => Number(v < 0.5));
  const whole = (data: Float32Array, from: number, to: number) =>
    new Tensor('int64', BigInt64Array.from(data.slice(from * 8, to * 8), BigInt), [to - from, 8]);
  const some: Some = (from, to) => ({
    input_ids: whole(ids, from, to),
    attention_mask: whole(mask, from, to),
  });
  const networks = [{ typed, heads }];
  const options = { policy: 'max-prob' } as const;
  const trial = { networks, options, thresholds: [0.5, 0.6], some, batches: [1, 7], hasMatMul: true };
  const rest = lowerPart(networks, { from: 1 }, options);
  assert.equal(rest.takes.map(({ name, role }) => `${role} ${name}`).sort(), [
    'feature layer1',
    'feature mask',
  ]);
  for (const cuts of [[1], [2], [1, 2]]) await expectSame(trial, cuts);
});

test('a value whose batch is its second axis travels with the batch first', async () => {
  const b = new NetBuilder(71);
  const map = b.conv(b.input('image', 'float', ['N', 3, 8, 8]), 'conv', 3, 6, 2);
  const moved = b.op('Transpose', [map], { perm: [2, 0, 1, 3] });
  b.op('Tanh', [b.op('Mul', [moved, b.float(2)])], {}, 'turned');
  const back = (value: string) => b.op('Transpose', [value], { perm: [1, 2, 0, 3] });
  const tap = b.conv(back('turned'), 'tap', 6, 6);
  b.classifier(b.op('Add', [tap, back(b.op('Abs', ['turned']))]), 'fc', 6, 'scores');
  b.output('scores', 'float', ['N', 5]);
  const networks = [await prepare(makeModel(b.build('second_axis'), 17), 'pool', ['tap'])];
  const options = { policy: 'max-prob' } as const;
  assert.equal(lowerPart(networks, { from: 0, to: 1 }, options).gives, [
    { name: 'turned/batch_first', dataType: 'float', dims: ['N', 4, 6, 4], role: 'feature', channelAxis: 3 },
    { name: 'tap', dataType: 'float', dims: ['N', 6, 4, 4], role: 'feature', channelAxis: 1 },
  ]);
  const thresholds = await thresholdsFor(networks, options);
  await expectSame({ networks, options, thresholds, some: imagesOf(samples) }, [1]);
});

test('a part holds what it needs of weights and inputs, and no more', async () => {
  const { networks, options } = trialOf(three, { policy: 'max-prob', final: 0.25 });
  const weightsOf = (part: Part) => [...initializersOf(lowerPart(networks, part, options).model.graph)];
  const isOf = (network: number) => {
    const own = new Set(networks[network]!.typed.model.graph.initializers.map(({ name }) => name));
    return (name: string) => own.has(name);
  };
  for (const [part, has] of [
    [{ from: 0, to: 3 }, [true, false, false]],
    [{ from: 3, to: 5 }, [false, true, false]],
    [{ from: 3 }, [false, true, true]],
    [{ from: 5 }, [false, false, true]],
  ] as const) {
    const found = weightsOf(part);
    assert.equal(
      networks.map((_, n) => found.some(isOf(n))),
      has,
      JSON.stringify(part),
    );
  }
  const behind = weightsOf({ from: 6 });
  assert.ok(behind.includes('block2.conv1.weight') && !behind.includes('block1.conv1.weight'));
  const { model, takes } = lowerPart(networks, { from: 7 }, options);
  assert.equal(
    model.graph.inputs.map(({ name }) => name),
    ['block2', 'policy_state', 'thresholds'],
  );
  assert.equal(takes, [
    { name: 'block2', dataType: 'float', dims: ['N', 16, 4, 4], role: 'feature', channelAxis: 1 },
    { name: 'policy_state', dataType: 'float', dims: ['N', 5], role: 'state' },
  ]);
});

/** Names of all initializers, in branches too. */
function* initializersOf(graph: Graph): Generator<string> {
  for (const { name } of graph.initializers) yield name;
  for (const node of graph.nodes) for (const inner of subgraphs(node)) yield* initializersOf(inner);
}

test('the whole is one part, and what a part takes does not depend on the thresholds', async () => {
  const { networks, options, thresholds } = trialOf(three, { policy: 'max-prob', final: 0.25 });
  const closed = thresholds.map(() => 1);
  for (const baked of [undefined, thresholds]) {
    const whole = lowerPart(networks, { from: 0 }, { ...options, baked });
    assert.equal(whole.model.graph, lowerChain(networks, { ...options, baked }).graph);
  }
  for (const from of [1, 3, 4, 6, 7]) {
    const [open, shut] = [undefined, closed].map((baked) =>
      lowerPart(networks, { from }, { ...options, baked }),
    );
    assert.equal(shut!.takes, open!.takes);
    assert.equal(
      shut!.model.graph.inputs.map(({ name }) => name),
      open!.takes.map(({ name }) => name),
    );
  }
});

test('without a policy that reads it there is no state, nor behind the last exit', () => {
  const { networks } = trialOf(three, { policy: 'max-prob' });
  const names = (part: Part, policy: 'max-prob' | 'patience') => {
    const { gives, takes } = lowerPart(networks, part, { policy });
    return [...takes, ...gives].filter(({ role }) => role === 'state').map(({ name }) => name);
  };
  assert.equal(names({ from: 2, to: 4 }, 'max-prob'), []);
  assert.equal(names({ from: 2, to: 4 }, 'patience'), ['policy_state', 'policy_state_out']);
  assert.equal(names({ from: 4, to: 7 }, 'patience'), ['policy_state']);
  assert.equal(names({ from: 7 }, 'patience'), []);
});

test('another output goes, or is refused', async () => {
  const model = tinyResidual();
  const outputs = [...model.graph.outputs, { name: 'block3', type: undefined }];
  const { typed, heads } = await prepare({ ...model, graph: { ...model.graph, outputs } });
  const networks = [{ typed, heads }];
  assert.throws(() => lowerPart(networks, { from: 1 }, { policy: 'max-prob' }), hasCode('other-outputs'));
  const options = { policy: 'max-prob', dropOutputs: true } as const;
  for (const part of partsAt([1])) {
    const names = lowerPart(networks, part, options).model.graph.outputs.map(({ name }) => name);
    assert.equal(names.slice(0, 3), ['scores', 'exit_index', 'exit_confidence']);
  }
  await expectSame(
    { networks, options, thresholds: [0.5, 0.5, 0.5], some: imagesOf(samples), batches: [7] },
    [1],
  );
});

test('refuses a part that is none, an input without a batch axis, and a name that is its own', async () => {
  const { networks } = trialOf(three, { policy: 'max-prob' });
  for (const part of [
    { from: 2, to: 2 },
    { from: 3, to: 2 },
    { from: 8 },
    { from: 0, to: 8 },
    { from: 0.5 },
    { from: -1 },
  ])
    assert.throws(() => lowerPart(networks, part, { policy: 'max-prob' }), hasCode('cannot-split'));

  const b = new NetBuilder(81);
  const map = b.conv(b.input('image', 'float', ['N', 3, 8, 8]), 'tap', 3, 6, 2);
  b.classifier(b.op('Mul', [map, b.input('gain', 'float', [6, 1, 1])]), 'fc', 6, 'scores');
  b.output('scores', 'float', ['N', 5]);
  const scaled = await prepare(makeModel(b.build('scaled'), 17), 'pool', ['tap']);
  lowerPart([scaled], { from: 0, to: 1 }, { policy: 'max-prob' });
  assert.throws(() => lowerPart([scaled], { from: 1 }, { policy: 'max-prob' }), hasCode('cannot-split'));

  const named = await prepare(renamed(tinyResidual(), 'block3', 'policy_state'));
  assert.throws(() => lowerPart([named], { from: 1 }, { policy: 'max-prob' }), hasCode('name-taken'));
});

test('refuses scores that are made of a value inside the network, which another part has', async () => {
  const { graph, ...rest } = tinyResidual();
  const nodes = graph.nodes.map((node) =>
    node.outputs.includes('scores') ? { ...node, name: '', outputs: ['logits'] } : node,
  );
  // A Softmax written out, whose sum is brought to a shape that is read off a value before the first exit.
  const b = new NetBuilder(1);
  const e = b.op('Exp', ['logits']);
  const sum = b.op('ReduceSum', [e, b.int64([1])], { keepdims: 1 });
  const rows = b.op('Slice', [b.op('Shape', ['stem']), b.int64([0]), b.int64([1]), b.int64([0])]);
  const sums = b.op('Expand', [sum, b.op('Concat', [rows, b.int64([5])], { axis: 0 })]);
  b.op('Div', [e, sums], {}, 'scores');
  const made = {
    ...graph,
    nodes: [...nodes, ...b.nodes],
    initializers: [...graph.initializers, ...b.initializers],
  };
  const networks = [await prepare({ ...rest, graph: made })];
  lowerChain(networks, { policy: 'max-prob' });
  for (const part of partsAt([1]))
    assert.throws(() => lowerPart(networks, part, { policy: 'max-prob' }), hasCode('cannot-split'));
});

function renamed(model: Model, from: string, to: string): Model {
  const other = (name: string) => (name === from ? to : name);
  const nodes = model.graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map(other),
    outputs: node.outputs.map(other),
  }));
  return { ...model, graph: { ...model.graph, nodes } };
}

const hasCode = (code: string) => (error: unknown) => error instanceof OfframpError && error.code === code;

test.run();
