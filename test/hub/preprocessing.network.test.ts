/** Pictures and texts as the model's numbers: ours and the library's, number by number. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, resolvePreprocessing } from '../../src/data/index.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { readHub } from '../../src/hub/read.ts';
import { freshFolder, pixels } from '../data/fixtures.ts';
import { convNextProcessor, mobileNetProcessor, vitProcessor, writeFiles } from '../hub-models.ts';
import { byteLevelTokenizer, SPECIAL_CONFIGS, wordPieceTokenizer } from '../hub-tokenizers.ts';
import { askLibrary } from './library.ts';

const test = suite('hub: the numbers that transformers.js feeds');

/** Pictures of many shapes, as files: png, jpeg, webp, gray and with alpha. */
async function writePictures(folder: string): Promise<string[]> {
  mkdirSync(join(folder, 'pictures/a'), { recursive: true });
  const file = (name: string) => join(folder, 'pictures/a', name);
  const raw = (width: number, height: number, channels: 1 | 3 | 4) =>
    sharp(Buffer.from(pixels(width * height * channels, width)), { raw: { width, height, channels } });
  const smooth = (width: number, height: number) => raw(7, 5, 3).resize(width, height, { fit: 'fill' });
  await raw(32, 32, 3).png().toFile(file('1-as-it-is.png'));
  await smooth(47, 33).png().toFile(file('2-wide.png'));
  await smooth(300, 411).jpeg({ quality: 90 }).toFile(file('3-tall.jpg'));
  await raw(20, 90, 4).png().toFile(file('4-alpha.png'));
  await raw(64, 48, 1).toColourspace('b-w').png().toFile(file('5-gray.png'));
  await smooth(500, 375).webp({ lossless: true }).toFile(file('6-large.webp'));
  await raw(5, 4, 3).png().toFile(file('7-tiny.png'));
  return [
    '1-as-it-is.png',
    '2-wide.png',
    '3-tall.jpg',
    '4-alpha.png',
    '5-gray.png',
    '6-large.webp',
    '7-tiny.png',
  ].map(file);
}

const CLIP = {
  crop_size: { height: 32, width: 32 },
  do_center_crop: true,
  do_convert_rgb: true,
  do_normalize: true,
  do_resize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_processor_type: 'CLIPImageProcessor',
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  size: { shortest_edge: 32 },
};

/** By the model that has such a config, and what comes out. */
const PROCESSORS: Readonly<Record<string, readonly [config: object, size: number]>> = {
  vit: [vitProcessor(32), 32],
  convnext: [convNextProcessor(32), 32],
  'convnext, all of a large picture': [convNextProcessor(384), 384],
  resnet: [{ ...convNextProcessor(40), crop_pct: 0.95, resample: 2 }, 40],
  mobilenet: [mobileNetProcessor(48, 32), 32],
  deit: [{ ...vitProcessor(40), resample: 3, do_center_crop: true, crop_size: 32, image_processor_type: 'DeiTImageProcessor' }, 32],
  clip: [CLIP, 32],
  'clip, by one number': [{ ...CLIP, size: 32, crop_size: 32 }, 32],
  efficientnet: [{ ...vitProcessor(32), resample: 0, include_top: true, image_std: [0.47853944, 0.4732864, 0.47434163], image_processor_type: 'EfficientNetImageProcessor' }, 32],
  mobilevit: [{ crop_size: { height: 32, width: 32 }, do_center_crop: true, do_flip_channel_order: true, do_resize: true, feature_extractor_type: 'MobileViTFeatureExtractor', resample: 2, size: { shortest_edge: 36 } }, 32],
  'a processor that only rescales': [{ do_resize: true, do_normalize: false, rescale_factor: 1 / 127.5, image_processor_type: 'ViTFeatureExtractor', size: { height: 32, width: 32 } }, 32],
  'a processor that does not rescale': [{ ...vitProcessor(32), do_rescale: false, image_mean: [123.675, 116.28, 103.53], image_std: 58 }, 32],
}; // biome-ignore format: rows

for (const [name, [config, size]] of Object.entries(PROCESSORS))
  test(`${name}: every number of every picture`, async () => {
    const folder = writeFiles(freshFolder(), {
      'config.json': { model_type: 'vit', id2label: { 0: 'a' } },
      'preprocessor_config.json': config,
      'onnx/model.onnx': 'not read here',
    });
    const files = await writePictures(folder);
    const hub = await readHub({ model: folder });
    assert.equal([hub.sizes.height, hub.sizes.width, hub.sizes.channels], [size, size, 3]);
    const inputs = [{ name: 'pixel_values', dims: [3, size, size], dataType: 'float' as const }];
    const preprocessing = resolvePreprocessing(hub.preprocessing, inputs);
    const dataset = await openDataset(join(folder, 'pictures'), {
      inputs,
      preprocessing,
      cache: join(folder, 'cache'),
      classes: 1,
    });
    const theirs = await askLibrary<{ dims: number[]; data: string }[]>({
      kind: 'pixels',
      folder,
      items: files,
    });
    assert.is(theirs.length, files.length);
    for (const [i, { dims, data }] of theirs.entries()) {
      assert.equal(dims, [1, 3, size, size], files[i]);
      const bytes = Buffer.from(data, 'base64');
      const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      const own = await dataset.read([i]);
      const unlike = expected.findIndex((value, at) => value !== own[at]);
      assert.is(unlike, -1, `${files[i]}: ${own[unlike]} for ${expected[unlike]} at ${unlike}`);
    }
    await dataset.close();
    rmSync(folder, { recursive: true });
  });

const TEXTS = [
  'hello world',
  'Hello, World! It works.',
  '',
  'unknownword xyz',
  'a b c d e f g h i j',
  'naïve café — déjà vu',
  '日本語 text',
  'tabs\tand\nnewlines   and   spaces',
];
/** Longer ones are cut: by the library after its special tokens are in, so that the last is lost, and by us before, as in Python. */
const LENGTH = 40;

for (const [name, { tokenizer, config }] of Object.entries(SPECIAL_CONFIGS))
  test(`${name}: every token of every text`, async () => {
    const folder = writeFiles(freshFolder(), {
      'config.json': { model_type: config.model_type, max_position_embeddings: 64 },
      'tokenizer.json': tokenizer === 'word-piece' ? wordPieceTokenizer() : byteLevelTokenizer(),
      'tokenizer_config.json': config.tokenizer,
      'onnx/model.onnx': 'not read here',
    });
    const hub = await readHub({ model: folder });
    assert.is(hub.sizes.tokens, LENGTH);
    const encode = await loadTokenizer(hub.tokenizer!);
    const theirs = await askLibrary<Record<string, number[]>[]>({
      kind: 'tokens',
      folder,
      items: TEXTS,
      length: LENGTH,
    });
    for (const [i, expected] of theirs.entries()) {
      const own = encode(TEXTS[i]!, undefined, LENGTH) as unknown as Record<string, readonly number[]>;
      for (const [input, ids] of Object.entries(expected))
        assert.equal([...own[input]!], ids, `${input} of ${JSON.stringify(TEXTS[i])}`);
    }
  });

test.run();
