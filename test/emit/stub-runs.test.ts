import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import { align } from '../../src/data/align.ts';
import { convertBytes, PLAIN_VIEW } from '../../src/data/convert.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import { writeOutput } from '../../src/emit/write.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import { DATA_TYPES } from '../../src/graph/types.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { noise } from '../models.ts';
import { SAMPLE } from './sample.ts';

const test = suite('emit: generated packages run');

const WEIGHTS = noise(12 * 3, 7);
const BAKED = [0.7, 0.65];

/**
 * A model with the interface of a compiled one, [batch, 3, 2, 2] → 3 classes: confidence is the mean pixel, a sample
 * takes the first exit whose threshold is below it. With `half`, logits are float16 and have the input `bias` [batch, 3] added.
 */
function pretender({ batch, baked, half }: { batch: 'N' | 1; baked?: boolean; half?: boolean }): Uint8Array {
  const b = new GraphBuilder();
  const pixels = b.input('pixels', 'float', [batch, 3, 2, 2]);
  const thresholds = baked ? b.float(BAKED) : b.input('thresholds', 'float', [2]);
  const flat = b.op('Flatten', [pixels], { axis: 1 });
  const confidence = b.op('ReduceMean', [flat], { axes: [1], keepdims: 0 }, 'exit_confidence');
  const product = b.op('MatMul', [flat, b.initializer(floatTensor('weights', [12, 3], WEIGHTS))]);
  if (half) {
    const sum = b.op('Add', [product, b.input('bias', 'float', [batch, 3])]);
    b.op('Cast', [sum], { to: DATA_TYPES.indexOf('float16') }, 'logits');
  } else b.op('Identity', [product], {}, 'logits');
  const index = (k: number) => b.initializer(int64Tensor(`exit_${k}`, [1], [k]));
  const [first, second, full] = [index(0), index(1), index(2)];
  const fires = (k: string) => b.op('Greater', [confidence, b.op('Gather', [thresholds, k])]);
  b.op('Where', [fires(first), first, b.op('Where', [fires(second), second, full])], {}, 'exit_index');
  b.output('logits', half ? 'float16' : 'float', [batch, 3]);
  b.output('exit_index', 'int64', [batch]);
  b.output('exit_confidence', 'float', [batch]);
  return serializeModel(makeModel(b.build('pretender')));
}

const root = mkdtempSync(join(tmpdir(), 'offramp-stub-'));
test.after(() => rmSync(root, { recursive: true, force: true }));

/** Writes the package of `manifest` with `model` and imports it. */
async function install(name: string, manifest: Manifest, model: Uint8Array): Promise<typeof Pets> {
  const folder = join(root, name);
  await writeOutput(
    folder,
    new Map<string, string | Uint8Array>([...emitPackage(manifest), ['model.onnx', model]]),
  );
  return import(pathToFileURL(join(folder, 'index.js')).href);
}

const pets = install('pets', SAMPLE, pretender({ batch: 'N' }));

async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

/** Samples whose pixels all have one value: their confidence. */
const flat = (...values: number[]) =>
  Float32Array.from({ length: 12 * values.length }, (_, i) => values[Math.floor(i / 12)]!);

function softmax(scores: readonly number[]): number[] {
  const exp = scores.map(Math.exp);
  return exp.map((e) => e / exp.reduce((a, b) => a + b));
}

test('every sample gets the answer, exit and cost that the model and the table say', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const results = await model.classify(flat(0.2, 0.68, 0.9, 0.3), { at: 'balanced' });
  assert.equal(
    results.map((r) => [r.exit, r.exitId, r.relativeCost]),
    [[2, 'full', 1.04], [1, 'exit_2', SAMPLE.exits[1]!.relativeCost], [0, 'exit_1', 0.353], [2, 'full', 1.04]],
  ); // biome-ignore format: a table
  results.forEach((r, n) => {
    const value = [0.2, 0.68, 0.9, 0.3][n]!;
    const scores = [0, 1, 2].map(
      (c) => value * Array.from({ length: 12 }, (_, i) => WEIGHTS[i * 3 + c]!).reduce((a, b) => a + b),
    );
    scores.forEach((s, c) => {
      assert.ok(Math.abs(s - r.scores[c]!) < 1e-5);
    });
    const probabilities = softmax(scores);
    assert.is(r.index, probabilities.indexOf(Math.max(...probabilities)));
    assert.is(r.label, SAMPLE.labels![r.index]);
    assert.ok(Math.abs(r.probability - Math.max(...probabilities)) < 1e-5);
    assert.ok(Math.abs(r.confidence - value) < 1e-6);
  });
  await model.release();
});

test('operating points and thresholds decide; balanced is the default; a closed exit costs nothing', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort, { sessionOptions: { intraOpNumThreads: 1 } });
  const exitOf = async (options?: Pets.ClassifyOptions) => {
    const [r] = await model.classify(flat(0.68), options);
    return [r!.exitId, r!.relativeCost];
  };
  assert.equal(await exitOf({ at: 'fast' }), ['exit_1', 0.353]);
  assert.equal(await exitOf(), ['exit_2', SAMPLE.exits[1]!.relativeCost]);
  assert.equal(await exitOf({ at: 'exact' }), ['full', 1]);
  assert.equal(await exitOf({ thresholds: [1, 0.5] }), ['exit_2', 0.687]);
  assert.equal(await exitOf({ thresholds: [0.999999999, 0.5] }), ['exit_2', 0.687]);
  await model.release();
});

test('tensors, paths and bytes are taken too', async () => {
  const bytes = pretender({ batch: 'N' });
  const { Pets } = await pets;
  const models = await Promise.all([
    Pets.load(ort, { bytes }),
    Pets.load(ort, { path: join(root, 'pets/model.onnx') }),
  ]);
  for (const model of models) {
    const results = await model.classify(new ort.Tensor('float32', flat(0.1, 0.9), [2, 3, 2, 2]));
    assert.equal(
      results.map((r) => r.exit),
      [2, 0],
    );
    await model.release();
  }
});

test('misuse is told clearly', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const wanted = 'input "pixels": float32 [N, 3, 2, 2]';
  assert.is(
    await rejection(model.classify(new Float32Array(13))),
    `${wanted} takes a multiple of 12 elements, got 13`,
  );
  assert.is(
    await rejection(model.classify(new Float32Array(0))),
    `${wanted} takes a multiple of 12 elements, got 0`,
  );
  const wrong = new ort.Tensor('float32', new Float32Array(12), [3, 2, 2]);
  assert.is(await rejection(model.classify(wrong)), `${wanted} expected, got a float32 tensor of [3, 2, 2]`);
  assert.match(await rejection(model.classify(new Float64Array(12) as never)), /float32/);
  const at = (name: string) => rejection(model.classify(flat(1), { at: name as 'fast' }));
  assert.is(await at('quick'), 'no operating point "quick"; there are fast, balanced, exact');
  assert.is(await at('toString'), 'no operating point "toString"; there are fast, balanced, exact');
  const thresholds = 'thresholds: 2 numbers, one an exit, expected';
  assert.is(await rejection(model.classify(flat(1), { thresholds: [0.5] })), `${thresholds}, got [0.5]`);
  assert.is(
    await rejection(model.classify(flat(1), { thresholds: [0.5, Number.NaN] })),
    `${thresholds}, got [0.5, NaN]`,
  );
  await model.release();
  await model.release();
  assert.is(await rejection(model.classify(flat(1))), 'this Pets has been released');
});

test('another model is refused', async () => {
  const { Pets } = await install('another', SAMPLE, pretender({ batch: 'N', baked: true }));
  assert.is(await rejection(Pets.load(ort)), 'this is not the model of Pets: it has no thresholds');
});

test('fixed batch takes exactly one sample', async () => {
  const manifest: Manifest = {
    ...SAMPLE,
    batch: 'fixed',
    inputs: [{ name: 'pixels', dataType: 'float', dims: [1, 3, 2, 2] }],
  };
  const { Pets } = await install('fixed', manifest, pretender({ batch: 1 }));
  const model = await Pets.load(ort);
  assert.equal(
    (await model.classify(flat(0.68))).map((r) => r.exit),
    [1],
  );
  const message = 'input "pixels": float32 [1, 3, 2, 2] takes 12 elements, got 24';
  assert.is(await rejection(model.classify(flat(0.1, 0.2))), message);
  await model.release();
});

test('baked thresholds need no choice', async () => {
  const manifest = { ...SAMPLE, outputs: { ...SAMPLE.outputs, thresholds: null } };
  const { Pets } = await install('baked', manifest, pretender({ batch: 'N', baked: true }));
  const model = await Pets.load(ort);
  assert.equal(
    (await model.classify(flat(0.68, 0.9))).map((r) => r.exit),
    [1, 0],
  );
  assert.equal(Object.keys(model.operatingPoints), ['balanced']);
  await model.release();
});

test('several inputs and float16 scores', async () => {
  const manifest: Manifest = {
    ...SAMPLE,
    inputs: [...SAMPLE.inputs, { name: 'bias', dataType: 'float', dims: ['N', 3] }],
    outputs: { ...SAMPLE.outputs, dataType: 'float16' },
  };
  const { Pets } = await install('half', manifest, pretender({ batch: 'N', half: true }));
  const model = await Pets.load(ort);
  const classify = (bias: Float32Array) => model.classify({ pixels: flat(0, 0), bias } as never);
  const values = [1.5, -2, 2 ** -20, -65504, Number.POSITIVE_INFINITY, 0];
  const results = await classify(Float32Array.from(values));
  assert.equal(
    results.flatMap((r) => [...r.scores]),
    values,
  );
  assert.equal(
    results.map((r) => r.index),
    [0, 1],
  );
  const message = 'the inputs hold different numbers of samples: pixels, bias have 2, 1';
  assert.is(await rejection(classify(new Float32Array(3))), message);
  await model.release();
});

test("preprocess equals the compiler's own arithmetic, bit by bit", async () => {
  const [height, width] = [5, 7];
  const pixels = Uint8Array.from({ length: 2 * height * width * 3 }, (_, i) => (i * 37) % 256);
  for (const layout of ['NCHW', 'NHWC'] as const) {
    for (const channels of ['rgb', 'bgr'] as const) {
      const preprocessing = { ...SAMPLE.preprocessing!, layout, channels };
      const dims = layout === 'NCHW' ? [3, height, width] : [height, width, 3];
      const inputs = [{ name: 'pixels', dataType: 'float' as const, dims: ['N' as const, ...dims] }];
      const { preprocess } = await install(
        `${layout}-${channels}`,
        { ...SAMPLE, inputs, preprocessing },
        new Uint8Array(),
      );
      const alignment = align([height, width, 3], dims, layout)!;
      const convert = convertBytes(alignment, preprocessing);
      const expected = new Float32Array(pixels.length);
      for (const n of [0, 1]) convert(pixels, n * 105, PLAIN_VIEW, expected, n * 105);
      assert.equal(preprocess(pixels, 3), expected, `${layout} ${channels}`);

      const rgba = new Uint8ClampedArray((pixels.length / 3) * 4);
      for (let i = 0; i < rgba.length; i++)
        rgba[i] = i % 4 === 3 ? 255 : pixels[Math.floor(i / 4) * 3 + (i % 4)]!;
      assert.equal(preprocess(rgba, 4), expected, `${layout} ${channels} rgba`);
      assert.throws(
        () => preprocess(pixels.subarray(1), 3),
        /209 bytes are no whole number of 5 x 7 pictures/,
      );
    }
  }
});

test('the example of the README runs in a project that has the package', async () => {
  await pets;
  const project = join(root, 'project');
  const modules = join(project, 'node_modules');
  mkdirSync(modules, { recursive: true });
  symlinkSync(join(root, 'pets'), join(modules, 'pets'));
  symlinkSync(
    fileURLToPath(new URL('../../node_modules/onnxruntime-node', import.meta.url)),
    join(modules, 'onnxruntime-node'),
  );
  const example = emitPackage(SAMPLE)
    .get('README.md')!
    .match(/```js\n([\s\S]*?)```/)![1]!;
  writeFileSync(join(project, 'example.mjs'), example);
  const { stdout } = await promisify(execFile)(process.execPath, ['example.mjs'], {
    cwd: project,
    env: { ...process.env, FORCE_COLOR: '0' },
  });
  assert.match(stdout, /^cat 0\.33+\d* full 1\.04\n$/);
});

test.run();
