/**
 * The networks of a chain, one after another. Each runs when samples are in play and one of its exits is open, for those samples alone, whose
 * rows of the original's inputs are gathered. `exit_index` is the number of all exits while a sample is in play.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { int64Tensor } from '../graph/tensor.ts';
import { nodeReads } from '../graph/walk.ts';
import {
  type Answer,
  anyInPlay,
  branch,
  featuresAt,
  gatherRows,
  lowerIf,
  lowerLevel,
  rowsInPlay,
  scatterRows,
} from './lower-levels.ts';
import { lowerSegment } from './lower-segments.ts';
import { anyOpen, type Lowering, noLogits, noState, rowCount } from './lowering.ts';

/**
 * Writes `lowerings`, one or more, of which the first is followed by others, here or elsewhere; the answers get the names in `as` where an If
 * gives them. `state`: what samples come with.
 */
export function lowerNetworks(
  lowerings: readonly Lowering[],
  main: GraphBuilder,
  as: Answer,
  state?: string,
): Answer {
  const [first, ...later] = lowerings as [Lowering, ...Lowering[]];
  const before = lowerFirst(first, main, state);
  return later.length > 0 ? lowerLater(later, main, before, as) : before;
}

/** The first network, for all samples; where thresholds are an input, only if one of its exits is open. */
function lowerFirst(lowering: Lowering, main: GraphBuilder, state: string | undefined): Answer {
  if (lowering.exits.length === 0) {
    const before = noAnswer(lowering, main, state);
    const names = namesOf(lowering, main);
    return lowering.gives.length > 0 ? lowerToEnd(lowering, main, names, before) : before;
  }
  const isOpen = ifOpen(lowering, main);
  const run = (b: GraphBuilder) => lowerLevel(lowering, 0, { b, names: namesOf(lowering, b), state });
  if (isOpen === undefined) return run(main);
  const [open, closed] = [main.branch(), main.branch()];
  const name = lowering.exits[0]!.head.exit.id;
  return lowerIf(lowering, main, isOpen, {
    then_branch: branch(lowering, open, run(open), `network_of_${name}`),
    else_branch: branch(lowering, closed, noAnswer(lowering, closed, state), `network_of_${name}_closed`),
  });
}

/**
 * The networks of `lowerings`, one or more, and those alone: one If around all of them, which is not entered when every sample has left. `before`:
 * the answers so far; those of samples that have left stay as they are.
 */
function lowerLater(lowerings: readonly Lowering[], b: GraphBuilder, before: Answer, as?: Answer): Answer {
  const [lowering, ...later] = lowerings as [Lowering, ...Lowering[]];
  const run = b.branch();
  const here = lowering.isFollowed ? lowerIfOpen(lowering, run, before) : lowerRun(lowering, run, before);
  const found = later.length === 0 ? here : lowerLater(later, run, here);
  const first = lowering.exits[0];
  const name = lowering.isFollowed && first ? `from_network_of_${first.head.exit.id}` : 'original';
  return ifElse(lowerings.at(-1)!, b, [anyInPlay(lowering, b, before.index), run, found], before, name, as);
}

/** A network that others follow: where thresholds are an input, only if one of its exits is open. */
function lowerIfOpen(lowering: Lowering, b: GraphBuilder, before: Answer): Answer {
  const isOpen = ifOpen(lowering, b);
  if (isOpen === undefined) return lowerRun(lowering, b, before);
  const run = b.branch();
  const found = lowerRun(lowering, run, before);
  return ifElse(lowering, b, [isOpen, run, found], before, `network_of_${lowering.exits[0]!.head.exit.id}`);
}

/** Whether one of its exits is open, where the network is not to run otherwise; one that others take features of runs anyway. */
const ifOpen = (lowering: Lowering, b: GraphBuilder): string | undefined =>
  lowering.gives.length > 0 ? undefined : anyOpen(lowering, b, lowering.exits);

/** If `condition`, what `run` holds gives `found`; else everything stays as it was `before`. */
function ifElse(
  lowering: Lowering,
  b: GraphBuilder,
  [condition, run, found]: readonly [condition: string, run: GraphBuilder, found: Answer],
  before: Answer,
  name: string,
  as?: Answer,
): Answer {
  const branches = {
    then_branch: branch(lowering, run, found, name),
    else_branch: branch(lowering, b.branch(), before, `${name}_skipped`),
  };
  return lowerIf(lowering, b, condition, branches, as);
}

/** A network, for the samples in play: their rows of its inputs are gathered, and its answers put in their places. */
function lowerRun(lowering: Lowering, b: GraphBuilder, before: Answer): Answer {
  const { typed, exits, isFollowed } = lowering;
  const names = namesOf(lowering, b);
  const isPassed = isFollowed && exits.length === 0;
  if (typed.batch === 'fixed')
    return isPassed
      ? lowerToEnd(lowering, b, names, before)
      : lowerLevel(lowering, 0, { b, names, state: before.state });
  const rows = rowsInPlay(lowering, b, before.index);
  for (const input of inputsRead(lowering)) {
    const { batchAxis } = typed.facts.get(input)!;
    names.set(input, gatherRows(b, input, rows, batchAxis!, b.fresh(`${input}/in_play`)));
  }
  if (isPassed) return lowerToEnd(lowering, b, names, before);
  const state = before.state && b.op('GatherND', [before.state, rows]);
  return scatterRows(lowering, b, before, rows, lowerLevel(lowering, 0, { b, names, state }));
}

/** A network whose exits are all closed, for the features that are needed behind it. */
function lowerToEnd(
  lowering: Lowering,
  b: GraphBuilder,
  names: ReadonlyMap<string, string>,
  before: Answer,
): Answer {
  lowerSegment(lowering, 0, b, names);
  return { ...before, features: featuresAt(lowering, b, names) };
}

/** What the values that go on to another graph are called here: their own names are those of the rows that go on. */
const namesOf = ({ gives }: Lowering, b: GraphBuilder): Map<string, string> =>
  new Map(gives.map(({ value }) => [value, b.fresh(`${value}/here`)]));

/** The answer of nobody: every sample is in play. */
function noAnswer(lowering: Lowering, b: GraphBuilder, given: string | undefined): Answer {
  const { batch, sampleInputs } = lowering.typed;
  const rows = batch === 'fixed' ? b.int64([1]) : rowCount(lowering, b, sampleInputs[0]!);
  const value = int64Tensor('value', [1], [lowering.fullIndex]);
  const state = given ?? noState(lowering, b, rows);
  return {
    logits: noLogits(lowering, b, rows),
    index: b.op('ConstantOfShape', [rows], { value }),
    confidence: b.op('ConstantOfShape', [rows]),
    ...(state !== undefined && { state }),
  };
}

/** The inputs of the samples that this network reads. */
function inputsRead({ typed, cut }: Lowering): string[] {
  const read = new Set(cut.segments.flat().flatMap((node) => nodeReads(node)));
  return typed.sampleInputs.filter((name) => read.has(name));
}
