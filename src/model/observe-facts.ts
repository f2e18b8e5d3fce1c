/**
 * Finds every value's type, shape and batch axis by running the model in ONNX Runtime, so that no shape inference and
 * no list of supported ops is needed for the backbone.
 */
import {
  fixedBatchTooLarge,
  noBatchAxis,
  noSampleInput,
  notDeterministic,
  optionFields,
  samplesNotIndependent,
} from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { ancestors } from '../graph/walk.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { enterTwoClasses } from '../passes/enter-two-classes.ts';
import type { Fact, TypedModel } from '../passes/exits.ts';
import { exposeValues } from '../passes/expose-values.ts';
import { findClassifier } from '../passes/find-classifier.ts';
import { findUnsteady, type Unsteady } from '../passes/find-unsteady.ts';
import { dropClaims, keepObserved } from '../passes/keep-observed.ts';
import { runPasses } from '../passes/pass.ts';
import { type InputSlot, inputSlots, isDynamic, sayableDim } from './random-inputs.ts';
import { type Observed, observeDynamic, observeFixed } from './trial-runs.ts';

export interface ObserveOptions {
  /** The output that carries the class scores, when there are several. */
  readonly output?: string | undefined;
  /** Sizes of symbolic dimensions other than the batch, e.g. `{ sequence: 64 }`. */
  readonly dims?: Readonly<Record<string, number>>;
  readonly session?: SessionOptions;
}

/** How far a sample's scores may move with the batch around it, relative to the largest score: other batch sizes take other kernels. */
const MOST_BATCH_DEVIATION = 1e-3;

/**
 * Runs `model` on random input at two batch sizes and returns it with every fact known, and without shapes of its own that are wrong. Weights
 * are not touched. Throws `unknown-input-dim`, `fixed-batch`, `no-batch-axis`, `trial-run-failed`, `samples-not-independent`, `not-deterministic` and
 * what `findClassifier` throws.
 */
export async function observeFacts(model: Model, options: ObserveOptions = {}): Promise<TypedModel> {
  const slots = inputSlots(model, options.dims ?? {});
  const dynamic = slots.some(isDynamic);
  const sampleInputs = slots.filter((s) => (dynamic ? isDynamic(s) : s.dims[0] === 1)).map((s) => s.name);
  const exposed: Model = { ...model, graph: runPasses(model.graph, [dropClaims, exposeValues]) };
  const facts = await withSession(exposed, { ...options.session, optimization: 'disabled' }, (session) =>
    (dynamic ? observeDynamic : observeFixed)(session, model, slots, sampleInputs),
  );
  refuseWithoutBatch(model, slots, facts.values);
  const { isOneScore, ...classifier } = findClassifier(model, facts.values, options.output);
  const { output, logits } = classifier;
  const { mixing, random } = findUnsteady(model, [logits], sampleInputs, facts.values);
  if (random) throw notDeterministic(output, `${describeNode(random)} draws at random`);
  if (dynamic && mixing)
    throw samplesNotIndependent(output, describeMixing(mixing), remedyOf(mixing, model, sampleInputs));
  const deviation = facts.deviation(logits);
  if (deviation > MOST_BATCH_DEVIATION) {
    const where = firstMixing(model, logits, facts);
    const far = Number.isFinite(deviation)
      ? `by ${deviation.toPrecision(2)} of the largest`
      : 'between numbers and NaN or infinities';
    const how = `they move ${far} when the batch grows${where}`;
    throw samplesNotIndependent(output, how, oneByOne(model, sampleInputs));
  }
  const graph = runPasses(model.graph, [keepObserved(facts.values, sampleInputs)]);
  const typed: TypedModel = {
    model: graph === model.graph ? model : { ...model, graph },
    facts: facts.values,
    sampleInputs,
    ...classifier,
    batch: dynamic ? 'dynamic' : 'fixed',
    ...(!facts.isFinite(logits) && { scoresNotFinite: true }),
  };
  return isOneScore ? enterTwoClasses(typed) : typed;
}

/** Throws when no input, or no output, has a row a sample: what stands first is no batch, or a batch of one size. */
function refuseWithoutBatch(
  { graph }: Model,
  slots: readonly InputSlot[],
  facts: ReadonlyMap<string, Fact>,
): void {
  const dynamic = slots.some(isDynamic);
  const outputs = graph.outputs.flatMap(({ name }) => {
    const fact = facts.get(name);
    return fact ? [{ name, ...fact }] : [];
  });
  if (!dynamic && !slots.some(({ dims }) => dims[0] === 1)) {
    const batched = slots.find(
      ({ dims }) => dims.length > 1 && outputs.some((o) => o.dims.length > 1 && o.dims[0] === dims[0]),
    );
    if (batched) throw fixedBatchTooLarge(batched.name, batched.dims[0] as number);
    if (!slots.some(({ dims }) => dims.length > 0)) throw noSampleInput();
  } else if (outputs.length === 0 || outputs.some((o) => o.batchAxis !== undefined || o.batchTrouble)) return;
  const shapes = (values: readonly { readonly name: string; readonly dims: readonly (number | 'N')[] }[]) =>
    values.map(({ name, dims }) => `${name} [${dims.join(', ')}]`);
  throw noBatchAxis(shapes(slots), shapes(outputs));
}

const describeNode = ({ node, where }: Unsteady) => `node "${node.name || node.outputs[0]}" (${where})`;

const MIXES: Readonly<Record<Exclude<Unsteady['kind'], 'random'>, string>> = {
  'dynamic-quantisation': 'quantises by the range of the whole batch',
  'training-mode': 'is in training mode and normalises by the mean and variance of the batch',
  'along-the-batch': 'goes along the batch axis',
};

/** The node that mixes samples and how, for messages. */
export const describeMixing = (mixing: Unsteady): string =>
  `${describeNode(mixing)} ${MIXES[mixing.kind as keyof typeof MIXES]}`;

function remedyOf({ kind }: Unsteady, model: Model, sampleInputs: readonly string[]): string {
  const alone = oneByOne(model, sampleInputs);
  if (kind === 'training-mode') return 'Export the model in evaluation mode (PyTorch: model.eval()).';
  return kind === 'dynamic-quantisation'
    ? `Give the float model, or one quantised statically. ${alone}`
    : `Export the model without it. ${alone}`;
}

/** The remedy for a model whose batch is dynamic: `--dim` that makes it take one sample at a time. */
function oneByOne({ graph }: Model, sampleInputs: readonly string[]): string {
  const names = graph.inputs.filter((v) => sampleInputs.includes(v.name)).map((v) => sayableDim(v, 0));
  const sizes = [...new Set(names)].map((name) => [name, '1'] as const);
  return `Or take one sample at a time: ${optionFields('dims', sizes)}.`;
}

/** For messages: the first node on the way to `logits` whose samples depend on the batch; '' when there is none. */
function firstMixing({ graph }: Model, logits: string, { values, deviation }: Observed): string {
  const path = ancestors(graph, [logits]);
  const mixes = (name: string) => {
    const fact = values.get(name);
    if (fact?.batchAxis === 0) return deviation(name) > MOST_BATCH_DEVIATION;
    return fact?.batchTrouble !== undefined && /float|double/.test(fact.dataType);
  };
  const node = graph.nodes.find((n) => path.has(n) && n.outputs.some(mixes));
  return node ? `, first at node "${node.name || node.outputs[0]}" (${node.opType})` : '';
}
