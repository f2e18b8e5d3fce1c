import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model, Node } from '../../src/graph/types.ts';
import { mapSubgraphs } from '../../src/graph/walk.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { widenModel } from '../../src/model/widen-model.ts';
import { closeExits } from '../../src/passes/close-exits.ts';
import { type LowerOptions, lowerExits } from '../../src/passes/lower-exits.ts';
import { POLICY_NAMES } from '../../src/policies/index.ts';
import { hasCode } from '../expect.ts';
import { cases, loweredCase } from '../fuzz/lowering.ts';
import { branchyNet, multiScaleNet, noise, tinyEncoder, tinyResidual } from '../models.ts';
import { prepare } from './by-hand.ts';
import { expectOriginal } from './closed.ts';

const test = suite('close-exits');
const FORMS: Record<string, Partial<LowerOptions>> = {
  'thresholds as an input': {},
  'an ensembled final answer': { final: 0.25 },
  'thresholds built in': { baked: [0.5, 0.3, 0.6] },
  'the first closed': { baked: [1, 0.3, 0.6] },
  'the last closed, ensembled': { baked: [0.5, 0.3, 1], final: 0.25 },
  'all closed': { baked: [1, 1, 1] },
};

for (const [form, options] of Object.entries(FORMS)) {
  test(`a residual net, ${form}`, async () => {
    for (const opset of [11, 14, 15, 18, 21])
      for (const batch of ['N', 1] as const) {
        const model = tinyResidual({ opset, batch, softmax: opset === 18 });
        const { typed, heads } = await prepare(model);
        await expectOriginal(model, lowerExits(typed, heads, { policy: 'max-prob', ...options }));
      }
  });

  test(`an encoder, with values made anew for those that go on, ${form}`, async () => {
    for (const opset of [13, 17]) {
      const model = tinyEncoder(opset, opset === 13 ? 'words' : 'pictures');
      const { typed, heads } = await prepare(model, 'token', ['layer1', 'layer2']);
      const baked = options.baked?.slice(0, 2);
      await expectOriginal(
        model,
        lowerExits(typed, heads, { policy: 'confidence', ...options, ...(baked && { baked }) }),
      );
    }
  });
}

test('whatever the policy carries along', async () => {
  const model = tinyResidual();
  const { typed, heads } = await prepare(model);
  const fit = {
    weight: noise(1000, 1),
    rho: noise(3, 4),
    bias: noise(100, 2),
    temperature: [1],
    odds: noise(3 * 5 * 64, 3),
    shares: [0.25, 0.25, 0.25, 0.25],
  };
  const parameters = Object.fromEntries(Object.entries(fit).map(([name, v]) => [name, [...v]]));
  for (const policy of POLICY_NAMES)
    for (const final of [undefined, 0.5]) {
      await expectOriginal(model, lowerExits(typed, heads, { policy, parameters, final }));
    }
});

test('a binary classifier answers with its one score again', async () => {
  for (const rank of [2, 1])
    for (const baked of [undefined, [0.9], [1]]) {
      const model = oneScore(rank);
      const { typed, heads } = await prepare(model, 'pool', ['block1']);
      assert.is(typed.classes, 2);
      const closed = await expectOriginal(model, lowerExits(typed, heads, { policy: 'max-prob', baked }));
      assert.is((await observeFacts(closed)).logits, typed.logits);
    }
});

test('a widened batch stays wide', async () => {
  const widened = await widenModel(tinyResidual({ batch: 1 }));
  const { typed, heads } = await prepare(widened);
  const closed = await expectOriginal(widened, lowerExits(typed, heads, { policy: 'max-prob' }));
  assert.equal(closed.graph.inputs[0]!.type!.dims, ['N', 3, 8, 8]);
});

test('other outputs stay where every sample computes them', async () => {
  const model = multiScaleNet();
  const typed = await observeFacts(model, { output: 'exit3' });
  const { heads } = await prepare(giving(model, 'exit3'), 'pool', ['coarse1', 'coarse2']);
  const lowered = lowerExits(typed, heads, { policy: 'max-prob', dropOutputs: true });
  assert.ok(lowered.graph.outputs.length < model.graph.outputs.length + 2);
  await expectOriginal(model, lowered);
  const branchy = giving(branchyNet(), 'logits');
  const two = await prepare(branchy, 'pool', ['conv1', 'conv2']);
  await expectOriginal(branchy, lowerExits(two.typed, two.heads, { policy: 'max-prob' }));
});

test('nodes of the original that look as if lowering had made them stay', async () => {
  const plain = tinyResidual();
  const nodes = plain.graph.nodes.flatMap((node) => {
    if (node.outputs[0] !== 'block2') return [node];
    const b = new GraphBuilder('', new Set(['block2']));
    b.nodes.push({ ...node, name: 'sum', outputs: ['block2/sum'] });
    const pooled = b.op('AveragePool', ['block2/sum'], { kernel_shape: [1, 1] });
    b.op('Concat', [pooled], { axis: 0 }, 'block2');
    return b.nodes;
  });
  const model = { ...plain, graph: { ...plain.graph, nodes } };
  const { typed, heads } = await prepare(model, 'pool', ['stem', 'block1']);
  await expectOriginal(model, lowerExits(typed, heads, { policy: 'max-prob' }));
});

test('random classifiers', async () => {
  let tried = 0;
  const property = fc.asyncProperty(cases, async (c) => {
    const made = await loweredCase(c);
    if (!made) return;
    await expectOriginal(made.original, made.lowered, { threads: 1 });
    tried++;
  });
  await fc.assert(property, { seed: 2, numRuns: 30 });
  assert.ok(tried > 20, `${tried}`);
});

test('a model that has no exits is refused, and one that lowering did not write', async () => {
  assert.throws(() => closeExits(tinyResidual()), hasCode('exits-not-removable'));
  const { typed, heads } = await prepare(tinyResidual());
  const lowered = lowerExits(typed, heads, { policy: 'max-prob' });
  const refused = (change: (node: Node) => Node[]) => {
    const nodes = lowered.graph.nodes.flatMap(change);
    assert.throws(
      () => closeExits({ ...lowered, graph: { ...lowered.graph, nodes } }),
      hasCode('exits-not-removable'),
    );
  };
  refused((node) => (node.opType === 'If' ? [] : [node]));
  refused((node) => [node.outputs.length === 3 ? { ...node, outputs: node.outputs.toReversed() } : node]);
  // Its rows are gathered in another way, as another version might do it.
  refused((node) => [
    mapSubgraphs(node, (graph) => ({
      ...graph,
      nodes: graph.nodes.map((n) => (n.opType === 'GatherND' ? { ...n, opType: 'Compress' } : n)),
    })),
  ]);
});

/** The residual net with one score a sample, [N, 1] or [N], and a Sigmoid behind it. */
function oneScore(rank: number): Model {
  const five = tinyResidual({ seed: 4 });
  const { graph } = five;
  const b = new GraphBuilder('', new Set(graph.nodes.flatMap((n) => n.outputs)));
  const column = b.initializer(floatTensor('column', [5, 1], [0, 8, 0, 0, 0]));
  const z = b.op('Gemm', ['scores', column, b.float([-8])], {}, rank === 2 ? 'z' : undefined);
  if (rank === 1) b.op('Reshape', [z, b.int64([-1])], {}, 'z');
  b.output(b.op('Sigmoid', ['z'], {}, 'p'), 'float', rank === 2 ? ['N', 1] : ['N']);
  const initializers = [...graph.initializers, ...b.initializers];
  return {
    ...five,
    graph: { ...graph, nodes: [...graph.nodes, ...b.nodes], initializers, outputs: b.outputs },
  };
}

const giving = (model: Model, output: string): Model => ({
  ...model,
  graph: { ...model.graph, outputs: model.graph.outputs.filter((v) => v.name === output) },
});

test.run();
