import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { extractExits } from '../../src/passes/extract-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { branchyNet, multiScaleNet, NetBuilder } from '../models.ts';
import { image, leavesAsToldBy, outputsOf, softmax } from './as-told.ts';

const test = suite('extract-exits');
const hasCode = (code: string) => (error: { code?: string }) => error.code === code;
const FAMILIES = {
  'BranchyNet-like': {
    model: branchyNet,
    outputs: ['exit1', 'exit2', 'logits'],
    ends: ['logits', 'softmax', 'logits'],
  },
  'MSDNet-like': {
    model: multiScaleNet,
    outputs: ['exit1', 'exit2', 'exit3'],
    ends: ['logits', 'logits', 'logits'],
  },
} as const;

for (const [family, { model, outputs, ends }] of Object.entries(FAMILIES)) {
  for (const opset of [11, 17, 21]) {
    test(`${family}, opset ${opset}: leaves where its own outputs say, with their answers`, async () => {
      const { heads } = await leavesAsToldBy(model(opset), outputs, ends);
      assert.ok(heads.every((h) => h.macs > 0));
    });
  }
}

test('a fixed batch works too', async () => {
  const outputs = ['exit1', 'exit2', 'logits'];
  const original = branchyNet(17, 1);
  const typed = await observeFacts(original, { output: 'logits' });
  const { plan, heads } = extractExits(typed, outputs);
  const rows = await outputsOf(original, outputs);
  const out = await withSession(lowerExits(plan.typed, heads, { policy: 'max-prob' }), { threads: 1 }, (s) =>
    s.run({ image: image(3, 1), thresholds: new Tensor('float32', Float32Array.of(1, 0), [2]) }),
  );
  assert.equal([...(out.exit_index!.data as BigInt64Array)], [1n]);
  const y = softmax([...(out.logits!.data as Float32Array)]);
  for (const [c, p] of rows[1]![3]!.entries()) assert.ok(Math.abs(p - y[c]!) < 1e-5);
});

test('exits of one Sigmoid score each are heads of two classes', async () => {
  const { graph, ...rest } = branchyNet();
  const b = new GraphBuilder('', new Set(graph.nodes.flatMap((n) => n.outputs)));
  const column = b.initializer(floatTensor('column', [5, 1], [0.2, -0.1, 0.3, -0.3, 0.1]));
  const outputs = ['exit1', 'exit2', 'logits'].map((name) => {
    const p = b.op('Sigmoid', [b.op('MatMul', [name, column])], {}, `${name}/p`);
    return b.output(p, 'float', ['N', 1]);
  });
  const nodes = [...graph.nodes, ...b.nodes];
  const initializers = [...graph.initializers, ...b.initializers];
  const original = { ...rest, graph: { ...graph, nodes, initializers, outputs: b.outputs } };
  const typed = await observeFacts(original, { output: 'logits/p' });
  const { plan, heads, answers, whole } = extractExits(typed, outputs);
  assert.ok(answers.every((value) => whole.facts.get(value)!.dims[1] === 2));
  const lowered = lowerExits(plan.typed, heads, { policy: 'max-prob' });
  const rows = await outputsOf(original, outputs);
  for (const [k, thresholds] of [
    [-1, 1],
    [1, -1],
    [1, 1],
  ].entries()) {
    const out = await withSession(lowered, { threads: 1 }, (s) =>
      s.run({ image: image(0, 5), thresholds: new Tensor('float32', Float32Array.from(thresholds), [2]) }),
    );
    assert.equal([...(out.exit_index!.data as BigInt64Array)].map(Number), Array(5).fill(k));
    for (let i = 0; i < 5; i++)
      assert.ok(Math.abs((out['logits/p']!.data[i] as number) - rows[k]![i]![0]!) < 1e-5);
  }
});

/**
 * Two exits read `conv1`, the second by way of a value that the first computes too. The scores of `late`, and the pooled features that
 * `aside` reads, are read by the rest as well.
 */
function denseExits(): Model {
  const b = new NetBuilder(41);
  const first = b.conv(b.input('image', 'float', ['N', 3, 8, 8]), 'conv1', 3, 8);
  const shared = b.conv(first, 'shared', 8, 8, 2);
  b.classifier(shared, 'small', 8, 'small');
  b.classifier(b.conv(shared, 'more', 8, 12), 'large', 12, 'large');
  const second = b.conv(first, 'conv2', 8, 16, 2);
  const late = b.classifier(second, 'late', 16, 'late');
  b.op('Softmax', [late], { axis: 1 }, 'late_prob');
  const pooled = b.op(
    'Flatten',
    [b.op('GlobalAveragePool', [b.conv(second, 'conv3', 16, 16)])],
    {},
    'pooled',
  );
  const gemm = (x: string, name: string) =>
    b.op('Gemm', [x, b.weight(`${name}.weight`, [5, 16], 8)], { transB: 1 }, name);
  gemm(pooled, 'aside');
  const hidden = b.op('Tanh', [b.op('Gemm', [pooled, b.weight('hidden.weight', [16, 16])])]);
  b.op('Add', [late, gemm(hidden, 'rest')], {}, 'logits');
  b.op('Softmax', ['logits'], { axis: 1 }, 'prob');
  b.op('Gemm', ['logits', b.weight('again.weight', [5, 5])], {}, 'again');
  for (const name of ['small', 'large', 'late', 'late_prob', 'aside', 'logits', 'prob', 'again'])
    b.output(name, 'float', ['N', 5]);
  return makeModel(b.build('dense_exits'));
}

test('two exits on one value, in the order given, and exits whose scores or features the rest reads', async () => {
  const only = (names: readonly string[]) => {
    const { graph, ...rest } = denseExits();
    return { ...rest, graph: { ...graph, outputs: graph.outputs.filter((v) => names.includes(v.name)) } };
  };
  const names = ['small', 'large', 'late_prob', 'aside', 'logits'];
  const ends = ['logits', 'logits', 'softmax', 'logits', 'logits'] as const;
  const { plan, heads, answers } = await leavesAsToldBy(only(names), names, ends);
  assert.equal(
    plan.exits.map(({ tap }) => tap.value),
    ['conv1', 'conv1', 'late', 'pooled'],
  );
  assert.equal(answers, ['small', 'large', 'late', 'aside', 'logits']);
  // A convolution of 3 × 3 from 8 to 8 channels on 4 × 4, then a Gemm; the second has it too, and one more from 8 to 12.
  const [small, more] = [9 * 8 * 8 * 16 + 8 * 5, 9 * 8 * 8 * 16 + 9 * 8 * 12 * 16 + 12 * 5];
  assert.equal(
    heads.map(({ macs }) => macs),
    [small, more, 0, 16 * 5],
  );
  const swapped = ['large', 'small', 'logits'];
  const other = await leavesAsToldBy(only(swapped), swapped, ['logits', 'logits', 'logits']);
  assert.equal(other.answers, swapped);
});

test('an exit must have scores of its own, and before those of the model', async () => {
  const typed = await observeFacts(denseExits(), { output: 'logits' });
  for (const [outputs, why] of [
    [['late', 'late_prob', 'logits'], 'late has the same scores'],
    [['small', 'prob', 'logits'], 'logits has the same scores'],
    [['again', 'logits'], "the model's own scores"],
  ] as const)
    assert.throws(
      () => extractExits(typed, outputs),
      (error: { code: string; message: string }) =>
        error.code === 'exit-not-apart' && error.message.includes(why),
    );
});

test('what cannot be taken apart is refused with a code', async () => {
  const typed = await observeFacts(branchyNet(), { output: 'logits' });
  assert.throws(() => extractExits(typed, ['logits']), hasCode('too-few-exit-outputs'));
  assert.throws(() => extractExits(typed, ['exit1', 'exit1', 'logits']), hasCode('too-few-exit-outputs'));
  assert.throws(() => extractExits(typed, ['exit9', 'logits']), hasCode('unknown-output'));

  const odd = async (classes: number, join: boolean) => {
    const b = new GraphBuilder();
    const x = b.input('image', 'float', ['N', 6]);
    const first = b.op('Relu', [x], {}, 'first');
    const second = b.op('Tanh', [first], {}, 'second');
    const read = join ? b.op('Add', [first, second]) : first;
    b.op('Slice', [read, b.int64([0]), b.int64([classes]), b.int64([1])], {}, 'exit');
    b.op('Slice', [second, b.int64([0]), b.int64([3]), b.int64([1])], {}, 'logits');
    b.output('exit', 'float', ['N', classes]);
    b.output('logits', 'float', ['N', 3]);
    return observeFacts(makeModel(b.build('odd')), { output: 'logits' });
  };
  const wanted = ['exit', 'logits'];
  const refused = async (classes: number, join: boolean, code: string) => {
    const model = await odd(classes, join);
    assert.throws(() => extractExits(model, wanted), hasCode(code));
  };
  await refused(4, false, 'exit-classes-differ');
  await refused(3, true, 'exit-not-apart');
});

test.run();
