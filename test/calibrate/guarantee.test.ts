import binomialCdf from '@stdlib/stats-base-dists-binomial-cdf';
import binomialQuantile from '@stdlib/stats-base-dists-binomial-quantile';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  binomialPValue,
  binomialTail,
  guarantee,
  type Promised,
  pairedPValue,
} from '../../src/calibrate/guarantee.ts';
import { measure } from '../../src/calibrate/measure.ts';
import { searchThresholds } from '../../src/calibrate/search.ts';
import type { Candidate, Outcomes } from '../../src/calibrate/types.ts';
import { Random } from '../../src/graph/random.ts';
import { CIFAR_LIKE, FIVE_EXITS, ofOriginal, simulate, type World } from './simulate.ts';

const test = suite('calibrate: guarantee');

const near = (got: number, wanted: number, within: number, what = '') =>
  assert.ok(Math.abs(got - wanted) <= within, `${what} ${got} is not ${wanted}`);

test('the binomial tail is that of @stdlib', () => {
  for (const n of [1, 2, 7, 40, 300, 5000])
    for (const p of [0.001, 0.03, 0.3, 0.5, 0.77, 0.999])
      for (let k = 0; k <= n; k += Math.ceil(n / 300)) {
        const wanted = binomialCdf(k, n, p);
        near(binomialTail(k, n, p), wanted, 1e-10, `${n} ${p} ${k}:`);
        if (k < n * p && wanted > 1e-290) near(binomialTail(k, n, p) / wanted, 1, 1e-8, `${n} ${p} ${k}:`);
      }
});

test('the binomial p-value certifies exactly the losses below the quantile', () => {
  for (const [samples, limit, level] of [
    [500, 0.02, 0.05],
    [5000, 0.01, 0.05],
    [3000, 0.005, 0.1],
  ] as const) {
    const first = binomialQuantile(level, samples, limit); // biome-ignore format: a table
    for (let losses = 0; losses < 2 * first; losses++) {
      const certified = binomialPValue({ samples, losses, gains: 0 }, limit) <= level;
      assert.is(certified, losses < first, `${losses} of ${samples}`);
    }
  }
});

test('the binomial tail rises in k, falls in p, and mirrors, for many samples too', () => {
  for (const n of [50, 5000, 1_000_000]) {
    for (const p of [0.002, 0.01, 0.4]) {
      const at = (z: number) => Math.round(n * p + z * Math.sqrt(n * p * (1 - p)));
      for (const z of [-6, -2, -0.5, 0, 0.5, 2, 6]) {
        const k = at(z);
        const tail = binomialTail(k, n, p);
        assert.ok(tail >= 0 && tail <= 1);
        assert.ok(binomialTail(k - 1, n, p) <= tail && tail <= binomialTail(k + 1, n, p));
        if (k >= 0 && k < n) assert.ok(binomialTail(k, n, p * 1.01) < tail + 1e-12);
        near(tail + binomialTail(n - k - 1, n, 1 - p), 1, 2e-9);
      }
    }
  }
  assert.equal(
    [binomialTail(-1, 5, 0.5), binomialTail(5, 5, 0.5), binomialTail(2, 5, 0), binomialTail(2, 5, 1)],
    [0, 1, 1, 0],
  );
});

/** Hoeffding–Bentkus p-value of "mean > limit", of a loss in [0, 1] (Bates et al. 2021, Angelopoulos et al. 2021). */
function hoeffdingBentkus(mean: number, n: number, limit: number): number {
  const entropy = (x: number, of: number) => (x > 0 ? x * Math.log(x / of) : 0);
  const low = Math.min(mean, limit);
  const hoeffding = Math.exp(-n * (entropy(low, limit) + entropy(1 - low, 1 - limit)));
  return Math.min(1, hoeffding, Math.E * binomialTail(Math.ceil(n * mean - 1e-9), n, limit));
}

test('of an indicator, the binomial p-value is never above Hoeffding–Bentkus', () => {
  for (const n of [100, 1000])
    for (const limit of [0.005, 0.02, 0.1])
      for (let losses = 0; losses <= n * limit; losses++)
        assert.ok(
          binomialPValue({ samples: n, losses, gains: 0 }, limit) <=
            hoeffdingBentkus(losses / n, n, limit) * (1 + 1e-9),
        );
});

test('of a difference, the paired test certifies whatever Hoeffding–Bentkus does, up to a third changed', () => {
  let certified = 0;
  const samples = 400;
  for (const limit of [0.02, 0.05])
    for (let losses = 0; losses < samples / 3; losses += 3)
      for (let gains = 0; losses + gains < samples / 3; gains += 3) {
        const mean = (1 + (losses - gains) / samples) / 2;
        if (hoeffdingBentkus(mean, samples, (1 + limit) / 2) > 0.05) continue;
        certified++;
        assert.ok(pairedPValue({ samples, losses, gains }, limit, 0.05) <= 0.05, `${losses} ${gains}`);
      }
  assert.ok(certified > 100, `${certified}`);
});

test('losses that 5000 samples allow for a drop of 0.01 at 95 %: binomial 38, paired up to 101, Hoeffding–Bentkus none', () => {
  const samples = 5000;
  const most = (certifies: (losses: number) => boolean) => {
    let losses = -1;
    for (let k = 0; k < 150; k++) if (certifies(k)) losses = k;
    return losses;
  };
  const paired = (share: number) =>
    most((losses) => {
      const gains = Math.round(losses * share);
      return pairedPValue({ samples, losses, gains }, 0.01, 0.05) <= 0.05;
    });
  assert.is(
    most((losses) => binomialPValue({ samples, losses, gains: 0 }, 0.01) <= 0.05),
    38,
  );
  assert.equal([0, 0.25, 0.5, 0.75].map(paired), [37, 46, 62, 101]);
  assert.is(
    most((losses) => hoeffdingBentkus((1 + losses / samples) / 2, samples, 0.505) <= 0.05),
    -1,
  );
});

test('the paired test holds its level exactly, whatever the spread: every outcome of 100 samples summed', () => {
  const samples = 100;
  const logs = Array.from({ length: samples + 1 }, () => 0);
  for (let n = 2; n <= samples; n++) logs[n] = logs[n - 1]! + Math.log(n);
  for (const [limit, level] of [
    [0.08, 0.05],
    [0.1, 0.1],
  ] as const) {
    const rejected: [number, number][] = [];
    for (let losses = 0; losses <= samples; losses++)
      for (let gains = 0; losses + gains <= samples; gains++)
        if (pairedPValue({ samples, losses, gains }, limit, level) <= level) rejected.push([losses, gains]);
    const rates: number[] = [];
    for (const drop of [limit, limit + 0.03])
      for (let gain = 0; 2 * gain + drop < 0.8; gain += 0.01) {
        const [l, g, rest] = [drop + gain, gain, 1 - drop - 2 * gain].map(Math.log) as [
          number,
          number,
          number,
        ];
        let rate = 0;
        for (const [losses, gains] of rejected) {
          if (gain === 0 && gains > 0) continue;
          const same = samples - losses - gains;
          const choose = logs[samples]! - logs[losses]! - logs[gains]! - logs[same]!;
          rate += Math.exp(choose + losses * l + (gains && gains * g) + same * rest);
        }
        rates.push(rate);
      }
    const worst = Math.max(...rates);
    assert.ok(worst <= level && worst > level / 4, `${worst}`);
  }
});

const exactly = (outcomes: Outcomes) => () => outcomes;
const DROP: Promised = { risk: 'drop', limit: 0.02, confidence: 0.95 };
const closed = FIVE_EXITS.exits.map(() => 1);

test('too few samples are refused with the number that would do; that number suffices a faultless candidate', () => {
  for (const risk of ['drop', 'disagreement'] as const) {
    const promised: Promised = { risk, limit: 0.01, confidence: 0.95 };
    const faultless = (samples: number): Outcomes => {
      const { scores, labels } = simulate(samples, 1);
      return { scores, labels, original: labels, answers: scores.map(() => labels) };
    };
    const candidates = [closed.with(0, -1), closed].map((thresholds) => ({
      ...measure(faultless(50), FIVE_EXITS, thresholds),
      thresholds,
    }));
    const certify = (samples: number) =>
      guarantee(candidates, exactly(faultless(samples)), FIVE_EXITS, promised);
    assert.throws(
      () => certify(298),
      (error: { code: string; message: string }) =>
        error.code === 'too-few-for-guarantee' &&
        ['298', '0.01', '0.95', '299'].every((number) => error.message.includes(number)),
    );
    const got = certify(299);
    assert.equal(got.thresholds, candidates[0]!.thresholds);
    near(got.pValue, 0.99 ** 299, 1e-12);
    near(got.upperBound, 1 - 0.05 ** (1 / 299), 2e-9);
  }
});

test('is what it says: measured on the samples given, certified by the test named', () => {
  const hull = searchThresholds(simulate(1000, 1), FIVE_EXITS, { target: 'accuracy' });
  const outcomes = simulate(3000, 2);
  for (const risk of ['drop', 'disagreement'] as const) {
    const got = guarantee(hull, exactly(outcomes), FIVE_EXITS, { ...DROP, risk });
    const { accuracy, agreement, relativeCost, exitShares } = got;
    assert.equal(
      { accuracy, agreement, relativeCost, exitShares },
      measure(outcomes, FIVE_EXITS, got.thresholds),
    );
    const exact = measure(outcomes, FIVE_EXITS, closed);
    near(got.observedRisk, risk === 'drop' ? exact.accuracy - got.accuracy : 1 - got.agreement, 1e-12);
    assert.ok(got.relativeCost < 0.9 && got.samples === 3000);
    assert.ok(got.pValue > 0 && got.pValue <= 0.05);
    assert.ok(got.observedRisk < got.upperBound && got.upperBound <= got.limit);
    if (risk === 'disagreement') {
      assert.is(got.test, 'binomial');
      near(binomialTail(Math.round(3000 * got.observedRisk), 3000, got.upperBound), 0.05, 1e-6);
    }
  }
});

test('stops at the first that is not certified, even where a cheaper one would be', () => {
  const outcomes = simulate(2000, 3);
  const candidate = (thresholds: number[]): Candidate => ({
    ...measure(outcomes, FIVE_EXITS, thresholds),
    thresholds,
  });
  const [good, bad, exact] = [closed.with(4, 0.97), closed.with(0, -1), closed].map(candidate);
  const certify = (...candidates: Candidate[]) =>
    guarantee(candidates, exactly(outcomes), FIVE_EXITS, DROP).thresholds;
  assert.equal(certify(good!, exact!), good!.thresholds);
  assert.equal(certify(good!, bad!, exact!), closed);
  assert.equal(certify(bad!, good!, exact!), good!.thresholds);
});

test('exact needs no samples to be certain', () => {
  const exact = { ...measure(simulate(200, 1), FIVE_EXITS, closed), thresholds: closed };
  const got = guarantee([exact], exactly(simulate(200, 4)), FIVE_EXITS, DROP);
  assert.equal(
    [got.thresholds, got.observedRisk, got.pValue, got.upperBound, got.test],
    [closed, 0, 0, 0, undefined],
  );
});

test('outcomes may depend on the thresholds', () => {
  const hull = searchThresholds(simulate(1000, 1), FIVE_EXITS, { target: 'accuracy' });
  const outcomes = simulate(1000, 5);
  const silent = { ...outcomes, scores: outcomes.scores.map((score) => score.map(() => -Infinity)) };
  const got = guarantee(hull, (t) => (t[0]! < 1 ? outcomes : silent), FIVE_EXITS, DROP);
  const wanted = measure(got.thresholds[0]! < 1 ? outcomes : silent, FIVE_EXITS, got.thresholds);
  assert.is(got.accuracy, wanted.accuracy);
});

/** An original that its exits often correct: at a drop of 0.02, about 3 losses to a gain. */
const FALLIBLE: World = { ...CIFAR_LIKE, sharedLuck: 0.6, shared: 0.9 };
const POPULATION = simulate(20_000, 10, FALLIBLE);
const CANDIDATES = searchThresholds(simulate(1500, 11, FALLIBLE), FIVE_EXITS, { target: 'accuracy' }).filter(
  (_, i, hull) => i % 6 === 0 || i === hull.length - 1,
);

/** `samples` of the population, drawn with replacement, so that the population's figures are the true ones. */
function drawn(samples: number, random: Random): Outcomes {
  const chosen = new Int32Array(samples).map(() => random.integer(0, POPULATION.labels.length));
  const ints = (from: Int32Array) => chosen.map((i) => from[i]!);
  const floats = (from: Float32Array) => new Float32Array(samples).map((_, n) => from[chosen[n]!]!);
  return {
    scores: POPULATION.scores.map(floats),
    answers: POPULATION.answers.map(ints),
    original: ints(POPULATION.original),
    labels: ints(POPULATION.labels),
  };
}

function risksOn(outcomes: Outcomes, risk: Promised['risk']): number[] {
  const measured = CANDIDATES.map(({ thresholds }) => measure(outcomes, FIVE_EXITS, thresholds));
  const exact = measured.at(-1)!;
  return measured.map((m) => (risk === 'drop' ? exact.accuracy - m.accuracy : 1 - m.agreement));
}

/** Which candidates a way of choosing returned over many draws. */
class Tally {
  violations = 0;
  cheaper = 0;
  draws = 0;
  cost = 0;

  constructor(
    private readonly truths: readonly number[],
    private readonly limit: number,
  ) {}

  add(at: number): void {
    this.draws++;
    if (this.truths[at]! > this.limit) this.violations++;
    if (at < CANDIDATES.length - 1) this.cheaper++;
    this.cost += CANDIDATES[at]!.relativeCost;
  }
}

/**
 * The sternest limit: a hair below the true risk of a candidate. Violations seen at 0.9 (30 allowed) and 0.95 (15): drop 9 and 2,
 * disagreement 22 and 5; of the cheapest candidate whose observed risk is within the limit, chosen plainly: 152 and 159.
 */
for (const risk of ['drop', 'disagreement'] as const)
  test(`over 300 draws, the ${risk} exceeds its limit less often than promised`, () => {
    const random = new Random(1, 'guarantee', risk);
    const truths = risksOn(POPULATION, risk);
    const limit = truths.findLast((truth) => truth > 0.02)! - 1e-9;
    const plain = new Tally(truths, limit);
    const tallies = [0.9, 0.95].map((confidence) => ({ confidence, tally: new Tally(truths, limit) }));
    for (let draw = 0; draw < 300; draw++) {
      const outcomes = drawn(1000, random);
      for (const { confidence, tally } of tallies) {
        const got = guarantee(CANDIDATES, exactly(outcomes), FIVE_EXITS, { risk, limit, confidence });
        tally.add(CANDIDATES.findIndex(({ thresholds }) => thresholds === got.thresholds));
      }
      plain.add(risksOn(outcomes, risk).findIndex((observed) => observed <= limit));
    }
    for (const { confidence, tally } of tallies) {
      assert.ok(tally.violations < tally.draws * (1 - confidence), `${tally.violations} at ${confidence}`);
      assert.ok(tally.cheaper > 0.85 * tally.draws, `${tally.cheaper} are cheaper than exact`);
      assert.ok(tally.cost < 0.65 * tally.draws, `mean cost ${tally.cost / tally.draws}`);
    }
    assert.ok(plain.violations > plain.draws / 3, `plain ${plain.violations}`);
  });

test('of an ensembled final answer, losses and gains are counted against the original', () => {
  const n = 400;
  const labels = new Int32Array(n);
  const original = labels.map((_, i) => Number(i < 40));
  // Of the 40 that the original has wrong 30 are mended; of the others 10 are spoilt.
  const final = labels.map((_, i) => Number(i < 10 || (i >= 40 && i < 50)));
  const ensembled = { scores: [new Float32Array(n)], answers: [labels], original, final, labels };
  const closed = { ...ensembled, final: original };
  const cost = ofOriginal([0.5], [0.1]);
  const outcomes = ([t]: readonly number[]) => (t! < 1 ? ensembled : closed);
  const open = [0.5];
  const candidates = [open, [1]].map((thresholds) => ({
    thresholds,
    ...measure(outcomes(thresholds), cost, thresholds),
  }));
  const promised = { risk: 'drop', limit: 0.06, confidence: 0.95 } as const;
  const got = guarantee(candidates, outcomes, cost, promised);
  assert.equal(got.thresholds, open);
  near(got.observedRisk, (10 - 30) / n, 1e-12);
  assert.ok(got.upperBound <= 0.06);
  const stern = guarantee(candidates, outcomes, cost, { ...promised, risk: 'disagreement' });
  assert.equal(stern.thresholds, [1], '40 of 400 answers are not the original’s');
});

test.run();
