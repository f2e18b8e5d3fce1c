/**
 * The last answer, joined by the exits: the logits of a sample that goes all the way are
 *
 *     z = z° + ρ · Σ_k z_k        over the open exits k; z°: the original's
 *
 * What exits say is computed anyway, on the way, and heads trained apart err apart: a sample that no exit was sure of is the one that the
 * original is least sure of too. softmax(z) is the geometric ensemble of Zero Time Waste (Wołczyk et al. 2021, section 3.2), p° · Π p_k^ρ
 * normalised, with the original in it, one weight for all exits and no biases. Log p_k in place of z_k would move all classes alike.
 *
 * With every exit closed the sum is 0 and z is z°, bit for bit.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { columns } from './nodes.ts';
import type { FitData, Policy } from './policy.ts';
import { largestOf } from './rows.ts';

const NEWTON_STEPS = 50;
/** What a step must be expected to bring, per sample. */
const TOLERANCE = 1e-12;
/** Pulls to the original alone, (a, b) = (0, 1), so that samples that are all answered right have a finite answer. */
const RIDGE = 1;

/**
 * ρ = max(0, a / b), where (a, b) minimise Σ_i cross-entropy(softmax(a · Σ_k z_k + b · z°), label) + RIDGE / 2 · (a² + (b − 1)²) with all
 * exits open: convex, by damped Newton steps from (0, 1). b is there because an original that is surer than it is right would leave the
 * exits too little. 0 where logits are not finite.
 */
export function fitFinal({
  exits,
  original,
  labels,
  classes,
}: Pick<FitData, 'original' | 'labels' | 'classes'> & {
  readonly exits: readonly { readonly logits: Float32Array }[];
}): number {
  const said = Float64Array.from(original, (_, at) =>
    exits.reduce((sum, { logits }) => sum + logits[at]!, 0),
  );
  const lookAt = (a: number, b: number) => crossEntropy(said, original, labels, classes, a, b);
  let here = lookAt(0, 1);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const { a, b, byA, byB, byAA, byAB, byBB } = here;
    const determinant = byAA * byBB - byAB * byAB;
    const stepA = (byBB * byA - byAB * byB) / determinant;
    const stepB = (byAA * byB - byAB * byA) / determinant;
    if (!(byA * stepA + byB * stepB > TOLERANCE * labels.length)) break;
    let next = here;
    for (let length = 1; !(next.loss < here.loss) && length > 1e-6; length /= 2)
      next = lookAt(a - length * stepA, b - length * stepB);
    if (!(next.loss < here.loss)) break;
    here = next;
  }
  return here.a > 0 && here.b > 0 ? Math.fround(here.a / here.b) : 0;
}

/** The loss of `fitLast` at (a, b), with its first and second derivatives. */
function crossEntropy(
  said: Float64Array,
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
    for (let c = 0; c < classes; c++) z[c] = a * said[first + c]! + b * original[first + c]!;
    const largest = largestOf(z);
    let [all, x, y, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
    for (let c = 0; c < classes; c++) {
      const [p, s, o] = [Math.exp(z[c]! - largest), said[first + c]!, original[first + c]!];
      all += p;
      x += p * s;
      y += p * o;
      xx += p * s * s;
      xy += p * s * o;
      yy += p * o * o;
    }
    loss += Math.log(all) + largest - z[label]!;
    byA += x / all - said[first + label]!;
    byB += y / all - original[first + label]!;
    byAA += xx / all - (x / all) ** 2;
    byAB += xy / all - (x / all) * (y / all);
    byBB += yy / all - (y / all) ** 2;
  }
  return { a, b, loss, byA, byB, byAA, byAB, byBB };
}

/**
 * `policy` where samples remember what open exits said too: −Σ z_k, the first [classes] of its memory. Negative, because z° − ρ·0 is z°
 * whatever z° is, and −0 + 0 is not −0.
 */
export function withEnsemble(policy: Policy): Policy {
  return {
    ...policy,
    state: (exits, classes) => classes + policy.state(exits, classes),
    nodes(b, exit, parameters) {
      const { logits, exits, classes, state } = exit;
      const width = classes + policy.state(exits, classes);
      const own = width > classes ? columns(b, state!, classes, width) : undefined;
      const decided = policy.nodes(b, { ...exit, state: own }, parameters);
      const said = b.op('Sub', [saidNodes(b, state!, classes, width), logits]);
      return {
        ...decided,
        state: decided.state ? b.op('Concat', [said, decided.state], { axis: 1 }) : said,
      };
    },
    decide(exit, parameters) {
      const { logits, exits, classes, state } = exit;
      const rows = logits.length / classes;
      const size = policy.state(exits, classes);
      const width = classes + size;
      const own = new Float32Array(rows * size);
      for (let i = 0; i < rows; i++) own.set(state.subarray(i * width + classes, (i + 1) * width), i * size);
      const decided = policy.decide({ ...exit, state: own }, parameters);
      for (let i = 0; i < rows; i++) {
        for (let c = 0; c < classes; c++) state[i * width + c]! -= logits[i * classes + c]!;
        state.set(own.subarray(i * size, (i + 1) * size), i * width + classes);
      }
      return decided;
    },
  };
}

/** What `remembering` puts first. */
const saidNodes = (b: GraphBuilder, state: string, classes: number, width: number): string =>
  width > classes ? columns(b, state, 0, classes) : state;

/** z [M, classes] of samples that go all the way, from z° `original` and the memory [M, width] of a policy that is `remembering`. */
export function joinNodes(
  b: GraphBuilder,
  original: string,
  state: string,
  { classes, width, weight }: { readonly classes: number; readonly width: number; readonly weight: number },
): string {
  return b.op('Sub', [original, b.op('Mul', [saidNodes(b, state, classes, width), b.float(weight)])]);
}

/** The same in plain arithmetic, [N, classes]. */
export function join(
  original: Float32Array,
  state: Float32Array,
  classes: number,
  weight: number,
): Float32Array {
  const width = state.length / (original.length / classes);
  return original.map((z, at) => {
    const row = Math.floor(at / classes);
    return z - Math.fround(weight * state[row * width + (at % classes)]!);
  });
}
