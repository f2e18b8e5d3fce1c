import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { extractExits } from '../../src/passes/extract-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { branchyNet, multiScaleNet, noise } from '../models.ts';

const test = suite('extract-exits');
const SAMPLE = 192;
const CLASSES = 5;
const COUNT = 64;
const samples = noise(COUNT * SAMPLE, 5).map((v, i) => v * (0.3 + Math.floor(i / SAMPLE) / 24));
const image = (from: number, n: number) =>
  new Tensor('float32', samples.slice(from * SAMPLE, (from + n) * SAMPLE), [n, 3, 8, 8]);
const hasCode = (code: string) => (error: { code?: string }) => error.code === code;

const softmax = (z: readonly number[]) => {
  const e = z.map((v) => Math.exp(v - Math.max(...z)));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};

/** Every output of the model as it came, one sample at a time. */
async function outputsOf(model: Model, names: readonly string[]): Promise<number[][][]> {
  return withSession(model, { threads: 1 }, async (session) => {
    const rows = names.map((): number[][] => []);
    for (let i = 0; i < COUNT; i++) {
      const out = await session.run({ image: image(i, 1) });
      for (const [k, name] of names.entries()) rows[k]!.push([...(out[name]!.data as Float32Array)]);
    }
    return rows;
  });
}

/** Between the two scores with the widest gap around the middle. */
function midway(scores: readonly number[]): number {
  const sorted = scores.toSorted((a, b) => a - b);
  const some = Array.from({ length: 20 }, (_, i) => 22 + i);
  const i = some.reduce((a, b) => (sorted[b + 1]! - sorted[b]! > sorted[a + 1]! - sorted[a]! ? b : a));
  return Math.fround((sorted[i]! + sorted[i + 1]!) / 2);
}

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
      const original = model(opset);
      const rows = await outputsOf(original, outputs);
      const typed = await observeFacts(original, { output: outputs.at(-1)! });
      const { plan, heads } = extractExits(typed, outputs);
      assert.equal(
        plan.exits.map((e) => e.id),
        ['exit_1', 'exit_2'],
      );
      assert.ok(heads.every((h) => h.macs > 0 && h.kind === 'given'));
      const lowered = lowerExits(plan.typed, heads, { policy: 'max-prob' });

      const probabilities = rows.map((list, k) => list.map((z) => (ends[k] === 'softmax' ? z : softmax(z))));
      const scores = probabilities.slice(0, -1).map((list) => list.map((y) => Math.max(...y)));
      const thresholds = scores.map(midway);
      const leaves = Array.from({ length: COUNT }, (_, i) => {
        const k = thresholds.findIndex((t, e) => scores[e]![i]! > t);
        return k < 0 ? 2 : k;
      });
      assert.is(new Set(leaves).size, 3, `every exit is taken: ${leaves}`);
      await withSession(lowered, { threads: 1 }, async (session) => {
        for (const batch of [1, 7, 64]) {
          for (let at = 0; at < COUNT; at += batch) {
            const n = Math.min(batch, COUNT - at);
            const out = await session.run({
              image: image(at, n),
              thresholds: new Tensor('float32', Float32Array.from(thresholds), [2]),
            });
            assert.equal([...(out.exit_index!.data as BigInt64Array)].map(Number), leaves.slice(at, at + n));
            const found = out[outputs.at(-1)!]!.data as Float32Array;
            for (let i = 0; i < n; i++) {
              const y = softmax([...found.slice(i * CLASSES, (i + 1) * CLASSES)]);
              const expected = probabilities[leaves[at + i]!]![at + i]!;
              for (const [c, p] of y.entries()) assert.ok(Math.abs(p - expected[c]!) < 1e-5);
            }
          }
        }
      });
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

test('what cannot be taken apart is refused with a code', async () => {
  const typed = await observeFacts(branchyNet(), { output: 'logits' });
  assert.throws(() => extractExits(typed, ['logits']), hasCode('too-few-exit-outputs'));
  assert.throws(() => extractExits(typed, ['exit1', 'exit1', 'logits']), hasCode('too-few-exit-outputs'));
  assert.throws(() => extractExits(typed, ['exit9', 'logits']), hasCode('unknown-output'));

  const odd = async (classes: number, join: boolean, onPath: boolean) => {
    const b = new GraphBuilder();
    const x = b.input('image', 'float', ['N', 6]);
    const first = b.op('Relu', [x], {}, 'first');
    const second = b.op('Tanh', [first], {}, 'second');
    const read = join ? b.op('Add', [first, second]) : first;
    const exit = b.op('Slice', [read, b.int64([0]), b.int64([classes]), b.int64([1])], {}, 'exit');
    const rest = onPath ? b.op('Concat', [exit, second], { axis: 1 }) : second;
    b.op('Slice', [rest, b.int64([0]), b.int64([3]), b.int64([1])], {}, 'logits');
    b.output('exit', 'float', ['N', classes]);
    b.output('logits', 'float', ['N', 3]);
    return observeFacts(makeModel(b.build('odd')), { output: 'logits' });
  };
  const wanted = ['exit', 'logits'];
  const refused = async (classes: number, join: boolean, onPath: boolean, code: string) => {
    const model = await odd(classes, join, onPath);
    assert.throws(() => extractExits(model, wanted), hasCode(code));
  };
  await refused(4, false, false, 'exit-classes-differ');
  await refused(3, true, false, 'exit-not-apart');
  await refused(3, false, true, 'exit-not-apart');
});

test.run();
