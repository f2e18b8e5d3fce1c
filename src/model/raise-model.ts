/** The opset of a model is raised, and both are run: a rewriting that does anything else is not used. */
import { OfframpError, raisedModelDiffers } from '../errors/index.ts';
import { type Model, opsetOf, type TensorType } from '../graph/types.ts';
import { dependents } from '../graph/walk.ts';
import { relativeGap } from '../ort/gap.ts';
import { type Outputs, type SessionOptions, type Tensor, withSession } from '../ort/session.ts';
import { dataTypeOf, floatsOf } from '../ort/tensors.ts';
import { exposeValues } from '../passes/expose-values.ts';
import { runPasses } from '../passes/pass.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import type { ObserveOptions } from './observe-facts.ts';
import { randomFeeds } from './random-inputs.ts';

export interface RaiseOptions extends ObserveOptions {
  /** The opset to raise to, 11 to 22; without it 12 for a model below 11. */
  readonly to?: number | undefined;
}

/** How far floats of the raised model may deviate, relative to the largest of their tensor. */
const MOST_RAISED_DEVIATION = 1e-6;

/**
 * `model` as `raiseOpset` writes it, after both were given the same random input and every tensor that both compute from it was the
 * same. (Seeing every value also keeps ONNX Runtime from rounding float16 at other places.) The very same model when its opset is not
 * below `to`. Throws `raised-model-differs`, and what `raiseOpset` and `inputSlots` throw.
 */
export async function raiseModel(model: Model, options: RaiseOptions = {}): Promise<Model> {
  const first = raiseOpset(model, options.to);
  if (first === model) return model;
  const [from, to] = [opsetOf(model), opsetOf(first)];
  const feeds = randomFeeds(model, options.dims ?? {}, 2);
  const compared = dependents(model.graph, Object.keys(feeds));
  for (const { name } of model.graph.outputs) compared.add(name);
  const run = async (which: Model) => {
    const exposed: Model = { ...which, graph: runPasses(which.graph, [exposeValues]) };
    const session: SessionOptions = { ...options.session, optimization: 'disabled' };
    return await withSession(exposed, session, (s) => {
      const tensors = s.outputMetadata.filter((v) => v.isTensor).map((v) => v.name);
      return s.run(
        feeds,
        tensors.filter((name) => compared.has(name)),
      );
    });
  };
  const before = await run(model);
  const raised = raiseOpset(model, to, ranksOf(before));
  const after = await run(raised).catch((error) => {
    throw error instanceof OfframpError ? raisedModelDiffers(from, to, error.message) : error;
  });
  for (const [name, value] of Object.entries(before)) {
    const difference = after[name] && differenceOf(value, after[name]);
    if (difference) throw raisedModelDiffers(from, to, `${name} ${difference}`);
  }
  return raised;
}

/** Types, and how many axes there are: another input may have other sizes. */
const ranksOf = (outputs: Outputs): ReadonlyMap<string, TensorType> =>
  new Map(
    Object.entries(outputs).map(([name, { type, dims }]) => [
      name,
      { dataType: dataTypeOf(type), dims: dims.map(() => undefined) },
    ]),
  );

/** For messages: how `b` differs from `a`; undefined when it does not. */
function differenceOf(a: Tensor, b: Tensor): string | undefined {
  if (a.type !== b.type) return `is ${b.type}, not ${a.type}`;
  if (`${a.dims}` !== `${b.dims}`) return `is [${b.dims}], not [${a.dims}]`;
  if (sameBytes(a, b)) return undefined;
  const apart = a.type.startsWith('float') ? relativeGap(floatsOf(a), floatsOf(b)) : Number.POSITIVE_INFINITY;
  return apart <= MOST_RAISED_DEVIATION
    ? undefined
    : `deviates by ${apart.toExponential(1)} of its largest element`;
}

/** Almost all values are equal to the bit, and going through their elements would take most of the time. */
function sameBytes(a: Tensor, b: Tensor): boolean {
  const [x, y] = [a, b].map(
    ({ data }) => ArrayBuffer.isView(data) && new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
  return x && y ? Buffer.compare(x, y) === 0 : `${a.data}` === `${b.data}`;
}
