import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lossesBeyondNames, type ReportFacts, reportFacts } from '../../src/report/facts.ts';
import { reliabilityOf, wilson } from '../../src/report/statistics.ts';
import { drawnSeen, MANIFEST, probabilityOfBest, SAMPLES } from './sample.ts';

const test = suite('report: facts');
const seen = drawnSeen();
const facts: ReportFacts = reportFacts(MANIFEST, () => seen);
const near = (a: number, b: number, eps = 1e-12) => assert.ok(Math.abs(a - b) <= eps, `${a} is not ${b}`);

/** Sample by sample, as the words say it. */
function walk(thresholds: readonly number[]) {
  return Array.from({ length: SAMPLES }, (_, i) => {
    const exit = thresholds.findIndex((t, k) => t < 1 && seen.scores[k]![i]! > t);
    const at = exit < 0 ? thresholds.length : exit;
    return { sample: i, at, answer: exit < 0 ? seen.original[i]! : seen.answers[exit]![i]! };
  });
}

test('bars count right and wrong at the default point', () => {
  const walked = walk(facts.chosen.thresholds);
  assert.is(facts.chosen.name, MANIFEST.defaultPoint);
  for (const [k, { right, wrong }] of facts.leaving.entries()) {
    const here = walked.filter(({ at }) => at === k);
    assert.ok(here.length > 0, 'the sample data leave everywhere');
    assert.is(right, here.filter(({ sample, answer }) => answer === seen.labels[sample]).length);
    assert.is(right + wrong, here.length);
  }
});

test("a point's drop is the difference of accuracies on the same samples, inside its interval", () => {
  const right = (answers: ArrayLike<number>) =>
    Array.from(answers).filter((a, i) => a === seen.labels[i]).length / SAMPLES;
  for (const { thresholds, drop } of facts.points) {
    near(drop.value, right(seen.original) - right(walk(thresholds).map(({ answer }) => answer)));
    const isOriginal = thresholds.every((t) => t >= 1);
    if (isOriginal) assert.equal(drop, { value: 0, low: 0, high: 0 });
    else assert.ok(drop.low < drop.value && drop.value < drop.high);
  }
});

test('histograms hold every sample once, at its score', () => {
  for (const [k, { edges, right, wrong, unscored }] of facts.scores.entries()) {
    assert.is(unscored, 0);
    for (const [kind, counts] of [
      [true, right],
      [false, wrong],
    ] as const) {
      const scores = [...seen.scores[k]!].filter((_, i) => (seen.answers[k]![i] === seen.labels[i]) === kind);
      assert.is(
        counts.reduce((a, b) => a + b),
        scores.length,
      );
      const upTo = edges[11]!;
      const below = scores.filter((s) => s < upTo - 1e-9).length;
      assert.ok(Math.abs(counts.slice(0, 11).reduce((a, b) => a + b) - below) <= 1);
    }
  }
  const unscored = { ...seen, scores: seen.scores.map((s) => s.map((v, i) => (i < 7 ? Number.NaN : v))) };
  const other = reportFacts(MANIFEST, () => unscored);
  assert.equal(
    other.scores.map((s) => s.unscored),
    [7, 7],
  );
});

test('thresholds in a histogram are those that are open there', () => {
  assert.equal(
    facts.scores[0]!.thresholds.map(({ point, at }) => [point, at]),
    [
      ['fast', 0.6],
      ['balanced', 0.8],
    ],
  );
});

test('examples left where they are shown: easy, hard and wrong ones', () => {
  const walked = walk(facts.chosen.thresholds);
  for (const [k, { easy, hard, wrong }] of facts.examples.entries()) {
    const probability = (i: number) => probabilityOfBest([...seen.logits[k]!.subarray(3 * i, 3 * i + 3)]);
    const here = walked.filter(({ at }) => at === k);
    const rights = here.filter(({ sample, answer }) => answer === seen.labels[sample]);
    const surest = rights.map(({ sample }) => probability(sample)).sort((a, b) => b - a);
    for (const [i, e] of easy.entries()) near(e.probability, surest[i]!, 1e-6);
    for (const [i, h] of hard.entries()) near(h.probability, surest.at(-1 - i)!, 1e-6);
    for (const e of [...easy, ...hard, ...wrong]) assert.is(walked[e.sample]!.at, k);
    assert.ok(wrong.every(({ label, answer }) => label !== answer));
    assert.is(wrong.length, Math.min(4, here.length - rights.length));
  }
});

test('the calibration error is Σ n/N |accuracy - confidence| over bins (Naeini et al. 2015)', () => {
  // By hand: 3 said 0.95, 2 of them right; 1 said 0.30, right; 15 bins of width 1/15.
  const { bins, ece } = reliabilityOf([0.95, 0.95, 0.3, 0.95], [true, false, true, true]);
  assert.equal(
    bins.map(({ samples }) => samples),
    [1, 3],
  );
  near(ece, (1 / 4) * Math.abs(1 - 0.3) + (3 / 4) * Math.abs(2 / 3 - 0.95));
  const sure = reliabilityOf([1, 1, 0], [true, true, false]);
  near(sure.ece, 0);
  near(facts.reliability[2]!.accuracy, seen.original.filter((a, i) => a === seen.labels[i]).length / SAMPLES);
});

test('intervals are the published ones', () => {
  // Newcombe 1998 (Stat. Med. 17:857), table I, method 3: 81 of 263, and 0 of 20.
  near(wilson(81, 263).low, 0.2553, 5e-5);
  near(wilson(81, 263).high, 0.3662, 5e-5);
  near(wilson(0, 20).low, 0);
  near(wilson(0, 20).high, 0.1611, 5e-5);
});

test('points that lose more than their names allow, beyond chance, are named', () => {
  const named = (name: string, thresholds: readonly number[]) => ({
    ...MANIFEST.operatingPoints[0]!,
    name,
    thresholds,
  });
  const told = (measuredOn: 'test' | 'calibration') =>
    lossesBeyondNames(
      {
        ...MANIFEST,
        measuredOn,
        operatingPoints: [named('fast', [0, 1]), named('accurate', [1, 1]), named('cost-0.40', [0, 1])],
      },
      () => seen,
    );
  assert.match(
    told('test')!,
    /^On the test samples fast lost \d+\.\d\d points \(meant: 3\); that is beyond chance/,
  );
  assert.not.match(told('test')!, /accurate|cost-/);
  assert.is(told('calibration'), undefined, 'what thresholds were chosen on says nothing');
});

test.run();
