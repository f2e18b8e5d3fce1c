import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lossCurve } from '../../src/train/loss-curve.ts';

const test = suite('train: loss curve');

function followed(total: number) {
  const { follow, curve } = lossCurve();
  for (let done = 1; done <= total; done++)
    follow({ phase: 'train', done, total, loss: 3, losses: { exit_1: 1 / done, exit_2: done }, rate: 1 });
  return curve;
}

test('a long training keeps few steps, evenly, the first and the last among them', () => {
  const { steps, losses } = followed(5000);
  assert.ok(steps.length <= 60 && steps.length >= 50, `${steps.length}`);
  assert.equal([steps[0], steps.at(-1)], [1, 5000]);
  const gaps = steps.slice(2).map((step, i) => step - steps[i + 1]!);
  assert.ok(Math.max(...gaps) - Math.min(...gaps) <= 1);
  assert.equal(losses.exit_2, steps);
  assert.equal(
    losses.exit_1,
    steps.map((step) => Number((1 / step).toPrecision(4))),
  );
});

test('a short training keeps every step', () => {
  assert.equal(followed(7).steps, [1, 2, 3, 4, 5, 6, 7]);
});

test.run();
