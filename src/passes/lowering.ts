/** What the parts of `lowerExits` share: the model and its cut, the exits, the policy, and a few nodes. */
import type { GraphBuilder } from '../graph/builder.ts';
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

export interface Lowering {
  readonly typed: TypedModel;
  readonly opset: number;
  readonly cut: Cut;
  /** In the order samples meet them; without those that built-in thresholds close. */
  readonly exits: readonly LoweredExit[];
  /** `exit_index` of samples that go all the way: the number of heads. */
  readonly fullIndex: number;
  /** Undefined when thresholds are built in. */
  readonly input: ThresholdsInput | undefined;
  readonly policy: Policy;
  readonly parameters: PolicyParameters;
  /** Weight of the exits in the final answer; not 0. */
  readonly final: number | undefined;
  /** Floats a sample of the policy's state. */
  readonly stateWidth: number;
  /** Nodes of the original as they are written here; grows. */
  readonly originals: Set<Node>;
}

/** Type and shape of the original's logits. */
export const logitsOf = ({ typed }: Lowering): Fact => typed.facts.get(typed.logits)!;

/** Whether the policy's state is of use to samples that have passed the exits before `k`: to an exit, or to an ensembled final answer. */
export const isStateRead = ({ exits, final }: Lowering, k: number): boolean =>
  exits[k] !== undefined || final !== undefined;

export const cast = (b: GraphBuilder, value: string, to: DataType): string =>
  b.op('Cast', [value], { to: DATA_TYPES.indexOf(to) });

/** `value`, of type `from`, as float. */
export const asFloat = (b: GraphBuilder, value: string, from: DataType): string =>
  from === 'float' ? value : cast(b, value, 'float');

/** `logits` [M, classes] float, in the type and shape of the original's. */
export function asLogits(lowering: Lowering, b: GraphBuilder, logits: string): string {
  const { dataType, dims } = logitsOf(lowering);
  const typed = dataType === 'float' ? logits : cast(b, logits, dataType);
  return dims.length > 2 ? b.op('Reshape', [typed, b.int64([-1, ...dims.slice(1)])]) : typed;
}

/** How many samples `value` holds along its first axis. [1] int64 */
export const rowCount = ({ opset }: Lowering, b: GraphBuilder, value: string): string =>
  opset < 15
    ? b.op('Gather', [b.op('Shape', [value]), b.int64([0])], { axis: 0 })
    : b.op('Shape', [value], { end: 1 });
