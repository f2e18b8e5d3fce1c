/** preprocessor_config.json, read: what comes of it, and what is refused how. The numbers themselves: preprocessing.network.test.ts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolvePreprocessing } from '../../src/data/index.ts';
import { readPictureConfig } from '../../src/hub/pictures.ts';
import { fails } from '../data/fixtures.ts';
import { convNextProcessor, mobileNetProcessor, vitProcessor } from '../hub-models.ts';

const test = suite('hub: preprocessor_config.json');
const FILE = 'my-model/preprocessor_config.json';
const read = (config: object) => readPictureConfig(config as Record<string, unknown>, FILE);
const fitting = (config: object) => {
  const { preprocessing, size } = read(config);
  return [preprocessing.resize, preprocessing.resample, size];
};

test('how pictures are fitted, by the processors that models of the hub have', () => {
  assert.equal(fitting(vitProcessor(224)), ['stretch', 'affine-bilinear', [224, 224]]);
  assert.equal(fitting(convNextProcessor(224)), ['shortest:256', 'affine-bicubic', [224, 224]]);
  assert.equal(fitting(convNextProcessor(384)), ['stretch', 'affine-bicubic', [384, 384]]);
  assert.equal(fitting(mobileNetProcessor(256, 224)), ['shortest:256', 'affine-bilinear', [224, 224]]);
  assert.equal(fitting({ ...vitProcessor(1), size: { height: 32, width: 48 } }), ['stretch', 'affine-bilinear', [32, 48]]); // biome-ignore format: a line
  assert.equal(fitting({ ...vitProcessor(1), size: 64, resample: 0 }), [
    'stretch',
    'affine-nearest',
    [64, 64],
  ]);
  assert.equal(fitting({ ...vitProcessor(1), size: [40, 30] }), ['stretch', 'affine-bilinear', [40, 30]]);
  assert.equal(fitting({ ...mobileNetProcessor(1, 32), size: { height: 40, width: 50 } }), ['40x50', 'affine-bilinear', [32, 32]]); // biome-ignore format: a line
  assert.equal(fitting({ ...mobileNetProcessor(1, 32), size: { longest_edge: 40 } }), ['longest:40', 'affine-bilinear', [32, 32]]); // biome-ignore format: a line
  assert.equal(fitting({ ...mobileNetProcessor(1, 32), size: { height: 32, width: 32 } }), ['stretch', 'affine-bilinear', [32, 32]]); // biome-ignore format: a line
  assert.equal(fitting({ do_resize: false, do_center_crop: true, crop_size: 20 }), [
    undefined,
    undefined,
    [20, 20],
  ]);
  assert.equal(fitting({ do_resize: false }), [undefined, undefined, undefined]);
  assert.equal(fitting({ do_resize: true }), ['stretch', 'affine-bilinear', [224, 224]]);
});

test('Lanczos is done as Pillow does it, which is said', () => {
  const { preprocessing, differs } = read({ ...vitProcessor(32), resample: 1 });
  assert.is(preprocessing.resample, 'lanczos');
  assert.match(differs!, 'Lanczos');
  assert.is(read(vitProcessor(32)).differs, undefined);
});

test('numbers', () => {
  const numbers = (config: object) => {
    const { resize: _, resample: __, ...rest } = read(config).preprocessing;
    return rest;
  };
  const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  assert.equal(numbers(convNextProcessor(224)), { rescale: 0.00392156862745098, ...imagenet });
  assert.equal(numbers({ ...vitProcessor(32), do_rescale: false }), { scale: 1, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }); // biome-ignore format: a line
  assert.equal(numbers({ ...vitProcessor(32), do_normalize: false }), { rescale: 0.00392156862745098, mean: [0], std: [1] }); // biome-ignore format: a line
  assert.equal(numbers({ do_normalize: true, image_mean: 0.5, image_std: 0.25 }), { rescale: 1 / 255, mean: [0.5], std: [0.25] }); // biome-ignore format: a line
  const reversed = numbers({ ...convNextProcessor(224), do_flip_channel_order: true });
  assert.equal([reversed.channels, reversed.mean], ['bgr', [0.406, 0.456, 0.485]]);
  const squared = { ...vitProcessor(32), image_processor_type: 'EfficientNetImageProcessor' };
  assert.equal(numbers(squared).std, [0.25, 0.25, 0.25]);
  assert.equal(numbers({ ...squared, include_top: false }).std, [0.5, 0.5, 0.5]);
});

/** Per row: what is changed in a config that is fine, and what the error names besides the file. */
const REFUSED: readonly (readonly [base: object, change: Readonly<Record<string, unknown>>, ...mentions: string[]])[] = [
  [convNextProcessor(32), { crop_pct: 0 }, 'crop_pct', '0.875'],
  [convNextProcessor(32), { crop_pct: -0.5 }, 'crop_pct'],
  [convNextProcessor(32), { crop_pct: 1.5 }, 'crop_pct'],
  [convNextProcessor(32), { crop_pct: '87 %' }, 'crop_pct', '87 %'],
  [convNextProcessor(32), { crop_pct: 1e-9 }, 'crop_pct'],
  [convNextProcessor(32), { size: {} }, 'size', 'missing'],
  [convNextProcessor(32), { size: { shortest_edge: '32' } }, 'size'],
  [vitProcessor(32), { size: {} }, 'size', 'shortest_edge'],
  [vitProcessor(32), { size: { height: 32 } }, 'size', '{"height":32}'],
  [vitProcessor(32), { size: [32] }, 'size'],
  [vitProcessor(32), { size: '32' }, 'size'],
  [vitProcessor(32), { size: null, image_size: 'large' }, 'size', 'large'],
  [vitProcessor(32), { size: { height: 0, width: 32 } }, 'size is 0'],
  [vitProcessor(32), { size: { height: 32.5, width: 32 } }, 'size is 32.5'],
  [vitProcessor(32), { size: { height: 1e9, width: 32 } }, 'size'],
  [vitProcessor(32), { size: { shortest_edge: 256, longest_edge: 480 } }, 'shortest_edge and longest_edge', 'resize'],
  [mobileNetProcessor(48, 32), { crop_size: undefined }, 'crop_size is missing'],
  [mobileNetProcessor(48, 32), { crop_size: { height: 'x', width: 32 } }, 'crop_size is "x"'],
  [vitProcessor(32), { do_pad: true, pad_size: { height: 40, width: 40 } }, 'do_pad', 'contain'],
  [vitProcessor(32), { do_pad: true, size_divisor: 32 }, 'do_pad'],
  [vitProcessor(32), { do_thumbnail: true }, 'do_thumbnail', '.npz'],
  [vitProcessor(32), { do_reduce_labels: true }, 'do_reduce_labels'],
  [vitProcessor(32), { resample: 7 }, 'resample is 7', 'resize'],
  [vitProcessor(32), { resample: 'toString' }, 'resample is "toString"'],
  [vitProcessor(32), { resample: { toString: 1 } }, 'resample'],
  [vitProcessor(32), { rescale_factor: 0 }, 'rescale_factor is 0,'],
  [vitProcessor(32), { rescale_factor: '1/255' }, 'rescale_factor is "1/255"'],
  [vitProcessor(32), { rescale_factor: Number.POSITIVE_INFINITY }, 'rescale_factor'],
  [vitProcessor(32), { rescale_factor: 1e-310 }, 'rescale_factor'],
  [vitProcessor(32), { image_mean: ['0.5', 0.5, 0.5] }, 'image_mean is ["0.5",0.5,0.5]'],
  [vitProcessor(32), { image_mean: null }, 'image_mean is null, where a list of numbers is expected'],
  [vitProcessor(32), { image_mean: undefined }, 'image_mean is missing'],
  [vitProcessor(32), { image_mean: [] }, 'image_mean is []'],
  [vitProcessor(32), { image_mean: [[0.5]] }, 'image_mean'],
  [vitProcessor(32), { image_std: [0.5, 0, 0.5] }, 'image_std', '0'],
  [vitProcessor(32), { image_std: undefined }, 'image_std is missing, where a list of numbers is expected'],
  ...['do_resize', 'do_rescale', 'do_normalize', 'do_center_crop', 'do_pad', 'do_convert_rgb', 'do_thumbnail', 'include_top'].map((name) => [vitProcessor(32), { [name]: 'false' }, `${name} is "false", where true or false is expected`, 'quotation marks'] as const),
  [vitProcessor(32), { do_flip_channel_order: 1 }, 'do_flip_channel_order is 1'],
]; // biome-ignore format: rows

for (const [base, change, ...mentions] of REFUSED)
  test(`refused: ${JSON.stringify(change)} of ${(base as { image_processor_type: string }).image_processor_type}`, async () => {
    await fails(() => read({ ...base, ...change }), 'bad-model-config', FILE, ...mentions);
  });

test('what the refused ask for in their remedies is taken', () => {
  read({ ...vitProcessor(32), do_pad: false, pad_size: { height: 40, width: 40 } });
  read({ ...vitProcessor(32), do_pad: true });
  read({ ...vitProcessor(32), do_pad: null, do_convert_rgb: null, do_resize: true });
  read({ ...vitProcessor(32), do_thumbnail: false });
  read({ ...convNextProcessor(32), crop_pct: 0.875 });
  read({ ...vitProcessor(32), size: { shortest_edge: 224 } });
  read({ ...vitProcessor(32), rescale_factor: 0.00392156862745098 });
});

test('fields that nobody reads may hold anything', () => {
  const odd = {
    ...vitProcessor(32),
    image_processor_type: { toString: 1 },
    feature_extractor_type: 5,
    extra: [[]],
  };
  assert.equal(read(odd).size, [32, 32]);
});

test('what was read fits colour and gray models', () => {
  const { preprocessing } = read({ ...vitProcessor(28), image_mean: [0.5], image_std: [0.5] });
  const settled = resolvePreprocessing(preprocessing, [
    { name: 'pixel_values', dims: [1, 28, 28], dataType: 'float' },
  ]);
  assert.equal([settled.channels, settled.mean], ['gray', [0.5]]);
});

test.run();
