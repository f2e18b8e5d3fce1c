/**
 * Learns every value's type, shape and batch axis by running the model in ONNX Runtime, so that no shape inference and
 * no list of supported ops is needed for the backbone.
 */
import {
  fixedBatchTooLarge,
  inputShapeUnknown,
  inputTooLarge,
  messageOf,
  noBatchAxis,
  noSampleInput,
  notDeterministic,
  OfframpError,
  optionFields,
  samplesNotIndependent,
  trialRunFailed,
  unknownInputDims,
  unsupportedInputType,
} from '../errors/index.ts';
import { uniforms } from '../graph/mulberry32.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { DataType, Model, ValueInfo } from '../graph/types.ts';
import { ancestors, dependents, indexGraph } from '../graph/walk.ts';
import { relativeGap } from '../ort/gap.ts';
import {
  dataTypeOf,
  type Feeds,
  numbersOf,
  type Outputs,
  type Session,
  type SessionOptions,
  Tensor,
  withSession,
} from '../ort/session.ts';
import { MAX_SAMPLE_BYTES } from '../parser/load-model.ts';
import { enterTwoClasses } from '../passes/enter-two-classes.ts';
import type { Fact, TypedModel } from '../passes/exits.ts';
import { exposeValues } from '../passes/expose-values.ts';
import { findClassifier } from '../passes/find-classifier.ts';
import { findUnsteady, type Unsteady } from '../passes/find-unsteady.ts';
import { dimNames, placeOf, sizeOf } from '../passes/fix-inputs.ts';
import { dropClaims, keepObserved } from '../passes/keep-observed.ts';
import { runPasses } from '../passes/pass.ts';

export interface ObserveOptions {
  /** The output that carries the class scores, when there are several. */
  readonly output?: string | undefined;
  /** Sizes of symbolic dimensions other than the batch, e.g. `{ sequence: 64 }`. */
  readonly dims?: Readonly<Record<string, number>>;
  readonly session?: SessionOptions;
}

interface InputSlot {
  readonly name: string;
  readonly dataType: DataType;
  /** Batch axis first, as 'N' when it is dynamic. */
  readonly dims: readonly (number | 'N')[];
}

/** What a sample's scores may move with the batch around it, relative to their largest: batches of other sizes take other kernels. */
const TOLERANCE = 1e-3;

/**
 * Runs `model` on random input at two batch sizes and returns it with every fact known, and without what it says of shapes that proved wrong. Weights
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
  if (random) throw notDeterministic(output, `${nodeTold(random)} draws at random`);
  if (dynamic && mixing)
    throw samplesNotIndependent(output, describeMixing(mixing), remedyOf(mixing, model, sampleInputs));
  const strayed = facts.deviation(logits);
  if (strayed > TOLERANCE) {
    const where = firstStrayed(model, logits, facts);
    const far = Number.isFinite(strayed)
      ? `by ${strayed.toPrecision(2)} of the largest`
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
  };
  return isOneScore ? enterTwoClasses(typed) : typed;
}

const isDynamic = ({ dims }: InputSlot) => dims[0] === 'N';

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
  const told = (values: readonly { readonly name: string; readonly dims: readonly (number | 'N')[] }[]) =>
    values.map(({ name, dims }) => `${name} [${dims.join(', ')}]`);
  throw noBatchAxis(told(slots), told(outputs));
}

const nodeTold = ({ node, where }: Unsteady) => `node "${node.name || node.outputs[0]}" (${where})`;

const MIXES: Readonly<Record<Exclude<Unsteady['kind'], 'random'>, string>> = {
  'dynamic-quantisation': 'quantises by the range of the whole batch',
  'training-mode': 'is in training mode and normalises by the mean and variance of the batch',
  'along-the-batch': 'goes along the batch axis',
};

/** What mixes samples, and where, in words. */
export const describeMixing = (mixing: Unsteady): string =>
  `${nodeTold(mixing)} ${MIXES[mixing.kind as keyof typeof MIXES]}`;

function remedyOf({ kind }: Unsteady, model: Model, sampleInputs: readonly string[]): string {
  const alone = oneByOne(model, sampleInputs);
  if (kind === 'training-mode') return 'Export the model in evaluation mode (PyTorch: model.eval()).';
  return kind === 'dynamic-quantisation'
    ? `Give the float model, or one quantised statically. ${alone}`
    : `Export the model without it. ${alone}`;
}

/** How a model whose batch is dynamic is told to take one sample at a time. */
function oneByOne({ graph }: Model, sampleInputs: readonly string[]): string {
  const names = graph.inputs.filter((v) => sampleInputs.includes(v.name)).map((v) => sayableDim(v, 0));
  const sizes = [...new Set(names)].map((name) => [name, '1'] as const);
  return `Or take one sample at a time: ${optionFields('dims', sizes)}.`;
}

/** The model's real inputs with every dimension settled but the batch. Throws `unknown-input-dim` with all that is not. */
export function inputSlots(model: Model, dims: Readonly<Record<string, number>>): InputSlot[] {
  const { realInputs } = indexGraph(model.graph);
  const inputs = model.graph.inputs.filter((v) => realInputs.has(v.name));
  const open = new Map<string, string>();
  const slots = inputs.map((value) => {
    const { type, name } = value;
    if (!type?.dims) throw inputShapeUnknown(name, type !== undefined);
    const settled = type.dims.map((_, axis): number | 'N' => {
      const size = sizeOf(value, axis, dims);
      if (size !== undefined) return size;
      if (axis > 0) open.set(sayableDim(value, axis), placeOf(value, axis));
      return 'N';
    });
    const bytes = elementCount(settled.map((d) => (d === 'N' ? 1 : d))) * (elementBytes(type.dataType) ?? 1);
    if (bytes > MAX_SAMPLE_BYTES) throw inputTooLarge(name, bytes, MAX_SAMPLE_BYTES);
    return { name, dataType: type.dataType, dims: settled };
  });
  if (open.size > 0) throw unknownInputDims([...open.values()], [...open.keys()]);
  return slots;
}

/** What `--dim` may call an axis; its place where its name would be read as something else. */
const sayableDim = (value: ValueInfo, axis: number): string =>
  dimNames(value, axis).find((name) => /^[^\s,='"]+$/.test(name)) ?? `${value.name}.${axis}`;

const FILL: Partial<Record<DataType, (count: number, random: () => number) => Tensor['data']>> = {
  float: (n, r) => Float32Array.from({ length: n }, () => r() * 2 - 1),
  double: (n, r) => Float64Array.from({ length: n }, () => r() * 2 - 1),
  float16: (n, r) =>
    Uint16Array.from({ length: n }, () => (r() < 0.5 ? 0x8000 : 0) | (0x3000 + Math.floor(r() * 0xc00))),
  int64: (n, r) => BigInt64Array.from({ length: n }, () => BigInt(Math.floor(r() * 2))),
  int32: (n, r) => Int32Array.from({ length: n }, () => Math.floor(r() * 2)),
  uint8: (n, r) => Uint8Array.from({ length: n }, () => Math.floor(r() * 256)),
  int8: (n, r) => Int8Array.from({ length: n }, () => Math.floor(r() * 256) - 128),
  bool: (n, r) => Uint8Array.from({ length: n }, () => (r() < 0.5 ? 0 : 1)),
};
const ORT_TYPE: Partial<Record<DataType, string>> = { float: 'float32', double: 'float64' };

/** Three fixed random samples for `slot`, cut to the first `batch`: the same samples at every batch size. */
function randomInput(slot: InputSlot, batch: number): Tensor {
  return inputOf(
    slot,
    Array.from({ length: batch }, (_, i) => i),
  );
}

/** Of the three samples for `slot` those in `picks`, in that order. */
function inputOf(slot: InputSlot, picks: readonly number[]): Tensor {
  const fill = FILL[slot.dataType];
  if (!fill) throw unsupportedInputType(slot.name, slot.dataType);
  const sample = elementCount(slot.dims.slice(1) as number[]);
  const [leading = 1] = slot.dims;
  const dims = slot.dims.map((d) => (d === 'N' ? picks.length : d));
  const tensorOf = (data: Tensor['data']) =>
    new Tensor((ORT_TYPE[slot.dataType] ?? slot.dataType) as 'float32', data as Float32Array, dims);
  if (leading !== 'N') return tensorOf(fill(leading * sample, uniforms(1)));
  const all = fill(Math.max(...picks, 0) * sample + sample, uniforms(1)) as Float32Array;
  const data = all.slice(0, picks.length * sample);
  for (const [i, pick] of picks.entries())
    data.set(all.subarray(pick * sample, (pick + 1) * sample), i * sample);
  return tensorOf(data);
}

interface Observed {
  readonly values: ReadonlyMap<string, Fact>;
  /** How far a sample's value moves with the batch around it, relative to the value's largest element. */
  deviation(value: string): number;
}

const feedsOf = (slots: readonly InputSlot[], batch: number) =>
  Object.fromEntries(slots.map((s) => [s.name, randomInput(s, batch)]));

/** Random input for `model`, the same every time: `batch` samples, at most three, or one where the batch size is fixed. */
export const randomFeeds = (model: Model, dims: Readonly<Record<string, number>>, batch: number): Feeds =>
  feedsOf(inputSlots(model, dims), batch);

/** Initializers and inputs join what the runs showed. */
function withStatics(
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
  values: Map<string, Fact>,
): ReadonlyMap<string, Fact> {
  for (const t of model.graph.initializers) {
    values.set(t.name, { dataType: t.dataType, dims: t.dims, batchAxis: undefined });
  }
  for (const s of slots) {
    const dims = s.dims.map((d) => (d === 'N' ? 1 : d));
    const batchAxis = sampleInputs.includes(s.name) ? 0 : undefined;
    values.set(s.name, { dataType: s.dataType, dims, batchAxis });
  }
  return values;
}

/** Maps and sequences cannot be fetched from onnxruntime-node. */
const tensorsOf = (session: Session) => session.outputMetadata.filter((v) => v.isTensor).map((v) => v.name);

/** Runs every value that can be fetched. Throws `trial-run-failed`. */
async function tryOut(
  session: Session,
  slots: readonly InputSlot[],
  picks: readonly number[],
): Promise<Outputs> {
  const feeds = Object.fromEntries(slots.map((slot) => [slot.name, inputOf(slot, picks)]));
  try {
    return await session.run(feeds, tensorsOf(session));
  } catch (error) {
    if (!(error instanceof OfframpError)) throw error;
    const told = Object.entries(feeds).map(
      ([name, { type, dims }]) => `${name} ${dataTypeOf(type)} [${dims.join(', ')}]`,
    );
    throw trialRunFailed(told, messageOf(error.cause ?? error), error);
  }
}

async function observeFixed(
  session: Session,
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
): Promise<Observed> {
  const outputs = await tryOut(session, slots, [0]);
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const [name, { type, dims }] of Object.entries(outputs)) {
    const batchAxis = sampled.has(name) && dims.length >= 2 && dims[0] === 1 ? 0 : undefined;
    values.set(name, { dataType: dataTypeOf(type), dims, batchAxis });
  }
  return { values: withStatics(model, slots, sampleInputs, values), deviation: () => 0 };
}

/** In each run the other sample stands before it, or behind it: whichever way a model looks along the batch, one of them moves. */
const PAIR = [2, 0];

async function observeDynamic(
  session: Session,
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
): Promise<Observed> {
  const two = await tryOut(session, slots, PAIR);
  const three = await tryOut(session, slots, [0, 1, 2]);
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const name of Object.keys(two)) {
    const fact = compareRuns(two[name]!, three[name]!, sampled.has(name));
    if (fact) values.set(name, fact);
  }
  return {
    values: withStatics(model, slots, sampleInputs, values),
    deviation: (value) => rowDeviation(two[value], three[value]),
  };
}

/** The fact about one value from its tensors at batch 2 and 3; undefined for what is no tensor. */
function compareRuns(two: Tensor, three: Tensor, sampled: boolean): Fact | undefined {
  if (!two.dims || !three.dims) return undefined;
  const dataType = dataTypeOf(two.type);
  const moving = two.dims.flatMap((d, axis) => (d === three.dims[axis] ? [] : [axis]));
  const axis = moving[0];
  if (two.dims.length !== three.dims.length || moving.length > 1) {
    return {
      dataType,
      dims: two.dims,
      batchAxis: undefined,
      batchTrouble: 'its shape follows the batch in several axes',
    };
  }
  if (axis === undefined) {
    const same = !sampled || sameContents(two, three);
    return {
      dataType,
      dims: two.dims,
      batchAxis: undefined,
      ...(same ? {} : { batchTrouble: 'it mixes samples or holds the batch size' }),
    };
  }
  const dims = two.dims.map((d, i) => (i === axis ? Math.max(1, three.dims[i]! - d) : d));
  if (two.dims[axis] !== 2 || three.dims[axis] !== 3) {
    return {
      dataType,
      dims,
      batchAxis: undefined,
      batchTrouble: `axis ${axis} is not N but ${two.dims[axis]} at N = 2`,
    };
  }
  return { dataType, dims, batchAxis: axis };
}

function sameContents(a: Tensor, b: Tensor): boolean {
  const x = a.data as ArrayLike<unknown>;
  const y = b.data as ArrayLike<unknown>;
  return x.length === y.length && Array.prototype.every.call(x, (v, i) => Object.is(v, y[i]));
}

/** How far the samples `PAIR` of `two` are from the same ones among the three of `three`, in numbers of any type, relative to the largest. */
function rowDeviation(two: Tensor | undefined, three: Tensor | undefined): number {
  const [a, b] = [two && numbersOf(two), three && numbersOf(three)];
  if (!a || !b) return 0;
  const width = b.length / 3;
  const expected = new Float64Array(a.length);
  for (const [i, sample] of PAIR.entries())
    expected.set(b.subarray(sample * width, (sample + 1) * width), i * width);
  return relativeGap(expected, a);
}

/** The first node on the way to `logits` whose samples depend on the batch, in words; '' when none is seen to. */
function firstStrayed({ graph }: Model, logits: string, { values, deviation }: Observed): string {
  const path = ancestors(graph, [logits]);
  const strays = (name: string) => {
    const fact = values.get(name);
    if (fact?.batchAxis === 0) return deviation(name) > TOLERANCE;
    return fact?.batchTrouble !== undefined && /float|double/.test(fact.dataType);
  };
  const node = graph.nodes.find((n) => path.has(n) && n.outputs.some(strays));
  return node ? `, first at node "${node.name || node.outputs[0]}" (${node.opType})` : '';
}
