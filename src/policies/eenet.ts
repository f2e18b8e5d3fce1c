import { factorsOf, fitExits } from './eenet-fit.ts';
import { type Assigned, FACTORS, layoutOf } from './eenet-losses.ts';
import { entropy } from './entropy.ts';
import { maxProb } from './max-prob.ts';
import { asColumn, column, columns, reduceMax, reduceSum } from './nodes.ts';
import { type FitData, HIGHEST_OPEN, type Policy, type PolicyParameters } from './policy.ts';
import { argMaxRows, eachSoftmax } from './rows.ts';

/**
 * Exit scores learned under a budget: q̂_k = w1·y + w2·[a_max, a_ent, a_vote, q̂_1 .. q̂_{k−1}] + b on the class probabilities y, the
 * confidence factors, and the scores of the open exits before (0 for the closed; only open exits vote). Two things are not as
 * published. Probabilities are those of logits divided by a fitted temperature: for an overconfident head the linear score
 * would otherwise sort by class alone. And q̂ is clamped to [0, 1] in the losses only; here scores are scaled to be below 1
 * whatever y is, in the same order, so that no two of the surest are the same.
 *
 * Parameters: `weight` [exits, classes + 3 + exits], `bias` [exits], `temperature` [1], and `shares` [exits + 1], the learned exit
 * distribution. State: the scores of the open exits so far, and how many of them answered each class.
 */
export const eenet: Policy = {
  citation: 'Ilhan et al. 2023 (EENet), section 3',
  readsConfidence: false,
  state: (exits, classes) => exits + classes,
  fit: fitEenet,
  thresholds: (scores, { shares }) => quantileWalk(scores, shares!),
  nodes(b, place, { weight, bias, temperature }) {
    const { logits, exit, exits, classes, state, opset } = place;
    const size = classes + FACTORS + exits;
    const earlier = state && columns(b, state, 0, exits);
    const answer = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
    const vote = b.op('OneHot', [answer, b.int64(classes), b.float([0, 1])]);
    const votes = state ? b.op('Add', [columns(b, state, exits, exits + classes), vote]) : vote;
    const share = b.op('Div', [reduceMax(b, votes, 1, opset), reduceSum(b, votes, 1, opset)]);
    const softer = { ...place, logits: b.op('Div', [logits, b.float(temperature![0]!)]) };
    const factors = [maxProb, entropy].map((policy) => policy.nodes(b, softer, {}).score);
    const inputs = [
      b.op('Softmax', [softer.logits], { axis: 1 }),
      ...[...factors, share].map((factor) => asColumn(b, factor)),
      ...(earlier ? [earlier] : []),
    ];
    const read = earlier ? size : size - exits;
    const weights = b.float(weight!.slice(exit * size, exit * size + read), [read, 1]);
    const product = b.op('MatMul', [b.op('Concat', inputs, { axis: 1 }), weights]);
    const score = b.op('Add', [product, b.float(bias![exit]!)]);
    const padded = b.op('Pad', [score, b.int64([0, exit, 0, exits - exit - 1])]);
    const scores = earlier ? b.op('Add', [earlier, padded]) : padded;
    return {
      score: column(b, score, 0),
      logits,
      state: b.op('Concat', [scores, votes], { axis: 1 }),
    };
  },
  decide({ logits, exit, exits, classes, state }, { weight, bias, temperature }) {
    const size = classes + FACTORS + exits;
    const own = weight!.slice(exit * size, (exit + 1) * size);
    const answers = argMaxRows(logits, logits.length / classes);
    const score = new Float32Array(answers.length);
    const softer = logits.map((z) => z / temperature![0]!);
    eachSoftmax(softer, classes, (y, i) => {
      const [earlier, votes] = [
        state.subarray(i * (exits + classes), i * (exits + classes) + exits),
        state.subarray(i * (exits + classes) + exits, (i + 1) * (exits + classes)),
      ];
      votes[answers[i]!]!++;
      let q = bias![exit]!;
      for (let c = 0; c < classes; c++) q += own[c]! * y[c]!;
      for (const [f, factor] of factorsOf(y, votes).entries()) q += own[classes + f]! * factor;
      for (let j = 0; j < exit; j++) q += own[classes + FACTORS + j]! * earlier[j]!;
      earlier[exit] = q;
      score[i] = q;
    });
    return { score, logits };
  },
};

/**
 * Thresholds that let floor(p_k·N) samples leave at exit k, the surest of those still there, p the learned exit distribution; more only where
 * scores are equal. `scores`: [N] per exit, all of them open.
 */
function quantileWalk(scores: readonly Float32Array[], shares: readonly number[]): number[] {
  let staying = Int32Array.from(scores[0]!.keys());
  return scores.map((score, k) => {
    const sorted = staying.filter((i) => !Number.isNaN(score[i]!)).sort((a, b) => score[b]! - score[a]!);
    const leaving = Math.min(sorted.length, Math.floor(shares[k]! * scores[0]!.length));
    const threshold = leaving === 0 ? HIGHEST_OPEN : under(score, sorted, leaving);
    staying = staying.filter((i) => !(score[i]! > threshold));
    return threshold;
  });
}

/** Midway between the score of the last of `leaving` samples and the next lower one. */
function under(score: Float32Array, sorted: Int32Array, leaving: number): number {
  const last = score[sorted[leaving - 1]!]!;
  const next = sorted.subarray(leaving).find((i) => score[i]! < last);
  const lower = next === undefined ? last - 1 : score[next]!;
  const middle = Math.fround((last + lower) / 2);
  return middle < last ? middle : lower;
}

function fitEenet(data: FitData): PolicyParameters {
  const { exits, original, labels, classes } = data;
  const count = exits.length;
  const answers = [...exits.map((exit) => exit.logits), original].map((z) => argMaxRows(z, labels.length));
  const accuracyOf = ({ scores }: Assigned, shares: readonly number[]) => {
    const byExit = exits.map((_, k) => Float32Array.from(labels, (_, i) => scores[i * count + k]!));
    const thresholds = quantileWalk(byExit, shares);
    const right = labels.filter((label, i) => {
      const k = thresholds.findIndex((t, e) => byExit[e]![i]! > t);
      return answers[k < 0 ? count : k]![i] === label;
    });
    return right.length / labels.length;
  };
  const { theta, temperature, shares } = fitExits(data, accuracyOf);
  const { scoreSize } = layoutOf({ exits: count, classes });
  const rows = exits.map((_, k) => theta.slice(k * scoreSize, (k + 1) * scoreSize));
  const scaled = belowOne(rows, classes);
  return {
    weight: scaled.flatMap((row) => [...row.subarray(0, -1)]).map(Math.fround),
    bias: scaled.map((row) => Math.fround(row.at(-1)!)),
    temperature: [temperature],
    shares,
  };
}

/** The same scores, scaled so that no class probabilities whatever give more than 1. Rows: [classes + 3 + exits] and a bias. */
function belowOne(rows: readonly Float64Array[], classes: number): Float64Array[] {
  const bounds: { low: number; high: number; scale: number }[] = [];
  return rows.map((row) => {
    const weights = row.map((w, f) => w * (bounds[f - classes - FACTORS]?.scale ?? 1));
    let [low, high] = [row.at(-1)!, row.at(-1)!];
    low += weights.subarray(0, classes).reduce((a, b) => Math.min(a, b));
    high += weights.subarray(0, classes).reduce((a, b) => Math.max(a, b));
    for (let f = classes; f < weights.length - 1; f++) {
      const from = bounds[f - classes - FACTORS]?.low ?? 0;
      const to = bounds[f - classes - FACTORS]?.high ?? 1;
      low += Math.min(weights[f]! * from, weights[f]! * to);
      high += Math.max(weights[f]! * from, weights[f]! * to);
    }
    const scale = Math.max(1, 1.001 * high);
    bounds.push({ low: Math.min(0, low / scale), high: Math.max(0, high / scale), scale });
    return weights.map((w) => w / scale);
  });
}
