import type { GraphBuilder } from '../graph/builder.ts';
import { asColumn, column, reduceMax, reduceSum } from './nodes.ts';
import type { ExitOutputs, ExitValues, FitData, Policy, PolicyParameters } from './policy.ts';
import { argMaxOfRows, eachSoftmax } from './rows.ts';

/** Looks of an exit at a sample: largest probability, its margin over the second, 1 + Σ y log y / log C. */
const OWN = 3;
/** What an exit leaves for those after it: its largest probability, and 1 more than its answer (0: not open). */
const LEFT = 2;
/** Penalty per squared coefficient, in samples. */
const RIDGE = 3;

/**
 * The expected gain of going on: a linear model of (original right − this exit right), on the exit's own looks and, for each
 * earlier open exit, its largest probability and whether it gave the same answer. The score is minus that, so that a
 * threshold is minus the price of the rest: a sample leaves when it expects to gain less than going on costs. Parameters:
 * `weight` [exits, 1 + 3 + 2·exits], bias first, fitted by ridge regression on the validation role.
 */
export const gain: Policy = {
  citation: 'after Regol et al. 2024 (JEI-DNN) and the optimal rule of methods.md 4.10',
  readsConfidence: false,
  memory: (exits) => LEFT * exits,
  fit: fitGain,
  nodes(b, exit, { weight }) {
    const { logits, memory } = exit;
    const size = sizeOf(exit.exits);
    const [bias, ...slopes] = weight!.slice(exit.exit * size, (exit.exit + 1) * size);
    const looks = lookNodes(b, exit);
    const now = b.op('Add', [
      b.op('Cast', [b.op('ArgMax', [logits], { axis: 1, keepdims: 0 })], { to: 1 }),
      b.float(1),
    ]);
    const earlier = Array.from({ length: exit.exit }, (_, j) => [
      column(b, memory!, LEFT * j),
      b.op('Cast', [b.op('Equal', [now, column(b, memory!, LEFT * j + 1)])], { to: 1 }),
    ]).flat();
    const used = [...looks, ...earlier];
    const terms = used.map((feature, f) => b.op('Mul', [feature, b.float(-slopes[f]!)]));
    const score = terms.reduce((sum, term) => b.op('Add', [sum, term]), b.float(-bias!));
    const left = b.op('Concat', [asColumn(b, looks[0]!), asColumn(b, now)], { axis: 1 });
    const pads = b.int64([0, exit.exit * LEFT, 0, (exit.exits - exit.exit - 1) * LEFT]);
    return { score, logits, memory: b.op('Add', [memory!, b.op('Pad', [left, pads])]) };
  },
  decide(exit, { weight }) {
    const size = sizeOf(exit.exits);
    const features = featuresOf(exit);
    const score = Float32Array.from({ length: features.length / size }, (_, i) => {
      let sum = 0;
      for (let f = 0; f < size; f++) sum -= weight![exit.exit * size + f]! * features[i * size + f]!;
      return sum;
    });
    return { score, logits: exit.logits };
  },
};

const sizeOf = (exits: number) => 1 + OWN + LEFT * exits;

/** The exit's own looks, each [M]. */
function lookNodes(b: GraphBuilder, { logits, classes, opset }: ExitValues): string[] {
  const logs = b.op('LogSoftmax', [logits], { axis: 1 });
  const y = b.op('Exp', [logs]);
  const two = b.ops('TopK', [y, b.int64([2])], { axis: 1 }, [b.fresh('two'), b.fresh('which')]);
  const negative = reduceSum(b, b.op('Mul', [y, logs]), 1, opset);
  return [
    reduceMax(b, y, 1, opset),
    b.op('Sub', [column(b, two[0]!, 0), column(b, two[0]!, 1)]),
    b.op('Add', [b.op('Mul', [negative, b.float(1 / Math.log(classes))]), b.float(1)]),
  ];
}

/** [N, 1 + 3 + 2·exits], the first column 1; brings the memory up to date. */
function featuresOf({ logits, classes, exit, exits, memory }: Omit<ExitOutputs, 'confidence'>): Float64Array {
  const size = sizeOf(exits);
  const answers = argMaxOfRows(logits, classes);
  const features = new Float64Array(answers.length * size);
  eachSoftmax(logits, classes, (p, i) => {
    let [first, second, entropy] = [-Infinity, -Infinity, 0];
    for (const y of p) {
      if (y > first) [first, second] = [y, first];
      else if (y > second) second = y;
      entropy += y === 0 ? 0 : y * Math.log(y);
    }
    const row = features.subarray(i * size, (i + 1) * size);
    row.set([1, first, first - second, 1 + entropy / Math.log(classes)]);
    const left = memory.subarray(i * LEFT * exits, (i + 1) * LEFT * exits);
    for (let j = 0; j < exit; j++) {
      row[1 + OWN + LEFT * j] = left[LEFT * j]!;
      row[2 + OWN + LEFT * j] = left[LEFT * j + 1] === answers[i]! + 1 ? 1 : 0;
    }
    left.set([first, answers[i]! + 1], LEFT * exit);
  });
  return features;
}

function fitGain({ exits, original, labels, classes }: FitData): PolicyParameters {
  const count = exits.length;
  const size = sizeOf(count);
  const memory = new Float32Array(labels.length * LEFT * count);
  const last = argMaxOfRows(original, classes);
  const weight = exits.flatMap(({ logits }, exit) => {
    const answers = argMaxOfRows(logits, classes);
    const features = featuresOf({ logits, classes, exit, exits: count, memory });
    const gains = Float64Array.from(
      labels,
      (label, i) => Number(last[i] === label) - Number(answers[i] === label),
    );
    return ridge(features, size, gains);
  });
  return { weight: weight.map(Math.fround) };
}

/** Least squares with a penalty on everything but the first column: solves (XᵀX + R)·w = Xᵀt by Gaussian elimination. */
function ridge(features: Float64Array, size: number, targets: Float64Array): number[] {
  const rows = Array.from({ length: size }, (_, r) => {
    const row = new Float64Array(size + 1);
    row[r] = r === 0 ? 1e-9 : RIDGE;
    return row;
  });
  for (let i = 0; i < targets.length; i++) {
    const x = features.subarray(i * size, (i + 1) * size);
    for (let r = 0; r < size; r++) {
      for (let c = 0; c < size; c++) rows[r]![c]! += x[r]! * x[c]!;
      rows[r]![size]! += x[r]! * targets[i]!;
    }
  }
  for (let pivot = 0; pivot < size; pivot++) {
    for (let r = 0; r < size; r++) {
      if (r === pivot) continue;
      const factor = rows[r]![pivot]! / rows[pivot]![pivot]!;
      for (let c = pivot; c <= size; c++) rows[r]![c]! -= factor * rows[pivot]![c]!;
    }
  }
  return rows.map((row, r) => row[size]! / row[r]!);
}
