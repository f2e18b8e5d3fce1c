/**
 * Milliseconds of a training step of a strided head, and which ops they go to: `node --import tsx bench/train-step.ts`.
 * CPU time (both threads added up) is the figure to compare on a machine that is busy with other things.
 */
import * as ort from 'onnxruntime-node';
import { differentiate } from '../src/autodiff/differentiate.ts';
import { adamw, biasCorrection, packParameters } from '../src/autodiff/optimizer.ts';
import { enterRows, leaveRows } from '../src/autodiff/rows-form.ts';
import { trainingForm } from '../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { countMacs } from '../src/graph/infer.ts';
import { elementCount, floatTensor } from '../src/graph/tensor.ts';
import type { Graph } from '../src/graph/types.ts';
import { toOrtOptions } from '../src/ort/session.ts';
import { serializeModel } from '../src/parser/index.ts';
import { runPasses } from '../src/passes/pass.ts';
import { profiled } from './profile.ts';

const BATCH = 256;
const CLASSES = 10;
const STEPS = 40;

/** features [N, 16, 32, 32] → three strided convolutions → one more → pool → classifier; cross-entropy. */
function stridedHead(): { graph: Graph; parameters: string[] } {
  const b = new GraphBuilder();
  const parameters: string[] = [];
  let seed = 1;
  const noise = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  };
  const parameter = (name: string, dims: number[], scale: number, centre = 0) => {
    parameters.push(name);
    const values = Array.from({ length: elementCount(dims) }, () => centre + scale * noise());
    return b.initializer(floatTensor(name, dims, values));
  };
  const constant = (name: string, size: number, value: number) =>
    b.initializer(floatTensor(name, [size], new Array<number>(size).fill(value)));
  let x = b.input('features', 'float', [BATCH, 16, 32, 32]);
  const plan = [[16, 32, 2], [32, 64, 2], [64, 128, 2], [128, 128, 1]] as const; // biome-ignore format: a table
  plan.forEach(([from, to, stride], i) => {
    const weight = parameter(`w${i}`, [to, from, 3, 3], Math.sqrt(6 / (9 * from)));
    const spatial = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride, stride] };
    const norm = [
      b.op('Conv', [x, weight], spatial),
      parameter(`s${i}`, [to], 0, 1),
      parameter(`b${i}`, [to], 0),
      constant(`m${i}`, to, 0),
      constant(`v${i}`, to, 1),
    ];
    x = b.op('Relu', [b.op('BatchNormalization', norm)]);
  });
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
  const logits = b.op('Gemm', [pooled, parameter('fc', [CLASSES, 128], 0.1), parameter('fb', [CLASSES], 0)], {
    transB: 1,
  });
  const target = b.input('target', 'float', [BATCH, CLASSES]);
  const likelihood = b.op('Mul', [b.op('LogSoftmax', [logits]), target]);
  const perSample = b.op('ReduceSum', [likelihood, b.int64([1])], { keepdims: 0 });
  b.op('Neg', [b.op('ReduceMean', [perSample], { keepdims: 0 })], {}, 'loss');
  b.output('loss', 'float', []);
  return { graph: b.build('strided'), parameters };
}

const { graph, parameters } = stridedHead();
const step = runPasses(graph, [
  trainingForm({ seed: 1 }),
  enterRows,
  differentiate({ loss: 'loss', wrt: parameters }),
  leaveRows,
  adamw({ parameters: parameters.map((name) => ({ name, decay: /^(w|fc)/.test(name) })) }),
]);
console.log(
  `${step.nodes.length} nodes, ${(countMacs(step) / 1e6).toFixed(0)} M MACs a step, batch ${BATCH}`,
);

const bytes = serializeModel(makeModel(step));

function makeFeeds(): Record<string, ort.Tensor> {
  const packed = packParameters(graph, parameters);
  const feeds: Record<string, ort.Tensor> = {};
  for (const { name, type } of step.inputs) {
    const dims = type!.dims as number[];
    const n = elementCount(dims);
    const data = new Float32Array(n);
    if (name === 'features') for (let i = 0; i < n; i++) data[i] = Math.sin(i * 12.9898) * 2;
    if (name === 'target') for (let i = 0; i < BATCH; i++) data[i * CLASSES + (i % CLASSES)] = 1;
    if (name === 'parameters') data.set(packed);
    if (/^v\d$/.test(name)) data.fill(1);
    if (name === 'learning_rate') data[0] = 1e-3;
    feeds[name] = new ort.Tensor('float32', data, dims);
  }
  return feeds;
}

interface Times {
  readonly wall: number[];
  readonly cpu: number[];
}

async function train(session: ort.InferenceSession, steps: number): Promise<Times> {
  let feeds = makeFeeds();
  const times: Times = { wall: [], cpu: [] };
  for (let i = 1; i <= steps; i++) {
    feeds.bias_correction = new ort.Tensor('float32', biasCorrection(i), [2]);
    const [start, used] = [performance.now(), process.cpuUsage()];
    const out = await session.run(feeds);
    const { user, system } = process.cpuUsage(used);
    times.wall.push(performance.now() - start);
    times.cpu.push((user + system) / 1000);
    const next = Object.keys(out).filter((n) => n.startsWith('next/'));
    feeds = { ...feeds, ...Object.fromEntries(next.map((n) => [n.slice(5), out[n]!])) };
    if (i === 1 || i === steps) console.log(`step ${i}: loss ${(out.loss!.data[0] as number).toFixed(4)}`);
  }
  return times;
}

const options = toOrtOptions({ threads: 2 });
const plain = await ort.InferenceSession.create(bytes, options);
const times = await train(plain, STEPS);
await plain.release();
for (const [kind, list] of Object.entries(times) as [string, number[]][]) {
  list.sort((a, b) => a - b);
  console.log(`${kind}: min ${list[0]!.toFixed(1)} ms, median ${list[STEPS >> 1]!.toFixed(1)} ms a step`);
}

const { byOp, byNode } = await profiled(async () => {
  const session = await ort.InferenceSession.create(bytes, options);
  await train(session, STEPS);
  await session.release();
});
show(byOp, 14);
console.log();
show(byNode, 40);

function show(times: ReadonlyMap<string, number>, count: number) {
  for (const [key, ms] of [...times].sort((a, b) => b[1] - a[1]).slice(0, count))
    console.log(ms.toFixed(2).padStart(8), key);
}
