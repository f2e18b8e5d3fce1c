/** What a file says of shapes is kept where it is true, and goes where it is older than the graph. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeValue } from '../../src/graph/builder.ts';
import type { Graph, Model, ValueInfo } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { tinyResidual } from '../models.ts';
import { byHand, midway, prepare, runLowered, samples } from './by-hand.ts';

const test = suite('keep-observed');

const claiming = (model: Model, valueInfo: readonly ValueInfo[], output?: ValueInfo): Model => ({
  ...model,
  graph: { ...model.graph, valueInfo, outputs: output ? [output] : model.graph.outputs },
});

test('true claims stay the same objects, and so does a model that makes no others', async () => {
  const model = claiming(tinyResidual(), [
    makeValue('stem', 'float', ['N', 8, 8, 8]),
    makeValue('block1', 'float', ['unk__1', 8, undefined, 'size']),
    makeValue('block2', 'float', undefined),
  ]);
  assert.is((await observeFacts(model)).model, model);
});

test('another size, rank or type, and one name for two sizes are no true claims', async () => {
  const kept = makeValue('stem', 'float', ['N', 8, 'side', 'side']);
  const model = claiming(
    tinyResidual(),
    [
      kept,
      makeValue('block1', 'float', [1, 8, 8, 8]),
      makeValue('block2', 'float', ['N', 16, 'side', 4]),
      makeValue('block3', 'float', ['N', 16]),
      makeValue('Flatten', 'float', ['N', 15]),
      makeValue('GlobalAveragePool', 'float', ['M', 'N', 1, 1]),
    ],
    makeValue('scores', 'float', [1, 5]),
  );
  const { graph } = (await observeFacts(model)).model;
  assert.equal(graph.valueInfo, [kept]);
  assert.equal(graph.outputs, [makeValue('scores', 'float', ['N', 5])]);
  for (const node of model.graph.nodes) assert.ok(graph.nodes.includes(node));
});

test('what subgraphs of a dynamic model claim of shapes goes, their types stay', async () => {
  const plain = tinyResidual();
  const branch = (op: string): Graph => {
    const b = new GraphBuilder(`${op}/`);
    const made = b.op(op, ['block3']);
    return {
      ...b.build(op),
      outputs: [makeValue(made, 'float', [1, 16, 4, 4])],
      valueInfo: [makeValue(made, 'float', [1, 16, 4, 4])],
    };
  };
  const b = new GraphBuilder('', new Set(['x']));
  const chosen = b.op(
    'If',
    [b.bool(true)],
    { then_branch: branch('Identity'), else_branch: branch('Neg') },
    'chosen',
  );
  const at = plain.graph.nodes.findIndex((n) => n.opType === 'GlobalAveragePool');
  const nodes = [...plain.graph.nodes];
  nodes[at] = { ...nodes[at]!, inputs: [chosen] };
  nodes.splice(at, 0, ...b.nodes);
  const graph = { ...plain.graph, nodes, initializers: [...plain.graph.initializers, ...b.initializers] };
  const { typed, heads } = await prepare({ ...plain, graph });
  const inner = typed.model.graph.nodes.find((n) => n.opType === 'If')!.attributes.then_branch!
    .value as Graph;
  assert.equal(inner.valueInfo, []);
  assert.equal(inner.outputs[0]!.type, { dataType: 'float', dims: undefined });
  await answersAsByHand(typed, heads);
});

test('a batch that was made dynamic by hand: the early-exit model answers as heads and policy by hand', async () => {
  const model = tinyResidual();
  const stale = model.graph.nodes.flatMap((n) => n.outputs);
  const facts = (await observeFacts(model)).facts;
  const valueInfo = stale.map((name) => makeValue(name, 'float', facts.get(name)!.dims));
  const { typed, heads } = await prepare(claiming(model, valueInfo, makeValue('scores', 'float', [1, 5])));
  await answersAsByHand(typed, heads);
});

async function answersAsByHand(
  ...[typed, heads]: Parameters<typeof byHand> extends [infer T, infer H, unknown] ? [T, H] : never
) {
  const { logits } = await byHand(typed, heads, samples);
  const { classes } = typed;
  const tops = logits.slice(0, -1).map((all) =>
    Float32Array.from({ length: all.length / classes }, (_, i) => {
      const row = all.slice(i * classes, (i + 1) * classes);
      const largest = Math.max(...row);
      return 1 / row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    }),
  );
  const thresholds = tops.map((scores) => midway(scores, 0.7));
  const { exits, scores } = await runLowered(
    lowerExits(typed, heads, { policy: 'max-prob' }),
    samples,
    64,
    thresholds,
  );
  assert.is(new Set(exits).size, 4);
  exits.forEach((exit, i) => {
    const first = tops.findIndex((all, k) => all[i]! > thresholds[k]!);
    assert.is(exit, first < 0 ? 3 : first, `sample ${i}`);
    for (let c = 0; c < classes; c++)
      assert.ok(Math.abs(scores[i * classes + c]! - logits[exit]![i * classes + c]!) < 1e-3, `sample ${i}`);
  });
}

test.run();
