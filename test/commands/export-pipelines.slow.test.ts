/** `export transformers` and `export onnx`: the files answer as the package does at that point. That the library runs them: test/hub. */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { exportOnnx } from '../../src/commands/export-onnx.ts';
import { exportTransformers } from '../../src/commands/export-transformers.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { makeNode } from '../../src/graph/builder.ts';
import { renameValues } from '../../src/graph/rename.ts';
import { toHalf } from '../../src/graph/tensor.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf, tensorOf } from '../../src/ort/tensors.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import {
  type CompiledFolder,
  compilePictures,
  compileTexts,
  readJson,
  spreadPoint,
  textsOf,
} from '../hub/compiled.ts';
import { writeFiles } from '../hub-models.ts';
import { noise, tinyResidual } from '../models.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';

const test = suite('export transformers, export onnx');

interface Answer {
  readonly label: string;
  readonly exitId: string;
  readonly scores: ArrayLike<number>;
}

interface Package {
  classify(input: unknown, options: { readonly at: string }): Promise<readonly Answer[]>;
  release(): Promise<void>;
}

let pictures: CompiledFolder;
let texts: CompiledFolder;
test.before(async () => {
  pictures = await compilePictures();
  texts = await compileTexts();
});
test.after(() => {
  pictures.remove();
  texts.remove();
});

const moduleOf = async (out: string) =>
  (await import(pathToFileURL(join(out, 'index.js')).href)) as {
    default: { load(runtime: unknown, options: object): Promise<Package> };
    preprocess(pictures: unknown): Float32Array;
    textEncoder(tokenizer: unknown, file: object): (text: string) => unknown;
  };

const exitOf = ({ exits }: CompiledFolder['manifest'], exit: string) => {
  const index = exits.findIndex(({ id }) => id === exit);
  return index < 0 ? exits.length : index;
};

const softmax = (scores: ArrayLike<number>) => {
  const all = Array.from(scores, (score) => Math.exp(score - Math.max(...Array.from(scores))));
  const sum = all.reduce((a, b) => a + b, 0);
  return all.map((e) => e / sum);
};

/** What `file` says of `feeds`, one sample: the class's number, its probability, and the exit. */
async function answersOf(file: string, feeds: readonly Record<string, Tensor>[], scores: string) {
  return await withSession(file, { threads: 1 }, async (session) => {
    const found = [];
    for (const one of feeds) {
      const outputs = await session.run(one);
      const probabilities = softmax(outputs[scores]!.data as Float32Array);
      const best = probabilities.indexOf(Math.max(...probabilities));
      found.push({ best, probability: probabilities[best]!, exit: Number((outputs.exit_index!.data as BigInt64Array)[0]) }); // biome-ignore format: a line
    }
    return found;
  });
}

test('pictures: a chain, baked at each point, answers as the package', async () => {
  const { model, out, manifest, at } = pictures;
  const { default: Model, preprocess } = await moduleOf(out);
  const own = await Model.load(ort, { sessionOptions: { intraOpNumThreads: 1 } });
  const samples = Array.from({ length: 60 }, (_, n) => {
    const data = Uint8Array.from(noise(192, 500 + n), (v) => 128 + 127 * v * (n % 5 < 2 ? 0.2 : 1));
    return { data, width: 8, height: 8 };
  });
  const exits = new Set<number>();
  for (const { name } of manifest.operatingPoints) {
    const folder = at(`pictures-${name}`);
    const file = at(`pictures-${name}.onnx`);
    const { files, task } = await exportTransformers({ folder: out, out: folder, model, at: name });
    assert.equal([task, files], ['image-classification', ['config.json', 'onnx/model.onnx', 'preprocessor_config.json']]); // biome-ignore format: a line
    assert.equal(readJson(folder, 'preprocessor_config.json'), readJson(model, 'preprocessor_config.json'));
    await exportOnnx({ folder: out, file, model, at: name });
    const feeds = samples.map((sample) => new Tensor('float32', preprocess(sample), [1, 3, 8, 8]));
    const pipeline = await answersOf(join(folder, 'onnx/model.onnx'), feeds.map((pixel_values) => ({ pixel_values })), 'logits'); // biome-ignore format: a line
    const alone = await answersOf(
      file,
      feeds.map((image) => ({ image })),
      'scores',
    );
    assert.equal(pipeline, alone);
    for (const [n, { best, probability, exit }] of pipeline.entries()) {
      const [answer] = await own.classify(samples[n], { at: name });
      assert.equal([manifest.labels![best], exit], [answer!.label, exitOf(manifest, answer!.exitId)]);
      const { probability: expected } = answer as Answer & { probability: number };
      assert.ok(Math.abs(probability - expected) < 1e-5, `sample ${n}: ${probability} for ${expected}`);
      exits.add(exit);
    }
  }
  await own.release();
  assert.is(exits.size, 2, 'samples left at every exit');
});

test('texts: of any length, answers as the package', async () => {
  const { model, out, manifest, at } = texts;
  const folder = at('texts-pipeline');
  const name = spreadPoint(manifest);
  const { files, task } = await exportTransformers({ folder: out, out: folder, model, at: name });
  assert.equal([task, files], ['text-classification', ['config.json', 'onnx/model.onnx', 'tokenizer.json', 'tokenizer_config.json']]); // biome-ignore format: a line
  const { default: Model, textEncoder } = await moduleOf(out);
  const own = await Model.load(ort, { sessionOptions: { intraOpNumThreads: 1 } });
  const ownEncode = textEncoder(Tokenizer, readJson(out, 'tokenizer.json'));
  const encode = await loadTokenizer(join(folder, 'tokenizer.json'));
  const list = textsOf(80, 9);
  const feeds = list.map((text) => {
    const { input_ids, attention_mask } = encode(text, undefined, 8);
    // Without padding, as pipelines feed a text by itself.
    const length = Array.from(attention_mask, Number).lastIndexOf(1) + 1;
    const tensor = (values: ArrayLike<bigint | number>) =>
      new Tensor('int64', BigInt64Array.from(Array.from(values, BigInt).slice(0, length)), [1, length]);
    return { input_ids: tensor(input_ids), attention_mask: tensor(attention_mask) };
  });
  assert.ok(new Set(feeds.map(({ input_ids }) => input_ids.dims[1])).size > 3, 'of several lengths');
  const answers = await answersOf(join(folder, 'onnx/model.onnx'), feeds, 'logits');
  for (const [n, { best, probability, exit }] of answers.entries()) {
    const [answer] = await own.classify(ownEncode(list[n]!), { at: name });
    assert.equal([manifest.labels![best], exit], [answer!.label, exitOf(manifest, answer!.exitId)], list[n]);
    const { probability: expected } = answer as Answer & { probability: number };
    assert.ok(Math.abs(probability - expected) < 1e-5);
  }
  await own.release();
});

test('without the original’s config files the package’s own words do', async () => {
  const { model, out, at } = pictures;
  const folder = at('own-words');
  await exportTransformers({ folder: out, out: folder, model: join(model, 'onnx/model.onnx') });
  const { model_type, id2label } = readJson(folder, 'config.json');
  assert.equal([model_type, (id2label as Record<string, string>)[0]], ['resnet', 'ant']);
  assert.equal(readJson(folder, 'preprocessor_config.json').image_mean, [0.5, 0.5, 0.5]);
  const named = at('named');
  await exportTransformers({
    folder: out,
    out: named,
    model: join(model, 'onnx/model.onnx'),
    hfConfig: [model],
  });
  assert.is(readJson(named, 'config.json').model_type, 'vit');
});

test('config files by relative paths and other names', async () => {
  const { model, out, at } = texts;
  const here = process.cwd();
  writeFileSync(at('words.json'), readFileSync(join(model, 'tokenizer.json')));
  try {
    process.chdir(model);
    const shared = { folder: out, model: join(model, 'onnx/model.onnx') };
    const { files } = await exportTransformers({
      ...shared,
      out: at('relative'),
      hfConfig: ['tokenizer.json'],
    });
    assert.equal(files, ['config.json', 'onnx/model.onnx', 'tokenizer.json', 'tokenizer_config.json']);
    await exportTransformers({ ...shared, out: at('renamed'), hfConfig: [at('words.json')] });
    assert.equal(readdirSync(at('renamed')).sort(), ['config.json', 'onnx', 'tokenizer.json', 'tokenizer_config.json']); // biome-ignore format: a line
  } finally {
    process.chdir(here);
  }
});

test('nothing is written where something is wrong, and nothing replaced unless asked', async () => {
  const { model, out, at } = pictures;
  const target = at('careful');
  const options = { folder: out, out: target, model };
  await rejectsWith('unknown-operating-point', () => exportTransformers({ ...options, at: 'no' }));
  await rejectsWith('original-missing', () => exportTransformers({ folder: out, out: target }));
  await rejectsWith('other-model', () => exportTransformers({ ...options, model: texts.model }));
  assert.not.ok(existsSync(target));
  await exportTransformers(options);
  await rejectsWith('output-not-empty', () => exportTransformers({ ...options, at: 'exact' }));
  const before = readFileSync(join(target, 'onnx/model.onnx'));
  writeFileSync(join(target, 'mine.txt'), 'mine');
  await exportTransformers({ ...options, at: 'exact', force: true });
  assert.not.equal(readFileSync(join(target, 'onnx/model.onnx')), before);
  assert.is(readFileSync(join(target, 'mine.txt'), 'utf8'), 'mine');
  await rejectsWith('output-unusable', () => exportOnnx({ folder: out, file: target, model }));
  await rejectsWith('unknown-operating-point', () =>
    exportOnnx({ folder: out, file: at('n.onnx'), model, at: 'n' }),
  );
  assert.not.ok(existsSync(at('n.onnx')));
});

test('what is read is not written over, --force or not', async () => {
  const { model, out, at } = pictures;
  const original = join(model, 'onnx/model.onnx');
  const before = readFileSync(original);
  const shared = { folder: out, model };
  await rejectsWith('output-unusable', () => exportOnnx({ ...shared, file: original }));
  await rejectsWith('output-unusable', () => exportOnnx({ ...shared, model: original, file: original }));
  await rejectsWith('output-unusable', () => exportOnnx({ ...shared, file: join(out, 'model.onnx') }));
  symlinkSync(model, at('link'));
  for (const place of [model, at('link'), out, at('.')])
    await rejectsWith('output-unusable', () => exportTransformers({ ...shared, out: place, force: true }));
  copyFileSync(original, at('model.onnx'));
  const options = { model: at('model.onnx'), out: at('.'), calibration: at('calibration.npz') };
  await rejectsWith('output-unusable', () => compile({ ...options, first: [original], force: true }));
  const again = { folder: out, model: at('model.onnx'), out: at('.'), calibration: at('calibration.npz') };
  await rejectsWith('output-unusable', () => calibrate({ ...again, force: true }));
  assert.equal([readFileSync(original), readFileSync(at('model.onnx'))], [before, before]);
});

test('what somebody else wrote is not replaced', async () => {
  const { model, out, at } = pictures;
  const shared = { folder: out, model };
  for (const file of ['manifest.json', 'heads.onnx'])
    await rejectsWith('output-unusable', () => exportOnnx({ ...shared, file: join(out, file), force: true }));
  await rejectsWith('output-unusable', () => exportOnnx({ ...shared, file: `${at('new')}/` }));
  writeFileSync(at('mine.onnx'), 'mine');
  await rejectsWith('output-not-empty', () => exportOnnx({ ...shared, file: at('mine.onnx') }));
  assert.is(readFileSync(at('mine.onnx'), 'utf8'), 'mine');
  assert.is(spawnSync('mkfifo', [at('pipe')]).status, 0);
  await rejectsWith('output-unusable', () => exportOnnx({ ...shared, file: at('pipe'), force: true }));
  assert.ok(statSync(at('pipe')).isFIFO());
  const foreign = writeFiles(at('foreign'), {
    'config.json': '{}',
    'onnx/model.onnx': readFileSync(join(model, 'onnx/model.onnx')),
  });
  await rejectsWith('output-unusable', () => exportTransformers({ ...shared, out: foreign, force: true }));
  assert.is(readFileSync(join(foreign, 'config.json'), 'utf8'), '{}');
});

/** A package of `tinyResidual` that was changed, trained for a moment. */
async function otherPackage(
  change: (model: ReturnType<typeof tinyResidual>, file: string) => void,
  more: Partial<CompileOptions> = {},
) {
  const project = tinyProject('export-other', { epochs: 1, views: 1 });
  await project.writeSamples({ train: 200, calibration: 150, test: 50 });
  change(tinyResidual({ seed: 4, softmax: true }), project.model);
  const { manifest } = await compile(project.compileOptions('out', more));
  return { ...project, out: project.at('out'), manifest };
}

test('external data, and probabilities out: written together, beside or in the folder', async () => {
  const { at, model, out, manifest, remove } = await otherPackage(writeWithExternalData);
  assert.is(manifest.activation, 'softmax');
  const { externalData } = await exportOnnx({ folder: out, model, file: at('alone/net.onnx') });
  assert.equal(
    readdirSync(at('alone')).sort(),
    ['net.onnx', ...externalData.map((path) => basename(path))].sort(),
  );
  const { files } = await exportTransformers({ folder: out, model, out: at('pipeline') });
  assert.equal(files.filter((file) => file.startsWith('onnx/')).length, externalData.length + 1);
  const feeds = Array.from({ length: 20 }, (_, n) => new Tensor('float32', noise(192, n), [1, 3, 8, 8]));
  const logits = await answersOf(at('pipeline/onnx/model.onnx'), feeds.map((pixel_values) => ({ pixel_values })), 'logits'); // biome-ignore format: a line
  await withSession(at('alone/net.onnx'), { threads: 1 }, async (session) => {
    for (const [n, { best, probability }] of logits.entries()) {
      const { scores } = await session.run({ image: feeds[n]! });
      assert.ok(Math.abs((scores!.data as Float32Array)[best]! - probability) < 1e-5);
    }
  });
  // Two points of one model share its data; data of another one, and the data's own name, are not taken.
  await exportOnnx({ folder: out, model, file: at('alone/exact.onnx'), at: 'exact' });
  const data = at(join('alone', externalData[0]!));
  await rejectsWith('output-unusable', () => exportOnnx({ folder: out, model, file: data, force: true }));
  writeFileSync(data, 'of another model');
  await rejectsWith('output-not-empty', () =>
    exportOnnx({ folder: out, model, file: at('alone/fast.onnx'), at: 'fast' }),
  );
  assert.is(readFileSync(data, 'utf8'), 'of another model');
  remove();
});

test('a model without external data in place of one that had some: they go, unless another model has them', async () => {
  const large = await otherPackage(writeWithExternalData);
  const plain = await otherPackage((model, file) => writeFileSync(file, serializeModel(model)));
  const file = large.at('alone/net.onnx');
  const { externalData } = await exportOnnx({ folder: large.out, model: large.model, file });
  assert.ok(externalData.length > 0);
  const other = large.at('alone/exact.onnx');
  await exportOnnx({ folder: large.out, model: large.model, file: other, at: 'exact' });
  const replace = (to: string) =>
    exportOnnx({ folder: plain.out, model: plain.model, file: to, at: 'exact', force: true });
  await replace(file);
  assert.is(readdirSync(large.at('alone')).length, externalData.length + 2);
  await replace(other);
  assert.equal(readdirSync(large.at('alone')).sort(), ['exact.onnx', 'net.onnx']);
  large.remove();
  plain.remove();
});

/** `model` with channels last. */
function channelsLast(model: Model): Model {
  const { graph } = model;
  const turn = makeNode('Transpose', ['image'], ['planar'], { perm: [0, 3, 1, 2] });
  const { nodes } = renameValues({ ...graph, inputs: [], initializers: [] }, new Map([['image', 'planar']]));
  const inputs = [{ name: 'image', type: { dataType: 'float' as const, dims: ['N', 8, 8, 3] } }];
  return { ...model, graph: { ...graph, inputs, nodes: [turn, ...nodes] } };
}

test('channels last: pipelines feed them first', async () => {
  const write = (model: Model, file: string) => writeFileSync(file, serializeModel(channelsLast(model)));
  const { at, model, out, manifest, remove } = await otherPackage(write);
  assert.is(manifest.preprocessing!.layout, 'NHWC');
  await exportTransformers({ folder: out, out: at('pipeline'), model, at: 'exact' });
  await exportOnnx({ folder: out, file: at('alone.onnx'), model, at: 'exact' });
  const values = noise(192, 7);
  const turned = values.map((_, i) => values[(i % 3) * 64 + Math.floor(i / 3)]!);
  const pixel_values = new Tensor('float32', values, [1, 3, 8, 8]);
  const image = new Tensor('float32', turned, [1, 8, 8, 3]);
  const [pipeline] = await answersOf(at('pipeline/onnx/model.onnx'), [{ pixel_values }], 'logits');
  await withSession(at('alone.onnx'), { threads: 1 }, async (session) => {
    const { scores } = await session.run({ image });
    const row = scores!.data as Float32Array;
    assert.is(pipeline!.best, row.indexOf(Math.max(...row)));
    assert.ok(Math.abs(pipeline!.probability - Math.max(...row)) < 1e-5);
  });
  remove();
});

/** `model` in half floats, with logits `scale` times as far apart. */
function halved({ graph, ...rest }: Model, scale: number): Model {
  const initializers = graph.initializers.map((tensor) => {
    if (tensor.dataType !== 'float') return tensor;
    const factor = tensor.name.startsWith('fc.') ? scale : 1;
    const floats = new Float32Array(Uint8Array.from(tensor.bytes).buffer).map((v) => v * factor);
    return { ...tensor, dataType: 'float16' as const, bytes: new Uint8Array(toHalf(floats).buffer) };
  });
  const half = (values: Graph['inputs']) =>
    values.map((value) => ({ ...value, type: { ...value.type!, dataType: 'float16' as const } }));
  const [inputs, outputs] = [half(graph.inputs), half(graph.outputs)];
  return { ...rest, graph: { ...graph, initializers, inputs, outputs, valueInfo: [] } };
}

for (const scale of [1, 12])
  test(`half floats, logits ${scale} times as far apart: pipelines feed and read floats`, async () => {
    const write = (model: Model, file: string) => writeFileSync(file, serializeModel(halved(model, scale)));
    const { at, model, out, manifest, remove } = await otherPackage(write);
    assert.equal([manifest.inputs[0]!.dataType, manifest.outputs.dataType], ['float16', 'float16']);
    await exportTransformers({ folder: out, out: at('pipeline'), model, at: 'exact' });
    await exportOnnx({ folder: out, file: at('alone.onnx'), model, at: 'exact' });
    await withSession(at('alone.onnx'), { threads: 1 }, async (session) => {
      for (let n = 0; n < 20; n++) {
        const values = noise(192, n);
        const pixel_values = new Tensor('float32', values, [1, 3, 8, 8]);
        const [pipeline] = await answersOf(at('pipeline/onnx/model.onnx'), [{ pixel_values }], 'logits');
        const { scores } = await session.run({ image: tensorOf('float16', values, [1, 3, 8, 8]) });
        const expected = floatsOf(scores!)[pipeline!.best]!;
        assert.ok(Math.abs(pipeline!.probability - expected) < 0.01, `${pipeline!.probability}, ${expected}`);
      }
    });
    remove();
  });

test('texts that were given as ids: the tokenizer of the config files says what pads', async () => {
  const { model, out, at } = texts;
  const ids = at('ids-package');
  cpSync(out, ids, { recursive: true });
  rmSync(join(ids, 'tokenizer.json'));
  const { tokenizer: _, ...manifest } = readJson(out, 'manifest.json');
  writeFileSync(join(ids, 'manifest.json'), JSON.stringify(manifest));
  const file = join(model, 'onnx/model.onnx');
  const alone = { folder: ids, out: at('ids-alone'), model: file };
  await rejectsWith('not-for-pipelines', () => exportTransformers(alone));
  await exportTransformers({ folder: ids, out: at('ids-pipeline'), model });
  await exportTransformers({ folder: out, out: at('texts-again'), model });
  assert.equal(
    readFileSync(at('ids-pipeline/onnx/model.onnx')),
    readFileSync(at('texts-again/onnx/model.onnx')),
  );
});

test('a package with baked thresholds needs no original', async () => {
  const { model, remove, at, out } = await compilePictures({ thresholds: 'baked' });
  await exportTransformers({ folder: out, out: at('baked') });
  await exportOnnx({ folder: out, file: at('baked.onnx') });
  assert.equal(readFileSync(at('baked.onnx')), readFileSync(join(out, 'model.onnx')));
  await rejectsWith('original-missing', () => exportOnnx({ folder: out, file: at('x.onnx'), at: 'exact' }));
  await exportOnnx({ folder: out, file: at('x.onnx'), at: 'exact', model });
  remove();
});

test('what pipelines cannot feed is refused', async () => {
  const flat = (model: ReturnType<typeof tinyResidual>, file: string) =>
    writeFileSync(file, serializeModel(model));
  const { at, model, out, remove } = await otherPackage(flat, { resize: 'cover' });
  await exportTransformers({ folder: out, out: at('fine'), model });
  const path = join(out, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...manifest, activation: 'sigmoid' }));
  const error = await rejectsWith('not-for-pipelines', () =>
    exportTransformers({ folder: out, out: at('no'), model }),
  );
  assert.match(error.message, 'sigmoid');
  assert.not.ok(existsSync(at('no')));
  remove();
});

test('the exported model is a plain one: no input for thresholds, one for pictures', async () => {
  const { model, out, at } = pictures;
  await exportTransformers({ folder: out, out: at('plain'), model });
  const { graph } = parseModel(readFileSync(at('plain/onnx/model.onnx')));
  const given = new Set(graph.initializers.map(({ name }) => name));
  assert.equal(
    graph.inputs.filter(({ name }) => !given.has(name)).map(({ name }) => name),
    ['pixel_values'],
  );
  assert.equal(
    graph.outputs.map(({ name }) => name),
    ['logits', 'exit_index', 'exit_confidence'],
  );
});

test.run();
