/** The opset of a model is raised, and both are run: a rewriting that does anything else is not used. */
import { OfframpError, raisedModelDiffers, raisedNotImplemented } from '../errors/index.ts';
import { makeValue } from '../graph/builder.ts';
import { type Graph, isDefaultDomain, type Model, type TensorType } from '../graph/types.ts';
import { allNames, dependents } from '../graph/walk.ts';
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
 * `model` as `raiseOpset` writes it, proved by `raiseProved`. The very same model when its opset is not below `to`. Throws what both
 * throw.
 */
export const raiseModel = (model: Model, { to, ...options }: RaiseOptions = {}): Promise<Model> =>
  raiseProved(model, (known) => raiseOpset(model, to, known), options);

/** `known`: types and ranks of values, as they were observed. Returns the very same model when there is nothing to raise. */
export type RaiseBy = (known?: ReadonlyMap<string, TensorType>) => Model;

/**
 * What `raise` makes of `model`, after both were run node by node: each node was given what `model` had there for random input, and made the
 * same of it in both. (So a rounding that another kernel does otherwise is not carried on, to be another level at the next
 * QuantizeLinear, and float16 is rounded at the same places.) Throws `raised-model-differs`, `cannot-raise-opset` for an operator that
 * ONNX Runtime has in the older form only, and what `raise` and `inputSlots` throw.
 */
export async function raiseProved(
  model: Model,
  raise: RaiseBy,
  options: ObserveOptions = {},
): Promise<Model> {
  const first = raise();
  if (first === model) return model;
  const versions = [newVersions(model, first), newVersions(first, model)] as const;
  const feeds = randomFeeds(model, options.dims ?? {}, 2);
  const compared = dependents(model.graph, Object.keys(feeds));
  for (const { name } of model.graph.outputs) compared.add(name);
  const session: SessionOptions = { ...options.session, optimization: 'disabled' };
  const exposed = { ...model, graph: runPasses(model.graph, [exposeValues]) };
  const before = await withSession(exposed, session, (s) => {
    const tensors = s.outputMetadata.filter((v) => v.isTensor).map((v) => v.name);
    const fetches = tensors.filter((name) => compared.has(name));
    return s.run(feeds, fetches);
  });
  const raised = raise(ranksOf(before));
  const stepwise = async (which: Model): Promise<Outputs> => {
    const { graph, again } = nodeByNode(which.graph, before);
    const given = Object.fromEntries([...again.keys()].map((name) => [name, before[name]!]));
    const outputs = await withSession({ ...which, graph }, session, (s) => s.run({ ...feeds, ...given }));
    return Object.fromEntries([...again].map(([name, made]) => [name, outputs[made]!]));
  };
  const old = await stepwise(model);
  const renewed = await stepwise(raised).catch((error) => {
    if (!(error instanceof OfframpError)) throw error;
    const isMissing = error.message.includes('Could not find an implementation');
    throw (isMissing ? raisedNotImplemented : raisedModelDiffers)(...versions, error.message);
  });
  for (const [name, value] of Object.entries(renewed)) {
    const difference = differenceOf(old[name]!, value);
    if (difference) throw raisedModelDiffers(...versions, `${name} ${difference}`);
  }
  return raised;
}

/** `graph` whose nodes read the `values` of another run instead of each other's; `again`: what a value is called that it makes anew. */
function nodeByNode(graph: Graph, values: Outputs) {
  const names = allNames(graph);
  const again = new Map<string, string>();
  const nodes = graph.nodes.map((node) => {
    const outputs = node.outputs.map((name) => {
      if (!values[name]) return name;
      let made = `${name}/again`;
      while (names.has(made)) made += '_';
      names.add(made);
      again.set(name, made);
      return made;
    });
    return { ...node, outputs };
  });
  const inputs = [...again.keys()].map((name) => {
    const { type, dims } = values[name]!;
    return makeValue(name, dataTypeOf(type), dims);
  });
  const stepped: Graph = {
    ...graph,
    nodes,
    inputs: [...graph.inputs, ...inputs],
    valueInfo: graph.valueInfo.filter(({ name }) => !again.has(name)),
    outputs: [...again.values()].map((name) => ({ name, type: undefined })),
  };
  return { graph: stepped, again };
}

/** For messages: the versions that `a` imports and `b` does not. */
const newVersions = (a: Model, b: Model): string =>
  a.opsetImports
    .filter(
      (o) => !b.opsetImports.some(({ domain, version }) => domain === o.domain && version === o.version),
    )
    .map(({ domain, version }) => (isDefaultDomain(domain) ? `${version}` : `${domain} ${version}`))
    .join(', ');

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
