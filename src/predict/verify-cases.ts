/** What `verifyEmitted` tries: thresholds that make every exit answer some samples and pass others on, and the samples that show it. */
import type { OutcomesAt } from '../calibrate/types.ts';
import { CLOSED, closesAll, type Outcomes } from '../calibrate/types.ts';
import { leavingExits } from '../calibrate/walk.ts';
import { HIGHEST_OPEN } from '../policies/policy.ts';

/** Samples tried on either side of every threshold, besides those spread over the data. */
const NEAR_SAMPLES = 2;

/** What an exit is to do: let some samples leave, let them all pass although it is open, or be closed. */
type Duty = 'leave' | 'pass' | 'closed';

/**
 * Thresholds to try besides `given`: all exits closed; all open, some samples leaving at each; every other one closed; every other one
 * passed, so that the state that it leaves in the policy has an effect at the next. `exits`: how many there are.
 */
export function moreThresholds(
  outcomes: OutcomesAt,
  exits: number,
  samples: readonly number[],
  given: readonly (readonly number[])[],
): number[][] {
  const every = (odd: Duty, even: Duty) =>
    Array.from({ length: exits }, (_, k) => ((exits - k) % 2 === 1 ? odd : even));
  const alternating = exits > 1 ? [every('closed', 'leave'), every('leave', 'pass')] : [];
  return [
    ...(given.some(closesAll) ? [] : [Array.from({ length: exits }, () => CLOSED)]),
    ...[every('leave', 'leave'), ...alternating].map((duties) => evenThresholds(outcomes, duties, samples)),
  ];
}

/** As many of `samples` leave at each exit that lets them as go all the way, as nearly as scores allow. */
function evenThresholds(outcomes: OutcomesAt, duties: readonly Duty[], samples: readonly number[]): number[] {
  const { scores } = outcomes(duties.map((duty) => (duty === 'closed' ? CLOSED : HIGHEST_OPEN)));
  let ways = 1 + duties.filter((duty) => duty === 'leave').length;
  let staying = [...samples];
  return duties.map((duty, k) => {
    if (duty !== 'leave') return duty === 'closed' ? CLOSED : HIGHEST_OPEN;
    const found = staying.map((i) => scores[k]![i]!).filter(Number.isFinite);
    const threshold = thresholdBelow(
      found.sort((a, b) => b - a),
      Math.round(found.length / ways--),
    );
    staying = staying.filter((i) => !(scores[k]![i]! > threshold));
    return threshold;
  });
}

/** A float32 between two of the falling `scores`, exceeded by `count` of them or as nearly so many as equal ones allow; by none where all are equal. */
function thresholdBelow(scores: readonly number[], count: number): number {
  const between = (i: number) => Math.fround((scores[i - 1]! + scores[i]!) / 2);
  const parts = (i: number) => scores[i - 1]! > between(i) && between(i) >= scores[i]! && between(i) < CLOSED;
  const places = Array.from(scores.keys()).filter((i) => i > 0 && parts(i));
  const nearest = places.sort((a, b) => Math.abs(a - count) - Math.abs(b - count))[0];
  return nearest === undefined ? HIGHEST_OPEN : between(nearest);
}

/**
 * `spread`, and of the samples that reach an open exit those whose scores are the nearest to its threshold on either side, but `clear` away
 * from it.
 */
export function samplesFor(
  { scores, labels }: Outcomes,
  thresholds: readonly number[],
  spread: readonly number[],
  clear: number,
): number[] {
  const picked = new Set(spread);
  const exits = leavingExits(scores, labels.length, thresholds);
  for (const [k, threshold] of thresholds.entries()) {
    if (threshold >= CLOSED) continue;
    const distance = (i: number) => Math.abs(scores[k]![i]! - threshold);
    const leaves = (i: number) => scores[k]![i]! > threshold;
    const reaching = [...labels.keys()].filter((i) => exits[i]! >= k);
    const sorted = reaching.filter((i) => distance(i) >= clear).sort((a, b) => distance(a) - distance(b));
    for (const side of [sorted.filter(leaves), sorted.filter((i) => !leaves(i))])
      for (const i of side.slice(0, NEAR_SAMPLES)) picked.add(i);
  }
  return [...picked];
}
