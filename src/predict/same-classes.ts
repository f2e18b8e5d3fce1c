/** Whether a network in front of the original has the original's classes, in its order: asked of its answers. */

import { assign } from '../calibrate/assign.ts';
import { isGuessing } from '../calibrate/index.ts';
import { isMoreOften } from '../calibrate/paired.ts';
import { firstDisagrees } from '../errors/index.ts';
import { type Note, warning } from '../errors/notes.ts';

export interface FirstAnswers {
  readonly name: string;
  /** [n] The class that it answers with for each sample. */
  readonly answers: Int32Array;
}

/**
 * Throws `first-disagrees` when the first network agrees with the original on hardly more calibration samples than chance would, with the order of its classes
 * where one fits. A warning when it agrees, but would on more samples if some of its classes stood in another order. An order is found on
 * every other sample and counts by what it does on the rest. `labels`: undefined where there are none.
 */
export function checkSameClasses(
  first: FirstAnswers,
  original: Pick<FirstAnswers, 'answers'>,
  labels: Int32Array | undefined,
  classes: number,
): Note | undefined {
  const samples = original.answers.length;
  const agreed = countEqual(first.answers, original.answers);
  const order = findOrder(first.answers, original.answers, classes);
  if (isGuessing(agreed, samples, classes)) {
    const right = labels && countEqual(first.answers, labels);
    const measured = [
      `on ${agreed} of ${samples} samples, among ${classes} classes`,
      ...(right === undefined ? [] : [`${percent(right / samples)} of its answers are right`]),
    ].join('; ');
    // An order that explains less than half of the answers is found in any guesses.
    const fits = order.agreed > order.mostFrequent && 2 * order.agreed > order.samples;
    throw firstDisagrees(first.name, measured, fits ? describePairs(order.moved) : undefined);
  }
  if (order.moved.length === 0 || !isMoreOften({ onlyA: order.lost, onlyB: order.gained })) return undefined;
  return warning(
    'first-classes-swapped',
    `${first.name} would agree with the original on ${order.gained - order.lost} of ${order.samples} samples more if ${describePairs(order.moved)}. If its classes are in another order, give their names: \`first[].labels\`.`,
  );
}

/** An order of the first network's classes, as measured on samples that it was not found on. */
interface Order {
  /** Classes of the first network that would be another of the original, the most frequent first. */
  readonly moved: readonly (readonly [own: number, meant: number])[];
  readonly samples: number;
  /** Samples on which the two agree under the order. */
  readonly agreed: number;
  /** Samples of the original's most frequent answer: one that says nothing else agrees on as many. */
  readonly mostFrequent: number;
  /** Samples on which they agree only under the order, and only without it. */
  readonly gained: number;
  readonly lost: number;
}

function findOrder(answers: Int32Array, original: Int32Array, classes: number): Order {
  const counts = new Float64Array(classes * classes);
  const seen = new Int32Array(classes);
  for (let i = 0; i < answers.length; i += 2) {
    counts[answers[i]! * classes + original[i]!]!++;
    seen[answers[i]!]!++;
  }
  // Classes of which the samples say nothing stay where they are, if they can.
  for (let k = 0; k < classes; k++) counts[k * classes + k]! += 0.5;
  const meantBy = assign(counts, classes);
  const answered = new Int32Array(classes);
  let [agreed, gained, lost] = [0, 0, 0];
  for (let i = 1; i < answers.length; i += 2) {
    answered[original[i]!]!++;
    const isPlain = answers[i] === original[i];
    const isOrdered = meantBy[answers[i]!] === original[i];
    if (isOrdered) agreed++;
    if (isOrdered && !isPlain) gained++;
    if (isPlain && !isOrdered) lost++;
  }
  const moved = [...meantBy.entries()]
    .filter(([own, meant]) => own !== meant && counts[own * classes + meant]! > 0)
    .sort(([a], [b]) => seen[b]! - seen[a]! || a - b);
  const samples = Math.floor(answers.length / 2);
  return { moved, samples, agreed, mostFrequent: Math.max(...answered), gained, lost };
}

/** `its class 3 is the original's 5, …`: of each that differs, or of the first few. */
function describePairs(moved: Order['moved'], most = 4): string {
  const pairs = moved.slice(0, most).map(([own, meant]) => `its class ${own} is the original's ${meant}`);
  return pairs.join(', ') + (moved.length > most ? ', …' : '');
}

function countEqual(a: Int32Array, b: Int32Array): number {
  let equal = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) equal++;
  return equal;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
