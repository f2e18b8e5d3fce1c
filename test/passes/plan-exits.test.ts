import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeNode } from '../../src/graph/builder.ts';
import { observeFacts } from '../../src/observe-facts.ts';
import { nodeMacs } from '../../src/passes/count-macs.ts';
import { PLACEMENT_TARGET, planExits } from '../../src/passes/plan-exits.ts';
import { hasCode } from '../expect.ts';
import { tinyResidual } from '../models.ts';

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
  assert.is(count('LSTM', ['x'], 'x'), undefined);
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

test.run();
