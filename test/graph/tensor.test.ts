import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fromHalf, toHalf } from '../../src/graph/tensor.ts';

const test = suite('tensors');

test('every binary16 number survives the way through float32', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = fromHalf(bits);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(fromHalf(toHalf(Float32Array.of(value))[0]!)));
    else assert.is(toHalf(Float32Array.of(value))[0], bits);
  }
});

test('numbers between two of them go to the nearest, halfway to the even one', () => {
  const rounded = (value: number) => fromHalf(toHalf(Float32Array.of(value))[0]!);
  for (let bits = 1; bits < 0x7bff; bits += 7) {
    const [low, high] = [fromHalf(bits), fromHalf(bits + 1)];
    assert.is(rounded(low + (high - low) * 0.49), low);
    assert.is(rounded(low + (high - low) * 0.51), high);
    assert.is(rounded((low + high) / 2), bits % 2 === 0 ? low : high);
  }
  assert.is(rounded(65519), 65504);
  assert.is(rounded(65520), Number.POSITIVE_INFINITY);
});

test.run();
