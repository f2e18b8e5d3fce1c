/** One exit's head and what the policy makes of it, behind an If when the exit can be closed at run time. */
import { type GraphBuilder, makeValue } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import { prune } from '../graph/prune.ts';
import type { Graph } from '../graph/types.ts';
import type { DecisionValues } from '../policies/policy.ts';
import {
  asFloat,
  asLogits,
  isStateRead,
  type LoweredExit,
  type Lowering,
  noLogits,
  noState,
  rowCount,
} from './lowering.ts';

/**
 * Writes the head of exit `k` into `b` and gives its logits (in type and shape as the original's), score [M] and state. A closed exit's
 * logits and scores are 0, and the state stays as it was. `state`: undefined also where no exit has written it yet.
 */
export function lowerHead(
  lowering: Lowering,
  k: number,
  b: GraphBuilder,
  tap: string,
  state: string | undefined,
): DecisionValues {
  const exit = lowering.exits[k]!;
  const { input } = lowering;
  if (!input) return decide(lowering, exit, b, tap, state);
  if (exit.head.kind === 'end') return decideEnd(lowering, k, b, tap, state);
  const open = b.branch();
  const decided = decide(lowering, exit, open, tap, state);
  const hasState = decided.state !== undefined && isStateRead(lowering, k + 1);

  const closed = b.branch();
  const { dataType, dims } = lowering.answer;
  const rows = rowCount(lowering, closed, tap);
  const same = hasState ? [state ?? noState(lowering, closed, rows)!] : [];
  const nothing = [noLogits(lowering, closed, rows), closed.op('ConstantOfShape', [rows]), ...same];

  const { id } = exit.head.exit;
  const outputs = ['logits', 'score', ...(hasState ? ['memory'] : [])].map((part) =>
    b.fresh(`${id}/${part}`),
  );
  const types = [dataType, 'float', 'float'] as const;
  const shapes = [[undefined, ...dims.slice(1)], [undefined], [undefined, undefined]];
  const branch = (g: GraphBuilder, values: readonly string[], name: string): Graph => {
    const outputs = ownedBy(g, values).map((value, i) => makeValue(value, types[i]!, shapes[i]));
    return { ...g.build(name), outputs };
  };
  const isOpen = b.op('Gather', [input.areOpen, b.int64([exit.index])], { axis: 0 });
  const found = [decided.logits, decided.score, ...(hasState ? [decided.state!] : [])];
  b.ops(
    'If',
    [isOpen],
    {
      then_branch: branch(open, found, id),
      else_branch: branch(closed, nothing, `${id}_closed`),
    },
    outputs,
  );
  return { logits: outputs[0]!, score: outputs[1]!, state: outputs[2] };
}

/**
 * A network's own answer costs nothing, so it needs no If: no score is above the threshold of a closed exit. Only its state must stay as it
 * was; where the end is the only exit, the network would not have run.
 */
function decideEnd(
  lowering: Lowering,
  k: number,
  b: GraphBuilder,
  tap: string,
  state: string | undefined,
): DecisionValues {
  const exit = lowering.exits[k]!;
  const decided = decide(lowering, exit, b, tap, state);
  const isKept = decided.state !== undefined && isStateRead(lowering, k + 1);
  if (!isKept || lowering.exits.length === 1) return decided;
  const isOpen = b.op('Gather', [lowering.input!.areOpen, b.int64([exit.index])], { axis: 0 });
  return { ...decided, state: b.op('Where', [isOpen, decided.state, state!]) };
}

/** The head and what the policy makes of it. */
function decide(
  lowering: Lowering,
  { head, index }: LoweredExit,
  b: GraphBuilder,
  tap: string,
  state: string | undefined,
): DecisionValues {
  const { typed, policy, parameters, fullIndex, opset } = lowering;
  const { exit, graph } = head;
  const features = asFloat(b, tap, typed.facts.get(exit.tap.value)!.dataType);
  const read = policy.readsConfidence ? ['logits', 'confidence'] : ['logits'];
  const needed = prune({ ...graph, outputs: graph.outputs.filter((v) => read.includes(v.name)) });
  const made = inlineGraph(b, needed, { features }, `${exit.id}/`);
  const values = {
    logits: made.logits!,
    confidence: made.confidence,
    state,
    exit: index,
    exits: fullIndex,
    classes: typed.classes,
    opset,
  };
  const decided = policy.nodes(b, values, parameters);
  return { ...decided, logits: asLogits(lowering, b, decided.logits) };
}

/** `values` as outputs of the branch that `b` writes: one that came from outside, or stands there twice, gets an Identity. */
export function ownedBy(b: GraphBuilder, values: readonly string[]): string[] {
  const made = new Set(b.nodes.flatMap((n) => n.outputs));
  return values.map((value, i) =>
    made.has(value) && values.indexOf(value) === i ? value : b.op('Identity', [value]),
  );
}
