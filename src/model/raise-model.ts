/** A model below opset 11 is raised to 12, and both are run: a rewriting that does anything else is not used. */
import { OfframpError, raisedModelDiffers } from '../errors/index.ts';
import { type Model, opsetOf } from '../graph/types.ts';
import { dependents } from '../graph/walk.ts';
import { relativeGap } from '../ort/gap.ts';
import { type SessionOptions, type Tensor, withSession } from '../ort/session.ts';
import { floatsOf } from '../ort/tensors.ts';
import { exposeValues } from '../passes/expose-values.ts';
import { runPasses } from '../passes/pass.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import type { ObserveOptions } from './observe-facts.ts';
import { randomFeeds } from './random-inputs.ts';

/** How far floats of the raised model may deviate, relative to the largest of their tensor. */
const MOST_RAISED_DEVIATION = 1e-6;

/**
 * `model` as `raiseOpset` writes it, after both were given the same random input and every value that both compute from it was the
 * same. (Seeing every value also keeps ONNX Runtime from rounding float16 at other places.) The very same model when its opset is 11 or
 * more. Throws `raised-model-differs`, and what `raiseOpset` and `inputSlots` throw.
 */
export async function raiseModel(model: Model, options: ObserveOptions = {}): Promise<Model> {
  const raised = raiseOpset(model);
  if (raised === model) return model;
  const opset = opsetOf(model);
  const feeds = randomFeeds(model, options.dims ?? {}, 2);
  const compared = dependents(model.graph, Object.keys(feeds));
  for (const { name } of model.graph.outputs) compared.add(name);
  const run = async (which: Model) => {
    const exposed: Model = { ...which, graph: runPasses(which.graph, [exposeValues]) };
    const fetches = exposed.graph.outputs.map((v) => v.name).filter((name) => compared.has(name));
    const session: SessionOptions = { ...options.session, optimization: 'disabled' };
    return await withSession(exposed, session, (s) => s.run(feeds, fetches));
  };
  const before = await run(model);
  const after = await run(raised).catch((error) => {
    throw error instanceof OfframpError ? raisedModelDiffers(opset, error.message) : error;
  });
  for (const [name, value] of Object.entries(before)) {
    const difference = after[name] && differenceOf(value, after[name]);
    if (difference) throw raisedModelDiffers(opset, `${name} ${difference}`);
  }
  return raised;
}

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
