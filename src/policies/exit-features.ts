/** Inputs of a learned exit score: features of this exit's logits, and of its agreement with the open exits before it. */
import type { GraphBuilder } from '../graph/builder.ts';
import { asColumn, column, reduceMax, reduceSum } from './nodes.ts';
import type { ExitOutputs, ExitValues } from './policy.ts';
import { argMaxRows, sumOfExp } from './rows.ts';

/** Of the exit itself: the margin of its logits, its largest probability, its entropy as 1 + Σ y log y / log C. */
const OWN = 3;
/** Of each earlier open exit: 1 if it gave the same answer, and its margin, negative if it did not; 0s if it is closed. */
const EARLIER = 2;
/** State of each exit: 1 more than its answer (0: not open), and its margin. */
const STATE = 2;

/** Features of an exit, those of later exits, which are always 0, included. */
export const exitFeaturesSize = (exits: number): number => OWN + EARLIER * exits;
/** Floats that a sample carries from exit to exit. */
export const featureStateSize = (exits: number): number => STATE * exits;

export interface ExitFeatureValues {
  /** [M, count] float: the first `count` features; the rest are 0. */
  readonly features: string;
  readonly count: number;
  /** [M] int64: the class answered. */
  readonly answer: string;
  /** [M, featureStateSize] */
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
  const earlierOf = (before: string) =>
    Array.from({ length: exit }, (_, j) => {
      const same = b.op('Cast', [b.op('Equal', [now, column(b, before, STATE * j)])], { to: 1 });
      const sign = b.op('Sub', [b.op('Mul', [same, b.float(2)]), b.float(1)]);
      return [same, b.op('Mul', [column(b, before, STATE * j + 1), sign])];
    }).flat();
  const earlier = state ? earlierOf(state) : [];
  const all = [margin, reduceMax(b, y, 1, opset), entropy, ...earlier].map((feature) => asColumn(b, feature));
  const features = b.op('Concat', all, { axis: 1 });
  const own = b.op('Concat', [asColumn(b, now), asColumn(b, margin)], { axis: 1 });
  const pads = b.int64([0, exit * STATE, 0, (exits - exit - 1) * STATE]);
  const written = b.op('Pad', [own, pads]);
  return { features, count: all.length, answer, state: state ? b.op('Add', [state, written]) : written };
}

/** Of an exit by itself: answers [N], and its `OWN` features [N, OWN]. */
interface OwnFeatures {
  readonly answers: Int32Array;
  readonly own: Float64Array;
}

/** Own features by the array of logits that they are of, with what it held: arrays are written again, and read with other classes. */
const known = new WeakMap<
  Float32Array,
  { readonly bytes: Uint8Array; readonly of: Map<number, OwnFeatures> }
>();

/** The search asks for the same logits with every set of open exits: only what earlier exits add differs. */
function ownFeatures(logits: Float32Array, classes: number): OwnFeatures {
  const bytes = new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength);
  const before = known.get(logits);
  const kept =
    before && Buffer.compare(before.bytes, bytes) === 0 ? before : { bytes: bytes.slice(), of: new Map() };
  const found = kept.of.get(classes) ?? readFeatures(logits, classes);
  kept.of.set(classes, found);
  known.set(logits, kept);
  return found;
}

function readFeatures(logits: Float32Array, classes: number): OwnFeatures {
  const answers = argMaxRows(logits, logits.length / classes);
  const own = new Float64Array(OWN * answers.length);
  for (const [i, answer] of answers.entries()) {
    const z = logits.subarray(i * classes, (i + 1) * classes);
    let second = -Infinity;
    for (let c = 0; c < classes; c++) if (c !== answer) second = Math.max(second, z[c]!);
    const sum = sumOfExp(z, z[answer]!);
    let entropy = 0;
    for (const value of z) {
      const log = value - z[answer]! - Math.log(sum);
      entropy += Math.exp(log) * log;
    }
    own.set([z[answer]! - second, 1 / sum, 1 + entropy / Math.log(classes)], OWN * i);
  }
  return { answers, own };
}

/** `features` [N, exitFeaturesSize] and `answers` [N]. Writes this exit's part of `state`. */
export function exitFeatures({ logits, classes, exit, exits, state }: Omit<ExitOutputs, 'confidence'>) {
  const size = exitFeaturesSize(exits);
  const { answers, own } = ownFeatures(logits, classes);
  const features = new Float64Array(answers.length * size);
  for (let i = 0; i < answers.length; i++) {
    const [row, before] = [i * size, i * STATE * exits];
    const answer = answers[i]! + 1;
    for (let f = 0; f < OWN; f++) features[row + f] = own[OWN * i + f]!;
    for (let j = 0; j < exit; j++) {
      const same = state[before + STATE * j] === answer;
      features[row + OWN + EARLIER * j] = Number(same);
      features[row + OWN + EARLIER * j + 1] = state[before + STATE * j + 1]! * (same ? 1 : -1);
    }
    state[before + STATE * exit] = answer;
    state[before + STATE * exit + 1] = own[OWN * i]!;
  }
  return { features, answers };
}

/**
 * `features` with a one-hot of the class answered behind each row, [N, exitFeaturesSize + classes]: inputs of a regression with a bias for
 * each class.
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
