import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mcnemarPValue, pairedInterval } from '../../src/calibrate/paired.ts';
import { Random } from '../../src/graph/random.ts';

const test = suite('calibrate: paired answers');

const near = (got: number, wanted: number, within: number) =>
  assert.ok(Math.abs(got - wanted) <= within, `${got} is not ${wanted}`);

/** The share of all 2^(b + c) ways to flip coins that are at least as lopsided. */
function byEnumeration(onlyA: number, onlyB: number): number {
  const flips = onlyA + onlyB;
  let lopsided = 0;
  for (let ways = 0; ways < 2 ** flips; ways++) {
    let heads = 0;
    for (let i = 0; i < flips; i++) heads += (ways >> i) & 1;
    if (Math.abs(2 * heads - flips) >= Math.abs(onlyA - onlyB)) lopsided++;
  }
  return lopsided / 2 ** flips;
}

test("McNemar's exact test counts coin flips", () => {
  for (const [onlyA, onlyB] of [[0, 0], [1, 0], [0, 5], [3, 10], [6, 6], [9, 2], [12, 1]] as const)
    near(mcnemarPValue({ samples: 100, onlyA, onlyB }), byEnumeration(onlyA, onlyB), 1e-12); // biome-ignore format: pairs
  // R: binom.test(86, 236)$p.value
  near(mcnemarPValue({ samples: 1600, onlyA: 150, onlyB: 86 }), 3.7157e-5, 1e-8);
});

test('the interval is that of the approval ratings in the textbook', () => {
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
