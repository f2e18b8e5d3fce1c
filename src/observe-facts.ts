/**
 * Learns every value's type, shape and batch axis by running the model in ONNX Runtime, so that no shape inference and
 * no list of supported ops is needed for the backbone.
 */
import {
  fixedBatchTooLarge,
  samplesNotIndependent,
  unknownInputDim,
  unsupportedInputType,
} from './errors.ts';
import { uniforms } from './graph/mulberry32.ts';
import { elementCount } from './graph/tensor.ts';
import type { DataType, Dim, Model, ValueInfo } from './graph/types.ts';
import { dependents, indexGraph } from './graph/walk.ts';
import {
  dataTypeOf,
  type Feeds,
  type Outputs,
  type Session,
  type SessionOptions,
  Tensor,
  withSession,
} from './ort.ts';
import { enterTwoClasses } from './passes/enter-two-classes.ts';
import type { Fact, TypedModel } from './passes/exits.ts';
import { exposeValues } from './passes/expose-values.ts';
import { findClassifier } from './passes/find-classifier.ts';
import { runPasses } from './passes/pass.ts';

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

/** Runs `model` on random input at two batch sizes and returns it with every fact known. Weights are not touched. */
export async function observeFacts(model: Model, options: ObserveOptions = {}): Promise<TypedModel> {
  const slots = inputSlots(model, options.dims ?? {});
  const dynamic = slots.some((s) => s.dims[0] === 'N');
  const exposed: Model = { ...model, graph: runPasses(model.graph, [exposeValues]) };
  const facts = await withSession(exposed, { ...options.session, optimization: 'disabled' }, (session) =>
    dynamic ? observeDynamic(session, model, slots) : observeFixed(session, model, slots),
  );
  const { isOneScore, ...classifier } = findClassifier(model, facts.values, options.output);
  const strayed = facts.deviation(classifier.logits);
  if (strayed > 1e-3) throw samplesNotIndependent(classifier.output, strayed);
  const sampleInputs = slots.filter((s) => !dynamic || s.dims[0] === 'N').map((s) => s.name);
  const batch = dynamic ? 'dynamic' : 'fixed';
  const typed: TypedModel = { model, facts: facts.values, sampleInputs, ...classifier, batch };
  return isOneScore ? enterTwoClasses(typed) : typed;
}

/** The model's real inputs with every dimension settled but the batch. */
export function inputSlots(model: Model, dims: Readonly<Record<string, number>>): InputSlot[] {
  const { realInputs } = indexGraph(model.graph);
  return model.graph.inputs
    .filter((v) => realInputs.has(v.name))
    .map((value) => {
      const type = value.type;
      if (!type?.dims) throw unknownInputDim(value.name, 'shape', 0);
      const settled = type.dims.map((dim, axis) => settleDim(value, dim, axis, dims));
      if (typeof settled[0] === 'number' && settled[0] > 1) throw fixedBatchTooLarge(value.name, settled[0]);
      return { name: value.name, dataType: type.dataType, dims: settled };
    });
}

function settleDim(
  value: ValueInfo,
  dim: Dim,
  axis: number,
  dims: Readonly<Record<string, number>>,
): number | 'N' {
  if (typeof dim === 'number' && dim > 0) return dim;
  if (axis === 0) return 'N';
  const given = typeof dim === 'string' ? dims[dim] : dims[`${value.name}.${axis}`];
  if (given === undefined)
    throw unknownInputDim(value.name, typeof dim === 'string' ? dim : `${value.name}.${axis}`, axis);
  return given;
}

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
  const fill = FILL[slot.dataType];
  if (!fill) throw unsupportedInputType(slot.name, slot.dataType);
  const sample = elementCount(slot.dims.slice(1) as number[]);
  const leads = slot.dims[0] === 'N' ? batch : 1;
  const data = fill(slot.dims.length === 0 ? 1 : leads * sample, uniforms(1));
  const dims = slot.dims.map((d) => (d === 'N' ? batch : d));
  return new Tensor((ORT_TYPE[slot.dataType] ?? slot.dataType) as 'float32', data as Float32Array, dims);
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
  values: Map<string, Fact>,
): ReadonlyMap<string, Fact> {
  for (const t of model.graph.initializers) {
    values.set(t.name, { dataType: t.dataType, dims: t.dims, batchAxis: undefined });
  }
  for (const s of slots) {
    const batched = s.dims[0] === 'N' || s.dims[0] === 1;
    const dims = s.dims.map((d) => (d === 'N' ? 1 : d));
    values.set(s.name, { dataType: s.dataType, dims, batchAxis: batched ? 0 : undefined });
  }
  return values;
}

/** Maps and sequences cannot be fetched from onnxruntime-node. */
const tensorsOf = (session: Session) => session.outputMetadata.filter((v) => v.isTensor).map((v) => v.name);

async function observeFixed(session: Session, model: Model, slots: readonly InputSlot[]): Promise<Observed> {
  const outputs = await session.run(feedsOf(slots, 1), tensorsOf(session));
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const [name, { type, dims }] of Object.entries(outputs)) {
    const batchAxis = sampled.has(name) && dims.length >= 2 && dims[0] === 1 ? 0 : undefined;
    values.set(name, { dataType: dataTypeOf(type), dims, batchAxis });
  }
  return { values: withStatics(model, slots, values), deviation: () => 0 };
}

async function observeDynamic(
  session: Session,
  model: Model,
  slots: readonly InputSlot[],
): Promise<Observed> {
  const two = await session.run(feedsOf(slots, 2), tensorsOf(session));
  const three = await session.run(feedsOf(slots, 3), tensorsOf(session));
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const name of Object.keys(two)) {
    const fact = compareRuns(two[name]!, three[name]!, sampled.has(name));
    if (fact) values.set(name, fact);
  }
  return { values: withStatics(model, slots, values), deviation: (value) => rowDeviation(two, three, value) };
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

function rowDeviation(two: Outputs, three: Outputs, value: string): number {
  const a = two[value]?.data;
  const b = three[value]?.data;
  if (!(a instanceof Float32Array) || !(b instanceof Float32Array)) return 0;
  let largest = 0;
  let moved = 0;
  a.forEach((v, i) => {
    largest = Math.max(largest, Math.abs(v));
    moved = Math.max(moved, Math.abs(v - b[i]!));
  });
  return largest === 0 ? 0 : moved / largest;
}
