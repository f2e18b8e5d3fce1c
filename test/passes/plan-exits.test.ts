import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planTree } from '../../src/cli/plan-tree.ts';
import { noTaps } from '../../src/errors/index.ts';
import { GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { nodeMacs } from '../../src/passes/count-macs.ts';
import { PLACEMENT_TARGET, planExits, reasonsOf } from '../../src/passes/plan-exits.ts';
import { hasCode } from '../expect.ts';
import { noise, tinyResidual } from '../models.ts';

const test = suite('plan-exits');

test('placement targets are those of PTEENet (their code for N = 3)', () => {
  const targets = (rule: keyof typeof PLACEMENT_TARGET) =>
    [0, 1, 2].map((i) => Number(PLACEMENT_TARGET[rule](i, 3).toFixed(4)));
  assert.equal(targets('linear'), [0.25, 0.5, 0.75]);
  assert.equal(targets('pareto'), [0.2, 0.36, 0.488]);
  assert.equal(targets('fine'), [0.05, 0.0975, 0.1426]);
  assert.equal(targets('gold'), [0.2361, 0.382, 0.618]);
});

test('MACs: convolution, grouped, transposed, matrix products, and what is not counted', () => {
  const dims: Record<string, number[]> = {
    x: [1, 8, 10, 10], w: [16, 8, 3, 3], y: [1, 16, 5, 5], g: [8, 1, 3, 3], d: [1, 8, 10, 10],
    up: [8, 4, 2, 2], big: [1, 4, 20, 20], a: [1, 7, 32], b: [32, 12], ab: [1, 7, 12], v: [1, 32], t: [32, 1],
  }; // biome-ignore format: a table
  const count = (op: string, inputs: string[], output: string, attributes = {}) =>
    nodeMacs(makeNode(op, inputs, [output], attributes), (name) => dims[name]);
  assert.is(count('Conv', ['x', 'w'], 'y'), 16 * 25 * 8 * 9);
  assert.is(count('Conv', ['x', 'g'], 'd', { group: 8 }), 8 * 100 * 9);
  assert.is(count('ConvTranspose', ['x', 'up'], 'big'), 8 * 100 * 4 * 4);
  assert.is(count('MatMul', ['a', 'b'], 'ab'), 7 * 12 * 32);
  assert.is(count('Gemm', ['v', 'b'], 'v'), 32 * 32);
  assert.is(count('Gemm', ['t', 'b'], 'v', { transA: 1 }), 32 * 32);
  assert.is(count('Relu', ['x'], 'x'), 0);
  assert.is(count('STFT', ['x'], 'x'), undefined);
});

test('a tap inside a residual block carries the skip along, one behind it does not', async () => {
  const { taps, totalMacs } = planExits(await observeFacts(tinyResidual()), { exits: 1 });
  const tap = (value: string) => taps.find((t) => t.value === value)!;
  assert.equal(tap('block1').live, ['block1']);
  assert.equal(tap('block1').dims, [8, 8, 8]);
  assert.is(tap('block1').liveBytes, 8 * 64 * 4);
  const inside = taps.find((t) => t.live.includes('stem') && t.live.length === 2)!;
  assert.is(inside.liveBytes, 2 * 8 * 64 * 4);
  const conv = (from: number, to: number, pixels: number) => from * to * 9 * pixels;
  const blocks = [
    conv(3, 8, 64),
    2 * conv(8, 8, 64),
    2 * conv(8, 16, 16) + conv(16, 16, 16),
    2 * conv(16, 16, 16),
  ];
  assert.is(totalMacs, blocks.reduce((a, b) => a + b, 0) + 5 * 16);
  assert.is(tap('block1').prefixMacs, blocks[0]! + blocks[1]!);
});

test('exits by rule and count, by name, and their order', async () => {
  const typed = await observeFacts(tinyResidual());
  assert.equal(
    planExits(typed, { exits: 2 }).exits.map((e) => e.id),
    ['exit_1', 'exit_2'],
  );
  const named = planExits(typed, { taps: ['block2', 'stem'] }).exits;
  assert.equal(
    named.map((e) => e.tap.value),
    ['stem', 'block2'],
  );
  assert.ok(named[0]!.prefixMacs < named[1]!.prefixMacs);
  assert.throws(() => planExits(typed, { taps: ['nowhere'] }), hasCode('unknown-tap'));
  assert.throws(() => planExits(typed, { exits: 9 }), hasCode('exits-do-not-fit'));
});

test('a value that carries the batch size is turned down with the reason', async () => {
  const model = tinyResidual();
  const graph = { ...model.graph, nodes: [...model.graph.nodes] };
  const at = graph.nodes.findIndex((n) => n.outputs[0] === 'block3');
  graph.nodes.splice(
    at + 1,
    0,
    makeNode('Shape', ['block3'], ['size']),
    makeNode('Reshape', ['block3', 'size'], ['same']),
  );
  graph.nodes = graph.nodes.map((n) => (n.opType === 'GlobalAveragePool' ? { ...n, inputs: ['same'] } : n));
  const plan = planExits(await observeFacts({ ...model, graph }), { exits: 1 });
  assert.is(plan.rejected.find((r) => r.value === 'size')!.reason, 'it is int64, not float');
});

/** A chain of convolutions over [N, ...dims] with `widths` channels, Relus between, and a mean and a product behind. */
function chain(dims: readonly number[], widths: readonly number[]) {
  const b = new GraphBuilder();
  const weight = (name: string, ...of: number[]) =>
    b.initializer(floatTensor(name, of, noise(elementCount(of), name.length)));
  const kernel_shape = dims.slice(1).map(() => 3);
  let x = b.input('x', 'float', ['N', ...dims]);
  let from = dims[0]!;
  for (const [i, to] of widths.entries()) {
    const pads = [...kernel_shape, ...kernel_shape].map(() => 1);
    const conv = b.op('Conv', [x, weight(`w${i}`, to, from, ...kernel_shape)], { kernel_shape, pads });
    x = b.op('Relu', [conv], {}, `relu${i}`);
    from = to;
  }
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [x])], { axis: 1 });
  b.output(b.op('MatMul', [pooled, weight('out', from, 3)], {}, 'scores'), 'float', ['N', 3]);
  return makeModel(b.build('chain'));
}

test('maps of three dimensions get exits, with heads that convolve along all of them', async () => {
  const plan = planExits(await observeFacts(chain([2, 4, 6, 5], [3, 4, 4])), { taps: ['relu1'] });
  assert.is(plan.totalMacs, 120 * 27 * (2 * 3 + 3 * 4 + 4 * 4) + 4 * 3);
  const { tap } = plan.exits[0]!;
  assert.equal(tap.dims, [4, 4, 6, 5]);
  assert.is(tap.channelAxis, 0);
  const [head] = attachExits(plan, { seed: 1 });
  assert.is(head!.kind, 'strided');
  assert.equal(head!.graph.initializers.find((t) => t.name === 'conv1/weight')!.dims.slice(1), [4, 3, 3, 3]);
});

test('where there is no place for an exit, every value says why, and so does the error', async () => {
  const b = new GraphBuilder();
  const cube = b.op('Relu', [b.input('x', 'float', ['N', 1, 1, 2, 2, 2])], {}, 'cube');
  const flat = b.op('Flatten', [b.op('Tanh', [cube], {}, 'bent')], { axis: 1 }, 'flat');
  const weight = b.initializer(floatTensor('w', [8, 3], noise(24, 5)));
  b.output(b.op('MatMul', [flat, weight], {}, 'scores'), 'float', ['N', 3]);
  const plan = planExits(await observeFacts(makeModel(b.build('cube'))));
  assert.equal(plan.exits, []);
  assert.equal([...reasonsOf(plan.rejected)], [['it has 6 axes', 2]]);
  const tree = planTree({ ...plan, exits: [] }, { all: true, columns: 100 });
  assert.match(tree, /× bent .* it has 6 axes/);
  assert.match(tree, 'There is no place for an exit in this model.');
  const error = noTaps(reasonsOf(plan.rejected), plan.taps.length, 0.9);
  assert.match(
    error.message,
    '2 × it has 6 axes; 1 × before anything is computed, or behind 90 % of the MACs',
  );
});

test('a model whose ops are not counted is refused before anything is planned', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 4]);
  b.output(b.op('Add', [b.op('Relu', [x]), x], {}, 'scores'), 'float', ['N', 4]);
  const typed = await observeFacts(makeModel(b.build('light')));
  assert.throws(() => planExits(typed), hasCode('nothing-counted'));
});

test.run();
