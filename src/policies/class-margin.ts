import { classWithoutSamples } from '../errors/index.ts';
import { asColumn, reduceMax, reduceSum } from './nodes.ts';
import type { FitData, Policy, PolicyParameters } from './policy.ts';
import { argMaxRows, eachSoftmax } from './rows.ts';

const LEVELS = 64;
/** Precision that an exit may lack against the original: from −1, which no exit meets, to 1, which every exit meets, finest around 0. */
const MARGINS = Float64Array.from({ length: LEVELS }, (_, j) => {
  const u = (2 * j) / (LEVELS - 1) - 1;
  return u * Math.abs(u);
});
/** Cuts of the odds: above the odds of every sample, and below them. */
const ABOVE_ALL_ODDS = 1e38;
const BELOW_ALL_ODDS = 0;
/** Least probability of all other classes together, so that odds stay below `ABOVE_ALL_ODDS`. */
const LEAST_REST = 1e-30;

/**
 * Class precision margins after CalexNet, whose exact formula is not published: this one is ours. At exit k and for class c, margin m has the
 * lowest threshold on the largest probability at which P(label c | exit k predicts c), among the samples that left no earlier exit
 * under the same m, is at least P(label c | the original predicts c) − m; a larger margin never has a higher one. An original
 * that never predicts c counts as always right about it; of a class that an exit never predicts no sample leaves there.
 *
 * The score is the share of 64 margins whose threshold T a sample passes, each counted softly, as p(1 − T) / (p(1 − T) + (1 − p)T): ½ at
 * p = T, and no steeper in the logits than p itself, so that rounding moves a score no more than it moves max-prob. An exit's
 * threshold is thereby a margin, which the search finds. Parameter: `odds` [exits, classes, 64], T / (1 − T).
 */
export const classMargin: Policy = {
  citation: 'after Aperstein et al. 2025 (CalexNet), class precision margin (arXiv 2509.08318); formula ours',
  readsConfidence: false,
  state: () => 0,
  refuse: refuseMissingClass,
  fit: fitClassMargin,
  nodes(b, { logits, exit, classes, opset }, { odds }) {
    const y = b.op('Softmax', [logits], { axis: 1 });
    const p = asColumn(b, reduceMax(b, y, 1, opset));
    const answer = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
    const others = b.op('OneHot', [answer, b.int64([classes]), b.float([1, 0])], { axis: -1 });
    const rest = b.op('Add', [reduceSum(b, b.op('Mul', [y, others]), 1, opset), b.float(LEAST_REST)]);
    const size = classes * LEVELS;
    const table = b.float(odds!.slice(exit * size, (exit + 1) * size), [classes, LEVELS]);
    const against = b.op('Mul', [asColumn(b, rest), b.op('Gather', [table, answer])]);
    const passed = b.op('Div', [p, b.op('Add', [p, against])]);
    return {
      score: b.op('Mul', [reduceSum(b, passed, 1, opset), b.float(1 / LEVELS)]),
      logits,
      state: undefined,
    };
  },
  decide({ logits, exit, classes }, { odds }) {
    const { answers, p, rest } = probabilitiesOf(logits, classes);
    const score = Float32Array.from(answers, (answer, i) => {
      const first = (exit * classes + answer) * LEVELS;
      let passed = 0;
      for (let j = first; j < first + LEVELS; j++) passed += p[i]! / (p[i]! + rest[i]! * odds![j]!);
      return passed / LEVELS;
    });
    return { score, logits };
  },
};

/** Per row of `logits`: the answer, its probability, and that of all other classes. */
function probabilitiesOf(logits: Float32Array, classes: number) {
  const rows = logits.length / classes;
  const answers = argMaxRows(logits, rows);
  const p = new Float64Array(rows);
  const rest = new Float64Array(rows).fill(LEAST_REST);
  eachSoftmax(logits, classes, (y, i) => {
    p[i] = y[answers[i]!]!;
    for (let c = 0; c < classes; c++) if (c !== answers[i]) rest[i]! += y[c]!;
  });
  return { answers, p, rest };
}

/** Throws `class-without-samples`: the precision of such a class cannot be measured. */
function refuseMissingClass(labels: Int32Array, classes: number): void {
  const present = new Set(labels);
  for (let c = 0; c < classes; c++) if (!present.has(c)) throw classWithoutSamples(c, labels.length);
}

function fitClassMargin({ exits, original, labels, classes }: FitData): PolicyParameters {
  refuseMissingClass(labels, classes);
  const precision = precisionsOf(argMaxRows(original, labels.length), labels, classes);
  const ranked = exits.map(({ logits }) => rankByClass(logits, classes));
  const odds = new Float64Array(exits.length * classes * LEVELS);
  for (const [j, margin] of MARGINS.entries()) {
    const hasLeft = new Uint8Array(labels.length);
    for (const [k, ofClass] of ranked.entries()) {
      for (const [c, samples] of ofClass.entries()) {
        const at = (k * classes + c) * LEVELS + j;
        const inPlay = samples.filter(({ i }) => !hasLeft[i]);
        const cut = lowestCut(inPlay, (i) => labels[i] === c, precision[c]! - margin);
        odds[at] = Math.min(cut, j > 0 ? odds[at - 1]! : ABOVE_ALL_ODDS);
        for (const sample of inPlay) if (sample.odds > odds[at]!) hasLeft[sample.i] = 1;
      }
    }
  }
  return { odds: Array.from(odds, Math.fround) };
}

/** [classes]: P(label c | answer c); 1 for a class that is never answered. */
function precisionsOf(answers: Int32Array, labels: Int32Array, classes: number): Float64Array {
  const [predicted, right] = [new Float64Array(classes), new Float64Array(classes)];
  for (const [i, answer] of answers.entries()) {
    predicted[answer]!++;
    if (labels[i] === answer) right[answer]!++;
  }
  return right.map((count, c) => (predicted[c]! > 0 ? count / predicted[c]! : 1));
}

interface Ranked {
  readonly i: number;
  /** p / (1 − p) */
  readonly odds: number;
}

/** Per class: the samples that are predicted to be of it, the surest first. */
function rankByClass(logits: Float32Array, classes: number): Ranked[][] {
  const { answers, p, rest } = probabilitiesOf(logits, classes);
  const ofClass = Array.from({ length: classes }, (): Ranked[] => []);
  for (const [i, answer] of answers.entries()) ofClass[answer]!.push({ i, odds: p[i]! / rest[i]! });
  return ofClass.map((samples) => samples.sort((a, b) => b.odds - a.odds));
}

/** The lowest cut, between the odds of two of `samples`, above which a share `required` of them is right. */
function lowestCut(samples: readonly Ranked[], isRight: (i: number) => boolean, required: number): number {
  let lowest = ABOVE_ALL_ODDS;
  let right = 0;
  for (const [r, { i, odds }] of samples.entries()) {
    if (isRight(i)) right++;
    const next = samples[r + 1]?.odds;
    if (next !== odds && right >= required * (r + 1))
      lowest = next === undefined ? BELOW_ALL_ODDS : Math.sqrt(odds * next);
  }
  return lowest;
}
