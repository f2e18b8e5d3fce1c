/**
 * The networks of a chain, one after another. Each runs when samples are in play and one of its exits is open, for those samples alone, whose
 * rows of the original's inputs are gathered. `exit_index` is the number of all exits while a sample is in play.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { int64Tensor } from '../graph/tensor.ts';
import { nodeReads } from '../graph/walk.ts';
import {
  type Answer,
  branch,
  gatherRows,
  lowerLevel,
  newAnswer,
  type Place,
  partsOf,
} from './lower-levels.ts';
import { any, anyOpen, cast, type Lowering, rowCount } from './lowering.ts';

/** Writes `lowerings`, two or more, the original's last; its answers get the names in `as`. */
export function lowerNetworks(lowerings: readonly Lowering[], main: GraphBuilder, as: Answer): void {
  const [first, ...later] = lowerings as [Lowering, ...Lowering[]];
  const found = newAnswer(first, main);
  lowerFirst(first, main, found);
  lowerLater(later, main, found, as);
}

/** The first network, for all samples; where thresholds are an input, only if one of its exits is open. */
function lowerFirst(lowering: Lowering, main: GraphBuilder, as: Answer): void {
  const isOpen = anyOpen(lowering, main, lowering.exits);
  if (isOpen === undefined) {
    writeCounted(lowering, { b: main, names: new Map(), state: undefined }, as);
    return;
  }
  const open = main.branch();
  const found = newAnswer(lowering, open);
  writeCounted(lowering, { b: open, names: new Map(), state: undefined }, found);
  const closed = main.branch();
  const nothing = noAnswer(lowering, closed);
  const name = lowering.exits[0]!.head.exit.id;
  main.ops(
    'If',
    [isOpen],
    {
      then_branch: branch(lowering, open, found, `network_of_${name}`),
      else_branch: branch(lowering, closed, nothing, `network_of_${name}_closed`),
    },
    partsOf(lowering).map((part) => as[part]!),
  );
}

/**
 * The networks of `lowerings`, one or more, and those alone: one If around all of them, which is not entered when every sample has left. `before`:
 * the answers so far; those of samples that have left stay as they are.
 */
function lowerLater(lowerings: readonly Lowering[], b: GraphBuilder, before: Answer, as: Answer): void {
  const [lowering, ...later] = lowerings as [Lowering, ...Lowering[]];
  const { typed, exits, fullIndex } = lowering;
  const last = lowerings.at(-1)!;
  const inPlay = b.op('Equal', [before.index, b.int64([fullIndex])]);
  const someInPlay = typed.batch === 'fixed' ? inPlay : any(b, cast(b, inPlay, 'int64'));
  const run = b.branch();
  const found = newAnswer(last, run);
  if (later.length === 0) lowerRun(lowering, run, inPlay, before, found);
  else {
    const here = newAnswer(lowering, run);
    lowerIfOpen(lowering, run, inPlay, before, here);
    lowerLater(later, run, here, found);
  }
  const name = exits[0] && later.length > 0 ? `from_network_of_${exits[0].head.exit.id}` : 'original';
  ifElse(last, b, [someInPlay, run, found], before, name, as);
}

/** A network that others follow: where thresholds are an input, only if one of its exits is open. */
function lowerIfOpen(lowering: Lowering, b: GraphBuilder, inPlay: string, before: Answer, as: Answer): void {
  const isOpen = anyOpen(lowering, b, lowering.exits);
  if (isOpen === undefined) {
    lowerRun(lowering, b, inPlay, before, as);
    return;
  }
  const run = b.branch();
  const found = newAnswer(lowering, run);
  lowerRun(lowering, run, inPlay, before, found);
  const name = `network_of_${lowering.exits[0]!.head.exit.id}`;
  ifElse(lowering, b, [isOpen, run, found], before, name, as);
}

/** If `condition`, what `run` holds gives `found`; else everything stays as it was `before`. */
function ifElse(
  lowering: Lowering,
  b: GraphBuilder,
  [condition, run, found]: readonly [condition: string, run: GraphBuilder, found: Answer],
  before: Answer,
  name: string,
  as: Answer,
): void {
  const parts = partsOf(lowering);
  const skip = b.branch();
  const same = newAnswer(lowering, skip);
  for (const part of parts) skip.op('Identity', [before[part]!], {}, same[part]);
  const branches = {
    then_branch: branch(lowering, run, found, name),
    else_branch: branch(lowering, skip, same, `${name}_skipped`),
  };
  b.ops(
    'If',
    [condition],
    branches,
    parts.map((part) => as[part]!),
  );
}

/** A network, for the samples that are `inPlay`: their rows of its inputs are gathered, and its answers put in their places. */
function lowerRun(lowering: Lowering, b: GraphBuilder, inPlay: string, before: Answer, as: Answer): void {
  const { typed } = lowering;
  if (typed.batch === 'fixed') {
    writeCounted(lowering, { b, names: new Map(), state: before.state }, as);
    return;
  }
  const rows = b.op('Transpose', [b.op('NonZero', [inPlay])], { perm: [1, 0] });
  const names = new Map<string, string>();
  for (const input of inputsRead(lowering)) {
    const { batchAxis } = typed.facts.get(input)!;
    names.set(input, gatherRows(b, input, rows, batchAxis!, b.fresh(`${input}/in_play`)));
  }
  const state = before.state && b.op('GatherND', [before.state, rows]);
  const inner = newAnswer(lowering, b);
  writeCounted(lowering, { b, names, state }, inner);
  for (const part of partsOf(lowering)) b.op('ScatterND', [before[part]!, rows, inner[part]!], {}, as[part]);
}

/** The levels of a network, whose index counts from its own first exit, with the index counted from the first of all. */
function writeCounted(lowering: Lowering, place: Place, as: Answer): void {
  const first = lowering.exits[0]?.index ?? lowering.fullIndex;
  if (first === 0) {
    lowerLevel(lowering, 0, place, as);
    return;
  }
  const index = place.b.fresh('answer/index');
  lowerLevel(lowering, 0, place, { ...as, index });
  place.b.op('Add', [index, place.b.int64([first])], {}, as.index);
}

/** The answer of nobody: every sample is in play. */
function noAnswer(lowering: Lowering, b: GraphBuilder): Answer {
  const { typed, answer, fullIndex, stateWidth } = lowering;
  const { dataType, dims } = answer;
  const found = newAnswer(lowering, b);
  const rows = rowCount(lowering, b, typed.sampleInputs[0]!);
  const bytes = new Uint8Array(dataType === 'float' ? 4 : 2);
  const shapeOf = (sizes: readonly number[]) => b.op('Concat', [rows, b.int64(sizes)], { axis: 0 });
  const zero = { ...int64Tensor('value', [1], [0]), dataType, bytes };
  b.op('ConstantOfShape', [shapeOf(dims.slice(1))], { value: zero }, found.logits);
  b.op('ConstantOfShape', [rows], { value: int64Tensor('value', [1], [fullIndex]) }, found.index);
  b.op('ConstantOfShape', [rows], {}, found.confidence);
  if (found.state !== undefined) b.op('ConstantOfShape', [shapeOf([stateWidth])], {}, found.state);
  return found;
}

/** The inputs of the samples that this network reads. */
function inputsRead({ typed, cut }: Lowering): string[] {
  const read = new Set(cut.segments.flat().flatMap((node) => nodeReads(node)));
  return typed.sampleInputs.filter((name) => read.has(name));
}
