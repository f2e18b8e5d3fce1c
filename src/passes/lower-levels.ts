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
import { anyOpen, asFloat, asLogits, isStateRead, type Lowering, noFeatures, wireDims } from './lowering.ts';

/** What a level of nesting gives to the level around it, for the M samples that reach it: all [M, ...]. */
export interface Answer {
  readonly logits: string;
  /** `exit_index`; the number of all exits while a sample is in play. */
  readonly index: string;
  readonly confidence: string;
  /** The policy's state, of a network that is followed by others, where it is kept: [M, width]. */
  readonly state?: string;
  /** What `Lowering.gives` says, of the samples in play alone: [S, ...]. Where it is left out there is no such sample. */
  readonly features?: readonly string[];
}
/** What every sample has. */
type Part = Exclude<keyof Answer, 'features'>;

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
  const isEnsembled = lowering.final !== undefined && place.state !== undefined;
  if (!exit && (k > 0 || lowering.cut.isNested || isEnsembled)) names.set(logits, b.fresh(`${logits}/full`));
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
  const { typed, answer, final, stateWidth, fullIndex, opset } = lowering;
  const { classes } = typed;
  let flat = asFloat(b, b.op('Reshape', [logits, b.int64([-1, classes])]), answer.dataType);
  let found = logits;
  if (final && state !== undefined) {
    flat = ensembleNodes(b, flat, state, { classes, width: stateWidth, weight: final });
    found = asLogits(lowering, b, flat);
  }
  reduceMax(b, b.op('Softmax', [flat], { axis: 1 }), 1, opset, as.confidence);
  const value = int64Tensor('value', [1], [fullIndex]);
  b.op('ConstantOfShape', [b.op('Shape', [as.confidence])], { value }, as.index);
  return { ...as, logits: found };
}

function lowerExit(lowering: Lowering, k: number, place: Place, as?: Answer): Answer {
  const { b, names, state } = place;
  const { input, exits, fullIndex, isFollowed, gives } = lowering;
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
  if (isFollowed && k === exits.length - 1)
    return gives.length > 0 ? { ...found, features: lowerFeatures(lowering, k, place, found) } : found;

  const onward = b.branch();
  const answer = lowerOnward(lowering, k, { b: onward, names, state: decided.state }, found);
  const someInPlay = anyInPlay(lowering, b, found.index);
  // What goes on to another graph is needed even where the later exits are closed.
  const later = isFollowed && gives.length === 0 ? anyOpen(lowering, b, exits.slice(k + 1)) : undefined;
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
  const kept = carry(lowering, k, b, names, rows);
  const carried = state && isStateRead(lowering, k + 1) ? b.op('GatherND', [state, rows]) : undefined;
  return scatterRows(
    lowering,
    b,
    found,
    rows,
    lowerLevel(lowering, k + 1, { b, names: kept, state: carried }),
  );
}

/** What values of the original are called behind exit `k`, where only the samples of `rows` are. */
function carry(
  lowering: Lowering,
  k: number,
  b: GraphBuilder,
  names: ReadonlyMap<string, string>,
  rows: string,
): Map<string, string> {
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
  return kept;
}

/** Behind exit `k`, the last one of a network that is cut there: what the samples in play take along. */
function lowerFeatures(lowering: Lowering, k: number, { b, names }: Place, found: Answer): string[] {
  const isFixed = lowering.typed.batch === 'fixed';
  const isMade = lowering.cut.segments[k + 1]!.length === 0;
  const write = (b: GraphBuilder): string[] => {
    const kept = new Map(names);
    const here = isFixed ? kept : carry(lowering, k, b, kept, rowsInPlay(lowering, b, found.index));
    lowerSegment(lowering, k + 1, b, here);
    return featuresAt(lowering, b, here);
  };
  if (isMade) return write(b);
  const run = b.branch();
  const branches = {
    then_branch: featuresBranch(lowering, run, write(run), 'features'),
    else_branch: featuresBranch(lowering, b.branch(), undefined, 'no_features'),
  };
  const outputs = lowering.gives.map(({ name }) => b.fresh(`answer/${name}`));
  return [...b.ops('If', [anyInPlay(lowering, b, found.index)], branches, outputs)];
}

/** What of `names` goes on to another graph, its batch axis first. */
export const featuresAt = (
  { gives, typed }: Lowering,
  b: GraphBuilder,
  names: ReadonlyMap<string, string>,
): string[] =>
  gives.map(({ value, fact: { batchAxis = 0, dims } }) => {
    const here = names.get(value) ?? value;
    if (batchAxis === 0 || typed.batch === 'fixed') return here;
    const others = dims.map((_, axis) => axis).filter((axis) => axis !== batchAxis);
    return b.op('Transpose', [here], { perm: [batchAxis, ...others] });
  });

function featuresBranch(
  lowering: Lowering,
  b: GraphBuilder,
  features: readonly string[] | undefined,
  name: string,
): Graph {
  const values = ownedBy(b, features ?? noFeatures(lowering, b));
  return { ...b.build(name), outputs: featureOutputs(lowering, values) };
}

const featureOutputs = ({ gives, typed }: Lowering, values: readonly string[]) =>
  gives.map(({ fact }, i) => {
    const dims = typed.batch === 'fixed' ? fact.dims : [undefined, ...wireDims(fact).slice(1)];
    return makeValue(values[i]!, fact.dataType, dims);
  });

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
  const answer = newParts(lowering, b);
  for (const part of partsOf(lowering))
    b.op('ScatterND', [before[part]!, rows, inner[part]!], {}, answer[part]);
  return inner.features ? { ...answer, features: inner.features } : answer;
}

/** The rows of `value` that `rows` [S, 1] names, along `axis`. */
export function gatherRows(b: GraphBuilder, value: string, rows: string, axis: number, as: string): string {
  if (axis === 0) return b.op('GatherND', [value, rows], {}, as);
  return b.op('Gather', [value, b.op('Reshape', [rows, b.int64([-1])])], { axis }, as);
}

/** Fresh names for an answer. */
function newAnswer(lowering: Lowering, b: GraphBuilder): Answer {
  const answer = newParts(lowering, b);
  const { gives } = lowering;
  return gives.length === 0
    ? answer
    : { ...answer, features: gives.map(({ name }) => b.fresh(`answer/${name}`)) };
}

/** Fresh names for what every sample has. */
function newParts(lowering: Lowering, b: GraphBuilder): Answer {
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
  const features = answer.features ?? noFeatures(lowering, b);
  const values = ownedBy(b, [...parts.map((part) => answer[part]!), ...features]);
  const outputs = parts.map((part, i) => makeValue(values[i]!, types[part].dataType, types[part].dims));
  return {
    ...b.build(name),
    outputs: [...outputs, ...featureOutputs(lowering, values.slice(parts.length))],
  };
}

/** The answer of one of two branches. */
export function lowerIf(
  lowering: Lowering,
  b: GraphBuilder,
  condition: string,
  branches: { readonly then_branch: Graph; readonly else_branch: Graph },
  as = newAnswer(lowering, b),
): Answer {
  b.ops('If', [condition], branches, [...partsOf(lowering).map((part) => as[part]!), ...(as.features ?? [])]);
  return as;
}
