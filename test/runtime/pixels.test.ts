import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lumaOf } from '../../src/runtime/pictures.ts';
import { type Filter, type Pixels, resized } from '../../src/runtime/pixels.ts';
import { fits, placed, type Resize } from '../../src/runtime/place.ts';
import { pixels } from '../data/fixtures.ts';

const test = suite('emit: pixels at run time');

/** The same by definition, in double: triangle-weighted means, widened when shrinking, rounded after each axis. */
function byHand({ data, width, height, channels }: Pixels, toWidth: number, toHeight: number): number[] {
  const axis = (from: number, to: number) =>
    Array.from({ length: to }, (_, i) => {
      const [scale, support] = [from / to, Math.max(1, from / to)];
      const weights = Array.from({ length: from }, (_, j) =>
        Math.max(0, 1 - Math.abs(j + 0.5 - (i + 0.5) * scale) / support),
      );
      const sum = weights.reduce((a, b) => a + b);
      return weights.map((w) => w / sum);
    });
  const [across, down] = [axis(width, toWidth), axis(height, toHeight)];
  const mean = (weights: readonly number[], at: (j: number) => number) =>
    Math.floor(weights.reduce((sum, w, j) => sum + w * at(j), 0.5));
  const rows = Array.from({ length: height }, (_, y) =>
    across.map((w) =>
      Array.from({ length: channels }, (_, c) => mean(w, (x) => data[(y * width + x) * channels + c]!)),
    ),
  );
  return down.flatMap((w) =>
    across.flatMap((_, x) => Array.from({ length: channels }, (_, c) => mean(w, (y) => rows[y]![x]![c]!))),
  );
}

const noisy = (width: number, height: number, channels: number): Pixels => ({
  data: pixels(width * height * channels, width + height),
  width,
  height,
  channels,
});

test('stretched pixels are the means that the kernel defines', () => {
  for (const [width, height, toWidth, toHeight] of [
    [8, 8, 8, 8],
    [8, 8, 16, 16],
    [9, 7, 4, 3],
    [32, 32, 24, 40],
    [5, 50, 17, 3],
    [1, 1, 4, 4],
    [100, 1, 1, 1],
  ] as const) {
    const source = noisy(width, height, 3);
    const { data } = resized(source, toWidth, toHeight, 'stretch');
    const expected = byHand(source, toWidth, toHeight);
    const furthest = Math.max(...expected.map((value, i) => Math.abs(value - data[i]!)));
    assert.ok(furthest <= 1, `${width}x${height} to ${toWidth}x${toHeight}: ${furthest}`);
    // Thirds are not exact in fixed point, so that a tie may fall either way.
    const off = expected.filter((value, i) => value !== data[i]).length;
    assert.ok(
      off <= 1 + expected.length / 20,
      `${width}x${height} to ${toWidth}x${toHeight}: ${off} of ${expected.length}`,
    );
  }
});

test("Pillow's own numbers", () => {
  const ramp = { data: Uint8Array.from([0, 255, 10, 20, 200, 100]), width: 3, height: 2, channels: 1 };
  const at = (width: number, height: number) => [...resized(ramp, width, height, 'stretch').data];
  assert.equal(at(2, 1), PILLOW['2x1']);
  assert.equal(at(5, 3), PILLOW['5x3']);
  assert.equal(at(1, 1), PILLOW['1x1']);
});

/** Image.frombytes('L', (3, 2), bytes([0, 255, 10, 20, 200, 100])).resize(size, Image.BILINEAR), Pillow 12.3. */
const PILLOW = {
  '2x1': [92, 120],
  '5x3': [0, 102, 255, 108, 10, 10, 97, 228, 124, 55, 20, 92, 200, 140, 100],
  '1x1': [116],
};

test("Pillow's own numbers of other filters", () => {
  const ramp = { data: Uint8Array.from([0, 255, 10, 20, 200, 100]), width: 3, height: 2, channels: 1 };
  for (const [filter, sizes] of Object.entries(OTHER_FILTERS))
    for (const [size, expected] of Object.entries(sizes)) {
      const [width, height] = size.split('x').map(Number) as [number, number];
      assert.equal([...resized(ramp, width, height, 'stretch', filter as Filter).data], expected, filter);
    }
});

/** As above, with Image.BICUBIC and Image.LANCZOS. */
const OTHER_FILTERS = {
  bicubic: { '2x1': [93, 124], '5x3': [0, 101, 255, 105, 0, 3, 94, 228, 125, 46, 6, 87, 196, 145, 98] },
  lanczos: { '2x1': [98, 131], '5x3': [0, 111, 255, 113, 0, 0, 99, 228, 134, 42, 0, 87, 193, 155, 93] },
};

test('the centre is cut from a picture whose shorter side is given, as torchvision has Resize and CenterCrop', () => {
  const to = { width: 224, height: 224 };
  // int(256 * 500 / 375) columns; (341 - 224) / 2 is 58.5.
  assert.equal(placed({ width: 500, height: 375 }, to, 'shortest:256'), {
    x: { whole: 341, first: 58, size: 224, border: 0 },
    y: { whole: 256, first: 16, size: 224, border: 0 },
  });
  assert.equal(placed({ width: 500, height: 375 }, to, 'longest:200'), {
    x: { whole: 200, first: 0, size: 200, border: 12 },
    y: { whole: 150, first: 0, size: 150, border: 37 },
  });
  // height x width
  assert.equal(placed({ width: 500, height: 375 }, to, '230x240'), {
    x: { whole: 240, first: 8, size: 224, border: 0 },
    y: { whole: 230, first: 3, size: 224, border: 0 },
  });
});

test('a picture of the right size is used as it is only where nothing is cut from a larger one', () => {
  const size = { width: 32, height: 32 };
  for (const resize of ['stretch', 'cover', 'contain', 'shortest:32', 'longest:32', '32x32', null] as const)
    assert.ok(fits(size, size, resize), `${resize}`);
  for (const resize of ['shortest:36', '36x36', 'longest:24'] as const)
    assert.not(fits(size, size, resize), resize);
  assert.not(fits({ width: 31, height: 32 }, size, null));
});

test('cover crops the centre, contain has borders, and neither changes what already fits', () => {
  const wide = noisy(12, 4, 3);
  const middle = resized(wide, 4, 4, 'cover').data;
  const rows = [0, 1, 2, 3].flatMap((y) => [...wide.data.subarray((y * 12 + 4) * 3, (y * 12 + 8) * 3)]);
  assert.equal([...middle], rows);

  const boxed = resized(wide, 12, 10, 'contain').data;
  assert.ok(
    boxed.subarray(0, 3 * 36).every((v) => v === 0),
    'above',
  );
  assert.equal([...boxed.subarray(3 * 36, 7 * 36)], [...wide.data]);
  assert.ok(
    boxed.subarray(7 * 36).every((v) => v === 0),
    'below',
  );
  for (const resize of ['stretch', 'cover', 'contain'] satisfies Resize[])
    assert.equal([...resized(wide, 12, 4, resize).data], [...wide.data]);
});

test('alpha is dropped before anything is mixed', () => {
  const rgb = noisy(9, 6, 3);
  const rgba = Uint8Array.from({ length: 9 * 6 * 4 }, (_, i) =>
    i % 4 === 3 ? i % 256 : rgb.data[Math.floor(i / 4) * 3 + (i % 4)]!,
  );
  const expected = resized(rgb, 5, 5, 'cover');
  assert.equal(resized({ ...rgb, data: rgba, channels: 4 }, 5, 5, 'cover'), expected);
});

test('luma is that of ITU-R 601, and keeps grays', () => {
  for (let v = 0; v < 256; v++) assert.is(lumaOf(v, v, v), v);
  for (const [r, g, b] of [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [10, 20, 30],
  ] as const)
    assert.is(lumaOf(r, g, b), Math.round(0.299 * r + 0.587 * g + 0.114 * b));
});

test.run();
