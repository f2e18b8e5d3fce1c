import { wrongThresholdCount } from '../errors/index.ts';
import { CLOSED, type CostModel, type Measured, type Outcomes } from './types.ts';

/**
 * What `thresholds` ([K]) do on `outcomes`. A sample visits the exits in order; at an open one (threshold < `CLOSED`) it pays
 * `head[k]`, and leaves when score > threshold, having cost `prefix[k]` and every head paid so far. One that never leaves
 * costs 1 and every open head, and gets the last answer. NaN never leaves; a NaN threshold is closed.
 */
export function measure(outcomes: Outcomes, cost: CostModel, thresholds: readonly number[]): Measured {
  const { scores, predictions, original, final = original, labels } = outcomes;
  const exits = scores.length;
  if (thresholds.length !== exits) throw wrongThresholdCount(thresholds.length, exits);
  const samples = labels.length;
  const left = new Int32Array(samples).fill(exits);
  const answers = Int32Array.from(final);
  const shares = new Array<number>(exits + 1).fill(0);
  let staying = samples;
  let relativeCost = 0;
  for (let k = 0; k < exits; k++) {
    const threshold = thresholds[k]!;
    if (!(threshold < CLOSED)) continue;
    relativeCost += staying * cost.head[k]!;
    const score = scores[k]!;
    let leaving = 0;
    for (let i = 0; i < samples; i++) {
      if (left[i] !== exits || !(score[i]! > threshold)) continue;
      left[i] = k;
      answers[i] = predictions[k]![i]!;
      leaving++;
    }
    relativeCost += leaving * cost.prefix[k]!;
    shares[k] = leaving / samples;
    staying -= leaving;
  }
  shares[exits] = staying / samples;
  let right = 0;
  let same = 0;
  for (let i = 0; i < samples; i++) {
    if (answers[i] === labels[i]) right++;
    if (answers[i] === original[i]) same++;
  }
  return {
    accuracy: right / samples,
    agreement: same / samples,
    relativeCost: (relativeCost + staying) / samples,
    exitShares: shares,
  };
}
