import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PointSampling, pointSampled } from '../../src/runtime/affine.ts';
import type { Pixels } from '../../src/runtime/pixels.ts';
import { pixels } from '../data/fixtures.ts';

const test = suite('runtime: pixels sampled at points');

const noisy = (width: number, height: number, channels = 3): Pixels => ({
  data: pixels(width * height * channels, 7 * width + height),
  width,
  height,
  channels,
});

/** What transformers.js does with a picture in Node. */
async function bySharp(
  { data, width, height, channels }: Pixels,
  to: [number, number],
  interpolator: 'nearest' | 'bilinear' | 'bicubic',
) {
  const raw = { width, height, channels: channels as 3 };
  const matrix: [number, number, number, number] = [to[0] / width, 0, 0, to[1] / height];
  const image = sharp(data, { raw }).affine(matrix, { interpolator }).raw();
  const { data: out, info } = await image.toBuffer({ resolveWithObject: true });
  assert.equal([info.width, info.height], to);
  return new Uint8Array(out);
}

const SIZES = [
  [8, 8, 16, 16],
  [9, 7, 4, 3],
  [50, 33, 75, 60],
  [3, 38, 15, 82],
  [224, 150, 97, 64],
  [5, 50, 17, 3],
  [1, 1, 4, 4],
  [640, 427, 256, 171],
] as const;

for (const kernel of ['nearest', 'bilinear', 'bicubic'] as const)
  test(`${kernel}: the bytes of sharp's affine`, async () => {
    for (const [width, height, toWidth, toHeight] of SIZES) {
      const source = noisy(width, height);
      const sampling: PointSampling = `affine-${kernel}`;
      const { data } = pointSampled(source, toWidth, toHeight, 'stretch', sampling);
      const expected = await bySharp(source, [toWidth, toHeight], kernel);
      const place = `${width}x${height} to ${toWidth}x${toHeight}`;
      assert.is(data.length, expected.length, place);
      assert.is(expected.filter((value, i) => value !== data[i]).length, 0, place);
    }
  });

test('a part of the scaled picture is that part of what sharp makes', async () => {
  const source = noisy(45, 30);
  const whole = await bySharp(source, [54, 36], 'bicubic');
  const { data } = pointSampled(source, 32, 32, 'shortest:36', 'affine-bicubic');
  const row = (y: number) => [...whole.subarray((y * 54 + 11) * 3, (y * 54 + 11 + 32) * 3)];
  assert.equal([...data], Array.from({ length: 32 }, (_, y) => row(y + 2)).flat());
});

test('what is too small gets black borders, and alpha is dropped', () => {
  const rgb = noisy(8, 4);
  const rgba = Uint8Array.from({ length: 8 * 4 * 4 }, (_, i) =>
    i % 4 === 3 ? 77 : rgb.data[Math.floor(i / 4) * 3 + (i % 4)]!,
  );
  const boxed = pointSampled({ ...rgb, data: rgba, channels: 4 }, 8, 8, 'longest:8', 'affine-bilinear').data;
  assert.ok([...boxed.subarray(0, 2 * 24), ...boxed.subarray(6 * 24)].every((v) => v === 0));
  assert.equal([...boxed.subarray(2 * 24, 6 * 24)], [...rgb.data]);
});

test.run();
