/**
 * The nested levels of the emitted graph. At exit k, for the M samples that reach it: score the head; `leave = score > threshold[k]`; the
 * others' rows of every live value are gathered, run on in the branch of `If(any continue)`, and scattered back over the head's answers.
 * NaN compares false and therefore goes on.
 */
import { type GraphBuilder, makeValue } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import { int64Tensor } from '../graph/tensor.ts';
import type { Graph } from '../graph/types.ts';
import { ensembleNodes } from '../policies/final-answer.ts';
import { reduceMax } from '../policies/nodes.ts';
import { lowerHead, ownedBy } from './lower-heads.ts';
import { lowerSegment } from './lower-segments.ts';
import { anyOpen, asFloat, asLogits, isStateRead, type Lowering } from './lowering.ts';

/** What a level of nesting gives to the level around it, for the M samples that reach it: all [M, ...]. */
export interface Answer {
  readonly logits: string;
  /** `exit_index`; the number of all exits while a sample is in play. */
  readonly index: string;
  readonly confidence: string;
  /** The policy's state, of a network that is followed by others, where it is kept: [M, width]. */
  readonly state?: string;
}
type Part = keyof Answer;

/** What a level of this network gives. */
export const partsOf = ({ isFollowed, isStateKept, stateWidth }: Lowering): Part[] =>
  isFollowed && isStateKept && stateWidth > 0
    ? ['logits', 'index', 'confidence', 'state']
    : ['logits', 'index', 'confidence'];

/** Where a level is written. */
export interface Place {
  readonly b: GraphBuilder;
  /** What values of the original are called there, where not by their own names. */
  readonly names: Map<string, string>;
  /** The policy's state of the samples [M, width]; undefined where they have met no exit, and for a policy without state. */
  readonly state: string | undefined;
}

/** Writes segment `k` and everything behind it, and gives the answers there; outside of branches they get the names in `as`. */
export function lowerLevel(lowering: Lowering, k: number, place: Place, as?: Answer): Answer {
  const { b, names } = place;
  const { logits } = lowering.typed;
  const exit = lowering.exits[k];
  if (!exit && (k > 0 || lowering.cut.isNested)) names.set(logits, b.fresh(`${logits}/full`));
  lowerSegment(lowering, k, b, names);
  if (exit) return lowerExit(lowering, k, place, as);
  return lowerEnd(lowering, { ...place, logits: names.get(logits) ?? logits }, as);
}

/** The end of the original: the final answer's logits, its index, and the largest class probability. */
function lowerEnd(
  lowering: Lowering,
  { b, logits, state }: Pick<Place, 'b' | 'state'> & { readonly logits: string },
  as = newAnswer(lowering, b),
): Answer {
  const { typed, answer, exits, final, stateWidth, fullIndex, opset } = lowering;
  const { classes } = typed;
  const isNested = exits.length > 0 || lowering.cut.isNested;
  let flat = asFloat(b, b.op('Reshape', [logits, b.int64([-1, classes])]), answer.dataType);
  let found = logits;
  if (isNested && final) {
    flat = ensembleNodes(b, flat, state!, { classes, width: stateWidth, weight: final });
    found = asLogits(lowering, b, flat);
  }
  reduceMax(b, b.op('Softmax', [flat], { axis: 1 }), 1, opset, as.confidence);
  const value = int64Tensor('value', [1], [fullIndex]);
  b.op('ConstantOfShape', [b.op('Shape', [as.confidence])], { value }, as.index);
  return { ...as, logits: found };
}

function lowerExit(lowering: Lowering, k: number, place: Place, as?: Answer): Answer {
  const { b, names, state } = place;
  const { input, exits, fullIndex, isFollowed } = lowering;
  const { head, threshold: builtIn, index } = exits[k]!;
  const { id, tap } = head.exit;
  const decided = lowerHead(lowering, k, b, names.get(tap.value) ?? tap.value, state);
  const threshold = input
    ? b.op('Gather', [input.thresholds, b.int64([index])], { axis: 0 })
    : b.float([builtIn!]);
  const leaves = b.op('Greater', [decided.score, threshold]);
  // What those that go on get is scattered over theirs.
  const found: Answer = {
    logits: decided.logits,
    index: b.op('Where', [leaves, b.int64([index]), b.int64([fullIndex])]),
    confidence: decided.score,
    ...(decided.state !== undefined && { state: decided.state }),
  };
  if (isFollowed && k === exits.length - 1) return found;

  const onward = b.branch();
  const answer = lowerOnward(lowering, k, { b: onward, names, state: decided.state }, found);
  const someInPlay = anyInPlay(lowering, b, found.index);
  const later = isFollowed ? anyOpen(lowering, b, exits.slice(k + 1)) : undefined;
  return lowerIf(
    lowering,
    b,
    later ? b.op('And', [someInPlay, later]) : someInPlay,
    {
      then_branch: branch(lowering, onward, answer, `after_${id}`),
      else_branch: branch(lowering, b.branch(), found, `${id}_answers`),
    },
    as,
  );
}

/** What is behind exit `k`, for the samples that go on; the rows of the others stay as they were `found`. */
function lowerOnward(lowering: Lowering, k: number, place: Place, found: Answer): Answer {
  const { b, state } = place;
  const names = new Map(place.names);
  if (lowering.typed.batch === 'fixed') return lowerLevel(lowering, k + 1, { b, names, state });
  const rows = rowsInPlay(lowering, b, found.index);
  const kept = new Map(names);
  const { live, remade } = lowering.cut.carried[k]!;
  const survivors = (value: string) => b.fresh(`${value}/survivors_${k + 1}`);
  for (const value of live) {
    const here = names.get(value) ?? value;
    const { batchAxis } = lowering.typed.facts.get(value)!;
    kept.set(value, gatherRows(b, here, rows, batchAxis!, survivors(value)));
  }
  for (const node of remade) {
    for (const value of node.outputs) if (value) kept.set(value, survivors(value));
    b.nodes.push(renameNode(node, kept));
  }
  const carried = state && isStateRead(lowering, k + 1) ? b.op('GatherND', [state, rows]) : undefined;
  return scatterRows(
    lowering,
    b,
    found,
    rows,
    lowerLevel(lowering, k + 1, { b, names: kept, state: carried }),
  );
}

/** Which samples are in play, by their index so far. [M] bool */
const areInPlay = ({ fullIndex }: Lowering, b: GraphBuilder, index: string): string =>
  b.op('Equal', [index, b.int64([fullIndex])]);

/** Whether any sample is in play, by their index so far: one bool. No index is larger than that of a sample in play. */
export const anyInPlay = (lowering: Lowering, b: GraphBuilder, index: string): string =>
  areInPlay(
    lowering,
    b,
    lowering.typed.batch === 'fixed' ? index : b.op('ReduceMax', [index], { keepdims: 1 }),
  );

/** The rows of the samples that are in play: [S, 1] int64. */
export const rowsInPlay = (lowering: Lowering, b: GraphBuilder, index: string): string =>
  b.op('Transpose', [b.op('NonZero', [areInPlay(lowering, b, index)])], { perm: [1, 0] });

/** `before` with the answers in `inner` in the places of `rows`. */
export function scatterRows(
  lowering: Lowering,
  b: GraphBuilder,
  before: Answer,
  rows: string,
  inner: Answer,
): Answer {
  const answer = newAnswer(lowering, b);
  for (const part of partsOf(lowering))
    b.op('ScatterND', [before[part]!, rows, inner[part]!], {}, answer[part]);
  return answer;
}

/** The rows of `value` that `rows` [S, 1] names, along `axis`. */
export function gatherRows(b: GraphBuilder, value: string, rows: string, axis: number, as: string): string {
  if (axis === 0) return b.op('GatherND', [value, rows], {}, as);
  return b.op('Gather', [value, b.op('Reshape', [rows, b.int64([-1])])], { axis }, as);
}

/** Fresh names for the parts of an answer. */
function newAnswer(lowering: Lowering, b: GraphBuilder): Answer {
  const named = partsOf(lowering).map((part) => [part, b.fresh(`answer/${part}`)]);
  return Object.fromEntries(named) as Answer;
}

/** What `b` holds as a branch that gives `answer`, whose values may come from outside. */
export function branch(lowering: Lowering, b: GraphBuilder, answer: Answer, name: string): Graph {
  const { dataType, dims } = lowering.answer;
  const types = {
    logits: { dataType, dims: [undefined, ...dims.slice(1)] },
    index: { dataType: 'int64', dims: [undefined] },
    confidence: { dataType: 'float', dims: [undefined] },
    state: { dataType: 'float', dims: [undefined, undefined] },
  } as const;
  const parts = partsOf(lowering);
  const values = ownedBy(
    b,
    parts.map((part) => answer[part]!),
  );
  const outputs = parts.map((part, i) => makeValue(values[i]!, types[part].dataType, types[part].dims));
  return { ...b.build(name), outputs };
}

/** The answer of one of two branches. */
export function lowerIf(
  lowering: Lowering,
  b: GraphBuilder,
  condition: string,
  branches: { readonly then_branch: Graph; readonly else_branch: Graph },
  as = newAnswer(lowering, b),
): Answer {
  b.ops(
    'If',
    [condition],
    branches,
    partsOf(lowering).map((part) => as[part]!),
  );
  return as;
}
