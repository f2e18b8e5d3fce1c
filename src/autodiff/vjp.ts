/** What a rule of differentiation is, and what several of them build with. */
import type { TypedBuilder } from '../graph/infer.ts';
import type { Dims } from '../graph/shapes.ts';
import type { Node } from '../graph/types.ts';

/** What a rule is given: one node of the graph, and the gradients of its outputs. */
export interface VjpContext {
  readonly node: Node;
  /** Where gradient nodes go; it has the shape of every value, the new ones included. */
  readonly b: TypedBuilder;
  /** Names of the node's inputs and outputs. */
  readonly x: readonly string[];
  readonly y: readonly string[];
  /** Gradient of output 0, in its shape. */
  readonly dy: string;
  /** As `dy`, but perhaps still to be broadcast to its shape: for rules that broadcast by themselves. */
  readonly looseDy: string;
  /** Gradients of all outputs; undefined where none arrived. */
  readonly gradients: readonly (string | undefined)[];
  /** Whether the gradient of input `i` will be asked for. */
  wants(i: number): boolean;
  /** Shape of input `i`. */
  dims(i: number): Dims;
}

/**
 * Per input, a thunk that builds its gradient, called only when wanted; undefined where there is none to build.
 * A gradient may keep the broadcast shape of the output: the engine sums it back (`sumTo`). One that is the same all along
 * some axes may have size 1 there.
 */
export type Vjp = (context: VjpContext) => readonly ((() => string) | undefined)[];

/** `gradient` summed over the axes along which `dims` was broadcast. [dims] */
export function sumTo(b: TypedBuilder, gradient: string, dims: Dims): string {
  const from = b.dims(gradient);
  const extra = from.length - dims.length;
  const axes = from.flatMap((d, i) => (i < extra || (d !== 1 && dims[i - extra] === 1) ? [i] : []));
  const sum = axes.length ? b.op('ReduceSum', [gradient, b.int64(axes)]) : gradient;
  return extra ? b.op('Reshape', [sum, b.int64(dims)]) : sum;
}

/** A float tensor of zeros that takes no room in the model. [dims] */
export const zeros = (b: TypedBuilder, dims: Dims) => b.op('ConstantOfShape', [b.int64(dims)]);

/** `value` times a constant. */
export const scaled = (b: TypedBuilder, value: string, factor: number) =>
  factor === 1 ? value : b.op('Mul', [value, b.float(factor)]);

/** dx = dy · f'(x), with the derivative built from x and y. */
export const pointwise =
  (derivative: (b: TypedBuilder, x: string, y: string, node: Node) => string): Vjp =>
  ({ b, x, y, looseDy, node }) => [() => b.op('Mul', [looseDy, derivative(b, x[0]!, y[0]!, node)])];

/** dy where `mask`, else 0; nearly twice as fast as Where. */
export const masked = (b: TypedBuilder, mask: string, dy: string) =>
  b.op('Mul', [dy, b.op('Cast', [mask], { to: 1 })]);
