import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSamples, SIDE, writeNpz } from '../../examples/demo/shapes.ts';
import {
  openDataset,
  type PreprocessingOptions,
  resolvePreprocessing,
  thumbnails,
} from '../../src/data/index.ts';

const test = suite('data: thumbnails');
const folder = mkdtempSync(join(tmpdir(), 'offramp-thumbnails-'));
const path = join(folder, 'drawn.npz');
const { pixels, labels } = drawSamples(20, 5);
writeNpz(path, { pixels, labels });
test.after(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = SIDE * SIDE * 3;

async function opened(dims: number[], options: PreprocessingOptions) {
  const inputs = [{ name: 'x', dims, dataType: 'float' as const }];
  const preprocessing = resolvePreprocessing(options, inputs);
  return await openDataset(path, { inputs, preprocessing, cache: folder, classes: 10, split: 'test' });
}

for (const [name, dims, options] of [
  ['planes, normalised', [3, SIDE, SIDE], { preset: 'imagenet' }],
  ['pixels side by side', [SIDE, SIDE, 3], { preset: 'unit' }],
  ['blue first', [3, SIDE, SIDE], { preset: 'cifar10', channels: 'bgr' }],
] as [string, number[], PreprocessingOptions][]) {
  test(`${name}: the image that was stored`, async () => {
    const dataset = await opened(dims, options);
    try {
      const pngs = await thumbnails(dataset, [7, 2]);
      for (const [i, sample] of [7, 2].entries()) {
        const { data, info } = await sharp(pngs![i]).raw().toBuffer({ resolveWithObject: true });
        assert.equal([info.width, info.height, info.channels], [SIDE, SIDE, 3]);
        assert.equal([...data], [...pixels.subarray(sample * SIZE, (sample + 1) * SIZE)]);
      }
    } finally {
      await dataset.close();
    }
  });
}

test('samples that are no images have none', async () => {
  const dataset = {
    isImage: false,
    inputs: [{ name: 'x', dims: [5], dataType: 'float' }],
    preprocessing: { layout: 'flat' },
  };
  assert.is(await thumbnails(dataset as never, [0]), undefined);
});

test.run();
