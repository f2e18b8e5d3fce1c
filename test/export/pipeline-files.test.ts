/** Config files of exported folders. That the library reads them so: test/hub. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PreprocessingOptions, resolvePreprocessing } from '../../src/data/index.ts';
import type { InputSpec } from '../../src/data/types.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { configJson, preprocessorJson, tokenizerConfigJson } from '../../src/export/pipeline-files.ts';
import { readPictureConfig } from '../../src/hub/pictures.ts';
import { SAMPLE } from '../emit/sample.ts';
import { hasCode } from '../expect.ts';
import { classifierConfig, convNextProcessor, mobileNetProcessor, vitProcessor } from '../hub-models.ts';

const test = suite('export: config files of pipelines');
const NAMES = ['cat', 'dog'];
const named: Manifest = { ...SAMPLE, labels: NAMES, classes: 2 };
const { labels: _, ...rest } = named;
const unnamed: Manifest = rest;
const FP32 = { 'transformers.js_config': { dtype: 'fp32' } };

test('config.json: class names, and the file that is there', () => {
  const names = { id2label: { 0: 'cat', 1: 'dog' }, label2id: { cat: 0, dog: 1 } };
  assert.equal(configJson(named, 'image-classification'), { model_type: 'resnet', ...names, ...FP32 });
  assert.equal(configJson(named, 'text-classification'), { model_type: 'bert', ...names, ...FP32 });
  const kept = classifierConfig('vit', ['a', 'b'], { image_size: 32 });
  assert.equal(configJson(named, 'image-classification', kept), { ...kept, ...names, ...FP32 });
});

test('without names in the package those of the original stay, else classes are numbered', () => {
  const kept = classifierConfig('vit', ['a', 'b']);
  assert.equal(configJson(unnamed, 'image-classification', kept), { ...kept, ...FP32 });
  const { id2label } = configJson(unnamed, 'image-classification', { model_type: 'vit' });
  assert.equal(id2label, { 0: 'LABEL_0', 1: 'LABEL_1' });
});

test('what the original says of its files for browsers holds no longer', () => {
  const custom = { dtype: 'q8', use_external_data_format: { 'model.onnx': 2 }, kv_cache_dtype: 'fp16', device: 'wasm' }; // biome-ignore format: a line
  const config = configJson(named, 'image-classification', { 'transformers.js_config': custom });
  assert.equal(config['transformers.js_config'], { device: 'wasm', dtype: 'fp32' });
  for (const odd of [null, 'q8', []])
    assert.equal(configJson(named, 'image-classification', { 'transformers.js_config': odd })['transformers.js_config'], { dtype: 'fp32' }); // biome-ignore format: a line
});

const INPUT: InputSpec = { name: 'pixel_values', dims: [3, 32, 32], dataType: 'float' };
const of = (options: PreprocessingOptions, input = INPUT): Manifest => ({
  ...SAMPLE,
  preprocessing: resolvePreprocessing(options, [input]),
});

test('preprocessor_config.json stays where the package does the same', () => {
  for (const config of [vitProcessor(32), convNextProcessor(32), mobileNetProcessor(48, 32)]) {
    const { preprocessing } = readPictureConfig(config, 'preprocessor_config.json');
    const kept = { config, file: 'preprocessor_config.json' };
    assert.is(preprocessorJson(of(preprocessing), INPUT, kept), config);
    const last: InputSpec = { ...INPUT, dims: [32, 32, 3] };
    assert.is(preprocessorJson(of(preprocessing, last), last, kept), config, 'channels last');
    const other = preprocessorJson(of({ ...preprocessing, mean: [0.1, 0.2, 0.3] }), INPUT, kept);
    assert.equal(other.image_mean, [0.1, 0.2, 0.3]);
  }
});

/** What is written is read as what the package does; resizing is always the library's own. */
const FITTINGS: readonly PreprocessingOptions[] = [
  { preset: 'imagenet', resize: 'stretch', resample: 'affine-bilinear' },
  { preset: 'half', resize: 'stretch', resample: 'affine-bicubic' },
  { preset: 'clip', resize: 'shortest:40', resample: 'affine-bicubic' },
  { preset: 'imagenet', resize: 'longest:40', resample: 'affine-nearest' },
  { preset: 'imagenet', resize: '36x40', resample: 'affine-bilinear' },
  { preset: 'imagenet', resize: 'shortest:40', resample: 'lanczos' },
  { rescale: 1 / 127.5, mean: [1], std: [1], resize: 'stretch', resample: 'affine-bilinear' },
  { preset: 'imagenet', channels: 'bgr', resize: 'stretch', resample: 'affine-bilinear' },
];

for (const options of FITTINGS)
  test(`preprocessor_config.json of ${JSON.stringify(options)}`, () => {
    const own = of(options);
    const written = preprocessorJson(own, INPUT, undefined);
    const { preprocessing, size } = readPictureConfig(written, 'preprocessor_config.json');
    const again = resolvePreprocessing(preprocessing, [INPUT]);
    const { scale, rescale = 1 / scale, ...others } = own.preprocessing!;
    assert.is(again.rescale, rescale);
    assert.equal({ ...again, scale, rescale: undefined }, { ...others, scale, rescale: undefined });
    assert.equal(size, [32, 32]);
  });

test('ways to fit that the library has other words for', () => {
  const cover = preprocessorJson(of({ resize: 'cover' }), INPUT, undefined);
  assert.equal([cover.size, cover.crop_size], [{ shortest_edge: 32 }, { height: 32, width: 32 }]);
  const contain = preprocessorJson(of({ resize: 'contain' }), INPUT, undefined);
  assert.equal([contain.size, contain.crop_size], [{ longest_edge: 32 }, { height: 32, width: 32 }]);
  const none = preprocessorJson(of({}), INPUT, undefined);
  assert.equal([none.do_resize, none.size], [true, { height: 32, width: 32 }]);
});

test('what there are no words for is refused', () => {
  const wide: InputSpec = { ...INPUT, dims: [3, 32, 48] };
  for (const resize of ['cover', 'contain'] as const)
    assert.throws(
      () => preprocessorJson(of({ resize }, wide), wide, undefined),
      hasCode('not-for-pipelines'),
    );
  const gray: InputSpec = { ...INPUT, dims: [1, 28, 28] };
  assert.throws(() => preprocessorJson(of({ preset: 'mnist' }, gray), gray, undefined), hasCode('not-for-pipelines')); // biome-ignore format: a line
});

test('tokenizer_config.json', () => {
  const padding = { direction: 'Left', pad_token: '<pad>' };
  const tokenizer = { padding, truncation: { max_length: 40 }, model: { unk_token: '<unk>' } };
  const written = tokenizerConfigJson(tokenizer, 64);
  assert.equal(
    [written.model_max_length, written.padding_side, written.pad_token, written.unk_token],
    [40, 'left', '<pad>', '<unk>'],
  );
  assert.is(tokenizerConfigJson(tokenizer, 16).model_max_length, 16);
  assert.equal(tokenizerConfigJson({ padding: null, truncation: null }, 16), {
    ...{ tokenizer_class: 'PreTrainedTokenizer', model_max_length: 16, padding_side: 'right' },
  });
});

test('the original’s tokenizer_config.json stays, but that texts are cut where the package cuts them', () => {
  const kept = { tokenizer_class: 'BertTokenizer', model_max_length: 512, padding_side: 'left' };
  assert.equal(tokenizerConfigJson({}, 64, kept), { ...kept, model_max_length: 64 });
  assert.is(tokenizerConfigJson({}, 64, { ...kept, model_max_length: 40 }).model_max_length, 40);
  assert.is(tokenizerConfigJson({}, 64, { ...kept, model_max_length: 1e30 }).model_max_length, 64);
  assert.is(tokenizerConfigJson({}, 64, {}).model_max_length, 64);
});

test.run();
