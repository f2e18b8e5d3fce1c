/**
 * The networks of a chain, one after another in the main graph. Each is an If: it runs when samples are in play and one of its exits is open, for
 * those samples alone, whose rows of the original's inputs are gathered. `exit_index` is the number of all exits while a sample is in play.
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
  let before: Answer | undefined;
  for (const lowering of lowerings) {
    const here = lowering.isFollowed ? newAnswer(lowering, main) : as;
    if (before) lowerNext(lowering, main, before, here);
    else lowerFirst(lowering, main, here);
    before = here;
  }
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

/** A later network, for the samples that are in play. */
function lowerNext(lowering: Lowering, main: GraphBuilder, before: Answer, as: Answer): void {
  const { typed, exits, fullIndex, isFollowed } = lowering;
  const parts = partsOf(lowering);
  const inPlay = main.op('Equal', [before.index, main.int64([fullIndex])]);
  const isFixed = typed.batch === 'fixed';
  const someInPlay = isFixed ? inPlay : any(main, cast(main, inPlay, 'int64'));
  const isOpen = isFollowed ? anyOpen(lowering, main, exits) : undefined;

  const run = main.branch();
  const found = newAnswer(lowering, run);
  if (isFixed) writeCounted(lowering, { b: run, names: new Map(), state: before.state }, found);
  else {
    const rows = run.op('Transpose', [run.op('NonZero', [inPlay])], { perm: [1, 0] });
    const names = new Map<string, string>();
    for (const input of inputsRead(lowering)) {
      const { batchAxis } = typed.facts.get(input)!;
      names.set(input, gatherRows(run, input, rows, batchAxis!, run.fresh(`${input}/in_play`)));
    }
    const state = before.state && run.op('GatherND', [before.state, rows]);
    const inner = newAnswer(lowering, run);
    writeCounted(lowering, { b: run, names, state }, inner);
    for (const part of parts) run.op('ScatterND', [before[part]!, rows, inner[part]!], {}, found[part]);
  }
  const skip = main.branch();
  const same = newAnswer(lowering, skip);
  for (const part of parts) skip.op('Identity', [before[part]!], {}, same[part]);
  const name = isFollowed ? `network_of_${exits[0]!.head.exit.id}` : 'original';
  main.ops(
    'If',
    [isOpen ? main.op('And', [someInPlay, isOpen]) : someInPlay],
    {
      then_branch: branch(lowering, run, found, name),
      else_branch: branch(lowering, skip, same, `${name}_skipped`),
    },
    parts.map((part) => as[part]!),
  );
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
