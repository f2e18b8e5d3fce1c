/** What the parts of `lowerExits` share: the model and its cut, the exits, the policy, and a few nodes. */
import type { GraphBuilder } from '../graph/builder.ts';
import { elementBytes, int64Tensor } from '../graph/tensor.ts';
import { DATA_TYPES, type DataType, type Node } from '../graph/types.ts';
import type { Policy, PolicyParameters } from '../policies/index.ts';
import type { Cut } from './cut-segments.ts';
import type { Fact, Head, TypedModel } from './exits.ts';

/** An exit of the emitted model. */
export interface LoweredExit {
  readonly head: Head;
  /** `exit_index` of samples that leave here. */
  readonly index: number;
  /** When it is built in. */
  readonly threshold: number | undefined;
}

/** The `thresholds` input and, per exit, whether it is open: both [exits]. */
export interface ThresholdsInput {
  readonly thresholds: string;
  readonly areOpen: string;
}

/** A value that samples in play take along from one graph to the next. */
export interface Feature {
  /** In its network. */
  readonly value: string;
  /** Between the graphs, where its batch axis is the first one. */
  readonly name: string;
  readonly fact: Fact;
  /** Between the graphs, the axis of its channels. */
  readonly channelAxis: number;
}

/** A network of the chain, being lowered. */
export interface Lowering {
  readonly typed: TypedModel;
  /** Type and shape of an answer's logits: the original's. */
  readonly answer: Fact;
  /** Whether others follow: samples that pass its last exit, which is mostly its end, stay in play. */
  readonly isFollowed: boolean;
  /** What samples in play take along where the network is cut behind its last exit and its rest is lowered elsewhere; else empty. */
  readonly gives: readonly Feature[];
  readonly opset: number;
  readonly cut: Cut;
  /** Of this network, in the order samples meet them; without those that built-in thresholds close. */
  readonly exits: readonly LoweredExit[];
  /** `exit_index` of samples that go all the way, and of those still in play: the number of heads of the whole chain. */
  readonly fullIndex: number;
  /** Undefined when thresholds are built in. */
  readonly input: ThresholdsInput | undefined;
  readonly policy: Policy;
  readonly parameters: PolicyParameters;
  /** Weight of the exits in the final answer; not 0. */
  readonly final: number | undefined;
  /** Floats a sample of the policy's state. */
  readonly stateWidth: number;
  /** Whether anything behind this network's exits reads that state. */
  readonly isStateKept: boolean;
  /** Nodes of the original as they are written here; grows. */
  readonly originals: Set<Node>;
}

/** Whether the policy's state is of use to samples that have passed the exits before `k`: to an exit, a later network, or an ensembled final answer. */
export const isStateRead = ({ exits, isStateKept }: Lowering, k: number): boolean =>
  exits[k] !== undefined || isStateKept;

/** Whether any of `exits` is open: [1] bool; undefined when thresholds are built in, which leave only open ones. */
export function anyOpen(
  { input }: Lowering,
  b: GraphBuilder,
  exits: readonly LoweredExit[],
): string | undefined {
  if (!input) return undefined;
  const open = b.op('Gather', [input.areOpen, b.int64(exits.map(({ index }) => index))], { axis: 0 });
  return exits.length === 1 ? open : any(b, cast(b, open, 'int64'));
}

/** Whether one of `flags`, int64 of 0 and 1, is set: bool. */
export const any = (b: GraphBuilder, flags: string): string =>
  cast(b, b.op('ReduceMax', [flags], { keepdims: 0 }), 'bool');

export const cast = (b: GraphBuilder, value: string, to: DataType): string =>
  b.op('Cast', [value], { to: DATA_TYPES.indexOf(to) });

/** `value`, of type `from`, as float. */
export const asFloat = (b: GraphBuilder, value: string, from: DataType): string =>
  from === 'float' ? value : cast(b, value, 'float');

/** `logits` [M, classes] float, in the type and shape of the original's. */
export function asLogits(lowering: Lowering, b: GraphBuilder, logits: string): string {
  const { dataType, dims } = lowering.answer;
  const typed = dataType === 'float' ? logits : cast(b, logits, dataType);
  return dims.length > 2 ? b.op('Reshape', [typed, b.int64([-1, ...dims.slice(1)])]) : typed;
}

/** What is no answer, for `rows` ([1] int64) samples: logits as the original's that are 0. */
export function noLogits({ answer: { dataType, dims } }: Lowering, b: GraphBuilder, rows: string): string {
  const bytes = new Uint8Array(dataType === 'float' ? 4 : 2);
  const value = { ...int64Tensor('value', [1], [0]), dataType, bytes };
  return b.op('ConstantOfShape', [shapeOf(b, rows, dims.slice(1))], { value });
}

/** For no sample, or for one that has left where there is but one: `gives` with no rows, or zeros. */
export const noFeatures = ({ typed, gives }: Lowering, b: GraphBuilder): string[] =>
  gives.map(({ fact }) => {
    const { dataType, dims } = fact;
    const shape = typed.batch === 'fixed' ? dims : [0, ...wireDims(fact).slice(1)];
    const bytes = new Uint8Array(elementBytes(dataType)!);
    return b.op('ConstantOfShape', [b.int64(shape)], {
      value: { name: 'value', dataType, dims: [1], bytes },
    });
  });

/** The shape of a feature at batch 1 with its batch axis first. */
export const wireDims = ({ dims, batchAxis = 0 }: Fact): number[] => [
  dims[batchAxis]!,
  ...dims.toSpliced(batchAxis, 1),
];

/** The policy's state of samples that have met no exit: zeros [rows, width]; undefined for a policy without state. */
export const noState = ({ stateWidth }: Lowering, b: GraphBuilder, rows: string): string | undefined =>
  stateWidth > 0 ? b.op('ConstantOfShape', [shapeOf(b, rows, [stateWidth])]) : undefined;

const shapeOf = (b: GraphBuilder, rows: string, sizes: readonly number[]) =>
  b.op('Concat', [rows, b.int64(sizes)], { axis: 0 });

/** How many samples `value` holds along its first axis. [1] int64 */
export const rowCount = ({ opset }: Lowering, b: GraphBuilder, value: string): string =>
  opset < 15
    ? b.op('Gather', [b.op('Shape', [value]), b.int64([0])], { axis: 0 })
    : b.op('Shape', [value], { end: 1 });
