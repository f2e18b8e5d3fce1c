import { suite } from 'uvu';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { printModel } from '../../src/graph/print.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { goldenCase } from '../golden.ts';
import { tinyResidual } from '../models.ts';

const test = suite('lower-exits: goldens');

/** The lowered graph in ONNX's textual syntax. Head weights are zeroed: their digits are no business of a golden. */
async function lowered(
  options: Parameters<typeof tinyResidual>[0],
  how: { readonly baked?: number[]; readonly final?: number } = {},
): Promise<string> {
  const typed = await observeFacts(tinyResidual(options));
  const plan = planExits(typed, { taps: ['stem', 'block2'] });
  const heads = attachExits(plan, { kind: 'pool', seed: 1 }).map((head) => {
    const graph = runPasses(head.graph, [inferenceForm]);
    const initializers = graph.initializers.map((t) =>
      t.dataType === 'float' ? { ...t, bytes: new Uint8Array(t.bytes.length) } : t,
    );
    return { ...head, graph: { ...graph, initializers } };
  });
  return `${printModel(lowerExits(typed, heads, { policy: 'max-prob', ...how })).trimEnd()}\n`;
}

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

test.run();
