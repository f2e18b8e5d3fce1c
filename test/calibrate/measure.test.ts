import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { measure } from '../../src/calibrate/measure.ts';
import { CLOSED, type CostModel, type Outcomes } from '../../src/calibrate/types.ts';
import { FIVE_EXITS, simulate, uniform } from './simulate.ts';

const test = suite('calibrate: measure');

/** One sample after another, by the definition. */
function naive(
  { scores, answers, original, final = original, labels }: Outcomes,
  cost: CostModel,
  thresholds: number[],
) {
  let [right, same, total] = [0, 0, 0];
  const counts = new Array<number>(scores.length + 1).fill(0);
  labels.forEach((label, i) => {
    let heads = 0;
    for (let k = 0; k <= scores.length; k++) {
      const isLast = k === scores.length;
      if (!isLast && !(thresholds[k]! < 1)) continue;
      if (!isLast) heads += cost.exits[k]!.head;
      if (!isLast && !(scores[k]![i]! > thresholds[k]!)) continue;
      const answer = isLast ? final[i]! : answers[k]![i]!;
      right += +(answer === label);
      same += +(answer === original[i]);
      total += heads + (isLast ? 1 : cost.exits[k]!.prefix);
      counts[k]!++;
      break;
    }
  });
  const n = labels.length;
  return {
    accuracy: right / n,
    agreement: same / n,
    relativeCost: total / n,
    exitShares: counts.map((c) => c / n),
  };
}

test('equals the definition, sample by sample', () => {
  const alone = simulate(300, 1);
  for (let i = 0; i < 300; i += 7) alone.scores[i % 5]![i] = Number.NaN;
  const ensembled = {
    ...alone,
    final: alone.original.map((answer, i) => (i % 9 ? answer : alone.labels[i]!)),
  };
  const random = uniform(2);
  for (let n = 0; n < 50; n++) {
    const thresholds = FIVE_EXITS.exits.map(() => (random() < 0.3 ? CLOSED : random()));
    if (n === 0) thresholds[2] = Number.NaN;
    const outcomes = n % 2 ? ensembled : alone;
    const got = measure(outcomes, FIVE_EXITS, thresholds);
    const wanted = naive(outcomes, FIVE_EXITS, thresholds);
    assert.is(got.accuracy, wanted.accuracy);
    assert.is(got.agreement, wanted.agreement);
    assert.equal(got.exitShares, wanted.exitShares);
    assert.ok(Math.abs(got.relativeCost - wanted.relativeCost) < 1e-12);
  }
});

test('with every exit closed, costs and agrees as the original', () => {
  const { agreement, relativeCost, exitShares } = measure(simulate(50, 3), FIVE_EXITS, [1, 1, 1, 1, 2]);
  assert.equal(
    { agreement, relativeCost, exitShares },
    { agreement: 1, relativeCost: 1, exitShares: [0, 0, 0, 0, 0, 1] },
  );
});

test('a head is paid by samples that stay, too; that of a closed exit by none', () => {
  const outcomes = simulate(50, 3);
  const paid = measure(outcomes, FIVE_EXITS, [0.999999, 1, 1, 1, 1]);
  assert.ok(paid.exitShares[0]! < 1);
  const wanted = 0.039 + paid.exitShares[0]! * 0.22 + paid.exitShares[5]!;
  assert.ok(Math.abs(paid.relativeCost - wanted) < 1e-12);
});

test('refuses a wrong number of thresholds', () => {
  assert.throws(
    () => measure(simulate(5, 1), FIVE_EXITS, [1]),
    (error: { code: string }) => error.code === 'wrong-threshold-count',
  );
});

test.run();
