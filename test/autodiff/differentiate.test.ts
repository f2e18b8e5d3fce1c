import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import { trainingForm } from '../../src/autodiff/training-form.ts';
import type { Vjp } from '../../src/autodiff/vjp.ts';
import { VJPS } from '../../src/autodiff/vjps.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { bindDims } from '../../src/graph/infer.ts';
import { floatTensor, toFloat32Array } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { withSession } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { convHead, dot, feedsOf, signed } from './check-gradient.ts';

const test = suite('differentiate');

const code = (expected: string) => (e: { code?: string }) => e.code === expected;

/** `loss` from an input `x` [2, 3] and parameters `w` [3, 3], `unused` [2]. */
function small(build: (b: GraphBuilder) => void): Graph {
  const b = new GraphBuilder();
  b.input('x', 'float', [2, 3]);
  b.initializer(floatTensor('w', [3, 3], signed(9, 5)));
  b.initializer(floatTensor('unused', [2], [1, 2]));
  build(b);
  b.output('loss', 'float', []);
  return b.build('small');
}

const mean = (b: GraphBuilder, value: string) => b.op('ReduceMean', [value], { keepdims: 0 }, 'loss');
const x = new Map([['x', signed(6, 3)]]);
const wrt = ['w'];

async function gradients(graph: Graph, names = wrt, values = x): Promise<Record<string, number[]>> {
  const after = runPasses(graph, [differentiate({ loss: 'loss', wrt: names })]);
  const out = await withSession(makeModel(after), { threads: 1 }, (s) => s.run(feedsOf(after, values)));
  return Object.fromEntries(names.map((n) => [n, [...(out[`grad/${n}`]!.data as Float32Array)]]));
}

const close = (actual: readonly number[], expected: readonly number[], tolerance = 1e-5) => {
  assert.is(actual.length, expected.length);
  actual.forEach((a, i) => {
    assert.ok(
      Math.abs(a - expected[i]!) <= tolerance * (1 + Math.abs(expected[i]!)),
      `${i}: ${a} for ${expected[i]}`,
    );
  });
};

test('a value that is read several times gathers all its gradients', async () => {
  const graph = small((b) => {
    const y = b.op('MatMul', ['x', 'w']);
    mean(b, b.op('Sum', [y, b.op('Mul', [y, y]), b.op('Neg', [y])]));
  });
  const [xs, w] = [signed(6, 3), signed(9, 5)];
  const y = Array.from({ length: 6 }, (_, i) =>
    [0, 1, 2].reduce((s, k) => s + xs[3 * Math.floor(i / 3) + k]! * w[3 * k + (i % 3)]!, 0),
  );
  const expected = Array.from({ length: 9 }, (_, i) =>
    [0, 1].reduce((s, n) => s + (xs[3 * n + Math.floor(i / 3)]! * 2 * y[3 * n + (i % 3)]!) / 6, 0),
  );
  close((await gradients(graph)).w!, expected);
});

test('gradients that are equal along axes are broadcast where it matters', async () => {
  const graph = small((b) => {
    const y = b.op('Add', ['w', b.float([1, 2, 3], [3, 1])]);
    const rows = b.op('ReduceSum', [b.op('Exp', [b.op('Identity', ['w'])]), b.int64([1])]);
    const columns = b.op('ReduceMean', [y], { axes: [0] });
    mean(b, b.op('Add', [rows, columns]));
  });
  const w = [...signed(9, 5)];
  close(
    (await gradients(graph)).w!,
    w.map((v) => Math.exp(v) / 3 + 1 / 9),
  );
});

test('an initializer of one element, of every rank, gets its own shape back', async () => {
  const graph = small((b) => {
    b.initializer(floatTensor('gain', [1, 1, 1], [2]));
    mean(b, b.op('ReduceSum', [b.op('Mul', ['w', 'gain'])]));
  });
  close((await gradients(graph, ['gain'])).gain!, [signed(9, 5).reduce((s, v) => s + v, 0)]);
});

test('Split with an output that nobody reads', async () => {
  const graph = small((b) => {
    const [, last] = b.ops('Split', ['w', b.int64([1, 2])], { axis: 1 }, ['first', 'last']);
    mean(b, b.op('ReduceSum', [last!], { keepdims: 0 }));
  });
  close((await gradients(graph)).w!, [0, 1, 1, 0, 1, 1, 0, 1, 1]);
});

test('gradients stop at a marked Identity and at integers', async () => {
  const stopped = small((b) => {
    const y = b.op('MatMul', ['x', 'w']);
    const frozen = b.op('Identity', [y], {}, 'stop_gradient_y');
    mean(b, b.op('Mul', [frozen, frozen]));
  });
  assert.throws(() => runPasses(stopped, [differentiate({ loss: 'loss', wrt })]), code('no-path-to-loss'));
  const chosen = small((b) => {
    const best = b.op('ArgMax', ['w'], { axis: 1 });
    mean(b, b.op('GatherElements', ['w', best], { axis: 1 }));
  });
  const { w } = await gradients(chosen);
  assert.is(w!.filter((g) => Math.abs(g - 1 / 3) < 1e-6).length, 3);
  assert.is(w!.filter((g) => g === 0).length, 6);
});

test('builds only what is wanted', () => {
  const graph = small((b) => {
    const y = b.op('MatMul', ['x', 'w']);
    b.op('ScatterND', [y, b.int64([0]), b.float([1, 2, 3])]);
    mean(b, y);
  });
  const after = runPasses(graph, [differentiate({ loss: 'loss', wrt })]);
  const made = after.nodes.slice(graph.nodes.length).map((n) => n.opType);
  assert.equal(made.filter((op) => op === 'Gemm').length, 1);
  assert.not(made.includes('MatMul'));
  assert.equal(
    after.outputs.map((v) => v.name),
    ['loss', 'grad/w'],
  );
  assert.equal(after.outputs[1]!.type!.dims, [3, 3]);
});

test('refusals', () => {
  const run = (graph: Graph, names = wrt) => runPasses(graph, [differentiate({ loss: 'loss', wrt: names })]);
  const unknown = small((b) => mean(b, b.op('Mean', ['w', 'w'], {}, 'middle')));
  assert.throws(
    () => run(unknown),
    (e: { code: string; message: string }) =>
      e.code === 'no-gradient-rule' && /Mean.*"middle"/.test(e.message),
  );
  const foreign = small((b) => mean(b, b.op('Det', ['w'])));
  assert.throws(() => run(foreign), code('no-shape-rule'));
  const matrix = small((b) => b.op('MatMul', ['x', 'w'], {}, 'loss'));
  assert.throws(() => run(matrix), code('loss-not-scalar'));
  const plain = small((b) => mean(b, 'w'));
  assert.throws(() => run(plain, ['w', 'unused']), code('no-path-to-loss'));
  const open = { ...plain, inputs: [{ name: 'x', type: { dataType: 'float', dims: ['N', 3] } }] } as const;
  assert.throws(() => run(open), code('shape-not-static'));
  assert.ok(run(bindDims(open, { N: 2 })));
});

test('a rule that gives a gradient of another shape or type is named, with its node', () => {
  const rules = VJPS as Record<string, Vjp>;
  const { Neg } = rules;
  const graph = small((b) => mean(b, b.op('Neg', ['w'], {}, 'middle')));
  const wrong: readonly Vjp[] = [
    ({ b, dy }) => [() => b.op('ReduceSum', [dy, b.int64([0])], { keepdims: 0 })],
    ({ b, dy }) => [() => b.op('Concat', [dy, dy], { axis: 0 })],
    ({ b, dy }) => [() => b.op('Cast', [dy], { to: 7 })],
  ];
  try {
    for (const rule of wrong) {
      rules.Neg = rule;
      assert.throws(
        () => runPasses(graph, [differentiate({ loss: 'loss', wrt })]),
        (e: { code: string; message: string }) =>
          e.code === 'gradient-misshapen' &&
          /Neg.*"middle".*input w, which is float \[3, 3\]/.test(e.message),
      );
    }
  } finally {
    rules.Neg = Neg!;
  }
  assert.ok(runPasses(graph, [differentiate({ loss: 'loss', wrt })]));
});

test('pure, and done once', () => {
  const graph = small((b) => mean(b, b.op('Relu', [b.op('MatMul', ['x', 'w'])])));
  const before = JSON.stringify(graph);
  const pass = differentiate({ loss: 'loss', wrt });
  const after = runPasses(graph, [pass]);
  assert.is(JSON.stringify(graph), before);
  assert.is(runPasses(after, [pass]), after);
  assert.equal(runPasses(graph, [pass]), after);
});

test('a whole head: the loss moves along random directions as the gradients say', async () => {
  const { graph, parameters } = convHead();
  const values = new Map([['x', signed(4 * 3 * 81, 77)]]);
  for (const optimization of ['all', 'disabled'] as const) {
    const after = runPasses(graph, [
      trainingForm({ seed: 1 }),
      differentiate({ loss: 'loss', wrt: parameters }),
    ]);
    const isParameter = (name: string) => parameters.includes(name);
    const open: Graph = {
      ...after,
      initializers: after.initializers.filter((t) => !isParameter(t.name)),
      inputs: [
        ...after.inputs,
        ...after.initializers
          .filter((t) => isParameter(t.name))
          .map((t) => ({ name: t.name, type: { dataType: 'float', dims: t.dims } as const })),
      ],
    };
    const start = new Map(
      graph.initializers.filter((t) => isParameter(t.name)).map((t) => [t.name, toFloat32Array(t)]),
    );
    await withSession(makeModel(open), { threads: 1, optimization }, async (session) => {
      const run = (changed: [string, Float32Array][] = []) =>
        session.run(feedsOf(open, new Map([...values, ...start, ...changed])));
      const base = await run();
      for (const name of parameters) {
        const u = signed(start.get(name)!.length, 31);
        const at = async (step: number) => {
          const out = await run([[name, start.get(name)!.map((v, i) => v + step * u[i]!)]]);
          return out.loss!.data[0] as number;
        };
        const h = 0.004;
        const numeric =
          (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h);
        const analytic = dot(base[`grad/${name}`]!.data as Float32Array, u);
        assert.ok(
          Math.abs(numeric - analytic) < 3e-3 * Math.abs(analytic) + 3e-4,
          `${name}: ${numeric} for ${analytic}`,
        );
      }
    });
  }
});

test.run();
