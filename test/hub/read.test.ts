/** What config files say: sizes, class names, tasks, lengths of texts; whatever they hold, nothing but Offramp's errors comes out. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolvePreprocessing } from '../../src/data/index.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { OfframpError } from '../../src/errors/index.ts';
import type { Dim, ValueInfo } from '../../src/graph/types.ts';
import { openDims, readHub, type UsualSizes } from '../../src/hub/read.ts';
import { fails, freshFolder } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { classifierConfig, convNextProcessor, vitProcessor, writeFiles } from '../hub-models.ts';
import { wordPieceTokenizer } from '../hub-tokenizers.ts';

const test = suite('hub: config files');

const hubOf = (files: Readonly<Record<string, object | string>>) =>
  readHub({ model: writeFiles(freshFolder(), { 'onnx/model.onnx': '', ...files }) });
const sizesOf = async (config: object, processor?: object) =>
  (await hubOf({ 'config.json': config, ...(processor && { 'preprocessor_config.json': processor }) })).sizes;

test('sizes of pictures: of the preprocessor, else of the model', async () => {
  assert.equal(await sizesOf({ image_size: 48, num_channels: 1 }), { height: 48, width: 48, channels: 1 });
  assert.equal(await sizesOf({ image_size: [40, 30] }), { height: 40, width: 30 });
  assert.equal(await sizesOf({ image_size: 48 }, vitProcessor(32)), { height: 32, width: 32, channels: 3 });
  for (const size of [null, undefined]) {
    const none = { ...vitProcessor(1), size };
    assert.equal(await sizesOf({ image_size: 24 }, none), { height: 24, width: 24, channels: 3 });
    assert.equal(await sizesOf({ image_size: [24, 20] }, none), { height: 24, width: 20, channels: 3 });
    assert.equal(await sizesOf({}, none), { height: 224, width: 224, channels: 3 });
    const cut = { ...convNextProcessor(1), size };
    assert.equal(await sizesOf({ image_size: 24 }, cut), { height: 24, width: 24, channels: 3 });
  }
  assert.equal(await sizesOf({ num_channels: 1, image_size: 28 }, { do_resize: false }), { height: 28, width: 28, channels: 1 }); // biome-ignore format: a line
  assert.equal(await sizesOf({}), {});
});

test('sizes that are none are not taken', async () => {
  for (const odd of [0, -1, 1.5, '32', null, [0, 32], [], {}, 1e300])
    assert.equal(await sizesOf({ image_size: odd, num_channels: odd }), {}, JSON.stringify(odd));
});

test('tokens: the least of what the tokenizer and the positions allow', async () => {
  const tokens = async (config: object, tokenizer?: object) =>
    (
      await hubOf({
        'config.json': config,
        'tokenizer.json': wordPieceTokenizer(),
        ...(tokenizer && { 'tokenizer_config.json': tokenizer }),
      })
    ).sizes.tokens;
  assert.is(await tokens({ max_position_embeddings: 512 }, { model_max_length: 40 }), 40);
  assert.is(await tokens({ max_position_embeddings: 64 }, { model_max_length: 512 }), 64);
  assert.is(await tokens({ max_position_embeddings: 64 }, { model_max_length: 1e30 }), 64);
  assert.is(await tokens({ max_position_embeddings: 64 }), 64);
  assert.is(await tokens({}, { model_max_length: 1e30 }), undefined);
  assert.is(await tokens({}), undefined);
  for (const type of ['roberta', 'xlm-roberta', 'camembert', 'mpnet', 'longformer'])
    assert.is(await tokens({ max_position_embeddings: 514, model_type: type, pad_token_id: 1 }), 512, type);
  assert.is(await tokens({ max_position_embeddings: 514, model_type: 'bert', pad_token_id: 0 }), 514);
  for (const odd of [0, -3, 1.5, '40', null, {}])
    assert.is(await tokens({ max_position_embeddings: odd }), undefined, JSON.stringify(odd));
  for (const none of [1.5, null]) assert.is(await tokens({}, { model_max_length: none }), undefined);
  for (const odd of [0, -3, '40', {}])
    await rejectsWith('bad-tokenizer', () => tokens({}, { model_max_length: odd }));
  assert.is(await tokens({ max_position_embeddings: 2, model_type: 'roberta', pad_token_id: 1 }), undefined);
});

test('class names: all of them, in the order of their numbers, unless nobody gave any', async () => {
  const names = async (config: object) => (await hubOf({ 'config.json': config })).classes?.names;
  assert.equal(await names(classifierConfig('vit', ['cat', 'dog'])), ['cat', 'dog']);
  assert.equal(await names({ id2label: { 10: 'k', 2: 'c', 0: 'a', 1: 'b', 3: 'd', 4: 'e', 5: 'f', 6: 'g', 7: 'h', 8: 'i', 9: 'j' } }), [...'abcdefghijk']); // biome-ignore format: a line
  assert.equal(
    await names({ id2label: { 0: ' cat ', 1: 'dog\n' } }),
    [' cat ', 'dog\n'],
    'as the library answers',
  );
  assert.is(await names({ id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } }), undefined);
  assert.equal(await names({ id2label: { 0: 'LABEL_0', 1: 'dog' } }), ['LABEL_0', 'dog']);
  assert.equal(await names({ id2label: ['cat', 'dog'] }), ['cat', 'dog']);
  for (const odd of [
    {},
    [],
    { 0: 'cat', 2: 'dog' },
    { 0: 'cat', 1: 5 },
    { 0: 'cat', 1: '' },
    [' '],
    { a: 'cat' },
    null,
    'cat',
  ])
    assert.is(await names({ id2label: odd }), undefined, JSON.stringify(odd));
});

test('class names that are there and not understood are told', async () => {
  const codes = async (id2label: unknown) =>
    (await hubOf({ 'config.json': { id2label } })).notes.map(({ code }) => code);
  for (const odd of [
    { 0: 'cat', 2: 'dog' },
    { 0: 'cat', 1: 5 },
    { 0: 'cat', 1: '' },
    { a: 'cat' },
    'cat',
    ['cat', 5],
  ])
    assert.equal(await codes(odd), ['class-names-unread'], JSON.stringify(odd));
  for (const none of [{}, null, { 0: 'LABEL_0', 1: 'LABEL_1' }, ['cat']]) assert.equal(await codes(none), []);
});

test('what makes answers differ from the library’s is a warning, where pictures have other shapes', async () => {
  const levels = async (processor: object) =>
    (await hubOf({ 'preprocessor_config.json': processor })).notes.map(({ code, level }) => [code, level]);
  assert.equal(await levels({ ...vitProcessor(32), size: { longest_edge: 32 } }), [
    ['not-as-library', 'warning'],
  ]);
  assert.equal(await levels({ ...vitProcessor(32), size: 32 }), [['not-as-library', 'warning']]);
  assert.equal(await levels({ ...vitProcessor(32), resample: 1 }), [['not-as-library', 'info']]);
  assert.equal(await levels(vitProcessor(32)), []);
});

test('models whose samples have several classes, or none, are refused', async () => {
  await hubOf({ 'config.json': classifierConfig('vit', ['a', 'b'], { problem_type: null }) });
  for (const problem of ['multi_label_classification', 'regression'])
    await fails(
      () => hubOf({ 'config.json': classifierConfig('vit', ['a', 'b'], { problem_type: problem }) }),
      'bad-model-config',
      'config.json',
      problem,
      'single_label_classification',
    );
});

test('sounds are not read, which is said', async () => {
  const { notes, preprocessing } = await hubOf({
    'preprocessor_config.json': { feature_extractor_type: 'ASTFeatureExtractor', sampling_rate: 16000 },
  });
  assert.equal(
    notes.map(({ code }) => code),
    ['sounds-as-arrays'],
  );
  assert.equal(preprocessing, {});
});

const value = (name: string, dims: readonly Dim[]): ValueInfo => ({
  name,
  type: { dataType: 'float', dims },
});
const PICTURES: UsualSizes = { height: 40, width: 30, channels: 3 };

test('open axes of pictures, channels first or last', () => {
  const open = (dims: readonly Dim[], given = {}, sizes = PICTURES) =>
    openDims([value('pixel_values', dims)], sizes, given);
  const first = { 'pixel_values.1': 3, 'pixel_values.2': 40, 'pixel_values.3': 30 };
  assert.equal(open(['batch_size', 'num_channels', 'height', 'width']), first);
  assert.equal(open(['N', 3, 'height', 'width']), { 'pixel_values.2': 40, 'pixel_values.3': 30 });
  assert.equal(open(['N', 'h', 'w', 3]), { 'pixel_values.1': 40, 'pixel_values.2': 30 });
  assert.equal(open(['N', 3, 40, 30]), {});
  assert.equal(open(['N', 3, 64, 64]), {});
  assert.equal(open(['N', 'c', 'h', 'w'], {}, { channels: 1 }), { 'pixel_values.1': 1 });
  assert.equal(open(['N', 'c'], {}), {});
  assert.equal(openDims([{ name: 'pixel_values', type: undefined }], PICTURES, {}), {});
});

test('sizes that the user gives win, by the name of the axis and by its place', () => {
  const inputs = [value('pixel_values', ['batch_size', 'num_channels', 'height', 'width'])];
  const rest = { 'pixel_values.1': 3, 'pixel_values.3': 30 };
  assert.equal(openDims(inputs, PICTURES, { height: 64 }), rest);
  assert.equal(openDims(inputs, PICTURES, { 'pixel_values.2': 64 }), rest);
  assert.equal(openDims(inputs, PICTURES, { batch_size: 1 }), { ...rest, 'pixel_values.2': 40 });
});

test('all inputs of a text are as long as one of them is', () => {
  const texts = (...lengths: Dim[]) =>
    lengths.map((length, i) => value(['input_ids', 'attention_mask', 'token_type_ids'][i]!, ['N', length]));
  const length = (n: number) => ({ 'input_ids.1': n, 'attention_mask.1': n });
  assert.equal(openDims(texts('sequence_length', 'sequence_length'), { tokens: 64 }, {}), length(64));
  assert.equal(
    openDims(texts('sequence_length', 'sequence_length'), { tokens: 64 }, { sequence_length: 32 }),
    {},
  );
  assert.equal(openDims(texts('a', 'b'), { tokens: 64 }, { a: 32 }), { 'attention_mask.1': 32 });
  assert.equal(openDims(texts('a', 'b'), { tokens: 64 }, { 'input_ids.1': 32 }), { 'attention_mask.1': 32 });
  assert.equal(openDims(texts(16, 'b', 'c'), { tokens: 64 }, {}), { 'attention_mask.1': 16, 'token_type_ids.1': 16 }); // biome-ignore format: a line
  assert.equal(openDims(texts('a', 'b'), {}, {}), {});
  assert.equal(openDims([value('features', ['N', 'length'])], { tokens: 64, ...PICTURES }, {}), {});
});

/** Every key that is read, with any JSON, or the value that it mostly has. */
const anything = (usual: Readonly<Record<string, unknown>>, ...more: string[]) =>
  fc.record(
    Object.fromEntries(
      [...new Set([...Object.keys(usual), ...more])].map((key) => [
        key,
        fc.oneof(
          { weight: 3, arbitrary: fc.constant(usual[key]) },
          fc.jsonValue({ maxDepth: 2 }),
          fc.constantFrom(0, -1, 0.5, 1e300, 1e-320, 1e9, 'toString', '__proto__', null, true, [], {}, [[0]], { toString: 1 }), // biome-ignore format: values
        ),
      ]),
    ),
    { requiredKeys: [] },
  );

const RUNS = { numRuns: 400, seed: 1 } as const;

/** Runs `act`, which may end well or in an error of ours that says what to do. */
async function holds(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (!(error instanceof OfframpError)) throw error;
    assert.ok(error.hint.length > 0);
    return false;
  }
}

test('whatever config.json and preprocessor_config.json hold, only Offramp’s errors come out', async () => {
  const folder = writeFiles(freshFolder(), { 'onnx/model.onnx': '' });
  const config = anything(
    classifierConfig('vit', ['a', 'b'], { image_size: 32, num_channels: 3, max_position_embeddings: 64, pad_token_id: 1 }),
  ); // biome-ignore format: a line
  const processor = anything(
    { ...vitProcessor(32), image_processor_type: 'ConvNextImageProcessor', crop_pct: 0.875, crop_size: 32 },
    ...['do_center_crop', 'do_pad', 'pad_size', 'do_thumbnail', 'image_size', 'mean', 'std', 'include_top'],
    ...['feature_extractor_type', 'do_flip_channel_order', 'sampling_rate'],
  );
  let fine = 0;
  await fc.assert(
    fc.asyncProperty(config, processor, async (model, pictures) => {
      writeFileSync(join(folder, 'config.json'), JSON.stringify(model));
      writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(pictures));
      const well = await holds(async () => {
        const { preprocessing, sizes, classes } = await readHub({ model: folder });
        for (const size of Object.values(sizes)) assert.ok(Number.isSafeInteger(size) && size > 0, `${size}`);
        for (const name of classes?.names ?? []) assert.type(name, 'string');
        const inputs = [{ name: 'pixel_values', dims: [3, 32, 32], dataType: 'float' as const }];
        resolvePreprocessing(preprocessing, inputs);
      });
      if (well) fine++;
    }),
    RUNS,
  );
  assert.ok(fine > RUNS.numRuns / 50, `${fine} of ${RUNS.numRuns} were read`);
});

test('whatever tokenizer_config.json and the parts of tokenizer.json hold, only Offramp’s errors come out', async () => {
  const folder = writeFiles(freshFolder(), { 'onnx/model.onnx': '' });
  const beside = anything({ model_max_length: 40, padding_side: 'left', truncation_side: 'right', pad_token: '[PAD]' }); // biome-ignore format: a line
  const parts = anything({
    truncation: { direction: 'Right', max_length: 40, strategy: 'LongestFirst', stride: 0 },
    padding: { strategy: 'BatchLongest', direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: '[PAD]' },
    added_tokens: [],
  });
  let fine = 0;
  await fc.assert(
    fc.asyncProperty(beside, parts, async (config, json) => {
      writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...wordPieceTokenizer(), ...json }));
      const well = await holds(async () => {
        const { sizes, tokenizer } = await readHub({ model: folder });
        if (sizes.tokens !== undefined) assert.ok(Number.isSafeInteger(sizes.tokens) && sizes.tokens > 0);
        const encode = await loadTokenizer(tokenizer!);
        encode('hello world', undefined, sizes.tokens ?? 16);
      });
      if (well) fine++;
    }),
    RUNS,
  );
  assert.ok(fine > RUNS.numRuns / 20, `${fine} of ${RUNS.numRuns} were read`);
});

test.run();
