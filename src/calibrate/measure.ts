import { wrongThresholdCount } from '../errors/index.ts';
import { CLOSED, type CostModel, type Measured, type Outcomes } from './types.ts';
import { walk } from './walk.ts';

/**
 * What `thresholds` ([K]) do on `outcomes`. A sample pays the head of every open exit that it reaches, its network up to the exit that it
 * leaves at (1 at the end), and each network before that up to the last open exit. Throws `wrong-threshold-count`.
 */
export function measure(outcomes: Outcomes, cost: CostModel, thresholds: readonly number[]): Measured {
  const { scores, original, labels } = outcomes;
  if (thresholds.length !== scores.length) throw wrongThresholdCount(thresholds.length, scores.length);
  const samples = labels.length;
  const { exits, answers } = walk(outcomes, thresholds);
  const leaving = new Array<number>(scores.length + 1).fill(0);
  let right = 0;
  let same = 0;
  for (let i = 0; i < samples; i++) {
    leaving[exits[i]!]!++;
    if (answers[i] === labels[i]) right++;
    if (answers[i] === original[i]) same++;
  }
  return {
    accuracy: right / samples,
    agreement: same / samples,
    relativeCost: totalCost(leaving, cost, thresholds) / samples,
    exitShares: leaving.map((count) => count / samples),
  };
}

/** Cost of all samples when `leaving[k]` of them ([K + 1]) leave at exit k. The order of the sum decides its last bits: keep it. */
function totalCost(
  leaving: readonly number[],
  { exits, networks }: CostModel,
  thresholds: readonly number[],
): number {
  let staying = leaving.reduce((sum, count) => sum + count);
  let total = 0;
  // The last open exit so far: how far its network is run by the samples that stay.
  let reached = { network: networks.length - 1, prefix: 0 };
  for (const [k, threshold] of thresholds.entries()) {
    if (!(threshold < CLOSED)) continue;
    const exit = exits[k]!;
    if (exit.network !== reached.network) total += staying * reached.prefix;
    total += staying * exit.head;
    total += leaving[k]! * exit.prefix;
    staying -= leaving[k]!;
    reached = exit;
  }
  if (reached.network !== networks.length - 1) total += staying * reached.prefix;
  return total + staying;
}
