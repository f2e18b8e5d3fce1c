import { Adam } from './adam.ts';
import { reduceMax } from './nodes.ts';
import type { FitData, Policy, PolicyParameters } from './policy.ts';
import { largestOf, logSoftmax, ofSoftmax, softmax } from './rows.ts';

const STEPS = 400;
const RATE = 0.05;

/**
 * Geometric ensemble of the open exits so far: z_m = mean_{j ≤ m} exp(w_mj)·log p_j + b_m answers in exit m's place, and its largest
 * softmax probability is the score (Zero Time Waste, section 3.2; the original's own output is not in it). w [exits, exits] and
 * b [exits, classes] minimise the cross-entropy on the validation split. State: log p of every exit, 0 for those not open.
 */
export const ensemble: Policy = {
  citation: 'Wołczyk et al. 2021 (Zero Time Waste), section 3.2',
  readsConfidence: false,
  state: (exits, classes) => exits * classes,
  fit: fitEnsemble,
  nodes(b, { logits, exit, exits, classes, state, opset }, parameters) {
    const here = b.op('LogSoftmax', [logits], { axis: 1 });
    const pads = b.int64([0, exit * classes, 0, (exits - exit - 1) * classes]);
    const all = b.op('Add', [state!, b.op('Pad', [here, pads])]);
    const mixing = b.float(mixingOf(parameters, exit, exits, classes), [exits * classes, classes]);
    const bias = b.float(parameters.bias!.slice(exit * classes, (exit + 1) * classes));
    const mixed = b.op('Add', [b.op('MatMul', [all, mixing]), bias]);
    return {
      score: reduceMax(b, b.op('Softmax', [mixed], { axis: 1 }), 1, opset),
      logits: mixed,
      state: all,
    };
  },
  decide({ logits, exit, exits, classes, state }, parameters) {
    const width = exits * classes;
    const rows = logits.length / classes;
    const here = logSoftmax(logits, classes);
    for (let i = 0; i < rows; i++)
      state.set(here.subarray(i * classes, (i + 1) * classes), i * width + exit * classes);
    const factors = factorsOf(parameters, exit, exits);
    const mixed = new Float32Array(rows * classes);
    for (let i = 0; i < rows; i++)
      for (let c = 0; c < classes; c++) {
        let z = parameters.bias![exit * classes + c]!;
        for (let j = 0; j <= exit; j++) z += factors[j]! * state[i * width + j * classes + c]!;
        mixed[i * classes + c] = z;
      }
    return { score: ofSoftmax(mixed, classes, largestOf), logits: mixed };
  },
};

/** exp(w_mj) / (m + 1) for j ≤ m = `exit`, 0 for later exits. */
function factorsOf({ weight }: PolicyParameters, exit: number, exits: number): number[] {
  return Array.from({ length: exits }, (_, j) =>
    j <= exit ? Math.exp(weight![exit * exits + j]!) / (exit + 1) : 0,
  );
}

/** The factors as a matrix [exits · classes, classes] that sums each class over the exits. */
function mixingOf(parameters: PolicyParameters, exit: number, exits: number, classes: number): number[] {
  const factors = factorsOf(parameters, exit, exits);
  return Array.from({ length: exits * classes * classes }, (_, at) => {
    const [row, c] = [Math.floor(at / classes), at % classes];
    return row % classes === c ? factors[Math.floor(row / classes)]! : 0;
  });
}

/** Adam on the cross-entropy of each exit's mixture, from the plain mean of the exits' log probabilities. */
function fitEnsemble({ exits, labels, classes }: FitData): PolicyParameters {
  const count = exits.length;
  const samples = labels.length;
  const logs = exits.map(({ logits }) => logSoftmax(logits, classes));
  const weight: number[] = [];
  const bias: number[] = [];
  for (let m = 0; m < count; m++) {
    const size = m + 1 + classes;
    const theta = new Float64Array(size);
    const adam = new Adam(size);
    const z = new Float64Array(classes);
    const p = new Float64Array(classes);
    for (let step = 0; step < STEPS; step++) {
      const gradient = new Float64Array(size);
      const factors = Float64Array.from({ length: m + 1 }, (_, j) => Math.exp(theta[j]!) / (m + 1));
      for (let i = 0; i < samples; i++) {
        for (let c = 0; c < classes; c++) {
          z[c] = theta[m + 1 + c]!;
          for (let j = 0; j <= m; j++) z[c]! += factors[j]! * logs[j]![i * classes + c]!;
        }
        softmax(z, p);
        for (let c = 0; c < classes; c++) {
          const excess = (p[c]! - (c === labels[i] ? 1 : 0)) / samples;
          gradient[m + 1 + c]! += excess;
          for (let j = 0; j <= m; j++) gradient[j]! += excess * factors[j]! * logs[j]![i * classes + c]!;
        }
      }
      adam.step(theta, gradient, RATE);
    }
    weight.push(...theta.slice(0, m + 1), ...new Array<number>(count - m - 1).fill(0));
    bias.push(...theta.slice(m + 1));
  }
  return { weight: weight.map(Math.fround), bias: bias.map(Math.fround) };
}
