import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { largestFinite, largestGap, relativeGap } from '../../src/ort/gap.ts';

const test = suite('ort: gap');

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

test('NaN and infinities are like themselves and like nothing else', () => {
  const same: [number, number][] = [
    [nan, nan],
    [infinity, infinity],
    [-infinity, -infinity],
    [0, -0],
    [1, 1],
  ];
  for (const [a, b] of same) assert.is(largestGap([2, a], [2, b]), 0, `${a} ${b}`);
  const other: [number, number][] = [
    [nan, 0],
    [0, nan],
    [nan, infinity],
    [infinity, -infinity],
    [infinity, 3e38],
  ];
  for (const [a, b] of other) {
    assert.is(largestGap([2, a, 2], [2, b, 2]), infinity, `${a} ${b}`);
    assert.is(relativeGap([2, a, 2], [2, b, 2]), infinity, `${a} ${b}`);
  }
  assert.is(largestGap([1], [1, 2]), infinity);
});

test('gaps are the largest, relative ones to the largest finite magnitude of the first', () => {
  assert.is(largestGap([1, -4, nan], [1.5, -2, nan]), 2);
  assert.is(relativeGap([1, -4, -infinity], [1.5, -2, -infinity]), 0.5);
  assert.is(relativeGap([0, 0], [0, 0]), 0);
  assert.is(relativeGap([0, 0], [0, 1e-30]), infinity);
  assert.is(largestFinite([nan, -3, infinity, 2]), 3);
  assert.is(largestFinite([nan, 1], 2), 2);
});

test.run();
