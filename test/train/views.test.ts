import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../src/data/index.ts';
import { trainingViews } from '../../src/train/views.ts';

const test = suite('train: views');

const images = (channels: 'rgb' | 'gray', side = 32, recordDims = [side, side, 3]) =>
  ({ isImage: true, preprocessing: { channels, mean: [0, 0, 0] }, recordDims }) as unknown as Dataset;

test('plain, mirrored, then shifted in proportion to the size of the image', () => {
  const { views } = trainingViews(images('rgb'));
  assert.equal(
    views.map((v) => v.mirror),
    [false, true],
  );
  const six = trainingViews(images('rgb'), 6).views;
  assert.is(new Set(six.map((v) => JSON.stringify(v))).size, 6);
  assert.equal(six.slice(0, 2), views);
  assert.ok(six.every(({ dx, dy }) => Math.abs(dx) <= 3 && Math.abs(dy) <= 3));
  const large = trainingViews(images('rgb', 224), 6).views;
  assert.equal(
    large.map(({ dx }) => dx),
    six.map(({ dx }) => 7 * dx),
  );
});

test('records with channels in front are shifted as far', () => {
  assert.equal(trainingViews(images('rgb', 32, [3, 32, 32]), 6), trainingViews(images('rgb'), 6));
});

test('gray images and numbers have the plain view alone', () => {
  assert.is(trainingViews(images('gray'), 4).views.length, 1);
});

test.run();
