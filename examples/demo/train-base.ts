/**
 * Trains the demo's base model, examples/demo/base.onnx, with the compiler's own training graphs: a residual network of
 * seven blocks (He et al. 2016, sections 3.3 and 4.2) on pictures drawn by shapes.ts, fresh ones every epoch.
 *
 *   npx tsx examples/demo/train-base.ts [epochs]
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { bindDims, countMacs } from '../../src/graph/infer.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { LOSS } from '../../src/train/losses.ts';
import { oneCycle } from '../../src/train/recipes.ts';
import { Stepper } from '../../src/train/stepper.ts';
import { CLASSES, drawSamples, type Samples, SIDE } from './shapes.ts';

const SEED = 7;
const BATCH = 64;
const EPOCH_SAMPLES = 5_120;
const LEARNING_RATE = 4e-3;
const WEIGHT_DECAY = 0.02;
const STAGES = [
  { channels: 16, blocks: 3 },
  { channels: 32, blocks: 3 },
  { channels: 48, blocks: 1 },
];

/** Input `input` [N, 3, 32, 32] in [0, 1], output `logits` [N, 10]. */
function buildNetwork(): Graph {
  const b = new GraphBuilder();
  let state = SEED;
  const normal = (name: string, dims: readonly number[], deviation: number) => {
    const values = Float32Array.from({ length: elementCount(dims) }, () => {
      let sum = -2;
      for (let i = 0; i < 4; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        sum += state / 2 ** 32;
      }
      return sum * Math.sqrt(3) * deviation;
    });
    return b.initializer(floatTensor(name, dims, values));
  };
  const convolve = (name: string, map: string, from: number, to: number, side: number, stride: number) => {
    const weight = normal(`${name}/weight`, [to, from, side, side], Math.sqrt(2 / (side * side * from)));
    const pad = (side - 1) / 2;
    const attributes = {
      kernel_shape: [side, side],
      pads: [pad, pad, pad, pad],
      strides: [stride, stride],
    };
    const conv = b.op('Conv', [map, weight], attributes, `${name}/conv`);
    const constant = (part: string, value: number) =>
      b.initializer(floatTensor(`${name}/${part}`, [to], new Float32Array(to).fill(value)));
    const norm = [constant('scale', 1), constant('bias', 0), constant('mean', 0), constant('var', 1)];
    return b.op('BatchNormalization', [conv, ...norm], { epsilon: 1e-5 }, `${name}/norm`);
  };

  let map = b.op('Relu', [convolve('stem', b.input('input', 'float', ['N', 3, SIDE, SIDE]), 3, 16, 3, 1)]);
  let channels = 16;
  STAGES.forEach((stage, s) => {
    for (let k = 0; k < stage.blocks; k++) {
      const name = `stage${s + 1}/block${k + 1}`;
      const stride = s > 0 && k === 0 ? 2 : 1;
      const to = stage.channels;
      const hidden = b.op(
        'Relu',
        [convolve(`${name}/a`, map, channels, to, 3, stride)],
        {},
        `${name}/a/relu`,
      );
      const residual = convolve(`${name}/b`, hidden, to, to, 3, 1);
      const shortcut = stride === 1 ? map : convolve(`${name}/shortcut`, map, channels, to, 1, stride);
      map = b.op('Relu', [b.op('Add', [residual, shortcut], {}, `${name}/add`)], {}, `${name}/relu`);
      channels = to;
    }
  });
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [map])], { axis: 1 });
  const weight = normal('classifier/weight', [CLASSES.length, channels], Math.sqrt(1 / channels));
  const bias = b.initializer(
    floatTensor('classifier/bias', [CLASSES.length], new Float32Array(CLASSES.length)),
  );
  b.op('Gemm', [pooled, weight, bias], { transB: 1 }, 'logits');
  b.output('logits', 'float', ['N', CLASSES.length]);
  return b.build('shapes');
}

/** Adds input `targets` [N, 10], rows of 0 and 1, and output `loss`: mean cross-entropy. */
function withLoss(network: Graph): Graph {
  const b = new GraphBuilder('loss/');
  const targets = b.input('targets', 'float', ['N', CLASSES.length]);
  const likelihood = b.op('Mul', [targets, b.op('LogSoftmax', ['logits'], { axis: 1 })]);
  const mean = b.op('ReduceMean', [likelihood], { axes: [0, 1], keepdims: 0 });
  b.op('Mul', [mean, b.float(-CLASSES.length)], {}, LOSS);
  b.output(LOSS, 'float', []);
  return {
    ...network,
    nodes: [...network.nodes, ...b.nodes],
    initializers: [...network.initializers, ...b.initializers],
    inputs: [...network.inputs, ...b.inputs],
    outputs: [...network.outputs, ...b.outputs],
  };
}

/** Samples `from` … `from + count` as the network's input, [count, 3, 32, 32] in [0, 1]. */
function inputOf({ pixels }: Samples, from: number, count: number): Tensor {
  const area = SIDE * SIDE;
  const data = new Float32Array(count * 3 * area);
  for (let n = 0; n < count; n++) {
    for (let c = 0; c < 3; c++) {
      for (let p = 0; p < area; p++)
        data[(n * 3 + c) * area + p] = pixels[((from + n) * area + p) * 3 + c]! / 255;
    }
  }
  return new Tensor('float32', data, [count, 3, SIDE, SIDE]);
}

function targetsOf({ labels }: Samples, from: number, count: number): Tensor {
  const data = new Float32Array(count * CLASSES.length);
  for (let n = 0; n < count; n++) data[n * CLASSES.length + labels[from + n]!] = 1;
  return new Tensor('float32', data, [count, CLASSES.length]);
}

async function accuracyOf(bytes: Uint8Array, samples: Samples): Promise<number> {
  return await withSession(bytes, {}, async (session) => {
    let right = 0;
    for (let from = 0; from < samples.labels.length; from += BATCH) {
      const count = Math.min(BATCH, samples.labels.length - from);
      const { logits } = await session.run({ input: inputOf(samples, from, count) });
      const scores = logits!.data as Float32Array;
      for (let n = 0; n < count; n++) {
        const row = scores.subarray(n * CLASSES.length, (n + 1) * CLASSES.length);
        if (row.indexOf(Math.max(...row)) === samples.labels[from + n]) right++;
      }
    }
    return right / samples.labels.length;
  });
}

const epochs = Number(process.argv[2] ?? 8);
const network = buildNetwork();
const parameters = network.initializers.reduce((sum, t) => sum + elementCount(t.dims), 0);
console.log(`${parameters} parameters, ${(countMacs(bindDims(network, { N: 1 })) / 1e6).toFixed(1)} M MACs`);

const stepper = await Stepper.open(withLoss(network), {
  batch: BATCH,
  seed: SEED,
  weightDecay: WEIGHT_DECAY,
});
const perEpoch = EPOCH_SAMPLES / BATCH;
for (let epoch = 0; epoch < epochs; epoch++) {
  const started = Date.now();
  const samples = drawSamples(EPOCH_SAMPLES, 1000 + epoch);
  let loss = 0;
  // Classes take turns in the drawing, so every batch holds them in equal parts without shuffling.
  for (let i = 0; i < perEpoch; i++) {
    const feeds = {
      input: inputOf(samples, i * BATCH, BATCH),
      targets: targetsOf(samples, i * BATCH, BATCH),
    };
    const rate = LEARNING_RATE * oneCycle(epoch * perEpoch + i, epochs * perEpoch);
    loss += ((await stepper.step(feeds, rate))[LOSS]!.data as Float32Array)[0]! / perEpoch;
  }
  console.log(`epoch ${epoch + 1}: loss ${loss.toFixed(4)}, ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
const learned = runPasses(stepper.learned(), [inferenceForm]);
await stepper.close();
// `withLoss` and the training state are gone again: only what makes the logits is kept.
const graph = {
  ...learned,
  nodes: learned.nodes.filter((node) => !node.outputs[0]!.startsWith('loss/') && node.outputs[0] !== LOSS),
  initializers: learned.initializers.filter((t) => !t.name.startsWith('loss/')),
  inputs: learned.inputs.filter((v) => v.name === 'input'),
  outputs: learned.outputs.filter((v) => v.name === 'logits'),
};
const bytes = serializeModel({ ...makeModel(graph), producerName: 'offramp-demo' });
const path = fileURLToPath(new URL('base.onnx', import.meta.url));
writeFileSync(path, bytes);
console.log(`${path}: ${bytes.length} bytes`);
console.log(
  `accuracy on 4,000 new pictures: ${(100 * (await accuracyOf(bytes, drawSamples(4000, 99)))).toFixed(2)} %`,
);
