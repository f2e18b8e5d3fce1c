import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { subgraphs } from '../../src/graph/walk.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { withSession } from '../../src/ort/session.ts';
import { feedsOf, floatsOf } from '../../src/ort/tensors.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { noise, tinyResidual } from '../models.ts';
import { largestGap, ofInputs, readerOf } from './readers.ts';

const test = suite('networks: adapt-network');

const original = readerOf([8, 8, 3], { preset: 'imagenet' }, 'float', 'picture');
const network = readerOf([3, 8, 8], { channels: 'bgr' }, 'float', 'image');

async function scoresOf(
  model: Model,
  inputs: typeof original.inputs,
  rows: Float32Array,
  n: number,
  output: string,
) {
  checkGraph(model.graph);
  const parsed = parseModel(serializeModel(model));
  const outputs = await withSession(parsed, { threads: 1 }, (s) => s.run(feedsOf(inputs, rows, n), [output]));
  return floatsOf(outputs[output]!);
}

/** Names of nodes and values in all scopes. */
const namesIn = (graph: Graph): string[] => [
  ...[...graph.inputs, ...graph.outputs, ...graph.valueInfo, ...graph.initializers].map((v) => v.name),
  ...graph.nodes.flatMap((n) => [n.name, ...n.inputs, ...n.outputs, ...subgraphs(n).flatMap(namesIn)]),
];

/** [n, 8, 8, 3] pixels as the original reads them, and as the network does: [n, 3, 8, 8], blue first. */
function samples(n: number) {
  const raw = noise(n * 192, 5).map((v) => Math.round(127.5 + 127 * v));
  const { mean, std } = original.preprocessing;
  const rows = raw.map((v, i) => (v / 255 - mean[i % 3]!) / std[i % 3]!);
  const planes = raw.map((_, i) => {
    const [k, c, at] = [Math.floor(i / 192), Math.floor(i / 64) % 3, i % 64];
    return raw[k * 192 + at * 3 + 2 - c]!;
  });
  return { rows, planes };
}

for (const batch of ['N', 1] as const)
  test(`batch ${batch}: answers as the network does, and reads what the original reads`, async () => {
    const model = tinyResidual({ batch, opset: 13 });
    const adapted = adaptNetwork(model, original, network, 'first_1');
    assert.equal(adapted.graph.inputs, [
      { name: 'picture', type: { dataType: 'float', dims: [batch, 8, 8, 3] } },
    ]);
    const others = namesIn(adapted.graph).filter((name) => !name.startsWith('first_1/'));
    assert.equal([...new Set(others)], ['picture']);
    for (const n of batch === 1 ? [1] : [1, 5]) {
      const { rows, planes } = samples(n);
      const truth = await scoresOf(model, network.inputs, planes, n, 'scores');
      const scores = await scoresOf(adapted, original.inputs, rows, n, 'first_1/scores');
      assert.ok(largestGap(scores, truth) <= 1e-5 * Math.max(...truth.map(Math.abs)));
    }
    const typed = await observeFacts(adapted, { session: { threads: 1 } });
    assert.equal(typed.sampleInputs, ['picture']);
    assert.is(typed.logits, 'first_1/scores');
    assert.is(typed.batch, batch === 1 ? 'fixed' : 'dynamic');
  });

test('a network that reads the same gets no node, and its input the name of the original', () => {
  const model = tinyResidual();
  const same = readerOf([3, 8, 8], {}, 'float', 'x');
  const adapted = adaptNetwork(model, same, readerOf([3, 8, 8], {}, 'float', 'image'), 'first_2');
  assert.is(adapted.graph.nodes.length, model.graph.nodes.length);
  assert.equal(
    adapted.graph.inputs.map((v) => v.name),
    ['x'],
  );
  assert.ok(adapted.graph.nodes.some((node) => node.inputs.includes('x')));
});

test('names in subgraphs, and names that begin so already', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 4]);
  const shifted = b.op('Add', [x, b.initializer(floatTensor('first_1/x', [], [1]))], {}, 'a');
  const branch = (factor: number) => {
    const inner = b.branch();
    const made = inner.op('Mul', [shifted, inner.float(factor)], {}, `first_1/a${factor}`);
    inner.op('Add', [made, x], {}, `first_1/first_1/a${factor}`);
    inner.output(`first_1/first_1/a${factor}`, 'float', ['N', 4]);
    return inner.build(`times ${factor}`);
  };
  b.op('If', [b.bool(true)], { then_branch: branch(2), else_branch: branch(3) }, 'y');
  b.output('y', 'float', ['N', 4]);
  const model = makeModel(b.build('nested'), 12, 3);
  const reads = (name: string, mean: number) => readerOf([4], { mean: [mean] }, 'float', name);
  const adapted = adaptNetwork(model, reads('x', 0), reads('x', 10), 'first_1');
  assert.is(adapted.irVersion, 4);
  const rows = Float32Array.of(11, 12, 13, 14);
  const scores = await scoresOf(adapted, reads('x', 0).inputs, rows, 1, 'first_1/y');
  assert.equal(
    [...scores],
    [1, 2, 3, 4].map((v) => 2 * (v + 1) + v),
  );
  const others = namesIn(adapted.graph).filter((name) => !name.startsWith('first_1/'));
  assert.equal([...new Set(others)], ['x']);
});

test('of several inputs those that it reads', async () => {
  const input = (name: string, dims: number[]) => ({ name, dims, dataType: 'float' as const });
  const b = new GraphBuilder();
  b.input('v', 'float', ['batch', 3]);
  b.input('u', 'float', ['batch', 2]);
  b.op('Concat', ['u', 'v'], { axis: 1 }, 'y');
  b.output('y', 'float', ['batch', 5]);
  const three = ofInputs([input('u', [2]), input('w', [4]), input('v', [3])]);
  const adapted = adaptNetwork(
    makeModel(b.build('two')),
    three,
    ofInputs([input('v', [3]), input('u', [2])]),
    'first_1',
  );
  assert.equal(
    adapted.graph.inputs.map((v) => [v.name, v.type!.dims]),
    [
      ['u', ['batch', 2]],
      ['v', ['batch', 3]],
    ],
  );
  const feeds = [input('u', [2]), input('v', [3])];
  const scores = await scoresOf(adapted, feeds, Float32Array.of(1, 2, 3, 4, 5), 1, 'first_1/y');
  assert.equal([...scores], [1, 2, 3, 4, 5]);
});

test.run();
