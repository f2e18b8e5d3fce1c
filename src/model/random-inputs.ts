/** The inputs of a model with their dims known, and random samples for them. */

import { inputShapeUnknown, inputTooLarge, unknownInputDims, unsupportedInputType } from '../errors/index.ts';
import { uniforms } from '../graph/random.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { DataType, Model, ValueInfo } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { type Feeds, Tensor } from '../ort/session.ts';
import { MAX_SAMPLE_BYTES } from '../parser/load-model.ts';
import { dimNames, placeOf, sizeOf } from '../passes/fix-inputs.ts';

export interface InputSlot {
  readonly name: string;
  readonly dataType: DataType;
  /** Batch axis first, as 'N' when it is dynamic. */
  readonly dims: readonly (number | 'N')[];
}

export const isDynamic = ({ dims }: InputSlot) => dims[0] === 'N';

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

/** The name of an axis for `--dim`; its place, INPUT.AXIS, where the name holds characters that `--dim` reads otherwise. */
export const sayableDim = (value: ValueInfo, axis: number): string =>
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

/** Of three fixed random samples for `slot` those in `picks`, in that order: the same samples at every batch size. */
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

/** Random input for `slots`: the samples `picks` of three, or one sample where the batch size is fixed. */
export const feedsOf = (slots: readonly InputSlot[], picks: readonly number[]): Feeds =>
  Object.fromEntries(slots.map((slot) => [slot.name, inputOf(slot, picks)]));

/** Random input for `model`, the same every time: `batch` samples, at most three, or one where the batch size is fixed. */
export const randomFeeds = (model: Model, dims: Readonly<Record<string, number>>, batch: number): Feeds =>
  feedsOf(
    inputSlots(model, dims),
    Array.from({ length: batch }, (_, i) => i),
  );
