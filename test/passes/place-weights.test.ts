import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { elementCount, floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import type { Graph, Tensor as GraphTensor, Node } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { enterBlockedLayout } from '../../src/passes/enter-blocked-layout.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { placeWeights, type Runtime } from '../../src/passes/place-weights.ts';
import { noise, tinyResidual } from '../models.ts';
import { prepare, runLowered, samples } from './by-hand.ts';

const test = suite('place-weights');

/** 2048 channels: a bias of 8 kB, and one of 64 bytes in front. */
const WIDE = 2048;

const tensor = (name: string, dims: readonly number[], seed: number) =>
  floatTensor(
    name,
    dims,
    noise(elementCount(dims), seed).map((v) => v / 8),
  );

/** x → If(which) { Conv, Conv, MatMul, Reshape, all weights inside } { zeros }. */
function nested(): Graph {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 3, 4, 4]);
  const which = b.input('which', 'bool', [1]);
  const then = b.branch();
  for (const [name, dims] of Object.entries({
    small: [16, 3, 1, 1],
    small_bias: [16],
    wide: [WIDE, 16, 1, 1],
    wide_bias: [WIDE],
    product: [WIDE, 8],
  }))
    then.initializer(tensor(name, dims, dims[0]!));
  then.initializer(int64Tensor('target', [2], [-1, WIDE]));
  const first = then.op('Relu', [then.op('Conv', [x, 'small', 'small_bias'])]);
  const second = then.op('GlobalAveragePool', [then.op('Conv', [first, 'wide', 'wide_bias'])]);
  then.output(then.op('MatMul', [then.op('Reshape', [second, 'target']), 'product']), 'float', ['M', 8]);
  const other = b.branch();
  other.output(other.op('Identity', [b.float(new Array(8).fill(0), [1, 8])]), 'float', ['M', 8]);
  const branches = { then_branch: then.build('then'), else_branch: other.build('else') };
  b.output(b.op('If', [which], branches, 'y'), 'float', ['N', 8]);
  return b.build('nested');
}

const placed = (graph: Graph, runtime: Runtime, originals = new Set<Node>()) =>
  runPasses(graph, [placeWeights(originals, runtime)]);
const thenOf = (graph: Graph): Graph => {
  const attribute = graph.nodes.find((n) => n.opType === 'If')!.attributes.then_branch;
  if (attribute?.type !== 'GRAPH') throw new Error('no branch');
  return attribute.value;
};
const names = (graph: Graph) => graph.initializers.map((t) => t.name);
const concats = (graph: Graph) => graph.nodes.filter((n) => n.opType === 'Concat').map((n) => n.inputs);

test('large tensors go to the main graph; a Conv gets its weight and its bias back through a Concat, a MatMul does not', () => {
  const graph = placed(nested(), 'native');
  assert.equal(names(graph).slice(-3), ['wide', 'wide_bias', 'product']);
  const then = thenOf(graph);
  assert.equal(names(then), ['small', 'small_bias', 'target'], 'small ones stay, shapes among them');
  assert.equal(concats(then), [['wide'], ['wide_bias']]);
  const conv = then.nodes.filter((n) => n.opType === 'Conv')[1]!;
  assert.equal(conv.inputs.slice(1), ['wide/local', 'wide_bias/local']);
});

test('for browsers there is no Concat', () => {
  const then = thenOf(placed(nested(), 'web'));
  assert.equal(concats(then), []);
  assert.equal(names(then), ['small', 'small_bias', 'target']);
});

test('does nothing twice, nothing without branches, and nothing inside nodes of the original', () => {
  for (const runtime of ['native', 'web'] as const) {
    const graph = placed(nested(), runtime);
    assert.is(placed(graph, runtime), graph);
    const flat = tinyResidual().graph;
    assert.is(placed(flat, runtime), flat);
    const own = nested();
    assert.is(placed(own, runtime, new Set(own.nodes)), own);
  }
});

test('a weight of two branches: each gets a constant of its own', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 16, 2, 2]);
  b.initializer(tensor('shared', [16, 16, 1, 1], 5));
  const branches = ['then_branch', 'else_branch'].map((name) => {
    const g = b.branch();
    g.output(g.op('Conv', [g.op('Conv', [x, 'shared']), 'shared']), 'float', ['N', 16, 2, 2]);
    return [name, g.build(name)] as const;
  });
  b.op('If', [b.input('which', 'bool', [1])], Object.fromEntries(branches), 'y');
  b.output('y', 'float', ['N', 16, 2, 2]);
  const graph = placed(b.build('shared'), 'native');
  const [then, otherwise] = Object.values(graph.nodes[0]!.attributes).map((a) => a.value as Graph);
  assert.equal([concats(then!), concats(otherwise!)], [[['shared']], [['shared']]]);
  assert.is.not(then!.nodes[0]!.outputs[0], otherwise!.nodes[0]!.outputs[0]);
  await withSession(makeModel(graph), {}, async (session) => {
    const run = async (which: number) => {
      const feeds = { x: new Tensor('float32', noise(64, 3), [1, 16, 2, 2]) };
      const { y } = await session.run({ ...feeds, which: new Tensor('bool', Uint8Array.of(which), [1]) });
      return [...(y!.data as Float32Array)];
    };
    assert.equal(await run(0), await run(1));
  });
});

test('ONNX Runtime gives the same outputs', async () => {
  const x = new Tensor('float32', noise(5 * 48, 1), [5, 3, 4, 4]);
  const run = (graph: Graph) =>
    withSession(makeModel(graph), { threads: 1 }, async (session) => {
      const { y } = await session.run({ x, which: new Tensor('bool', Uint8Array.of(1), [1]) });
      return y!.data as Float32Array;
    });
  const expected = await run(nested());
  assert.ok(expected.some((v) => Math.abs(v) > 0.01));
  for (const runtime of ['native', 'web'] as const) {
    const got = await run(placed(nested(), runtime));
    for (const [i, v] of expected.entries())
      assert.ok(Math.abs(v - got[i]!) < 1e-5, `${runtime} ${i}: ${v}, ${got[i]}`);
  }
});

test('lowered for browsers: neither Concats of weights nor the blocked layout, the same answers', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const native = lowerExits(typed, heads, { policy: 'max-prob' });
  const web = lowerExits(typed, heads, { policy: 'max-prob', runtime: 'web' });
  const ops = (graph: Graph): string[] =>
    graph.nodes.flatMap((node) => [
      node.opType === 'Concat' ? `Concat of ${node.inputs.length}` : node.opType,
      ...Object.values(node.attributes).flatMap((a) => (a.type === 'GRAPH' ? ops(a.value) : [])),
    ]);
  assert.ok(ops(native.graph).includes('Concat of 1') && ops(native.graph).includes('AveragePool'));
  assert.not(ops(web.graph).includes('Concat of 1') || ops(web.graph).includes('AveragePool'));
  assert.is(runPasses(web.graph, [placeWeights(new Set(typed.model.graph.nodes), 'web')]), web.graph);
  assert.is.not(runPasses(web.graph, [enterBlockedLayout]), web.graph);
  const thresholds = [0.25, 0.25, 0.25];
  const [a, b] = [
    await runLowered(native, samples, 7, thresholds),
    await runLowered(web, samples, 7, thresholds),
  ];
  assert.equal(a.exits, b.exits);
  for (const [i, v] of a.scores.entries()) assert.ok(Math.abs(v - b.scores[i]!) < 1e-5);
});

test('weights of heads, which lie in branches too, are moved as those of the original', async () => {
  const { typed, heads } = await prepare(tinyResidual(), 'conv2');
  const isLarge = (t: GraphTensor) => t.bytes.byteLength > 4096;
  const expected = heads.flatMap(({ exit, graph }) =>
    graph.initializers.filter(isLarge).map((t) => `${exit.id}/${t.name}`),
  );
  assert.ok(expected.length > 0);
  const { graph } = lowerExits(typed, heads, { policy: 'max-prob' });
  assert.equal(
    names(graph).filter((name) => name.startsWith('exit_')),
    expected,
  );
  const inside = (g: Graph): GraphTensor[] =>
    g.nodes.flatMap(({ attributes }) =>
      Object.values(attributes).flatMap((a) =>
        a.type === 'GRAPH' ? [...a.value.initializers, ...inside(a.value)] : [],
      ),
    );
  assert.not(inside(graph).some(isLarge));
});

test.run();
