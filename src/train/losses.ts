/** Losses as graphs on top of the heads' graphs; `differentiate` and `adamw` turn them into training steps. */
import { GraphBuilder } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import type { Graph } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';

/** Name of the scalar output that training minimises. */
export const LOSS = 'loss';
/** Name of one head's term, where the loss is a sum over heads. */
export const lossOf = (id: string): string => `${id}/${LOSS}`;

/** Soft targets of a teacher beside labels. */
export interface SoftTargets {
  /** T: scores are divided by it. */
  readonly temperature: number;
  /** s: their share in the loss, the labels' being the rest. */
  readonly softShare: number;
}

/** A head to be joined into a training graph, where its values are renamed `<id>/…`. */
export interface NamedGraph {
  readonly id: string;
  readonly graph: Graph;
}

export interface DistillOptions {
  /** Temperature of the soft targets; 4 by default (CalexNet eq. 10). */
  readonly temperature?: number;
  /** Share of the soft targets in the loss, the labels' being the rest; 0.5 by default. */
  readonly softShare?: number;
  /** When a sample is taken to leave at an earlier head. */
  readonly leaving?: SoftThreshold;
  /** Weight, before normalising, of a sample that surely left at an earlier head; 0.25 by default. */
  readonly floor?: number;
}

/** A threshold on the top probability, differentiable: `leave = sigmoid((max softmax - at) / softness)`. */
export interface SoftThreshold {
  readonly at: number;
  readonly softness: number;
}

export const SOFT_THRESHOLD: SoftThreshold = { at: 0.9, softness: 0.05 };

/**
 * All `heads` as one graph: inputs `<id>/features` (float16 when `half`, cast inside), outputs `<id>/logits`,
 * `<id>/confidence`.
 */
export function joinHeads(heads: readonly NamedGraph[], half = false): Graph {
  const b = new GraphBuilder();
  for (const { id, graph } of heads) {
    const dims = graph.inputs[0]!.type!.dims!;
    const input = b.input(`${id}/features`, half ? 'float16' : 'float', dims);
    const features = half ? b.op('Cast', [input], { to: 1 }, `${id}/features/float`) : input;
    const names = inlineGraph(b, graph, { features }, `${id}/`);
    for (const { name, type } of graph.outputs) b.output(names[name]!, 'float', type?.dims ?? []);
  }
  return b.build('heads');
}

/**
 * Adds inputs `labels` int64 [N], `teacher` [N, classes] (the backbone's logits) and `survivors` [] (0: all samples weigh
 * the same; 1: as below), output `loss` [], the sum over heads k of
 * `mean_n w_kn · [(1-s)·CE(label) + s·T²·KL(teacher_T ‖ head_T)]`, s = ½, T = 4 (Hinton et al. 2015, section 2; CalexNet
 * eq. 10); each head's own is the output `<id>/loss` []. A sample's weight is its probability of getting past the earlier heads, detached, with a floor that keeps a
 * head useful when those are closed, and mean 1: `w_k ∝ floor + (1-floor)·Π_{j<k} (1 - leave_j)` (CalexNet eq. 13).
 */
export function distill(
  heads: Graph,
  ids: readonly string[],
  classes: number,
  options: DistillOptions = {},
): Graph {
  const { temperature = 4, softShare = 0.5, leaving = SOFT_THRESHOLD, floor = 0.25 } = options;
  const b = new LossBuilder(heads, classes);
  const weighting = b.input('survivors', 'float', []);
  const distance = b.distance({ temperature, softShare });

  let survives: string | undefined;
  const losses = ids.map((id) => {
    const logits = `${id}/logits`;
    const perSample = distance(logits);
    const weighted = survives ? b.op('Mul', [perSample, weightOf(survives, id)]) : perSample;
    const top = b.op('ReduceMax', [b.op('Softmax', [logits], { axis: 1 })], { axes: [1], keepdims: 0 });
    const sure = b.op('Mul', [b.op('Sub', [top, b.float(leaving.at)]), b.float(1 / leaving.softness)]);
    const stays = b.op('Sub', [b.float(1), b.op('Sigmoid', [sure])]);
    survives = survives ? b.op('Mul', [survives, stays]) : stays;
    return b.loss(b.mean(weighted), lossOf(id));
  });
  b.loss(losses.reduce((sum, loss) => b.op('Add', [sum, loss])));
  return b.finish();

  function weightOf(survives: string, id: string): string {
    const raw = b.op('Add', [b.op('Mul', [survives, b.float(1 - floor)]), b.float(floor)]);
    const excess = b.op('Sub', [b.op('Div', [raw, b.mean(raw)]), b.float(1)]);
    const weight = b.op('Add', [b.op('Mul', [excess, weighting]), b.float(1)]);
    return b.op('Identity', [weight], {}, `stop_gradient/${id}`);
  }
}

export interface PteenetOptions {
  readonly version: 1 | 2;
  /** What a unit of relative cost is worth in nats. */
  readonly lambda: number;
  /** Per head: cost of a sample that leaves there, relative to the whole model (1). */
  readonly costs: readonly number[];
}

/**
 * PTEENet's joint loss over all heads (Lahiany and Aperstein 2022; loss_functions.py of their code). Adds inputs `labels` int64 [N] and
 * `teacher` [N, classes] (logits; the recursion's last P), output `loss`. From the last exit backwards, h = confidence,
 * p = softmax: `P_i = h_i·p_i + (1-h_i)·P_{i+1}`, `C_i = h_i·c_i + (1-h_i)·C_{i+1}`; with N heads
 * v1: `NLL(log P_0, y) + λ·mean(C_0)`; v2: `1/N · Σ_{i=0..N} [NLL(log P_i, y) + λ·mean(C_i)]`.
 */
export function pteenet(
  heads: Graph,
  ids: readonly string[],
  classes: number,
  options: PteenetOptions,
): Graph {
  const b = new LossBuilder(heads, classes);
  const target = b.oneHot();
  const mix = (share: string, rest: string, here: string, later: string) =>
    b.op('Add', [b.op('Mul', [share, here]), b.op('Mul', [rest, later])]);
  const risk = (p: string, cost: string) => {
    const likelihood = b.op('Log', [b.op('Add', [p, b.float(1e-12)])]);
    const nll = b.op('Neg', [b.mean(b.sum(b.op('Mul', [target, likelihood])))]);
    return b.op('Add', [nll, b.op('Mul', [b.mean(cost), b.float(options.lambda)])]);
  };

  let p = b.op('Softmax', [b.teacher()], { axis: 1 });
  let cost = b.float([1]);
  let total = options.version === 2 ? risk(p, cost) : '';
  for (const [i, id] of [...ids.entries()].reverse()) {
    const share = `${id}/confidence`;
    const rest = b.op('Sub', [b.float(1), share]);
    const column = (v: string) => b.op('Reshape', [v, b.int64([-1, 1])]);
    p = mix(column(share), column(rest), b.op('Softmax', [`${id}/logits`], { axis: 1 }), p);
    cost = mix(share, rest, b.float(options.costs[i]!), cost);
    if (options.version === 2) total = b.op('Add', [total, risk(p, cost)]);
  }
  b.loss(options.version === 2 ? b.op('Mul', [total, b.float(1 / ids.length)]) : risk(p, cost));
  return b.finish();
}

/** Builds a loss on top of a graph that has scores. */
export class LossBuilder extends GraphBuilder {
  constructor(
    private readonly heads: Graph,
    private readonly classes: number,
  ) {
    super('loss/', allNames(heads));
  }

  /** Labels as rows of 0 and 1, [N, classes]. */
  oneHot(): string {
    const labels = this.input('labels', 'int64', ['N']);
    const column = this.op('Reshape', [labels, this.int64([-1, 1])]);
    const row = this.int64(Array.from({ length: this.classes }, (_, i) => i));
    return this.op('Cast', [this.op('Equal', [column, row])], { to: 1 });
  }

  teacher(): string {
    return this.input('teacher', 'float', ['N', this.classes]);
  }

  /**
   * How far scores [N, classes] are from the answers, a sample: adds inputs `labels` int64 [N] and `teacher` [N, classes] (scores), and returns
   * what makes `(1-s)·CE(label) + s·T²·KL(teacher_T ‖ scores_T)` [N] of a value (Hinton et al. 2015, section 2).
   */
  distance({ temperature: T, softShare }: SoftTargets): (scores: string) => string {
    const cool = (scores: string) =>
      this.op('LogSoftmax', [this.op('Mul', [scores, this.float(1 / T)])], { axis: 1 });
    const labels = this.oneHot();
    const target = cool(this.teacher());
    const softTarget = this.op('Exp', [target]);
    return (scores) => {
      const hard = this.sum(this.op('Mul', [labels, this.op('LogSoftmax', [scores], { axis: 1 })]));
      const divergence = this.sum(this.op('Mul', [softTarget, this.op('Sub', [target, cool(scores)])]));
      return this.op('Add', [
        this.op('Mul', [hard, this.float(softShare - 1)]),
        this.op('Mul', [divergence, this.float(softShare * T * T)]),
      ]);
    };
  }

  /** [N, classes] → [N]. */
  sum(value: string): string {
    return this.op('ReduceSum', [value, this.int64([1])], { keepdims: 0 });
  }

  /** [N] → []. */
  mean(value: string): string {
    return this.op('ReduceMean', [value], { axes: [0], keepdims: 0 });
  }

  loss(value: string, name = LOSS): string {
    return this.output(this.op('Identity', [value], {}, name), 'float', []);
  }

  finish(): Graph {
    const { heads } = this;
    return {
      ...heads,
      nodes: [...heads.nodes, ...this.nodes],
      initializers: [...heads.initializers, ...this.initializers],
      inputs: [...heads.inputs, ...this.inputs],
      outputs: [...heads.outputs, ...this.outputs],
    };
  }
}
