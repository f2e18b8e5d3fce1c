/**
 * A chain in parts, each a model of its own: a sample that is in play after one is answered by the next. Parts that follow one another do together
 * what the whole chain does, sample by sample.
 */
import {
  cannotSplit,
  inputNotSplit,
  nameTaken,
  OfframpError,
  otherOutputs,
  scoresNotSplit,
} from '../errors/index.ts';
import { makeValue } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import type { DataType, Model, ValueInfo } from '../graph/types.ts';
import { indexGraph, nodeReads, valueNames } from '../graph/walk.ts';
import { withEnsemble } from '../policies/final-answer.ts';
import { policyOf } from '../policies/index.ts';
import { cutSegments, findLostOutputs } from './cut-segments.ts';
import type { TypedModel } from './exits.ts';
import { checkLowerable, type LowerOptions, lowerStretch } from './lower-exits.ts';
import { type Feature, wireDims } from './lowering.ts';
import {
  batchOf,
  featureInfo,
  type NetworkWithExits,
  networksOf,
  type Part,
  type PartNetwork,
  upTo,
} from './part-networks.ts';

export type { Part } from './part-networks.ts';

/** The policy's state as a part takes it and as it gives it: [N, floats a sample]. */
export const STATE_INPUT = 'policy_state';
export const STATE_OUTPUT = 'policy_state_out';

/** A tensor that travels from part to part. */
export interface PartTensor {
  readonly name: string;
  readonly dataType: DataType;
  /** `N`: the batch axis, which is the first one; without it the model is one for single samples. */
  readonly dims: readonly (number | 'N')[];
  /** `input`: one of the original's; `feature`: a value inside a network; `state`: the policy's. */
  readonly role: 'input' | 'feature' | 'state';
  /** Of a feature: the axis of `dims` that counts its channels. */
  readonly channelAxis?: number;
}

/**
 * Outputs: the original's scores, `exit_index` (over the whole chain: the number of all exits while a sample is in play), `exit_confidence`, then
 * what `gives` says.
 */
export interface LoweredPart {
  readonly model: Model;
  /** Its inputs but for `thresholds`: the same whichever thresholds are built in. */
  readonly takes: readonly PartTensor[];
  /**
   * Outputs that the part behind it takes. The state has a row for every sample, features only for those in play, in their order; where there is one
   * sample only, also when it has left. What this part has taken itself is not given again.
   */
  readonly gives: readonly PartTensor[];
}

/**
 * The model of `part` of a chain. With `thresholds` as an input, it is that of the whole chain. The first part has all inputs of the original, later ones
 * those that they read. Other outputs of the original than its scores are dropped. Throws `cannot-split`, and what `lowerChain` throws.
 */
export function lowerPart(
  networks: readonly NetworkWithExits[],
  part: Part,
  options: LowerOptions,
): LoweredPart {
  const exits = networks.reduce((sum, { heads }) => sum + heads.length, 0);
  refuseNoPart(part, exits);
  const chain = scoresAlone(networks, options);
  const original = chain.at(-1)!.typed;
  refuseNamesTaken(chain);
  const own = networksOf(chain, part);
  const state = stateOf(original, part, exits, options);
  const inputs = inputsOf(networks, own, part);
  const read = readBy(own, original);
  const taken = own[0]!.takes.filter(({ name }) => read.has(name));
  const has = new Set([...inputs.map(({ tensor }) => tensor.name), ...taken.map(({ name }) => name)]);
  const rows = original.batch === 'fixed' ? undefined : (batchOf(original) ?? 'N');
  const ends = {
    inputs: [
      ...inputs.map(({ info }) => info),
      ...taken.map((feature) => featureInfo(feature, rows)),
      ...state.taken.map(({ name, dataType, dims }) => makeValue(name, dataType, [rows ?? 1, dims[1]])),
    ],
    stateInput: state.taken[0]?.name,
    stateOutput: state.given[0]?.name,
  };
  const reading = own.map((network) => ({ ...network, typed: withInputs(network.typed, has) }));
  const tensorsOf = (features: readonly Feature[]) => features.map((one) => featureTensor(original, one));
  return {
    model: lowerStretch({ networks: reading, original, exits, ends }, options),
    takes: [...inputs.map(({ tensor }) => tensor), ...tensorsOf(taken), ...state.taken],
    gives: [...state.given, ...tensorsOf(own.at(-1)!.gives)],
  };
}

/** The policy's state as `part` takes and gives it, where something behind reads it: one tensor or none. */
function stateOf(
  { batch, classes }: TypedModel,
  { from, to }: Part,
  exits: number,
  { policy, final }: LowerOptions,
): { readonly taken: readonly PartTensor[]; readonly given: readonly PartTensor[] } {
  const { state } = final ? withEnsemble(policyOf(policy)) : policyOf(policy);
  const width = state(exits, classes);
  const dims = [batch === 'fixed' ? 1 : 'N', width] as const;
  const isRead = (at: number) => width > 0 && (final ? true : at < exits);
  const tensor = (name: string): PartTensor => ({ name, dataType: 'float', dims, role: 'state' });
  return {
    taken: from > 0 && isRead(from) ? [tensor(STATE_INPUT)] : [],
    given: to !== undefined && isRead(to) ? [tensor(STATE_OUTPUT)] : [],
  };
}

function refuseNoPart({ from, to = Number.POSITIVE_INFINITY }: Part, exits: number): void {
  const isWhole = (n: number) => Number.isSafeInteger(n) && n >= 0 && n <= exits;
  if (isWhole(from) && (to === Number.POSITIVE_INFINITY || (isWhole(to) && from < to))) return;
  throw cannotSplit(
    `from exit ${from} to exit ${to}`,
    `it has ${exits} exits, counted from 0`,
    'A part has at least one exit, or ends with the original.',
  );
}

/** Values of networks that are called as the state is would be taken for it. */
function refuseNamesTaken(networks: readonly NetworkWithExits[]): void {
  for (const { typed } of networks) {
    const names = valueNames(typed.model.graph);
    for (const name of [STATE_INPUT, STATE_OUTPUT]) if (names.has(name)) throw nameTaken(name);
  }
}

/** The chain with an original that has no output but its scores. */
function scoresAlone(
  networks: readonly NetworkWithExits[],
  { dropOutputs }: LowerOptions,
): readonly NetworkWithExits[] {
  const { typed, heads } = networks.at(-1)!;
  const { graph } = typed.model;
  const outputs = graph.outputs.filter(({ name }) => name === typed.output);
  if (outputs.length < graph.outputs.length && !dropOutputs)
    throw otherOutputs(
      graph.outputs.map(({ name }) => name).filter((name) => name !== typed.output),
      typed.output,
    );
  const scores = { ...typed, model: { ...typed.model, graph: { ...graph, outputs } } };
  // The answer to a sample may come from any part.
  if (isScoresLost(scores)) throw scoresNotSplit(typed.output, typed.logits);
  checkLowerable(scores, [], { isNested: true });
  const alone = { ...typed.model, graph: prune({ ...graph, outputs }) };
  return [...networks.slice(0, -1), { typed: { ...typed, model: alone }, heads }];
}

/** Whether the scores are made of more than the logits: of values inside a network. */
function isScoresLost(typed: TypedModel): boolean {
  try {
    findLostOutputs(typed, [], true);
    return false;
  } catch (error) {
    if (error instanceof OfframpError && error.code === 'scores-lost') return true;
    throw error;
  }
}

const withInputs = (typed: TypedModel, has: ReadonlySet<string>): TypedModel => ({
  ...typed,
  sampleInputs: typed.sampleInputs.filter((name) => has.has(name)),
});

interface TakenInput {
  readonly tensor: PartTensor;
  readonly info: ValueInfo;
}

/** The original's inputs that the part has: all where it is the first, else those that it reads. */
function inputsOf(
  networks: readonly NetworkWithExits[],
  own: readonly PartNetwork[],
  { from }: Part,
): TakenInput[] {
  const { typed } = networks.at(-1)!;
  const { graph } = typed.model;
  const { realInputs } = indexGraph(graph);
  const read = from === 0 ? realInputs : readBy(own, typed);
  return graph.inputs
    .filter(({ name }) => realInputs.has(name) && read.has(name))
    .map((info): TakenInput => {
      const { dataType, dims, batchAxis } = typed.facts.get(info.name)!;
      if (batchAxis === undefined && from > 0) throw inputNotSplit(info.name, `exit_${from}`);
      const shape = typed.batch === 'fixed' ? dims : dims.map((d, axis) => (axis === batchAxis ? 'N' : d));
      return { tensor: { name: info.name, dataType, dims: shape, role: 'input' }, info };
    });
}

/** What the networks of a part read from outside, and the original behind its logits, which every part has. */
function readBy(own: readonly PartNetwork[], original: TypedModel): Set<string> {
  const { prefix, suffix } = own.at(-1)!.isFollowed
    ? cutSegments(original, [], true)
    : { prefix: [], suffix: [] };
  const inputs = own.flatMap(({ typed, heads, gives, isFollowed }) => {
    const goals = [...heads.map(({ exit }) => exit.tap.value), ...gives.map(({ value }) => value)];
    return (isFollowed ? upTo(typed, goals) : typed).model.graph.inputs.map(({ name }) => name);
  });
  return new Set([...inputs, ...[...prefix, ...suffix].flatMap(nodeReads)]);
}

const featureTensor = ({ batch }: TypedModel, { name, fact, channelAxis }: Feature): PartTensor => ({
  name,
  dataType: fact.dataType,
  dims: batch === 'fixed' ? fact.dims : ['N', ...wireDims(fact).slice(1)],
  role: 'feature',
  channelAxis,
});
