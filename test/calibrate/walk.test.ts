import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLOSED } from '../../src/calibrate/types.ts';
import { walk } from '../../src/calibrate/walk.ts';
import { simulate, TEXT_LIKE } from './simulate.ts';

const test = suite('calibrate: walk');

test('samples leave at the first open exit whose threshold they exceed; at closed exits none leaves', () => {
  const alone = simulate(100, 3, TEXT_LIKE);
  const { scores, original, labels } = alone;
  for (let i = 0; i < 100; i += 9) scores[0]![i] = Number.NaN;
  for (const outcomes of [alone, { ...alone, final: labels }])
    for (const thresholds of [
      [0.8, 0.7],
      [CLOSED, 0.5],
      [0.5, CLOSED],
      [1, 2],
      [-1, -1],
      [Number.NaN, 0.6],
    ]) {
      const { exits, answers } = walk(outcomes, thresholds); // biome-ignore format: pairs
      for (let i = 0; i < 100; i++) {
        const exit = thresholds.findIndex((t, k) => t < 1 && scores[k]![i]! > t);
        assert.is(exits[i], exit < 0 ? 2 : exit);
        assert.is(answers[i], exit < 0 ? (outcomes.final ?? original)[i] : alone.answers[exit]![i]);
      }
    }
});

test.run();
