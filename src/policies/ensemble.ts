import { Adam } from './adam.ts';
import { reduceMax } from './nodes.ts';
import type { FitData, Policy, PolicyParameters } from './policy.ts';
import { largestOf, ofSoftmax, softmax } from './rows.ts';

const STEPS = 400;
const RATE = 0.05;
/** Penalty on the distance from the exit alone, (a, s) = (0, 1): as in `fitFinal`, where it keeps the optimum finite. */
const RIDGE = 1;
/** Penalty on the biases, of which there is one a class: few samples of a class leave its bias near 0. */
const BIAS_RIDGE = 3;

/**
 * The open exits so far answer together: in exit m's place answers z_m + ρ_m · Σ_{j < m} z_j + b_m, and its largest softmax probability is the
 * score. That is the geometric ensemble p_m · Π_{j < m} p_j^ρ of Zero Time Waste, section 3.2, in the form that the final answer has
 * (final-answer.ts): exit m itself has weight 1, so that its probabilities stay as sharp as they are, and those before it share one weight,
 * which fewer samples settle than one each. ρ [exits] and b [exits, classes] are fitted on the validation split. State: Σ z_j of the open exits.
 */
export const ensemble: Policy = {
  citation: 'Wołczyk et al. 2021 (Zero Time Waste), section 3.2',
  readsConfidence: false,
  state: (_, classes) => classes,
  fit: ({ exits, labels, classes }) => fitEnsemble(exits, labels, classes),
  nodes(b, { logits, exit, classes, state, opset }, parameters) {
    const all = state ? b.op('Add', [logits, b.op('Mul', [state, b.float(parameters.rho![exit]!)])]) : logits;
    const together = b.op('Add', [all, b.float(biasOf(parameters, exit, classes))]);
    return {
      score: reduceMax(b, b.op('Softmax', [together], { axis: 1 }), 1, opset),
      logits: together,
      state: state ? b.op('Add', [state, logits]) : logits,
    };
  },
  decide({ logits, exit, classes, state }, parameters) {
    const rho = parameters.rho![exit]!;
    const bias = biasOf(parameters, exit, classes);
    const together = logits.map(
      (z, at) => Math.fround(z + Math.fround(rho * state[at]!)) + bias[at % classes]!,
    );
    for (let at = 0; at < logits.length; at++) state[at]! += logits[at]!;
    return { score: ofSoftmax(together, classes, largestOf), logits: together };
  },
};

const biasOf = ({ bias }: PolicyParameters, exit: number, classes: number) =>
  bias!.slice(exit * classes, (exit + 1) * classes);

/**
 * Of every exit m, ρ = max(0, a / s) and b / s, where (a, s, b) minimise Σ_i cross-entropy(softmax(a · Σ_{j < m} z_j + s · z_m + b), label)
 * + RIDGE / 2 · (a² + (s - 1)²) + BIAS_RIDGE / 2 · |b|²: convex, by Adam. The exit alone answers where s is not above 0 or logits are not finite.
 */
function fitEnsemble(
  exits: FitData['exits'],
  labels: Int32Array,
  classes: number,
): { readonly rho: number[]; readonly bias: number[] } {
  const rho: number[] = [];
  const bias: number[] = [];
  const earlier = new Float64Array(labels.length * classes);
  for (const { logits } of exits) {
    const [a = 0, s = 0, ...b] = fitExit(earlier, logits, labels, classes);
    const usable = s > 0 && Number.isFinite(a);
    rho.push(usable ? Math.fround(Math.max(0, a / s)) : 0);
    bias.push(...b.map((value) => (usable ? Math.fround(value / s) : 0)));
    for (let at = 0; at < earlier.length; at++) earlier[at]! += logits[at]!;
  }
  return { rho, bias };
}

/** [2 + classes]: a, s and b of one exit. */
function fitExit(
  earlier: Float64Array,
  logits: Float32Array,
  labels: Int32Array,
  classes: number,
): Float64Array {
  const theta = Float64Array.from({ length: 2 + classes }, (_, at) => (at === 1 ? 1 : 0));
  const adam = new Adam(theta.length);
  const p = new Float64Array(classes);
  for (let step = 0; step < STEPS; step++) {
    const [a, s] = [theta[0]!, theta[1]!];
    const gradient = theta.map((value, at) => (at < 2 ? RIDGE * (value - at) : BIAS_RIDGE * value));
    for (const [i, label] of labels.entries()) {
      const first = i * classes;
      for (let c = 0; c < classes; c++)
        p[c] = a * earlier[first + c]! + s * logits[first + c]! + theta[2 + c]!;
      softmax(p, p);
      p[label]! -= 1;
      for (let c = 0; c < classes; c++) {
        gradient[0]! += p[c]! * earlier[first + c]!;
        gradient[1]! += p[c]! * logits[first + c]!;
        gradient[2 + c]! += p[c]!;
      }
    }
    adam.step(theta, gradient, RATE);
  }
  return theta;
}
