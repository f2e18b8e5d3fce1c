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
import type { DecisionValues } from '../policies/policy.ts';
import { initialState, lowerHead } from './lower-heads.ts';
import { lowerSegment } from './lower-segments.ts';
import { any, anyOpen, asFloat, asLogits, cast, isStateRead, type Lowering } from './lowering.ts';

/** What a level of nesting gives to the level around it, for the M samples that reach it: all [M, ...]. */
export interface Answer {
  readonly logits: string;
  /** Exits that were passed from the level's own on. */
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
  /** The policy's state of the samples [M, width]; undefined before the first exit, or for a policy without state. */
  readonly state: string | undefined;
}

/** Writes segment `k` and everything behind it; the answers get the names in `as`. */
export function lowerLevel(lowering: Lowering, k: number, place: Place, as: Answer): void {
  const { b, names } = place;
  const { logits } = lowering.typed;
  const exit = lowering.exits[k];
  if (!exit && (k > 0 || lowering.cut.isNested)) names.set(logits, b.fresh(`${logits}/full`));
  lowerSegment(lowering, k, b, names);
  if (exit) lowerExit(lowering, k, place, as);
  else lowerEnd(lowering, { ...place, logits: names.get(logits) ?? logits }, as);
}

/** The end of the original: the final answer's logits, 0 for the index, and the largest class probability. */
function lowerEnd(
  lowering: Lowering,
  { b, logits, state }: Pick<Place, 'b' | 'state'> & { readonly logits: string },
  as: Answer,
): void {
  const { typed, answer, exits, final, stateWidth, opset } = lowering;
  const { classes } = typed;
  const isNested = exits.length > 0 || lowering.cut.isNested;
  if (isNested && !final) b.op('Identity', [logits], {}, as.logits);
  let flat = asFloat(b, b.op('Reshape', [logits, b.int64([-1, classes])]), answer.dataType);
  if (isNested && final) {
    flat = ensembleNodes(b, flat, state!, { classes, width: stateWidth, weight: final });
    b.op('Identity', [asLogits(lowering, b, flat)], {}, as.logits);
  }
  reduceMax(b, b.op('Softmax', [flat], { axis: 1 }), 1, opset, as.confidence);
  const index = int64Tensor('value', [1], [isNested ? 0 : lowering.fullIndex]);
  b.op('ConstantOfShape', [b.op('Shape', [as.confidence])], { value: index }, as.index);
}

function lowerExit(lowering: Lowering, k: number, { b, names, state: before }: Place, as: Answer): void {
  const { input, typed } = lowering;
  const { head, threshold: builtIn } = lowering.exits[k]!;
  const { id, tap } = head.exit;
  const features = names.get(tap.value) ?? tap.value;
  const state = before ?? initialState(lowering, b, features);
  const decided = lowerHead(lowering, k, b, features, state);
  const threshold = input
    ? b.op('Gather', [input.thresholds, b.int64([lowering.exits[k]!.index])], { axis: 0 })
    : b.float([builtIn!]);
  const goOn = b.op('Not', [b.op('Greater', [decided.score, threshold])]);
  // 0 for those that leave; what the others get is scattered over their 1.
  const passed = cast(b, goOn, 'int64');
  const found = foundAt(lowering, k, b, decided, passed);
  if (lowering.isFollowed && k === lowering.exits.length - 1) {
    for (const part of partsOf(lowering)) b.op('Identity', [found[part]!], {}, as[part]);
    return;
  }

  const isFixed = typed.batch === 'fixed';
  const onward: Place = { b: b.branch(), names: new Map(names), state: decided.state };
  const onwardAnswer = isFixed
    ? lowerSample(lowering, k, onward)
    : lowerRows(lowering, k, onward, { goOn, found });
  const stay = b.branch();
  const stayAnswer = newAnswer(lowering, stay);
  for (const part of partsOf(lowering)) stay.op('Identity', [found[part]!], {}, stayAnswer[part]);

  const someGoOn = isFixed ? goOn : any(b, passed);
  const later = lowering.isFollowed ? anyOpen(lowering, b, lowering.exits.slice(k + 1)) : undefined;
  b.ops(
    'If',
    [later ? b.op('And', [someGoOn, later]) : someGoOn],
    {
      then_branch: branch(lowering, onward.b, onwardAnswer, `after_${id}`),
      else_branch: branch(lowering, stay, stayAnswer, `${id}_answers`),
    },
    partsOf(lowering).map((part) => as[part]!),
  );
}

/** What the samples that reach exit `k` get there, all of them; index: 0 for those that leave, what is behind is scattered over the others'. */
function foundAt(
  { exits, fullIndex, isFollowed }: Lowering,
  k: number,
  b: GraphBuilder,
  { logits, score, state }: DecisionValues,
  passed: string,
): Answer {
  // Behind the last network's exits everything is answered; behind another's, samples that nobody answers keep what is found here.
  const index = isFollowed ? b.op('Mul', [passed, b.int64([fullIndex - exits[k]!.index])]) : passed;
  return { logits, index, confidence: score, ...(state !== undefined && { state }) };
}

interface Decided {
  /** [M] bool */
  readonly goOn: string;
  /** Of all M samples, as if they left. */
  readonly found: Answer;
}

/** What is behind exit `k`, for the one sample of a fixed batch. */
function lowerSample(lowering: Lowering, k: number, place: Place): Answer {
  const { b } = place;
  const inner = newAnswer(lowering, b);
  const answer = newAnswer(lowering, b);
  lowerLevel(lowering, k + 1, place, { ...answer, index: inner.index });
  countPassed(lowering, k, b, inner.index, answer.index);
  return answer;
}

/** What is behind exit `k`, for the samples that go on; the rows of the others stay as they were found. */
function lowerRows(lowering: Lowering, k: number, place: Place, { goOn, found }: Decided): Answer {
  const { b, names, state } = place;
  const inner = newAnswer(lowering, b);
  const answer = newAnswer(lowering, b);
  const rows = b.op('Transpose', [b.op('NonZero', [goOn])], { perm: [1, 0] });
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
  lowerLevel(lowering, k + 1, { b, names: kept, state: carried }, inner);
  const index = countPassed(lowering, k, b, inner.index, b.fresh('answer/index'));
  const updates = { ...inner, index };
  for (const part of partsOf(lowering))
    b.op('ScatterND', [found[part]!, rows, updates[part]!], {}, answer[part]);
  return answer;
}

/** The index that the next level gave, counted from exit `k` on. */
function countPassed(
  { exits, fullIndex }: Lowering,
  k: number,
  b: GraphBuilder,
  index: string,
  as: string,
): string {
  const next = exits[k + 1]?.index ?? fullIndex;
  return b.op('Add', [index, b.int64([next - exits[k]!.index])], {}, as);
}

/** The rows of `value` that `rows` [S, 1] names, along `axis`. */
export function gatherRows(b: GraphBuilder, value: string, rows: string, axis: number, as: string): string {
  if (axis === 0) return b.op('GatherND', [value, rows], {}, as);
  return b.op('Gather', [value, b.op('Reshape', [rows, b.int64([-1])])], { axis }, as);
}

/** Fresh names for the parts of an answer. */
export function newAnswer(lowering: Lowering, b: GraphBuilder): Answer {
  const named = partsOf(lowering).map((part) => [part, b.fresh(`answer/${part}`)]);
  return Object.fromEntries(named) as Answer;
}

/** What `b` holds as a branch that gives `answer`. */
export function branch(lowering: Lowering, b: GraphBuilder, answer: Answer, name: string): Graph {
  const { dataType, dims } = lowering.answer;
  return {
    ...b.build(name),
    outputs: [
      makeValue(answer.logits, dataType, [undefined, ...dims.slice(1)]),
      makeValue(answer.index, 'int64', [undefined]),
      makeValue(answer.confidence, 'float', [undefined]),
      ...(answer.state === undefined ? [] : [makeValue(answer.state, 'float', [undefined, undefined])]),
    ],
  };
}
