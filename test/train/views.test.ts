import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../src/data/index.ts';
import { trainingViews } from '../../src/train/views.ts';

const test = suite('train: views');

const pictures = (channels: 'rgb' | 'gray', side = 32) =>
  ({ isImage: true, preprocessing: { channels }, recordDims: [side, side, 3] }) as unknown as Dataset;

test('plain, mirrored, then shifted by as much as the picture is large', () => {
  const { views } = trainingViews(pictures('rgb'));
  assert.equal(
    views.map((v) => v.mirror),
    [false, true],
  );
  const six = trainingViews(pictures('rgb'), 6).views;
  assert.is(new Set(six.map((v) => JSON.stringify(v))).size, 6);
  assert.equal(six.slice(0, 2), views);
  assert.ok(six.every(({ dx, dy }) => Math.abs(dx) <= 3 && Math.abs(dy) <= 3));
  const large = trainingViews(pictures('rgb', 224), 6).views;
  assert.equal(
    large.map(({ dx }) => dx),
    six.map(({ dx }) => 7 * dx),
  );
});

test('gray pictures and numbers are seen as they are', () => {
  assert.is(trainingViews(pictures('gray'), 4).views.length, 1);
});

test.run();
