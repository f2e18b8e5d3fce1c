import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inferenceForm, trainingForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { withSession } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { feedsOf, signed } from './check-gradient.ts';

const test = suite('training-form');

class NormBuilder extends GraphBuilder {
  parameter(name: string, ...dims: number[]): string {
    return this.initializer(floatTensor(name, dims, signed(elementCount(dims), name.length + dims[0]!)));
  }

  norm(x: string, channels: number, as: string): string {
    const statistics = ['scale', 'bias', 'mean'].map((part) => this.parameter(`${as}/${part}`, channels));
    const variance = this.initializer(
      floatTensor(
        `${as}/var`,
        [channels],
        signed(channels, 8).map((v) => v + 1.5),
      ),
    );
    return this.op('BatchNormalization', [x, ...statistics, variance], { epsilon: 1e-3 }, as);
  }
}

/** x [4, 3, 6, 6] → whatever `build` makes of it → y. */
function graphOf(build: (b: NormBuilder) => string): Graph {
  const b = new NormBuilder();
  b.input('x', 'float', [4, 3, 6, 6]);
  b.op('Identity', [build(b)], {}, 'y');
  b.outputs.push({ name: 'y', type: undefined });
  return b.build('norms');
}

const x: ReadonlyMap<string, Float32Array> = new Map([['x', signed(4 * 3 * 36, 4)]]);
const run = (graph: Graph, values = x) =>
  withSession(makeModel(graph), { threads: 1 }, (s) => s.run(feedsOf(graph, values)));

async function assertEqualOutputs(before: Graph, after: Graph): Promise<void> {
  const [a, b] = [await run(before), await run(after)];
  for (const { name } of before.outputs) {
    const [left, right] = [a[name]!.data as Float32Array, b[name]!.data as Float32Array];
    const largest = left.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    left.forEach((v, i) => {
      assert.ok(Math.abs(v - right[i]!) < 1e-5 * largest, `${name}[${i}]: ${v} became ${right[i]}`);
    });
  }
}

const conv = (b: NormBuilder, from: string, name: string, bias = false, group = 1) => {
  const weights = [
    b.parameter(`${name}/weight`, 6, 3 / group, 3, 3),
    ...(bias ? [b.parameter(`${name}/bias`, 6)] : []),
  ];
  return b.op('Conv', [from, ...weights], { kernel_shape: [3, 3], group }, name);
};

const FOLDS: Record<string, (b: NormBuilder) => string> = {
  'a Conv': (b) => b.norm(conv(b, 'x', 'conv'), 6, 'bn'),
  'a Conv with a bias': (b) => b.norm(conv(b, 'x', 'conv', true), 6, 'bn'),
  'a grouped Conv': (b) => b.norm(conv(b, 'x', 'conv', true, 3), 6, 'bn'),
  'a Gemm, transposed': (b) =>
    b.norm(
      b.op('Gemm', [b.op('Flatten', ['x']), b.parameter('w', 5, 108), b.parameter('c', 5)], {
        transB: 1,
        alpha: 0.5,
        beta: 0.25,
      }),
      5,
      'bn',
    ),
  'a Gemm': (b) => b.norm(b.op('Gemm', [b.op('Flatten', ['x']), b.parameter('w', 108, 5)]), 5, 'bn'),
  'two in a row that share weights': (b) => {
    const weight = b.parameter('w', 3, 3, 1, 1);
    const once = b.norm(b.op('Conv', ['x', weight]), 3, 'bn1');
    return b.norm(b.op('Conv', [once, weight]), 3, 'bn2');
  },
  'through a Dropout': (b) => b.norm(b.op('Dropout', [conv(b, 'x', 'conv')]), 6, 'bn'),
};

for (const [label, build] of Object.entries(FOLDS)) {
  test(`BatchNormalization folds into ${label}`, async () => {
    const before = graphOf(build);
    const text = JSON.stringify(before);
    const after = runPasses(before, [inferenceForm]);
    assert.not(after.nodes.some((n) => n.opType === 'BatchNormalization' || n.opType === 'Dropout'));
    await assertEqualOutputs(before, after);
    assert.is(runPasses(after, [inferenceForm]), after);
    assert.is(JSON.stringify(before), text);
    const read = new Set(after.nodes.flatMap((n) => n.inputs));
    assert.ok(after.initializers.every((t) => read.has(t.name)));
  });
}

const KEPT: Record<string, (b: NormBuilder) => string> = {
  'there is no Conv before it': (b) => b.norm('x', 3, 'bn'),
  'something else reads the Conv': (b) => {
    const map = conv(b, 'x', 'conv');
    return b.op('Add', [b.norm(map, 6, 'bn'), map]);
  },
  'the Conv is an output': (b) => {
    const map = conv(b, 'x', 'conv');
    b.outputs.push({ name: map, type: undefined });
    return b.norm(map, 6, 'bn');
  },
};

for (const [label, build] of Object.entries(KEPT)) {
  test(`BatchNormalization stays where ${label}`, () => {
    const before = graphOf(build);
    assert.is(runPasses(before, [inferenceForm]), before);
  });
}

test('a Dropout that is an output becomes an Identity', async () => {
  const b = new NormBuilder();
  b.input('x', 'float', [4, 3, 6, 6]);
  b.op('Dropout', [b.op('Relu', ['x'])], {}, 'y');
  b.outputs.push({ name: 'y', type: undefined });
  const before = b.build('dropout');
  const after = runPasses(before, [inferenceForm]);
  assert.equal(
    after.nodes.map((n) => n.opType),
    ['Relu', 'Identity'],
  );
  await assertEqualOutputs(before, after);
});

test('training form: batch statistics, and running ones that follow', async () => {
  const before = graphOf((b) => b.norm('x', 3, 'bn'));
  const pass = trainingForm({ seed: 1 });
  const after = runPasses(before, [pass]);
  assert.is(runPasses(after, [pass]), after);
  assert.equal(
    after.inputs.map((v) => v.name),
    ['x', 'bn/mean', 'bn/var'],
  );
  assert.equal(
    after.outputs.map((v) => v.name),
    ['y', 'next/bn/mean', 'next/bn/var'],
  );
  const running = new Map([...x, ['bn/mean', signed(3, 5)], ['bn/var', signed(3, 6).map((v) => v + 2)]] as [
    string,
    Float32Array,
  ][]);
  const out = await run(after, running);
  const data = x.get('x')!;
  for (let c = 0; c < 3; c++) {
    const values = [...data].filter((_, i) => Math.floor(i / 36) % 3 === c);
    const mean = values.reduce((s, v) => s + v, 0) / values.length;
    const variance = values.reduce((s, v) => s + (v - mean) ** 2, 0) / (values.length - 1);
    const close = (name: string, expected: number) =>
      assert.ok(Math.abs((out[name]!.data[c] as number) - expected) < 1e-5, `${name}[${c}]`);
    close('next/bn/mean', 0.9 * running.get('bn/mean')![c]! + 0.1 * mean);
    close('next/bn/var', 0.9 * running.get('bn/var')![c]! + 0.1 * variance);
    const y = [...(out.y!.data as Float32Array)].filter((_, i) => Math.floor(i / 36) % 3 === c);
    const [scale, bias] = [signed(3, 'bn/scale'.length + 3)[c]!, signed(3, 'bn/bias'.length + 3)[c]!];
    const biased = (variance * (values.length - 1)) / values.length;
    y.forEach((v, i) => {
      assert.ok(Math.abs(v - (((values[i]! - mean) / Math.sqrt(biased + 1e-3)) * scale + bias)) < 1e-5);
    });
  }
});

test('training form: Dropout drops, another part each step, the same with the same seed', async () => {
  const before = graphOf((b) => b.op('Dropout', ['x', b.float(0.25)], {}, 'kept'));
  const masks = (seed: number) => {
    const after = runPasses(before, [trainingForm({ seed })]);
    return withSession(makeModel(after), { threads: 1 }, async (s) => {
      const step = async () =>
        [...((await s.run(feedsOf(after, x))).y!.data as Float32Array)].map((v) => v === 0);
      return [await step(), await step()];
    });
  };
  const [first, again, other] = [await masks(1), await masks(1), await masks(2)];
  const dropped = first[0]!.filter(Boolean).length / first[0]!.length;
  assert.ok(dropped > 0.15 && dropped < 0.35, `${dropped}`);
  assert.equal(again, first);
  assert.not.equal(other[0], first[0]);
  assert.not.equal(first[1], first[0]);
});

test('nothing to do gives the same graph', () => {
  const plain = graphOf((b) => b.op('Relu', ['x']));
  assert.is(runPasses(plain, [trainingForm({ seed: 1 }), inferenceForm]), plain);
});

test.run();
