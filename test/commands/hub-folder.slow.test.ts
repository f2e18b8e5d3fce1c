/** Models given as folders, through every command. The folders hold small networks, with the config files of the hub. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatNext } from '../../src/cli/tables.ts';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compare } from '../../src/commands/compare.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { exportOnnx } from '../../src/commands/export-onnx.ts';
import { exportTransformers } from '../../src/commands/export-transformers.ts';
import { exportTriton } from '../../src/commands/export-triton.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { planCompile } from '../../src/commands/plan.ts';
import type { Note } from '../../src/errors/notes.ts';
import type { Model } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { classifierConfig, vitProcessor, writeFiles } from '../hub-models.ts';
import { assertSamePackage } from '../timeless.ts';
import { tinyChain } from '../tiny-chain.ts';

const test = suite('hub: folders through the commands');
const NAMES = ['ant', 'bee', 'cat', 'dog', 'eel'];
const PROCESSOR = { ...vitProcessor(8), do_normalize: false };
const { at, model, small, middle, chainOptions, writeSamples, remove } = await tinyChain('hub-folder');

/** As exporters leave them: dimensions open, under names. */
function opened(file: string): Uint8Array {
  const { graph, ...rest }: Model = parseModel(readFileSync(file));
  const dims = ['batch_size', 'num_channels', 'height', 'width'];
  const inputs = graph.inputs.map((input) => ({ ...input, type: { ...input.type!, dims } }));
  return serializeModel({ ...rest, graph: { ...graph, inputs, valueInfo: [] } });
}

/** `model` with its classes from last to first. */
function reversed(model: Uint8Array): Uint8Array {
  const { graph, ...rest } = parseModel(model);
  const initializers = graph.initializers.map((tensor) => {
    if (!tensor.name.startsWith('fc.')) return tensor;
    const size = tensor.bytes.length / NAMES.length;
    const rows = NAMES.map((_, c) => tensor.bytes.subarray(c * size, (c + 1) * size));
    return { ...tensor, bytes: new Uint8Array(Buffer.concat(rows.toReversed())) };
  });
  return serializeModel({ ...rest, graph: { ...graph, initializers } });
}

const big = at('Big_Net.v2');
const little = at('little');
const CONFIGS = {
  'config.json': classifierConfig('resnet', NAMES, { num_channels: 3 }),
  'preprocessor_config.json': PROCESSOR,
};

/** `chainOptions` without a word on preprocessing, of the two folders. */
function folders(out: string, more: Partial<CompileOptions> = {}): CompileOptions {
  const { preset: _, ...options } = chainOptions(out, { model: big, first: [little] });
  return { ...options, ...more } as CompileOptions;
}

test.before(async () => {
  writeFiles(big, {
    ...CONFIGS,
    'onnx/model.onnx': opened(model),
    'onnx/model_fp16.onnx': readFileSync(middle),
  });
  writeFiles(little, { ...CONFIGS, 'onnx/model.onnx': opened(small) });
  await writeSamples({ calibration: 300, test: 100 });
});
test.after(remove);

test('two folders become one package, named and read as their config files say', async () => {
  const notes: Note[] = [];
  const { manifest } = await compile(folders('out'), { onNote: (note) => notes.push(note) });
  assert.is(manifest.name, 'big-net-v2');
  assert.equal(manifest.labels, NAMES);
  assert.equal(manifest.source.dims, { 'image.1': 3, 'image.2': 8, 'image.3': 8 });
  assert.equal(manifest.preprocessing, {
    ...{ scale: 255, rescale: PROCESSOR.rescale_factor, mean: [0, 0, 0], std: [1, 1, 1] },
    ...{ layout: 'NCHW', channels: 'rgb', resize: 'stretch', resample: 'affine-bilinear' },
  });
  assert.equal(
    manifest.networks!.map(({ file }) => file),
    ['little/onnx/model.onnx', 'Big_Net.v2/onnx/model.onnx'],
  );
  assert.match(readFileSync(at('out/index.ts'), 'utf8'), 'class BigNetV2');
  const [byNumber] = notes.filter(({ code }) => code === 'classes-by-number');
  assert.match(byNumber!.message, 'Big_Net.v2/config.json, 0 for "ant"');
});

test('inspect and a plan read the folder as compile does', async () => {
  const inspection = await inspect({ model: big });
  assert.equal(inspection.inputs[0]!.dims.slice(1), [3, 8, 8]);
  assert.match(formatNext(big, inspection), /\n {4}--train <samples> --dry-run$/);
  const plain = formatNext(model, await inspect({ model }));
  assert.match(plain, '--preset <as it was trained with> --train');
  const plan = await planCompile(folders('planned'));
  assert.is(plan.networks?.length, 2);
});

test('commands that take the original take its folder', async () => {
  const shared = { folder: at('out'), model: big };
  const { calibration, test, cache } = folders('out');
  const again = {
    ...shared,
    out: at('again'),
    calibration,
    test,
    cache,
    threads: 1,
    timing: false,
    report: false,
  };
  for (const first of [undefined, [little], [join(little, 'onnx')]]) {
    await calibrate({ ...again, ...(first && { first }), force: true } as never);
    assertSamePackage(at('again'), at('out'));
  }
  await exportTriton({ ...shared, repository: at('repository') });
  assert.ok(existsSync(at('repository/big-net-v2/1/model.onnx')));
  await exportOnnx({ ...shared, file: at('alone.onnx') });
  assert.equal(readFileSync(at('alone.onnx')), readFileSync(at('repository/big-net-v2/1/model.onnx')));
  await exportTransformers({ ...shared, out: at('pipeline') });
  assert.equal(JSON.parse(readFileSync(at('pipeline/preprocessor_config.json'), 'utf8')), PROCESSOR);
});

test('a folder that was moved away from the other network asks for that', async () => {
  const elsewhere = at('elsewhere/net');
  mkdirSync(join(elsewhere, 'onnx'), { recursive: true });
  copyFileSync(join(big, 'onnx/model.onnx'), join(elsewhere, 'onnx/model.onnx'));
  const options = { folder: at('out'), model: elsewhere, file: at('moved.onnx') };
  await rejectsWith('network-missing', () => exportOnnx(options));
  await exportOnnx({ ...options, first: [little] });
  assert.equal(readFileSync(at('moved.onnx')), readFileSync(at('alone.onnx')));
  await rejectsWith('other-model', () =>
    exportOnnx({ ...options, model: little, first: [little], force: true }),
  );
});

test('evaluate and compare', async () => {
  const evaluated = await evaluate({
    folder: at('out'),
    test: at('test.npz'),
    cache: at('cache'),
    threads: 1,
  });
  assert.ok(evaluated.sameData);
  assert.ok(evaluated.largestDifference < 1e-12);
  const compared = await compare({ a: at('out'), b: big, test: at('test.npz'), cache: at('cache'), threads: 1, at: ['exact'] }); // biome-ignore format: a line
  assert.is(compared.agreement, 1);
  const alone = await compare({ a: big, b: little, test: at('test.npz'), cache: at('cache'), threads: 1 });
  assert.ok(alone.agreement < 1);
});

test('what the user says of preprocessing wins, numbers and resizing each as a whole', async () => {
  const numbersOf = async (out: string, more: Partial<CompileOptions>) =>
    (await compile(folders(out, { force: true, first: [{ model: little }], ...more }))).manifest
      .preprocessing!;
  const preset = await numbersOf('own', { preset: 'half' });
  assert.equal([preset.rescale, preset.mean, preset.resize], [undefined, [0.5, 0.5, 0.5], 'stretch']);
  const pillow = await numbersOf('own', { resample: 'bilinear' });
  assert.equal(
    [pillow.rescale, pillow.resize, pillow.resample],
    [PROCESSOR.rescale_factor, 'stretch', undefined],
  );
  const resized = await numbersOf('own', { resize: 'cover' });
  assert.equal(
    [resized.rescale, resized.resize, resized.resample],
    [PROCESSOR.rescale_factor, 'cover', undefined],
  );
});

test('sizes that the user gives win', async () => {
  const { inputs } = await inspect({ model: big, dims: { height: 16, 'image.3': 12 } });
  assert.equal(inputs[0]!.dims.slice(1), [3, 16, 12]);
});

test('the name: of the option, of the folder, of what is around onnx/, never "model"', async () => {
  const nameOf = async (more: Partial<CompileOptions>) =>
    (await compile(folders('named', { force: true, ...more }))).manifest.name;
  assert.is(await nameOf({ name: '@me/cats' }), '@me/cats');
  assert.is(await nameOf({ model: join(big, 'onnx') }), 'big-net-v2');
  const file = join(big, 'onnx/model.onnx');
  assert.is(await nameOf({ model: file, hfConfig: [big] }), 'big-net-v2');
  assert.is(await nameOf({ model, hfConfig: [big] }), undefined, 'that of the file');
});

test('config files apart say the same as those of the folder', async () => {
  const file = join(big, 'onnx/model.onnx');
  await compile(folders('apart', { model: file, hfConfig: [big], first: [little] }));
  assertSamePackage(at('apart'), at('out'));
});

test('nothing labelled: the names are those of config.json', async () => {
  const { manifest } = await compile(folders('unlabelled', { labels: 'none' }));
  assert.equal(manifest.labels, NAMES);
});

test('what does not fit the model: numbers are refused with their file, names of other classes are noted', async () => {
  const other = (name: string, files: Parameters<typeof writeFiles>[1]) =>
    writeFiles(at(name), { ...CONFIGS, 'onnx/model.onnx': opened(model), ...files });
  const four = other('four', {
    'preprocessor_config.json': { ...PROCESSOR, do_normalize: true, image_mean: [0, 0, 0, 0] },
  });
  const error = await rejectsWith('bad-preprocessing', () => compile(folders('bad', { model: four })));
  assert.match(error.message, /preprocessor_config\.json: 4 values of mean/);
  const notes: Note[] = [];
  const six = other('six', { 'config.json': classifierConfig('resnet', [...NAMES, 'fox']) });
  const options = folders('six-out', { model: six, labels: 'none' });
  const { manifest } = await compile(options, { onNote: (note) => notes.push(note) });
  assert.is(manifest.labels, undefined);
  const [note] = notes.filter(({ code }) => code === 'classes-of-another-model');
  assert.match(note!.message, /config\.json names 6 classes, and the model has 5/);
});

test('a network in front with its classes in another order is matched by the names of both folders', async () => {
  const turned = writeFiles(at('turned'), {
    ...CONFIGS,
    'config.json': classifierConfig('resnet', NAMES.map((name) => `${name} `).toReversed()),
    'onnx/model.onnx': reversed(opened(small)),
  });
  writeFileSync(at('german.txt'), 'Ameise\nBiene\nKatze\nHund\nAal\n');
  for (const labels of [undefined, 'none', at('german.txt')] as const) {
    const options = folders('turned-out', { first: [turned], keepAll: true, force: true });
    const { manifest } = await compile({ ...options, ...(labels && { labels }) });
    assert.equal(manifest.networks![0]!.classOrder, [4, 3, 2, 1, 0], `labels ${labels}`);
  }
});

test('names with blanks around them, and names that two classes have, stay as config.json has them', async () => {
  const names = [' ant ', 'bee', 'cat', 'cat', 'eel\n'];
  const config = classifierConfig('resnet', names, { num_channels: 3 });
  const [first, original] = ['twice-first', 'twice'].map((name, i) =>
    writeFiles(at(name), {
      ...CONFIGS,
      'config.json': config,
      'onnx/model.onnx': opened([small, model][i]!),
    }),
  );
  for (const labels of [undefined, 'none'] as const) {
    const more = { model: original!, first: [first!], force: true, ...(labels && { labels }) };
    const { manifest } = await compile(folders('twice-out', more));
    assert.equal(manifest.labels, names, `labels ${labels}`);
    await exportTransformers({
      folder: at('twice-out'),
      out: at('twice-pipeline'),
      model: original!,
      force: true,
    });
    const exported = JSON.parse(readFileSync(at('twice-pipeline/config.json'), 'utf8'));
    assert.equal(Object.values(exported.id2label), names);
  }
});

test('of a network in front, too, the only variant is taken, which is said', async () => {
  const quantized = writeFiles(at('quantized'), { ...CONFIGS, 'onnx/model_quantized.onnx': opened(small) });
  const { notes } = await inspect({ model: big, first: [quantized] });
  const [note] = notes.filter(({ code }) => code === 'not-full-precision');
  assert.match(note!.message, join(quantized, 'onnx/model_quantized.onnx'));
  await rejectsWith('variant-missing', async () =>
    inspect({ model: big, first: [writeFiles(quantized, { 'onnx/model_fp16.onnx': opened(small) })] }),
  );
});

test('dtype picks the variant, of a folder and beside a file', async () => {
  const sourceOf = async (more: Partial<CompileOptions>) =>
    (await compile(folders('variant', { force: true, first: [{ model: small }], preset: 'unit', ...more }))).manifest.source; // biome-ignore format: a line
  const { file, sha256 } = await sourceOf({ dtype: 'fp16' });
  assert.is(file, 'model_fp16.onnx');
  await rejectsWith('variant-missing', () => inspect({ model: big, dtype: 'q8' }));
  const beside = await sourceOf({ model: join(big, 'onnx/model.onnx'), dtype: 'fp16' });
  assert.is(beside.sha256, sha256);
  assert.is(dirname(beside.file), '.');
});

test('a compiled package is no model to compile', async () => {
  const error = await rejectsWith('already-compiled', () => inspect({ model: at('out') }));
  assert.ok(error.hint.length > 0);
});

test.run();
