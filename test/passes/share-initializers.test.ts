import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph, Tensor } from '../../src/graph/types.ts';
import { Tensor as OrtTensor, withSession } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { shareInitializers } from '../../src/passes/share-initializers.ts';
import { noise } from '../models.ts';

const test = suite('share-initializers');

const SIDE = 40;
const weight = (name: string, seed: number, dims = [SIDE, SIDE]): Tensor =>
  floatTensor(name, dims, noise(SIDE * SIDE, seed));

/** y = (x·W0·W1·…) + what an If adds, whose branches multiply x by two weights of the main graph. */
function twoNetworks(weights: readonly Tensor[], inBranch: readonly [string, string]): Graph {
  const b = new GraphBuilder();
  b.input('x', 'float', ['N', SIDE]);
  for (const tensor of weights) b.initializer(tensor);
  b.initializer({ name: 'yes', dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
  const branch = (name: string, i: number) => {
    const inner = new GraphBuilder();
    inner.nodes.push(makeNode('MatMul', ['x', name], [`out${i}`]));
    inner.output(`out${i}`, 'float', ['N', SIDE]);
    return inner.build(`branch${i}`);
  };
  let x = 'x';
  for (const { name } of weights) x = b.op('MatMul', [x, name]);
  const [then_branch, else_branch] = inBranch.map(branch) as [Graph, Graph];
  b.nodes.push(makeNode('If', ['yes'], ['added'], { then_branch, else_branch }));
  b.op('Add', [x, 'added'], {}, 'y');
  b.output('y', 'float', ['N', SIDE]);
  return b.build('two networks');
}

async function run(graph: Graph): Promise<Float32Array> {
  const feeds = { x: new OrtTensor('float32', noise(3 * SIDE, 9), [3, SIDE]) };
  return withSession(
    makeModel(graph),
    {},
    async (session) => (await session.run(feeds)).y!.data as Float32Array,
  );
}

const namesOf = (graph: Graph) => graph.initializers.map((t) => t.name);

test('equal weights become one, in branches too, and the answers stay to the bit', async () => {
  const weights = [weight('first_1/w', 1), weight('v', 2), weight('w', 1)];
  const graph = twoNetworks(weights, ['first_1/w', 'w']);
  const shared = runPasses(graph, [shareInitializers(new Set(['v', 'w']))]);
  assert.equal(namesOf(shared), ['v', 'w', 'yes'], "the original's name stays, though it comes later");
  assert.is(shared.initializers[1], weights[2], 'and so does its tensor');
  assert.not.ok(JSON.stringify(shared.nodes).includes('first_1/w"'));
  assert.equal(await run(shared), await run(graph));
  assert.is(runPasses(shared, [shareInitializers(new Set(['v', 'w']))]), shared);
  const unnamed = runPasses(graph, [shareInitializers()]);
  assert.equal(namesOf(unnamed), ['first_1/w', 'v', 'yes'], 'with no name to keep, the first stays');
  assert.equal(await run(unnamed), await run(graph));
});

test('one element, the shape or the data type tells weights apart', () => {
  const other = weight('c', 1);
  const bytes = other.bytes.slice();
  bytes[bytes.length - 1]! ^= 1;
  const alike: Tensor[] = [
    weight('a', 1),
    weight('b', 1, [SIDE * SIDE]),
    { ...other, bytes },
    { ...weight('d', 1), dataType: 'int32' },
    { ...weight('e', 1), unknownFields: Uint8Array.of(0x62, 0) },
  ];
  const graph = { ...twoNetworks([weight('f', 3)], ['f', 'f']), initializers: alike, nodes: [], outputs: [] };
  assert.is(shareInitializers().run(graph), graph);
});

test('small ones, inputs, outputs and what is to stay are left alone', () => {
  const small = (name: string) => floatTensor(name, [1024], noise(1024, 1));
  const b = new GraphBuilder();
  for (const name of ['a', 'b']) b.initializer(small(name));
  for (const name of ['kept 1', 'kept 2', 'in', 'out']) b.initializer(weight(name, 1));
  b.inputs.push({ name: 'in', type: undefined });
  b.outputs.push({ name: 'out', type: undefined });
  const graph = b.build('apart');
  assert.is(shareInitializers(new Set(['kept 1', 'kept 2'])).run(graph), graph);
  assert.equal(namesOf(shareInitializers().run(graph)), ['a', 'b', 'kept 1', 'in', 'out']);
});

test('external data are the same at the same place of the same file', () => {
  const at = (name: string, location: string, offset: number, length?: number): Tensor => ({
    name,
    dataType: 'float',
    dims: [SIDE, SIDE],
    bytes: new Uint8Array(0),
    external: { location, offset, length },
  });
  const bytes = 4 * SIDE * SIDE;
  const b = new GraphBuilder();
  const tensors = [at('a', 'w', 0), at('b', 'w', 0, bytes), at('c', 'w', bytes), at('d', 'v', 0)];
  for (const tensor of tensors) b.initializer(tensor);
  b.nodes.push(
    makeNode(
      'Concat',
      tensors.map((t) => t.name),
      ['y'],
      { axis: 0 },
    ),
  );
  b.output('y', 'float', undefined as never);
  const shared = shareInitializers().run(b.build('external'));
  assert.equal(namesOf(shared), ['a', 'c', 'd']);
  assert.equal(shared.nodes[0]!.inputs, ['a', 'a', 'c', 'd']);
});

test.run();
