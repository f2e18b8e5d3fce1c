import { logisticRegression } from './logistic.ts';
import { asColumn, column, reduceMax, reduceSum } from './nodes.ts';
import type { ExitOutputs, FitData, Policy, PolicyParameters } from './policy.ts';
import { argMaxRows } from './rows.ts';

/** What an exit sees: the margin of its logits, its largest probability, its entropy as 1 + Σ y log y / log C. */
const OWN = 3;
/** And of each earlier open exit: whether it gave the same answer, and its margin, negative where it did not; 0s if closed. */
const OTHER = 2;
/** What an exit leaves for those after it: 1 more than its answer (0: not open), and its margin. */
const LEFT = 2;
const RIDGE = 1;

/**
 * What going on is expected to bring: P(wrong here, right in the end) − P(right here, wrong in the end). The score is minus that, in
 * [−1, 1]: a threshold is minus the price of the rest, so that a sample leaves when it expects to gain less than going on costs.
 * Each probability is a logistic regression on what this exit and the open ones before it saw, with a bias for each
 * class answered. Parameters: `weight` [exits, 3 + 2·exits, 2] and `bias` [exits, classes, 2], for losing and for winning by leaving.
 */
export const gain: Policy = {
  citation:
    'after the optimal rule of Regol et al. 2025 (methods.md 4.10), with the looks of JEI-DNN (Regol et al. 2024)',
  readsConfidence: false,
  memory: (exits) => LEFT * exits,
  fit: fitGain,
  nodes(b, { logits, exit, exits, classes, memory, opset }, { weight, bias }) {
    const two = b.ops('TopK', [logits, b.int64([2])], { axis: 1 }, [b.fresh('two'), b.fresh('which')]);
    const margin = b.op('Sub', [column(b, two[0]!, 0), column(b, two[0]!, 1)]);
    const logs = b.op('LogSoftmax', [logits], { axis: 1 });
    const y = b.op('Exp', [logs]);
    const negative = reduceSum(b, b.op('Mul', [y, logs]), 1, opset);
    const entropy = b.op('Add', [b.op('Mul', [negative, b.float(1 / Math.log(classes))]), b.float(1)]);
    const answer = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
    const now = b.op('Add', [b.op('Cast', [answer], { to: 1 }), b.float(1)]);
    const earlier = Array.from({ length: exit }, (_, j) => {
      const same = b.op('Cast', [b.op('Equal', [now, column(b, memory!, LEFT * j)])], { to: 1 });
      const sign = b.op('Sub', [b.op('Mul', [same, b.float(2)]), b.float(1)]);
      return [same, b.op('Mul', [column(b, memory!, LEFT * j + 1), sign])];
    }).flat();
    const looks = [margin, reduceMax(b, y, 1, opset), entropy, ...earlier];

    const size = OWN + OTHER * exits;
    const rows = weight!.slice(exit * size * 2, (exit * size + looks.length) * 2);
    const seen = b.op(
      'Concat',
      looks.map((look) => asColumn(b, look)),
      { axis: 1 },
    );
    const byClass = b.float(bias!.slice(exit * classes * 2, (exit + 1) * classes * 2), [classes, 2]);
    const odds = b.op('Add', [
      b.op('MatMul', [seen, b.float(rows, [looks.length, 2])]),
      b.op('Gather', [byClass, answer]),
    ]);
    const chances = b.op('Sigmoid', [odds]);
    const left = b.op('Concat', [asColumn(b, now), asColumn(b, margin)], { axis: 1 });
    const pads = b.int64([0, exit * LEFT, 0, (exits - exit - 1) * LEFT]);
    return {
      score: b.op('Sub', [column(b, chances, 1), column(b, chances, 0)]),
      logits,
      memory: b.op('Add', [memory!, b.op('Pad', [left, pads])]),
    };
  },
  decide(outputs, { weight, bias }) {
    const { exit, exits, classes, logits } = outputs;
    const size = OWN + OTHER * exits;
    const { looks, answers } = look(outputs);
    const chance = (i: number, which: number) => {
      let z = bias![(exit * classes + answers[i]!) * 2 + which]!;
      for (let f = 0; f < size; f++) z += weight![(exit * size + f) * 2 + which]! * looks[i * size + f]!;
      return 1 / (1 + Math.exp(-z));
    };
    return { score: Float32Array.from(answers, (_, i) => chance(i, 1) - chance(i, 0)), logits };
  },
};

/** [N, 3 + 2·exits]: what the exit and those before it saw; brings the memory up to date. */
function look({ logits, classes, exit, exits, memory }: Omit<ExitOutputs, 'confidence'>) {
  const size = OWN + OTHER * exits;
  const answers = argMaxRows(logits, logits.length / classes);
  const looks = new Float64Array(answers.length * size);
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
    const row = looks.subarray(i * size, (i + 1) * size);
    row.set([margin, 1 / sum, 1 + entropy / Math.log(classes)]);
    const left = memory.subarray(i * LEFT * exits, (i + 1) * LEFT * exits);
    for (let j = 0; j < exit; j++) {
      const same = left[LEFT * j] === answer + 1;
      row.set([Number(same), left[LEFT * j + 1]! * (same ? 1 : -1)], OWN + OTHER * j);
    }
    left.set([answer + 1, margin], LEFT * exit);
  }
  return { looks, answers };
}

function fitGain({ exits, original, labels, classes }: FitData): PolicyParameters {
  const count = exits.length;
  const size = OWN + OTHER * count;
  const memory = new Float32Array(labels.length * LEFT * count);
  const last = argMaxRows(original, labels.length);
  const everyone = Int32Array.from(labels.keys());
  const fitted = exits.map(({ logits }, exit) => {
    const { looks, answers } = look({ logits, classes, exit, exits: count, memory });
    const wide = size + classes;
    const rows = new Float64Array(labels.length * wide);
    for (const [i, answer] of answers.entries()) {
      rows.set(looks.subarray(i * size, (i + 1) * size), i * wide);
      rows[i * wide + size + answer] = 1;
    }
    const changes = (before: ArrayLike<number>, after: ArrayLike<number>) =>
      Uint8Array.from(labels, (label, i) => Number(before[i] !== label && after[i] === label));
    return [changes(answers, last), changes(last, answers)].map((happened) =>
      logisticRegression(rows, wide, happened, everyone, RIDGE),
    );
  });
  const pairs = (from: number, to: number, constant: number) =>
    fitted.flatMap(([losing, winning]) =>
      Array.from({ length: to - from }, (_, f) =>
        [losing!, winning!].map(({ weights, bias }) => Math.fround(weights[from + f]! + constant * bias)),
      ).flat(),
    );
  return { weight: pairs(0, size, 0), bias: pairs(size, size + classes, 1) };
}
