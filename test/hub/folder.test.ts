/** Which ONNX file and which config files a folder or a file means. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DTYPES, findFiles, isModelFolder } from '../../src/hub/folder.ts';
import { readHub } from '../../src/hub/read.ts';
import { fails, freshFolder } from '../data/fixtures.ts';
import { classifierConfig, vitProcessor, writeFiles } from '../hub-models.ts';
import { wordPieceTokenizer } from '../hub-tokenizers.ts';

const test = suite('hub: files of a folder');

/** A fresh folder called `name` with empty files at `paths`. */
const folderOf = (paths: readonly string[], name = 'my-model') =>
  writeFiles(join(freshFolder(), name), Object.fromEntries(paths.map((path) => [path, ''])));

const FILES: Readonly<Record<string, string>> = {
  fp32: 'model.onnx',
  fp16: 'model_fp16.onnx',
  q8: 'model_quantized.onnx',
  int8: 'model_int8.onnx',
  uint8: 'model_uint8.onnx',
  q4: 'model_q4.onnx',
  q4f16: 'model_q4f16.onnx',
  bnb4: 'model_bnb4.onnx',
};

test('the model lies in onnx/ or beside the config files; onnx/ wins', async () => {
  const inside = folderOf(['onnx/model.onnx', 'config.json']);
  assert.is((await findFiles({ model: inside })).model, join(inside, 'onnx/model.onnx'));
  const beside = folderOf(['model.onnx', 'config.json']);
  assert.is((await findFiles({ model: beside })).model, join(beside, 'model.onnx'));
  const both = folderOf(['onnx/model.onnx', 'model.onnx']);
  assert.is((await findFiles({ model: both })).model, join(both, 'onnx/model.onnx'));
  assert.is((await findFiles({ model: `${both}/` })).name, 'my-model');
});

test('of onnx/ itself the config files lie in the folder around it, whose name the model has', async () => {
  const folder = folderOf(['onnx/model.onnx', 'config.json', 'preprocessor_config.json', 'tokenizer.json']);
  assert.equal(await findFiles({ model: join(folder, 'onnx') }), {
    model: join(folder, 'onnx/model.onnx'),
    name: 'my-model',
    config: join(folder, 'config.json'),
    preprocessor: join(folder, 'preprocessor_config.json'),
    tokenizer: join(folder, 'tokenizer.json'),
  });
});

test('the cache of the hub calls a folder by its commit: the model has the name of the repository', async () => {
  const snapshot = 'models--me--cats-and-dogs/snapshots/0123456789abcdef0123456789abcdef01234567';
  const folder = folderOf(['onnx/model.onnx'], snapshot);
  assert.is((await findFiles({ model: folder })).name, 'cats-and-dogs');
  assert.is((await findFiles({ model: join(folder, 'onnx') })).name, 'cats-and-dogs');
});

test('each variant by its name, in a folder and beside a file', async () => {
  const folder = folderOf(Object.values(FILES).map((file) => `onnx/${file}`));
  assert.equal(DTYPES, Object.keys(FILES) as typeof DTYPES);
  for (const dtype of DTYPES) {
    const expected = join(folder, 'onnx', FILES[dtype]!);
    assert.is((await findFiles({ model: folder, dtype })).model, expected);
    for (const given of Object.values(FILES))
      assert.is((await findFiles({ model: join(folder, 'onnx', given), dtype })).model, expected);
  }
});

test('without a wish: full precision, else the only file that there is', async () => {
  const found = async (...files: string[]) => {
    const folder = folderOf(files);
    return (await findFiles({ model: folder })).model.slice(folder.length + 1);
  };
  assert.is(await found('onnx/model_fp16.onnx', 'onnx/model_quantized.onnx', 'model.onnx'), 'model.onnx');
  assert.is(await found('onnx/model_quantized.onnx'), 'onnx/model_quantized.onnx');
  assert.is(await found('resnet.onnx', 'config.json'), 'resnet.onnx');
  assert.is(await found('onnx/resnet.onnx', 'a.onnx', 'b.onnx'), 'onnx/resnet.onnx');
});

test('without full precision: the only variant is taken, which is said; of several none is', async () => {
  const notesOf = async (...files: string[]) => {
    const { files: found, notes } = await readHub({ model: folderOf(files) });
    return notes.map(({ code, level, message }) => [code, level, message.replace(found.model, 'FILE')]);
  };
  for (const dtype of DTYPES) {
    const why = `FILE (${dtype}) is taken, since the folder has no model of full precision.`;
    const notes = dtype === 'fp32' ? [] : [['not-full-precision', 'info', why]];
    assert.equal(await notesOf(`onnx/${FILES[dtype]}`), notes);
    const asked = await readHub({ model: folderOf([`onnx/${FILES[dtype]}`]), dtype });
    assert.equal(asked.notes, [], 'what was asked for needs no note');
  }
  assert.equal(await notesOf('model.onnx', 'onnx/model_quantized.onnx'), []);
  assert.equal(await notesOf('resnet.onnx'), []);
  const two = folderOf(['onnx/model_fp16.onnx', 'onnx/model_quantized.onnx']);
  const error = await fails(
    () => findFiles({ model: two }),
    'variant-missing',
    two,
    'no fp32 file',
    'fp16',
    'q8',
  );
  assert.match(error.hint, "`dtype: 'fp16'`");
  assert.is((await findFiles({ model: two, dtype: 'fp16' })).model, join(two, 'onnx/model_fp16.onnx'));
});

test('a variant that is not there is refused, and those that are there are named', async () => {
  const two = folderOf(['onnx/model.onnx', 'onnx/model_quantized.onnx']);
  await fails(() => findFiles({ model: two, dtype: 'fp16' }), 'variant-missing', two, 'fp16', 'fp32', 'q8');
  const file = join(two, 'onnx/model.onnx');
  await fails(() => findFiles({ model: file, dtype: 'fp16' }), 'variant-missing', 'fp16', 'fp32', 'q8');
  const odd = folderOf(['resnet.onnx']);
  await fails(() => findFiles({ model: odd, dtype: 'fp16' }), 'variant-missing', 'fp16', 'Leave out');
  const other = join(folderOf(['weights.bin']), 'weights.bin');
  await fails(() => findFiles({ model: other, dtype: 'fp16' }), 'variant-missing', 'fp16', 'Leave out');
});

test('without a model: where it was looked for, what is there, and what makes one', async () => {
  const weights = folderOf(['model.safetensors', 'config.json']);
  await fails(
    () => findFiles({ model: weights }),
    'no-model-in-folder',
    join(weights, 'onnx/model.onnx'),
    'model.safetensors',
    'optimum-cli export onnx',
  );
  await fails(() => findFiles({ model: folderOf(['config.json']) }), 'no-model-in-folder', 'ONNX file');
  const several = folderOf(['onnx/b.onnx', 'onnx/a.onnx']);
  const error = await fails(() => findFiles({ model: several }), 'no-model-in-folder', 'a.onnx', 'b.onnx');
  assert.match(error.message, 'several');
});

test('a file by itself has no config files but those that are named', async () => {
  const folder = folderOf(['model.onnx', 'config.json', 'preprocessor_config.json']);
  const model = join(folder, 'model.onnx');
  assert.equal(await findFiles({ model }), { model });
  const config = join(folder, 'config.json');
  const preprocessor = join(folder, 'preprocessor_config.json');
  assert.equal(await findFiles({ model, hfConfig: [folder] }), { model, config, preprocessor });
});

test('named config files are told apart by what they hold', async () => {
  const folder = writeFiles(freshFolder(), {
    'model.onnx': '',
    'a.json': classifierConfig('vit', ['cat', 'dog'], { image_size: 32 }),
    'b.json': vitProcessor(32),
    'c.json': wordPieceTokenizer(),
    'd.json': { feature_extractor_type: 'ViTFeatureExtractor', size: 224 },
    'e.json': { hello: 1 },
    'f.json': { model_max_length: 128, tokenizer_class: 'BertTokenizer' },
  });
  const at = (name: string) => join(folder, name);
  const model = at('model.onnx');
  const named = await findFiles({ model, hfConfig: ['c.json', 'a.json', 'b.json'].map(at) });
  assert.equal(named, { model, config: at('a.json'), preprocessor: at('b.json'), tokenizer: at('c.json') });
  assert.is((await findFiles({ model, hfConfig: [at('d.json')] })).preprocessor, at('d.json'));
  await fails(() => findFiles({ model, hfConfig: [at('e.json')] }), 'bad-model-config', at('e.json'), 'preprocessor_config.json'); // biome-ignore format: a line
  await fails(() => findFiles({ model, hfConfig: [at('f.json')] }), 'bad-model-config', 'tokenizer.json');
  await fails(() => findFiles({ model, hfConfig: [at('no.json')] }), 'bad-model-config', at('no.json'), 'path'); // biome-ignore format: a line
  const empty = freshFolder();
  await fails(() => findFiles({ model, hfConfig: [empty] }), 'bad-model-config', empty, 'config.json');
});

test('named config files win over those of the folder', async () => {
  const folder = folderOf(['onnx/model.onnx', 'config.json', 'preprocessor_config.json']);
  const named = writeFiles(freshFolder(), { 'mine.json': vitProcessor(40) });
  const found = await findFiles({ model: folder, hfConfig: [join(named, 'mine.json')] });
  assert.is(found.preprocessor, join(named, 'mine.json'));
  assert.is(found.config, join(folder, 'config.json'));
});

test('broken config files are refused by name', async () => {
  const hubOf = (config: string) =>
    readHub({ model: writeFiles(freshFolder(), { 'onnx/model.onnx': '', 'config.json': config }) });
  const { classes } = await hubOf(`\uFEFF${JSON.stringify(classifierConfig('vit', ['cat', 'dog']))}`);
  assert.equal(classes!.names, ['cat', 'dog']);
  await fails(() => hubOf('{ "id2label": '), 'bad-model-config', 'config.json', 'not JSON', 'Fetch');
  await fails(() => hubOf(''), 'bad-model-config', 'config.json', 'not JSON');
  for (const other of ['[1, 2]', 'null', '"text"', '3'])
    await fails(() => hubOf(other), 'bad-model-config', 'config.json', 'no JSON object');
  // What a browser saves of a page instead of the file.
  await fails(() => hubOf('<!doctype html>'), 'bad-model-config', 'config.json', 'not JSON');
});

test('a folder is a model unless a compile wrote it', () => {
  assert.ok(isModelFolder(folderOf(['onnx/model.onnx'])));
  assert.ok(isModelFolder(folderOf(['model.onnx'])));
  assert.ok(isModelFolder(folderOf(['config.json'])));
  assert.ok(isModelFolder(join(folderOf(['onnx/model_quantized.onnx']), 'onnx')));
  assert.not.ok(isModelFolder(folderOf(['model.onnx', 'manifest.json'])));
  assert.not.ok(isModelFolder(folderOf(['pictures/a.png'])));
  assert.not.ok(isModelFolder(join(folderOf(['model.onnx']), 'model.onnx')));
});

test.run();
