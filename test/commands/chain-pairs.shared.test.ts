/** Chains of networks from different exporters, in different opsets and layouts, each with a preprocessing of its own. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InputSpec, PreprocessingOptions } from '../../src/data/index.ts';
import { withSession } from '../../src/ort/session.ts';
import { parseModel } from '../../src/parser/index.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { runEmitted, runScores } from '../../src/predict/run-emitted.ts';
import { runCli } from '../cli-in-process.ts';
import { freshFolder, openFor, put, putIdx } from '../data/fixtures.ts';
import { sharedData } from '../shared.ts';
import { manifestIn } from '../timeless.ts';

const test = suite('chains of foreign networks');
const folder = freshFolder();
test.after(() => rmSync(folder, { recursive: true, force: true }));
const cache = join(folder, 'cache');

/** 30 digits of each class. The file is sorted by class, so every 33rd is taken. */
const digits = (() => {
  const read = (file: string) => gunzipSync(readFileSync(sharedData('mnist', file)));
  const images = read('t10k-images-idx3-ubyte.gz').subarray(16);
  const labels = read('t10k-labels-idx1-ubyte.gz').subarray(8);
  const taken = Array.from({ length: 300 }, (_, i) => i * 33);
  const pixels = Buffer.concat(taken.map((i) => images.subarray(784 * i, 784 * (i + 1))));
  return putIdx(
    folder,
    [300, 28, 28],
    pixels,
    Uint8Array.from(taken, (i) => labels[i]!),
  );
})();

/** 20 pictures of each class. */
const pictures = (() => {
  const archive = sharedData('cifar10', 'calibration.tar.gz');
  const names = execFileSync('tar', ['tzf', archive]).toString().split('\n');
  const files = names.filter((name) => name.endsWith('.webp')).sort();
  execFileSync('tar', ['xzf', archive, '-C', folder, ...files.filter((_, i) => i % 15 === 0)]);
  return join(folder, 'calibration');
})();

const text = (file: string) => sharedData('text', 'sst2', file);
const sentences = put(
  join(folder, 'sentences.jsonl'),
  readFileSync(text('calibration.jsonl'), 'utf8').split('\n').slice(0, 120).join('\n'),
);
const CIFAR = { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201], scale: 255 };
const ROOT = { preset: 'imagenet' } as const;

interface Side {
  readonly model: string;
  readonly numbers?: PreprocessingOptions;
  /** Its input, of one sample. */
  readonly input?: Omit<InputSpec, 'dataType'>;
  readonly output: string;
}

const model = (file: string) => sharedData('models', file);
const picture = (name: string) => ({ name, dims: [3, 32, 32] });
const resnet8: Side = {
  model: model('resnet8_mlperf.onnx'),
  numbers: { preset: 'none' },
  input: { name: 'input_1', dims: [32, 32, 3] },
  output: 'dense',
};
const mnist8: Side = {
  model: model('mnist-8.onnx'),
  numbers: { preset: 'none' },
  input: { name: 'Input3', dims: [1, 28, 28] },
  output: 'Plus214_Output_0',
};
const burn: Side = {
  model: model('burn_mnist.onnx'),
  numbers: { preset: 'mnist' },
  input: { name: 'input.1', dims: [1, 28, 28] },
  output: '33',
};
const biasfield: Side = {
  model: model('cifar_biasfield_base.onnx'),
  numbers: CIFAR,
  input: picture('x'),
  output: '32',
};
const vit: Side = {
  model: model('vit_ibp_3_3_8.onnx'),
  numbers: CIFAR,
  input: picture('input'),
  output: 'output',
};
const resnet20: Side = {
  model: model('resnet20.onnx'),
  numbers: ROOT,
  input: picture('input'),
  output: 'logits',
};

interface Pair {
  readonly told: string;
  readonly first: Side;
  readonly original: Side;
  readonly data: string;
  readonly words?: readonly string[];
  readonly opset: number;
  readonly batch: 'dynamic' | 'fixed';
}

const PAIRS: readonly Pair[] = [
  {
    told: 'CNTK, opset 8 → PyTorch, fixed batch; pixels as they are → mean and std',
    first: mnist8,
    original: burn,
    data: digits,
    opset: 16,
    batch: 'fixed',
  },
  {
    told: 'Keras NHWC with a softmax → PyTorch NCHW',
    first: resnet8,
    original: resnet20,
    data: pictures,
    opset: 17,
    batch: 'dynamic',
  },
  {
    told: 'PyTorch NCHW, opset 9 → Keras NHWC',
    first: vit,
    original: resnet8,
    data: pictures,
    opset: 13,
    batch: 'dynamic',
  },
  {
    told: 'PyTorch, opset 9, fixed batch → a DenseNet, opset 13, any batch',
    first: biasfield,
    original: {
      model: model('densenet40.onnx'),
      numbers: { preset: 'none' },
      input: picture('image'),
      output: 'probabilities',
    },
    data: pictures,
    opset: 13,
    batch: 'dynamic',
  },
  {
    told: 'tf2onnx NHWC, any batch → PyTorch, fixed batch; both opset 9',
    first: {
      model: model('marabou-cifar10_cifar10_large.onnx'),
      numbers: { preset: 'unit' },
      input: { name: 'x:0', dims: [32, 32, 3] },
      output: 'Identity:0',
    },
    original: biasfield,
    data: pictures,
    opset: 12,
    batch: 'fixed',
  },
  {
    told: 'two text encoders that share a tokenizer',
    first: { model: text('encoder.onnx'), output: 'logits' },
    original: { model: text('encoder_strong.onnx'), output: 'logits' },
    data: sentences,
    words: ['--tokenizer', text('tokenizer.json')],
    opset: 17,
    batch: 'dynamic',
  },
];

/** How `side` is fed, as flags that begin with `prefix`. */
const flags = (prefix: string, { numbers = {} }: Side) =>
  Object.entries(numbers).flatMap(([name, value]) => [`--${prefix}${name}`, `${value}`]);

/** What `side` says by itself, of pictures made for it. */
async function scoresAlone(
  { model, numbers, input, output }: Side,
  data: string,
  inputs: readonly InputSpec[],
) {
  const specs = input ? [{ ...input, dataType: 'float' } as const] : inputs;
  const options = { classes: input ? 10 : 2, cache, ...(!input && { tokenizer: text('tokenizer.json') }) };
  const dataset = await openFor(data, specs, options, numbers);
  const parsed = parseModel(readFileSync(model));
  const scores = await withSession(parsed, { threads: 1 }, (session) =>
    runScores({ session, dataset, output, thresholds: undefined, batch: 1 }),
  );
  return { scores, dataset };
}

for (const { told, first, original, data, words = [], opset, batch } of PAIRS) {
  test(told, async () => {
    const out = join(folder, 'out');
    const { status, stderr } = await runCli(folder, [
      ...[
        'compile',
        original.model,
        '--first',
        first.model,
        ...flags('', original),
        ...flags('first-', first),
      ],
      ...[
        '--calibration',
        data,
        ...words,
        '--policy',
        'max-prob',
        '--keep-all',
        '--no-timing',
        '--no-report',
      ],
      ...['--cache', cache, '--out', out, '--force'],
    ]);
    assert.is(status, 0, stderr);
    assert.match(stderr, /Verified: /);
    const manifest = manifestIn(out);
    assert.equal([manifest.model?.opset, manifest.batch], [opset, batch]);
    assert.equal(
      manifest.networks!.map(({ file }) => file),
      [first, original].map(({ model }) => model.split('/').at(-1)),
    );

    const inputs = manifest.inputs.map(({ name, dataType, dims }) => ({
      name,
      dataType,
      dims: dims.slice(1),
    }));
    const alone = await scoresAlone(original, data, inputs as InputSpec[]);
    const before = await scoresAlone(first, data, inputs as InputSpec[]);
    const { dataset } = alone;
    const rightOf = (scores: Float32Array) =>
      argMaxRows(scores, dataset.size).filter((answer, i) => answer === dataset.labels[i]).length;
    assert.is(manifest.networks![0]!.accuracy, rightOf(before.scores) / dataset.size);
    assert.is(manifest.baseline.accuracy, rightOf(alone.scores) / dataset.size);

    const emitted = parseModel(readFileSync(join(out, 'model.onnx')));
    await withSession(emitted, { threads: 1 }, async (session) => {
      const run = { session, dataset, output: manifest.outputs.scores, batch: 1 };
      const exact = await runEmitted({ ...run, thresholds: [1] });
      assert.ok(exact.exits.every((exit) => exit === 1));
      const largest = alone.scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
      const off = exact.scores.reduce(
        (most, score, i) => Math.max(most, Math.abs(score - alone.scores[i]!)),
        0,
      );
      assert.ok(off <= 1e-6 * largest, `exact is ${off} off, of ${largest}`);
      const early = await runEmitted({ ...run, thresholds: [-1] });
      assert.ok(early.exits.every((exit) => exit === 0));
      const [own, inside] = [argMaxRows(before.scores, dataset.size), argMaxRows(early.scores, dataset.size)];
      assert.equal(inside, own);
    });
    await before.dataset.close();
    await dataset.close();
  });
}

test.run();
