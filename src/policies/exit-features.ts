/** What a learned exit score looks at: this exit's logits, and what the open exits before it left. */
import type { GraphBuilder } from '../graph/builder.ts';
import { asColumn, column, reduceMax, reduceSum } from './nodes.ts';
import type { ExitOutputs, ExitValues } from './policy.ts';
import { argMaxRows } from './rows.ts';

/** What an exit sees: the margin of its logits, its largest probability, its entropy as 1 + Σ y log y / log C. */
const OWN = 3;
/** And of each earlier open exit: whether it gave the same answer, and its margin, negative where it did not; 0s if closed. */
const OTHER = 2;
/** What an exit leaves for those after it: 1 more than its answer (0: not open), and its margin. */
const LEFT = 2;

/** Looks of an exit, those it has no use for among them. */
export const exitFeaturesSize = (exits: number): number => OWN + OTHER * exits;
/** Floats that a sample carries. */
export const leftSize = (exits: number): number => LEFT * exits;

export interface ExitFeatureValues {
  /** [M, count] float: the first `count` looks; the rest are 0. */
  readonly features: string;
  readonly count: number;
  /** [M] int64: the class answered. */
  readonly answer: string;
  /** [M, leftSize] */
  readonly state: string;
}

export function exitFeatureNodes(
  b: GraphBuilder,
  { logits, exit, exits, classes, state, opset }: ExitValues,
): ExitFeatureValues {
  const two = b.ops('TopK', [logits, b.int64([2])], { axis: 1 }, [b.fresh('two'), b.fresh('which')]);
  const margin = b.op('Sub', [column(b, two[0]!, 0), column(b, two[0]!, 1)]);
  const logs = b.op('LogSoftmax', [logits], { axis: 1 });
  const y = b.op('Exp', [logs]);
  const negative = reduceSum(b, b.op('Mul', [y, logs]), 1, opset);
  const entropy = b.op('Add', [b.op('Mul', [negative, b.float(1 / Math.log(classes))]), b.float(1)]);
  const answer = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
  const now = b.op('Add', [b.op('Cast', [answer], { to: 1 }), b.float(1)]);
  const earlier = Array.from({ length: exit }, (_, j) => {
    const same = b.op('Cast', [b.op('Equal', [now, column(b, state!, LEFT * j)])], { to: 1 });
    const sign = b.op('Sub', [b.op('Mul', [same, b.float(2)]), b.float(1)]);
    return [same, b.op('Mul', [column(b, state!, LEFT * j + 1), sign])];
  }).flat();
  const all = [margin, reduceMax(b, y, 1, opset), entropy, ...earlier];
  const features = b.op(
    'Concat',
    all.map((exitFeatures) => asColumn(b, exitFeatures)),
    { axis: 1 },
  );
  const left = b.op('Concat', [asColumn(b, now), asColumn(b, margin)], { axis: 1 });
  const pads = b.int64([0, exit * LEFT, 0, (exits - exit - 1) * LEFT]);
  const after = b.op('Add', [state!, b.op('Pad', [left, pads])]);
  return { features, count: all.length, answer, state: after };
}

/** `looks` [N, looksSize]: what the exit and those before it saw; `answers` [N]. Brings the memory up to date. */
export function exitFeatures({ logits, classes, exit, exits, state }: Omit<ExitOutputs, 'confidence'>) {
  const size = exitFeaturesSize(exits);
  const answers = argMaxRows(logits, logits.length / classes);
  const features = new Float64Array(answers.length * size);
  for (const [i, answer] of answers.entries()) {
    const z = logits.subarray(i * classes, (i + 1) * classes);
    let second = -Infinity;
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      if (c !== answer) second = Math.max(second, z[c]!);
      sum += Math.exp(z[c]! - z[answer]!);
    }
    let entropy = 0;
    for (const value of z) {
      const log = value - z[answer]! - Math.log(sum);
      entropy += Math.exp(log) * log;
    }
    const margin = z[answer]! - second;
    const row = features.subarray(i * size, (i + 1) * size);
    row.set([margin, 1 / sum, 1 + entropy / Math.log(classes)]);
    const left = state.subarray(i * LEFT * exits, (i + 1) * LEFT * exits);
    for (let j = 0; j < exit; j++) {
      const same = left[LEFT * j] === answer + 1;
      row.set([Number(same), left[LEFT * j + 1]! * (same ? 1 : -1)], OWN + OTHER * j);
    }
    left.set([answer + 1, margin], LEFT * exit);
  }
  return { features, answers };
}

/**
 * `looks` with a one-hot of the class answered behind each row, [N, looksSize + classes]: what a regression with a bias for each class is
 * fitted on.
 */
export function withAnswers(features: Float64Array, answers: Int32Array, classes: number): Float64Array {
  const size = features.length / answers.length;
  const wide = size + classes;
  const rows = new Float64Array(answers.length * wide);
  for (const [i, answer] of answers.entries()) {
    rows.set(features.subarray(i * size, (i + 1) * size), i * wide);
    rows[i * wide + size + answer] = 1;
  }
  return rows;
}
