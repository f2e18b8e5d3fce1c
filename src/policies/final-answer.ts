/**
 * The final answer as an ensemble: the logits of a sample that reaches the end are
 *
 *     z = z° + ρ · Σ_k z_k        over the open exits k; z°: the original's
 *
 * The exits' logits are computed anyway on the way there, and their errors are partly independent of the original's. softmax(z) is the
 * geometric ensemble of Zero Time Waste (Wołczyk et al. 2021, section 3.2), p° · Π p_k^ρ normalised, with the original in it, one weight for
 * all exits and no biases. Log p_k in place of z_k would add the same to the logits of all classes.
 *
 * With every exit closed the sum is 0 and z is z°, bit for bit.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { columns } from './nodes.ts';
import type { FitData, Policy } from './policy.ts';
import { largestOf } from './rows.ts';

const NEWTON_STEPS = 50;
/** Newton steps end where the expected decrease of the loss, per sample, is below this. */
const LEAST_DECREASE = 1e-12;
/** Penalty on the distance from the original alone, (a, b) = (0, 1): keeps the optimum finite where all samples are answered right. */
const RIDGE = 1;

/**
 * ρ = max(0, a / b), where (a, b) minimise Σ_i cross-entropy(softmax(a · Σ_k z_k + b · z°), label) + RIDGE / 2 · (a² + (b − 1)²) with all
 * exits open: convex, by damped Newton steps from (0, 1). b is fitted
 * along because an overconfident original would otherwise leave the exits too little weight. 0 where logits are not finite.
 */
export function fitFinal({
  exits,
  original,
  labels,
  classes,
}: Pick<FitData, 'original' | 'labels' | 'classes'> & {
  readonly exits: readonly { readonly logits: Float32Array }[];
}): number {
  const exitSum = Float64Array.from(original, (_, at) =>
    exits.reduce((sum, { logits }) => sum + logits[at]!, 0),
  );
  const lossAt = (a: number, b: number) => crossEntropy(exitSum, original, labels, classes, a, b);
  let here = lossAt(0, 1);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const { a, b, byA, byB, byAA, byAB, byBB } = here;
    const determinant = byAA * byBB - byAB * byAB;
    const stepA = (byBB * byA - byAB * byB) / determinant;
    const stepB = (byAA * byB - byAB * byA) / determinant;
    if (!(byA * stepA + byB * stepB > LEAST_DECREASE * labels.length)) break;
    let next = here;
    for (let length = 1; !(next.loss < here.loss) && length > 1e-6; length /= 2)
      next = lossAt(a - length * stepA, b - length * stepB);
    if (!(next.loss < here.loss)) break;
    here = next;
  }
  return here.a > 0 && here.b > 0 ? Math.fround(here.a / here.b) : 0;
}

/** The loss of `fitFinal` at (a, b), with its first and second derivatives. */
function crossEntropy(
  exitSum: Float64Array,
  original: Float32Array,
  labels: Int32Array,
  classes: number,
  a: number,
  b: number,
) {
  let loss = (RIDGE / 2) * (a * a + (b - 1) * (b - 1));
  let [byA, byB] = [RIDGE * a, RIDGE * (b - 1)];
  let [byAA, byAB, byBB] = [RIDGE, 0, RIDGE];
  const z = new Float64Array(classes);
  for (const [i, label] of labels.entries()) {
    const first = i * classes;
    for (let c = 0; c < classes; c++) z[c] = a * exitSum[first + c]! + b * original[first + c]!;
    const largest = largestOf(z);
    let [all, x, y, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
    for (let c = 0; c < classes; c++) {
      const [p, s, o] = [Math.exp(z[c]! - largest), exitSum[first + c]!, original[first + c]!];
      all += p;
      x += p * s;
      y += p * o;
      xx += p * s * s;
      xy += p * s * o;
      yy += p * o * o;
    }
    loss += Math.log(all) + largest - z[label]!;
    byA += x / all - exitSum[first + label]!;
    byB += y / all - original[first + label]!;
    byAA += xx / all - (x / all) ** 2;
    byAB += xy / all - (x / all) * (y / all);
    byBB += yy / all - (y / all) ** 2;
  }
  return { a, b, loss, byA, byB, byAA, byAB, byBB };
}

/**
 * `policy` for an ensembled final answer: its state begins with −Σ z_k over the open exits so far, [classes]. The sum is negative because
 * z° − ρ·0 is z° to the bit, where z° + ρ·0 turns −0 into 0.
 */
export function withEnsemble(policy: Policy): Policy {
  return {
    ...policy,
    state: (exits, classes) => classes + policy.state(exits, classes),
    nodes(b, exit, parameters) {
      const { logits, exits, classes, state } = exit;
      const width = classes + policy.state(exits, classes);
      const own = state && width > classes ? columns(b, state, classes, width) : undefined;
      const decision = policy.nodes(b, { ...exit, state: own }, parameters);
      const exitSum = state
        ? b.op('Sub', [exitSumNodes(b, state, classes, width), logits])
        : b.op('Neg', [logits]);
      return {
        ...decision,
        state: decision.state ? b.op('Concat', [exitSum, decision.state], { axis: 1 }) : exitSum,
      };
    },
    decide(exit, parameters) {
      const { logits, exits, classes, state } = exit;
      const rows = logits.length / classes;
      const size = policy.state(exits, classes);
      const width = classes + size;
      const own = new Float32Array(rows * size);
      for (let i = 0; i < rows; i++) own.set(state.subarray(i * width + classes, (i + 1) * width), i * size);
      const decision = policy.decide({ ...exit, state: own }, parameters);
      for (let i = 0; i < rows; i++) {
        for (let c = 0; c < classes; c++) state[i * width + c]! -= logits[i * classes + c]!;
        state.set(own.subarray(i * size, (i + 1) * size), i * width + classes);
      }
      return decision;
    },
  };
}

/** The part of the state that `withEnsemble` puts first, [M, classes]. */
const exitSumNodes = (b: GraphBuilder, state: string, classes: number, width: number): string =>
  width > classes ? columns(b, state, 0, classes) : state;

/** z [M, classes] of samples that reach the end, from z° `original` [M, classes] and the state [M, width] of a policy `withEnsemble`. */
export function ensembleNodes(
  b: GraphBuilder,
  original: string,
  state: string,
  { classes, width, weight }: { readonly classes: number; readonly width: number; readonly weight: number },
): string {
  return b.op('Sub', [original, b.op('Mul', [exitSumNodes(b, state, classes, width), b.float(weight)])]);
}

/** z [N, classes] of samples that reach the end with some exits open, whose logits are `open`, [N, classes] each. */
export function ensembleOf(
  original: Float32Array,
  open: readonly Float32Array[],
  classes: number,
  weight: number,
): Float32Array {
  const exitSum = new Float32Array(original.length);
  for (const logits of open) for (let at = 0; at < exitSum.length; at++) exitSum[at]! -= logits[at]!;
  return ensembleLogits(original, exitSum, classes, weight);
}

/** `ensembleNodes` in plain arithmetic, [N, classes]. */
export function ensembleLogits(
  original: Float32Array,
  state: Float32Array,
  classes: number,
  weight: number,
): Float32Array {
  const rows = original.length / classes;
  const width = state.length / rows;
  const z = new Float32Array(original.length);
  for (let row = 0, at = 0; row < rows; row++)
    for (let c = 0; c < classes; c++, at++)
      z[at] = original[at]! - Math.fround(weight * state[row * width + c]!);
  return z;
}
