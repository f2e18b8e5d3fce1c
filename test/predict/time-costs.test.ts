import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { costsOfTimes } from '../../src/predict/time-costs.ts';

const test = suite('time costs');

/** Milliseconds of leaving at each exit, never leaving last, by adding up segments and heads. */
function timesOf(segments: readonly number[], heads: readonly number[]) {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const way = segments.map((_, k) => sum(segments.slice(0, k + 1)));
  return {
    alone: way.map((time, k) => time + (heads[k] ?? 0)),
    open: way.map((time, k) => time + sum(heads.slice(0, k + 1))),
  };
}

test('heads and ways to taps come out of sums of both', () => {
  const { alone, open } = timesOf([0.5, 1, 2, 0.5], [0.1, 0.3, 0.2]);
  const { prefix, head } = costsOfTimes(alone, open);
  const near = (a: readonly number[], b: readonly number[]) =>
    assert.ok(a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) < 1e-12), `${a} is not ${b}`);
  near(head, [0.1 / 4, 0.3 / 4, 0.2 / 4]);
  near(prefix, [0.5 / 4, 1.5 / 4, 3.5 / 4]);
});

test('noise makes no time negative and no tap nearer than the one before', () => {
  const { prefix, head } = costsOfTimes([1, 0.9, 2], [1, 0.8, 1.9]);
  assert.ok(head.every((h) => h >= 0) && prefix.every((p) => p >= 0 && p <= 1));
  assert.ok(prefix[1]! >= prefix[0]!);
});

test.run();
