import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Preset, resolvePreprocessing } from '../../src/data/index.ts';
import { fails, input } from './fixtures.ts';

const test = suite('data: preprocessing');

test('the dims tell the layout', () => {
  const cases: [number[], string, string][] = [
    [[3, 32, 32], 'NCHW', 'rgb'],
    [[32, 32, 3], 'NHWC', 'rgb'],
    [[1, 28, 28], 'NCHW', 'gray'],
    [[28, 28, 1], 'NHWC', 'gray'],
    [[28, 28], 'NCHW', 'gray'],
    [[784], 'flat', 'any'],
    [[64, 8, 8], 'flat', 'any'],
  ];
  for (const [dims, layout, channels] of cases) {
    const resolved = resolvePreprocessing({}, [input(...dims)]);
    assert.equal([resolved.layout, resolved.channels], [layout, channels]);
  }
  assert.is(resolvePreprocessing({ layout: 'NHWC' }, [input(3, 32, 3)]).layout, 'NHWC');
  assert.is(resolvePreprocessing({ layout: 'NCHW' }, [input(64, 8, 8)]).mean.length, 64);
});

test('presets and overrides', () => {
  const rgb = [input(3, 8, 8)];
  assert.equal(resolvePreprocessing({ preset: 'imagenet', std: [1], resize: 'cover' }, rgb), {
    scale: 255,
    mean: [0.485, 0.456, 0.406],
    std: [1, 1, 1],
    layout: 'NCHW',
    channels: 'rgb',
    resize: 'cover',
  });
  const bgr = resolvePreprocessing({ preset: 'imagenet', channels: 'bgr', std: [1, 2, 3] }, rgb);
  assert.equal(
    [bgr.mean, bgr.std],
    [
      [0.406, 0.456, 0.485],
      [1, 2, 3],
    ],
  );
  assert.equal(JSON.parse(JSON.stringify(bgr)), bgr);
});

test('refusals', async () => {
  await fails(
    () => resolvePreprocessing({}, [input(3, 32, 3)]),
    'ambiguous-layout',
    '[3, 32, 3]',
    '`layout: ',
  );
  const bad: [Parameters<typeof resolvePreprocessing>[0], number[], string][] = [
    [{ preset: 'imagenet' }, [28, 28], 'mean'],
    [{ preset: 'caffe' as Preset }, [3, 8, 8], 'caffe'],
    [{ std: [0] }, [3, 8, 8], 'std'],
    [{ scale: Number.NaN }, [3, 8, 8], 'scale'],
    [{ mean: [1, 2] }, [3, 8, 8], '2 values of mean'],
    [{ channels: 'gray' }, [3, 8, 8], 'gray'],
    [{ channels: 'bgr' }, [28, 28], 'bgr'],
    [{ layout: 'NCHW' }, [784], 'NCHW'],
  ];
  for (const [options, dims, mention] of bad)
    await fails(() => resolvePreprocessing(options, [input(...dims)]), 'bad-preprocessing', mention);
  const two = [
    { ...input(40), name: 'ids' },
    { ...input(40), name: 'mask' },
  ];
  await fails(
    () => resolvePreprocessing({ preset: 'imagenet' }, two),
    'bad-preprocessing',
    'ids, mask',
    '`preset`',
  );
  assert.equal(resolvePreprocessing({ preset: 'none' }, two).mean, [0]);
});

test.run();
