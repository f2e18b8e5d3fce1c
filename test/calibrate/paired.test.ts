import binomial from '@stdlib/stats-base-dists-binomial-cdf';
import normalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMoreOften, mcnemarPValue, pairedInterval } from '../../src/calibrate/paired.ts';
import { Random } from '../../src/graph/random.ts';

const test = suite('calibrate: paired answers');

const near = (got: number, wanted: number, within: number) =>
  assert.ok(Math.abs(got - wanted) <= within, `${got} is not ${wanted}`);

test("McNemar's exact test is twice the smaller binomial tail, at most 1", () => {
  for (let onlyA = 0; onlyA < 160; onlyA += 3)
    for (let onlyB = 0; onlyB < 160; onlyB += 7) {
      const tail = (k: number) => binomial(k, onlyA + onlyB, 0.5);
      const both = Math.min(1, 2 * tail(Math.min(onlyA, onlyB)));
      near(mcnemarPValue({ samples: 1000, onlyA, onlyB }), both, 1e-10);
      assert.is(isMoreOften({ onlyA, onlyB }), tail(onlyA) < 0.05, `${onlyA} ${onlyB}`);
    }
});

test('the interval is the equation of Agresti and Min', () => {
  const z = normalQuantile(0.975, 0, 1);
  for (const [samples, onlyA, onlyB] of [
    [100, 12, 3],
    [1600, 150, 86],
    [50, 0, 0],
    [300, 0, 7],
  ] as const) {
    const [n, b, c] = [samples + 2, onlyA + 0.5, onlyB + 0.5]; // biome-ignore format: a table
    const reach = (z * Math.sqrt(b + c - (c - b) ** 2 / n)) / n;
    const [low, high] = pairedInterval({ samples, onlyA, onlyB });
    near(low, (c - b) / n - reach, 1e-12);
    near(high, (c - b) / n + reach, 1e-12);
  }
  assert.equal(pairedInterval({ samples: 1, onlyA: 1, onlyB: 0 })[0], -1, 'no difference is beyond 1');
});

test('the interval is near that of the approval ratings in the textbook', () => {
  // Agresti, Categorical Data Analysis, table 11.1: Wald's interval is (-0.059, -0.021).
  const [low, high] = pairedInterval({ samples: 1600, onlyA: 150, onlyB: 86 });
  near(low, -0.059, 6e-4);
  near(high, -0.021, 6e-4);
  const same = pairedInterval({ samples: 50, onlyA: 0, onlyB: 0 });
  assert.ok(same[0] < 0 && same[1] > 0, 'no difference in 50 samples is no proof of none');
});

test('95 of 100 intervals hold the true difference, where few samples differ too', () => {
  const random = new Random(5);
  for (const [lossRate, gainRate] of [
    [0.1, 0.06],
    [0.02, 0.005],
  ] as const) {
    // biome-ignore format: pairs
    const runs = 1500;
    let held = 0;
    for (let run = 0; run < runs; run++) {
      let [onlyA, onlyB] = [0, 0];
      for (let i = 0; i < 200; i++) {
        const drawn = random.uniform();
        if (drawn < lossRate) onlyA++;
        else if (drawn < lossRate + gainRate) onlyB++;
      }
      const [low, high] = pairedInterval({ samples: 200, onlyA, onlyB });
      if (low <= gainRate - lossRate && gainRate - lossRate <= high) held++;
    }
    assert.ok(held / runs > 0.94 && held / runs < 0.99, `${held / runs}`);
  }
});

test.run();
