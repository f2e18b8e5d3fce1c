/** Losses under which the exits of a student learn together. */
import type { LossBuilder, SoftTargets } from '../train/losses.ts';

export const EXIT_LOSSES = ['branchynet', 'msdnet', 'eenet-v1', 'eenet-v2', 'eenet-v3', 'eenet-v4'] as const;
export type ExitLoss = (typeof EXIT_LOSSES)[number];

/** A place where a student answers, in the order samples meet them; the end comes last. */
export interface Answering {
  /** [N, classes] */
  readonly scores: string;
  /** [N] in [0, 1]: how sure the exit is. The end has none: a sample that gets there leaves. */
  readonly confidence?: string;
  /** Of a sample that leaves here, as a share of going all the way, every head on the way included. */
  readonly cost: number;
}

export interface ExitLossOptions extends SoftTargets {
  readonly loss: ExitLoss;
  /** λ of `eenet-*`: what going all the way is worth in nats. */
  readonly costWeight: number;
}

/** BranchyNet's weights of the first and of the last exit; those between lie on a line. */
const BRANCHYNET = { first: 1, last: 0.3 };
/** Input of losses that training does not begin with, and the part of training that it is 1 for: 25 of 150 epochs in Demir and Akbas' code. */
export const WARM_UP = 'warm_up';
export const WARM_UP_PART = 1 / 6;
/** Keeps logarithms finite. */
const LEAST = 1e-12;

/**
 * The loss [] of `answers`, from the distances L_i [N] of their scores from the labels and the teacher's soft targets (`LossBuilder.distance`;
 * with softShare 0 the published cross-entropy). h_i: confidence, 1 at the end; p_i: softmax; c_i: cost.
 *
 * - `branchynet`: Σ w_i · mean(L_i), w from 1 to .3 (Teerapittayanon et al. 2016, eq. 1–3 and section IV).
 * - `msdnet`: Σ mean(L_i) (Huang et al. 2018, section 4, equal weights).
 * - `eenet-v1`: from the end backwards P_i = h_i·p_i + (1 − h_i)·P_{i+1} and C_i likewise; mean(L(log P_0)) + λ·mean(C_0).
 * - `eenet-v2`: Σ [mean(L(log P_i)) + λ·mean(C_i)].
 * - `eenet-v3`: Σ mean(h_i) / Σ_j mean(h_j) · [mean(L_i) + λ·c_i].
 * - `eenet-v4`: every sample has one exit, t = argmin_i (L_i + λ·c_i); mean(L_t) + λ·mean(c_t), and for each inner exit the binary cross-entropy of
 *   h_i and (t = i), each of the two cases weighing as much as the other is frequent in the batch.
 *
 * `eenet-*`: Demir and Akbas 2019, loss_functions.py of their code. There the end has a confidence too, which nothing reads but v3 and v4, and
 * v4 assigns exits once an epoch; here in every step. As there, training begins with Σ mean(L_i), their v0: these losses add an input
 * `WARM_UP` [], 1 for that and 0 for their own.
 */
export function exitLoss(b: LossBuilder, answers: readonly Answering[], options: ExitLossOptions): string {
  const distance = b.distance(options);
  const add = (values: readonly string[]) => values.reduce((sum, value) => b.op('Add', [sum, value]));
  const scaled = (value: string, factor: number) => b.op('Mul', [value, b.float(factor)]);
  const inverse = (value: string) => b.op('Sub', [b.float(1), value]);
  const weighted = (weights: readonly number[]) =>
    add(answers.map(({ scores }, i) => scaled(b.mean(distance(scores)), weights[i]!)));
  const equally = () => weighted(answers.map(() => 1));
  const warmed = (own: string) => {
    const share = b.input(WARM_UP, 'float', []);
    return b.op('Add', [b.op('Mul', [share, equally()]), b.op('Mul', [inverse(share), own])]);
  };
  switch (options.loss) {
    case 'branchynet':
      return weighted(descending(answers.length));
    case 'msdnet':
      return equally();
    case 'eenet-v1':
      return warmed(mixtures()[0]!);
    case 'eenet-v2':
      return warmed(add(mixtures()));
    case 'eenet-v3':
      return warmed(byMeanConfidence());
    case 'eenet-v4':
      return warmed(assigned());
  }

  /** L(log P_i) + λ·C_i [], first exit first. */
  function mixtures(): string[] {
    const end = answers.at(-1)!;
    let p = b.op('Softmax', [end.scores], { axis: 1 });
    let cost = b.float([end.cost]);
    const risk = () => {
      const scores = b.op('Log', [b.op('Add', [p, b.float(LEAST)])]);
      return b.op('Add', [b.mean(distance(scores)), scaled(b.mean(cost), options.costWeight)]);
    };
    const risks = [risk()];
    for (const { scores, confidence, cost: here } of answers.slice(0, -1).reverse()) {
      const stays = inverse(confidence!);
      const column = (value: string) => b.op('Reshape', [value, b.int64([-1, 1])]);
      const own = b.op('Mul', [column(confidence!), b.op('Softmax', [scores], { axis: 1 })]);
      p = b.op('Add', [own, b.op('Mul', [column(stays), p])]);
      cost = b.op('Add', [scaled(confidence!, here), b.op('Mul', [stays, cost])]);
      risks.unshift(risk());
    }
    return risks;
  }

  function byMeanConfidence(): string {
    const sure = answers.map(({ confidence }) => (confidence ? b.mean(confidence) : b.float(1)));
    const all = add(sure);
    const risks = answers.map(({ scores, cost }, i) => {
      const risk = b.op('Add', [b.mean(distance(scores)), b.float(options.costWeight * cost)]);
      return b.op('Mul', [b.op('Div', [sure[i]!, all]), risk]);
    });
    return add(risks);
  }

  function assigned(): string {
    const distances = answers.map(({ scores }) => distance(scores));
    const risks = answers.map(({ cost }, i) => {
      const risk = b.op('Add', [distances[i]!, b.float(options.costWeight * cost)]);
      return b.op('Reshape', [risk, b.int64([-1, 1])]);
    });
    const tag = b.op('ArgMin', [b.op('Concat', risks, { axis: 1 })], { axis: 1, keepdims: 0 });
    const terms = answers.map(({ confidence, cost }, i) => {
      const isHere = b.op('Cast', [b.op('Equal', [tag, b.int64(i)])], { to: 1 });
      const risk = b.op('Add', [distances[i]!, b.float(options.costWeight * cost)]);
      const leaves = b.mean(b.op('Mul', [isHere, risk]));
      return confidence ? b.op('Add', [leaves, crossEntropy(confidence, isHere)]) : leaves;
    });
    return add(terms);
  }

  /** Of confidence [N] and `isHere` [N], 0 or 1. */
  function crossEntropy(confidence: string, isHere: string): string {
    const log = (value: string) => b.op('Log', [b.op('Add', [value, b.float(LEAST)])]);
    const isElsewhere = inverse(isHere);
    const [here, elsewhere] = [b.mean(isHere), b.mean(isElsewhere)];
    const yes = b.op('Mul', [b.op('Mul', [isHere, elsewhere]), log(confidence)]);
    const no = b.op('Mul', [b.op('Mul', [isElsewhere, here]), log(inverse(confidence))]);
    return b.op('Neg', [b.mean(b.op('Add', [yes, no]))]);
  }
}

function descending(count: number): number[] {
  const { first, last } = BRANCHYNET;
  return Array.from({ length: count }, (_, i) => first + ((last - first) * i) / Math.max(1, count - 1));
}
