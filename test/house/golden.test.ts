import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goldenCase } from '../golden.ts';

const test = suite('house: golden cases');
const update = process.env.UPDATE_GOLDEN;

// These cases are about failing, so they must not be written by `npm run golden`.
test.before.each(() => {
  delete process.env.UPDATE_GOLDEN;
});
test.after(() => {
  if (update !== undefined) process.env.UPDATE_GOLDEN = update;
});

/** What goldenCase says; uvu's `throws` lets failed assertions through. */
function complaint(...args: Parameters<typeof goldenCase>): string {
  try {
    goldenCase(...args);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test('a missing file fails with the remedy', () => {
  assert.match(complaint('no such case', new Map([['a.txt', 'a\n']])), /is missing; run `npm run golden`/);
});

test('files that nothing produced fail, inputs do not', () => {
  assert.match(complaint('../schema', new Map()), /holds files that the case does not produce/);
  assert.is(complaint('../schema', new Map(), ['manifest.schema.json', 'config.schema.json']), '');
});

test('a difference fails', () => {
  const files = new Map([['manifest.schema.json', '{}\n']]);
  assert.match(complaint('../schema', files, ['config.schema.json']), /manifest.schema.json differs/);
});

test.run();
