/** Maps in the blocked layout have the losses and gradients that plain maps have, and those that differences show. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { enterBlocked, leaveBlocked } from '../../src/autodiff/blocked-form.ts';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import { trainingForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { elementCount, floatTensor, toFloat32Array } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { blockedChannels } from '../../src/ort/blocked-layout.ts';
import { Session, Tensor, withSession } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { signed } from './check-gradient.ts';

const test = suite('autodiff: blocked form');
/** Undefined where the processor has no blocked layout: what needs one is skipped there, and counted as skipped. */
const block = (await blockedChannels())!;
const inBlocks = block ? test : test.skip;
const BATCH = 16;
const SIDE = 8;

/** A small residual network of three channels in, with a convolution of every kind that students have, and a loss. */
function network(): { readonly graph: Graph; readonly weights: readonly string[] } {
  const b = new GraphBuilder();
  const weights: string[] = [];
  const weight = (name: string, ...dims: number[]) => {
    weights.push(name);
    const scale = Math.sqrt(3 / elementCount(dims.slice(1)));
    const values = signed(elementCount(dims), weights.length).map((v) => v * (dims.length > 1 ? scale : 1));
    return b.initializer(floatTensor(name, dims, values));
  };
  const constant = (name: string, size: number, value: number) =>
    b.initializer(floatTensor(name, [size], new Float32Array(size).fill(value)));
  let count = 0;
  const convolved = (x: string, from: number, to: number, kernel: number, stride: number) => {
    const name = `conv${++count}`;
    const pad = kernel >> 1;
    const y = b.op('Conv', [x, weight(`${name}/weight`, to, from, kernel, kernel)], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
    const own = [weight(`${name}/scale`, to), weight(`${name}/bias`, to)];
    const running = [constant(`${name}/mean`, to, 0), constant(`${name}/var`, to, 1)];
    return b.op('BatchNormalization', [y, ...own, ...running], { epsilon: 1e-3 });
  };
  let x = b.op('Relu', [convolved(b.input('x', 'float', [BATCH, 3, SIDE, SIDE]), 3, 16, 3, 1)]);
  const inner = convolved(b.op('Relu', [convolved(x, 16, 32, 3, 2)]), 32, 32, 3, 1);
  x = b.op('Relu', [b.op('Add', [inner, convolved(x, 16, 32, 1, 2)])]);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [x])], { axis: 1 });
  const scores = b.op('MatMul', [pooled, weight('linear/weight', 32, 4)]);
  const target = b.op('Mul', [b.op('Tanh', [scores]), b.float(Array.from(signed(4, 99)))]);
  b.op('ReduceMean', [b.op('ReduceSum', [target, b.int64([1])], { keepdims: 0 })], { keepdims: 0 }, 'loss');
  b.output('loss', 'float', []);
  return { graph: b.build('network'), weights };
}

const image = () => new Tensor('float32', signed(BATCH * 3 * SIDE * SIDE, 5), [BATCH, 3, SIDE, SIDE]);

/** Values of the inputs that `graph` has beside the picture: what its initializers were. */
const stateOf = (graph: Graph, of: Graph) =>
  Object.fromEntries(
    of.inputs
      .filter(({ name }) => name !== 'x')
      .map(({ name }) => {
        const tensor = graph.initializers.find((t) => t.name === name)!;
        return [name, new Tensor('float32', Float32Array.from(toFloat32Array(tensor)), [...tensor.dims])];
      }),
  );

const run = (graph: Graph, of: Graph) =>
  withSession(makeModel(of), { threads: 1 }, (session) => session.run({ x: image(), ...stateOf(graph, of) }));

inBlocks('gives the losses, gradients and statistics of plain maps', async () => {
  const { graph, weights } = network();
  const training = trainingForm({ seed: 1 });
  const gradients = differentiate({ loss: 'loss', wrt: weights });
  const plain = runPasses(graph, [training, gradients]);
  const blocked = runPasses(graph, [training, enterBlocked(block), gradients, leaveBlocked]);
  assert.ok(blocked.nodes.filter(({ domain }) => domain === 'com.microsoft.nchwc').length > 8);
  const [a, b] = [await run(graph, plain), await run(graph, blocked)];
  assert.equal(Object.keys(b).sort(), Object.keys(a).sort());
  for (const [name, { data }] of Object.entries(a)) {
    const [left, right] = [data as Float32Array, b[name]!.data as Float32Array];
    const size = Math.hypot(...left);
    const apart = Math.hypot(...left.map((v, i) => v - right[i]!));
    assert.ok(apart <= 1e-5 * size + 1e-7, `${name}: ${apart} of ${size}`);
  }
});

inBlocks('its gradients are those that differences show', async () => {
  const { graph, weights } = network();
  const training = trainingForm({ seed: 1 });
  const step = runPasses(graph, [
    training,
    enterBlocked(block),
    differentiate({ loss: 'loss', wrt: weights }),
    leaveBlocked,
  ]);
  const slopes = await run(graph, step);
  const moving = withInputs(runPasses(graph, [training]), weights);
  const losses = await Session.open(makeModel(moving), { threads: 1 });
  try {
    for (const [i, name] of weights.entries()) {
      const tensor = graph.initializers.find((t) => t.name === name)!;
      const direction = signed(elementCount(tensor.dims), 50 + i);
      const lossAt = async (way: number) => {
        const moved = Float32Array.from(toFloat32Array(tensor), (v, k) => v + way * direction[k]!);
        const all = {
          ...stateOf(graph, moving),
          [name]: new Tensor('float32', moved, [...tensor.dims]),
        };
        const { loss } = await losses.run({ x: image(), ...all });
        return (loss!.data as Float32Array)[0]!;
      };
      const epsilon = 2e-3;
      const shown = ((await lossAt(epsilon)) - (await lossAt(-epsilon))) / (2 * epsilon);
      const gradient = slopes[`grad/${name}`]!.data as Float32Array;
      const ruled = gradient.reduce((sum, g, k) => sum + g * direction[k]!, 0);
      const size = Math.hypot(...gradient) * Math.hypot(...direction);
      assert.ok(Math.abs(shown - ruled) <= 0.02 * size + 2e-4, `${name}: ${shown} is not ${ruled}`);
    }
  } finally {
    await losses.release();
  }
});

/** `graph` with its weights as inputs. */
const withInputs = (graph: Graph, weights: readonly string[]): Graph => ({
  ...graph,
  initializers: graph.initializers.filter(({ name }) => !weights.includes(name)),
  inputs: [
    ...graph.inputs,
    ...graph.initializers
      .filter(({ name }) => weights.includes(name))
      .map(({ name, dims }) => ({ name, type: { dataType: 'float' as const, dims: [...dims] } })),
  ],
});

test('what has no place in blocks stays as it is', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', [6, 5, 4, 4]);
  const w = b.initializer(floatTensor('w', [7, 5, 3, 3], signed(315, 1)));
  b.op('Conv', [x, w], { kernel_shape: [3, 3] }, 'y');
  b.output('y', 'float', [6, 7, 2, 2]);
  const graph = b.build('odd');
  assert.is(runPasses(graph, [enterBlocked(16)]), graph);
});

test.run();
