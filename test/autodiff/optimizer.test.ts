import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import {
  adamw,
  biasCorrection,
  packParameters,
  sgd,
  unpackParameters,
} from '../../src/autodiff/optimizer.ts';
import { trainingForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { Session } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { convHead, feedsOf, signed } from './check-gradient.ts';

const test = suite('optimizer');

const NAMES = ['w', 'b'];
const PARAMETERS = [
  { name: 'w', decay: true },
  { name: 'b', decay: false },
];

/** loss = mean((x·w + b)²), x [8, 5], w [5, 3], b [3]. */
function regression(): Graph {
  const b = new GraphBuilder();
  b.input('x', 'float', [8, 5]);
  b.initializer(floatTensor('w', [5, 3], signed(15, 1)));
  b.initializer(floatTensor('b', [3], signed(3, 2)));
  const y = b.op('Gemm', ['x', 'w', 'b']);
  b.op('ReduceMean', [b.op('Mul', [y, y])], { keepdims: 0 }, 'loss');
  b.output('loss', 'float', []);
  return b.build('regression');
}

const withGradients = () => runPasses(regression(), [differentiate({ loss: 'loss', wrt: NAMES })]);
const training = (weightDecay = 0.1) =>
  runPasses(withGradients(), [adamw({ parameters: PARAMETERS, weightDecay })]);

/** Parameters after each of `steps` steps. */
async function train(
  graph: Graph,
  start: Float32Array,
  rates: readonly number[],
  inputs: Map<string, Float32Array>,
  threads = 1,
) {
  const session = await Session.open(makeModel(graph), { threads });
  const state = new Map([['parameters', start]]);
  const history: { parameters: Float32Array; norm: number }[] = [];
  for (const [i, rate] of rates.entries()) {
    const scalars = new Map([
      ['learning_rate', Float32Array.of(rate)],
      ['bias_correction', biasCorrection(i + 1)],
    ]);
    const out = await session.run(feedsOf(graph, new Map([...inputs, ...state, ...scalars])));
    for (const [name, tensor] of Object.entries(out)) {
      if (name.startsWith('next/')) state.set(name.slice(5), Float32Array.from(tensor.data as Float32Array));
    }
    history.push({ parameters: state.get('parameters')!, norm: out.gradient_norm!.data[0] as number });
  }
  await session.release();
  return history;
}

const x = new Map([['x', signed(40, 3)]]);

/** The gradient of `regression`, in double. */
function gradient(theta: readonly number[]): number[] {
  const xs = x.get('x')!;
  const g = new Array<number>(18).fill(0);
  for (let n = 0; n < 8; n++) {
    for (let j = 0; j < 3; j++) {
      let y = theta[15 + j]!;
      for (let k = 0; k < 5; k++) y += xs[5 * n + k]! * theta[3 * k + j]!;
      for (let k = 0; k < 5; k++) g[3 * k + j]! += (2 * y * xs[5 * n + k]!) / 24;
      g[15 + j]! += (2 * y) / 24;
    }
  }
  return g;
}

test('five steps equal AdamW written out', async () => {
  const rates = [0.1, 0.05, 0.2, 0.1, 0.01];
  const start = packParameters(regression(), NAMES);
  const history = await train(training(), start, rates, x);
  const theta = [...start];
  const m = theta.map(() => 0);
  const v = theta.map(() => 0);
  rates.forEach((rate, i) => {
    const g = gradient(theta);
    theta.forEach((p, k) => {
      m[k] = 0.9 * m[k]! + 0.1 * g[k]!;
      v[k] = 0.999 * v[k]! + 0.001 * g[k]! ** 2;
      const adam = m[k]! / (1 - 0.9 ** (i + 1)) / (Math.sqrt(v[k]! / (1 - 0.999 ** (i + 1))) + 1e-8);
      theta[k] = p - rate * (adam + (k < 15 ? 0.1 * p : 0));
    });
    const { parameters, norm } = history[i]!;
    theta.forEach((p, k) => {
      assert.ok(
        Math.abs(parameters[k]! - p) < 2e-5,
        `step ${i + 1}, element ${k}: ${parameters[k]} for ${p}`,
      );
    });
    const expected = Math.hypot(...g);
    assert.ok(Math.abs(norm - expected) < 1e-4 * expected);
  });
});

test('five steps of Nesterov’s momentum equal PyTorch’s formula written out', async () => {
  const rates = [0.1, 0.05, 0.2, 0.1, 0.01];
  const graph = runPasses(withGradients(), [sgd({ parameters: PARAMETERS, weightDecay: 0.1 })]);
  const history = await train(graph, packParameters(regression(), NAMES), rates, x);
  const theta = [...packParameters(regression(), NAMES)];
  const velocity = theta.map(() => 0);
  rates.forEach((rate, i) => {
    const g = gradient(theta).map((d, k) => d + (k < 15 ? 0.1 * theta[k]! : 0));
    theta.forEach((p, k) => {
      velocity[k] = 0.9 * velocity[k]! + g[k]!;
      theta[k] = p - rate * (g[k]! + 0.9 * velocity[k]!);
    });
    const { parameters } = history[i]!;
    theta.forEach((p, k) => {
      assert.ok(
        Math.abs(parameters[k]! - p) < 2e-6 * Math.max(1, Math.abs(p)),
        `step ${i + 1}, element ${k}: ${parameters[k]} for ${p}`,
      );
    });
  });
  assert.equal(
    graph.inputs.map((v) => `${v.name} [${v.type!.dims}]`),
    ['x [8,5]', 'parameters [18]', 'learning_rate []', 'momentum [18]'],
  );
});

test('the norm tells when something diverged', async () => {
  const history = await train(training(), new Float32Array(18).fill(NaN), [0.1], x);
  assert.ok(Number.isNaN(history[0]!.norm));
});

test('twenty steps on two threads give the same bytes again, Dropout and all', async () => {
  const { graph, parameters } = convHead(0.3);
  const step = runPasses(graph, [
    trainingForm({ seed: 5 }),
    differentiate({ loss: 'loss', wrt: parameters }),
    adamw({ parameters: parameters.map((name) => ({ name, decay: name.endsWith('weight') })) }),
  ]);
  const inputs = new Map([['x', signed(4 * 3 * 81, 9)]]);
  const rates = new Array<number>(20).fill(0.01);
  const bytes = async () => {
    const history = await train(step, packParameters(graph, parameters), rates, inputs, 2);
    return Buffer.from(history.at(-1)!.parameters.buffer).toString('hex');
  };
  assert.is(await bytes(), await bytes());
});

test('inputs and outputs', () => {
  const graph = training();
  assert.equal(
    graph.inputs.map((v) => `${v.name} [${v.type!.dims}]`),
    ['x [8,5]', 'parameters [18]', 'learning_rate []', 'bias_correction [2]', 'adam_m [18]', 'adam_v [18]'],
  );
  const outputs = ['loss', 'next/parameters', 'next/adam_m', 'next/adam_v', 'gradient_norm'];
  assert.equal(
    graph.outputs.map((v) => v.name),
    outputs,
  );
  assert.not(graph.initializers.some((t) => NAMES.includes(t.name)));
});

test('packing goes both ways', () => {
  const graph = regression();
  const packed = packParameters(graph, NAMES);
  assert.equal(unpackParameters(graph, NAMES, packed), graph);
  const doubled = unpackParameters(
    graph,
    NAMES,
    packed.map((v) => 2 * v),
  );
  assert.equal(
    packParameters(doubled, ['b']),
    signed(3, 2).map((v) => 2 * v),
  );
  const refused = (e: { code: string }) => e.code === 'not-a-parameter';
  assert.throws(() => packParameters(graph, ['nobody']), refused);
  assert.throws(() => unpackParameters(graph, NAMES, new Float32Array(17)), refused);
});

test('pure, done once, and refuses parameters without gradients', () => {
  const graph = withGradients();
  const before = JSON.stringify(graph);
  const pass = adamw({ parameters: PARAMETERS });
  const after = runPasses(graph, [pass]);
  assert.is(JSON.stringify(graph), before);
  assert.is(runPasses(after, [pass]), after);
  assert.throws(
    () => runPasses(regression(), [pass]),
    (e: { code: string }) => e.code === 'not-a-parameter',
  );
});

test.run();
