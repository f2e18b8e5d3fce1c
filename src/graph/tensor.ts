/** Making and reading tensors. Elements are little-endian bytes; typed arrays are views when alignment allows. */
import { invalidGraph } from '../errors/index.ts';
import { fromFloat16 } from '../runtime/tensors.ts';
import type { DataType, Tensor } from './types.ts';

const ELEMENT_BYTES: Partial<Record<DataType, number>> = {
  float: 4, uint8: 1, int8: 1, uint16: 2, int16: 2, int32: 4, int64: 8, bool: 1, float16: 2, double: 8,
  uint32: 4, uint64: 8, complex64: 8, complex128: 16, bfloat16: 2, float8e4m3fn: 1, float8e4m3fnuz: 1,
  float8e5m2: 1, float8e5m2fnuz: 1, uint4: 0.5, int4: 0.5, float4e2m1: 0.5, float8e8m0: 1, uint2: 0.25, int2: 0.25,
}; // biome-ignore format: a table

/** Bytes an element takes; fractions for packed types, undefined for strings and unknown types. */
export const elementBytes = (dataType: DataType): number | undefined => ELEMENT_BYTES[dataType];

/** Product of `dims`; 1 for a scalar. */
export const elementCount = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

const viewBytes = (array: ArrayBufferView) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A float32 tensor of `dims`; a number[] is rounded to float32. */
export function floatTensor(name: string, dims: readonly number[], values: ArrayLike<number>): Tensor {
  const data = values instanceof Float32Array ? values : Float32Array.from(values);
  return checked({ name, dataType: 'float', dims, bytes: viewBytes(data) });
}

/** An int64 tensor of `dims`. */
export function int64Tensor(name: string, dims: readonly number[], values: readonly number[]): Tensor {
  return checked({ name, dataType: 'int64', dims, bytes: viewBytes(BigInt64Array.from(values.map(BigInt))) });
}

/** A bool tensor of `dims`. */
export function boolTensor(name: string, dims: readonly number[], values: readonly boolean[]): Tensor {
  return checked({ name, dataType: 'bool', dims, bytes: Uint8Array.from(values, Number) });
}

const ARRAY: Partial<Record<DataType, (values: readonly number[]) => ArrayBufferView>> = {
  float: (v) => Float32Array.from(v),
  double: (v) => Float64Array.from(v),
  float16: (v) => toHalf(Float32Array.from(v)),
  int64: (v) => BigInt64Array.from(v.map(BigInt)),
  uint64: (v) => BigUint64Array.from(v.map(BigInt)),
  int32: (v) => Int32Array.from(v),
  uint32: (v) => Uint32Array.from(v),
  int16: (v) => Int16Array.from(v),
  uint16: (v) => Uint16Array.from(v),
  int8: (v) => Int8Array.from(v),
  uint8: (v) => Uint8Array.from(v),
  bool: (v) => Uint8Array.from(v),
};

/**
 * A tensor of `values` in `dataType`, floats rounded to it; undefined when `dataType` is not of numbers, or one of `values` is not of it (1.5, or 300
 * of an int8).
 */
export function numberTensor(
  name: string,
  dataType: DataType,
  dims: readonly number[],
  values: readonly number[],
): Tensor | undefined {
  const make = ARRAY[dataType];
  const isFloat = ['float', 'double', 'float16'].includes(dataType);
  if (!make || !(isFloat || values.every(Number.isSafeInteger))) return undefined;
  const tensor = checked({ name, dataType, dims, bytes: viewBytes(make(values)) });
  const fits = isFloat ? Number.isFinite : (v: number, i: number) => v === values[i];
  if (dataType === 'bool' && values.some((v) => v !== 0 && v !== 1)) return undefined;
  return toNumbers(tensor).every(fits) ? tensor : undefined;
}

function checked(tensor: Tensor): Tensor {
  const expected = elementCount(tensor.dims) * (elementBytes(tensor.dataType) ?? 0);
  if (tensor.bytes.byteLength !== expected) {
    throw invalidGraph(`${tensor.bytes.byteLength} bytes where ${expected} belong`, `tensor ${tensor.name}`);
  }
  return tensor;
}

/** `bytes` at an address that is a multiple of `alignment`: the same memory, or a copy. */
export function aligned(bytes: Uint8Array, alignment: number): Uint8Array {
  return bytes.byteOffset % alignment === 0 ? bytes : Uint8Array.from(bytes);
}

/** A float32 view (or aligned copy) of a `float` tensor's elements. */
export function toFloat32Array(tensor: Tensor): Float32Array {
  if (tensor.dataType !== 'float')
    throw invalidGraph(`expected float, got ${tensor.dataType}`, `tensor ${tensor.name}`);
  const bytes = aligned(tensor.bytes, 4);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Elements as numbers; int64 beyond 2^53 loses precision. */
export function toNumbers(tensor: Tensor): number[] {
  const b = tensor.bytes;
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const read: Partial<Record<DataType, (at: number) => number>> = {
    float: (at) => view.getFloat32(at, true),
    float16: (at) => fromHalf(view.getUint16(at, true)),
    double: (at) => view.getFloat64(at, true),
    int64: (at) => Number(view.getBigInt64(at, true)),
    uint64: (at) => Number(view.getBigUint64(at, true)),
    int32: (at) => view.getInt32(at, true),
    uint32: (at) => view.getUint32(at, true),
    int16: (at) => view.getInt16(at, true),
    uint16: (at) => view.getUint16(at, true),
    int8: (at) => view.getInt8(at),
    uint8: (at) => view.getUint8(at),
    bool: (at) => view.getUint8(at),
  };
  const get = read[tensor.dataType];
  const size = elementBytes(tensor.dataType);
  if (!get || !size)
    throw invalidGraph(`cannot read elements of type ${tensor.dataType}`, `tensor ${tensor.name}`);
  return Array.from({ length: b.byteLength / size }, (_, i) => get(i * size));
}

let halves: Float32Array | undefined;

/** The number that IEEE 754 binary16 `bits` mean. */
export function fromHalf(bits: number): number {
  halves ??= fromFloat16(Uint16Array.from({ length: 1 << 16 }, (_, i) => i));
  return halves[bits]!;
}

/** `values` as IEEE 754 binary16, to nearest even (F. Giesen, float_to_half_fast3_rtne). */
export function toHalf(values: Float32Array): Uint16Array {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  return Uint16Array.from(values, (value) => {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    float[0] = Math.abs(value);
    const magnitude = bits[0]!;
    if (magnitude >= 0x47800000) return magnitude > 0x7f800000 ? 0x7e00 : sign | 0x7c00;
    if (magnitude < 0x38800000) {
      float[0] += 0.5;
      return sign | (bits[0]! - 0x3f000000);
    }
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  });
}
