import { suite } from 'uvu';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { printModel } from '../../src/graph/print.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { endExit } from '../../src/passes/end-exit.ts';
import type { ExitPlan, Head } from '../../src/passes/exits.ts';
import { lowerChain, lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { goldenCase } from '../golden.ts';
import { tinyResidual } from '../models.ts';
import { readerOf } from '../networks/readers.ts';

const test = suite('lower-exits: goldens');

/** The lowered graph in ONNX's textual syntax. Head weights are zeroed: their digits are no business of a golden. */
async function lowered(
  options: Parameters<typeof tinyResidual>[0],
  how: { readonly baked?: number[]; readonly final?: number } = {},
): Promise<string> {
  const typed = await observeFacts(tinyResidual(options));
  const heads = zeroHeads(planExits(typed, { taps: ['stem', 'block2'] }));
  return `${printModel(lowerExits(typed, heads, { policy: 'max-prob', ...how })).trimEnd()}\n`;
}

const zeroHeads = (plan: ExitPlan): Head[] =>
  attachExits(plan, { kind: 'pool', seed: 1 }).map((head) => {
    const graph = runPasses(head.graph, [inferenceForm]);
    const initializers = graph.initializers.map((t) =>
      t.dataType === 'float' ? { ...t, bytes: new Uint8Array(t.bytes.length) } : t,
    );
    return { ...head, graph: { ...graph, initializers } };
  });

test('dynamic batch: survivors are gathered and scattered back', async () => {
  goldenCase('lower-dynamic', new Map([['model.txt', await lowered({})]]));
});

test('fixed batch: the single-sample form', async () => {
  goldenCase('lower-fixed', new Map([['model.txt', await lowered({ batch: 1 })]]));
});

test('baked thresholds, opset 18, softmax behind the exits', async () => {
  goldenCase(
    'lower-baked',
    new Map([['model.txt', await lowered({ opset: 18, softmax: true }, { baked: [0.5, 0.25] })]]),
  );
});

test('an ensembled final answer: the logits of open exits are carried along', async () => {
  goldenCase('lower-joined', new Map([['model.txt', await lowered({}, { final: 0.125 })]]));
});

/** Reads `x` [N, 4] → `scores` [N, 3] by way of `hidden` [N, 4]; all weights are 1/2. */
function tiny(): Model {
  const b = new GraphBuilder();
  const halves = (name: string, dims: readonly number[]) =>
    b.initializer(floatTensor(name, dims, new Float32Array(elementCount(dims)).fill(0.5)));
  const input = b.input('x', 'float', ['N', 4]);
  const hidden = b.op('Relu', [b.op('MatMul', [input, halves('w1', [4, 4])])], {}, 'hidden');
  b.op('MatMul', [hidden, halves('w2', [4, 3])], {}, 'scores');
  b.output('scores', 'float', ['N', 3]);
  return makeModel(b.build('tiny'), 17);
}

test('a chain: a network in front with an adapter, an exit along its way and at its end, then the original with one exit', async () => {
  const [original, other] = [readerOf([4]), readerOf([4], { scale: 2, mean: [1], std: [0.5] })];
  const typed = await observeFacts(adaptNetwork(tiny(), original, other, 'first_1'));
  const plan = planExits(typed, { taps: ['first_1/hidden'] });
  const inFront = [...zeroHeads(plan), endExit(plan, { id: 'exit_2', network: 0 })];
  const last = await observeFacts(tiny());
  const ahead = zeroHeads(planExits(last, { taps: ['hidden'] })).map((head) => ({
    ...head,
    exit: { ...head.exit, id: 'exit_3', network: 1 },
  }));
  const chain = [
    { typed, heads: inFront },
    { typed: last, heads: ahead },
  ];
  const text = printModel(lowerChain(chain, { policy: 'max-prob' })).trimEnd();
  goldenCase('lower-chain', new Map([['model.txt', `${text}\n`]]));
});

test.run();
