/** How sure an exit is, as graph nodes. One function per policy: higher is surer, in [0, 1]. */
import type { GraphBuilder } from '../graph/builder.ts';

export const POLICY_NAMES = ['max-prob', 'confidence'] as const;
export type PolicyName = (typeof POLICY_NAMES)[number];

export interface ExitValues {
  /** [M, classes] float. */
  readonly logits: string;
  /** [M] float, the confidence head's output; undefined for the original's own output. */
  readonly confidence: string | undefined;
  /** Operator set the nodes are written in. */
  readonly opset: number;
}

type ScoreNodes = (b: GraphBuilder, exit: ExitValues, as: string) => string;

const SCORES: Record<PolicyName, ScoreNodes> = {
  /** Largest class probability (MSDNet, Huang et al. 2018, section 3; SDN). */
  'max-prob': (b, { logits, opset }, as) =>
    reduceMax(b, b.op('Softmax', [logits], { axis: 1 }), 1, opset, as),
  /** The confidence head's own estimate (PTEENet, Lahiany & Aperstein 2022, section 3). */
  confidence: (b, { confidence }, as) => b.op('Identity', [confidence!], {}, as),
};

/** Appends the score of `policy` for `exit` and returns its name, `as`, [M] float. */
export function scoreNodes(policy: PolicyName, b: GraphBuilder, exit: ExitValues, as: string): string {
  return SCORES[policy](b, exit, as);
}

/** ReduceMax over one axis, dropped: its axes are an attribute before opset 18 and an input from there on. */
function reduceMax(b: GraphBuilder, value: string, axis: number, opset: number, as: string): string {
  return opset < 18
    ? b.op('ReduceMax', [value], { axes: [axis], keepdims: 0 }, as)
    : b.op('ReduceMax', [value, b.int64([axis])], { keepdims: 0 }, as);
}
