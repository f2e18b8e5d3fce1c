/** Numbers into tensors of ONNX Runtime and back. */
import { unsupportedInputType } from '../errors/index.ts';
import { elementCount, toHalf } from '../graph/tensor.ts';
import type { DataType } from '../graph/types.ts';
import { fromFloat16 } from '../runtime/tensors.ts';
import { type Feeds, Tensor } from './session.ts';

/** ONNX's name of an onnxruntime tensor type. */
export function dataTypeOf(type: string): DataType {
  return type === 'float32' ? 'float' : type === 'float64' ? 'double' : (type as DataType);
}

/** Feeds for `n` samples: `rows` [n, elements of all `inputs` side by side], each input [n, ...dims] cut out of it. */
export function feedsOf(
  inputs: readonly { readonly name: string; readonly dataType: DataType; readonly dims: readonly number[] }[],
  rows: Float32Array,
  n: number,
): Feeds {
  const width = rows.length / n;
  let from = 0;
  const feeds = inputs.map(({ name, dataType, dims }) => {
    const size = elementCount(dims);
    const own = size === width ? rows : columns(rows, width, from, size);
    from += size;
    return [name, tensorOf(dataType, own, [n, ...dims])] as const;
  });
  return Object.fromEntries(feeds);
}

/** Columns `from`…`from + size - 1` of `rows` [n, width]. */
function columns(rows: Float32Array, width: number, from: number, size: number): Float32Array {
  const out = new Float32Array((rows.length / width) * size);
  for (let to = 0; to < out.length; to += size, from += width) out.set(rows.subarray(from, from + size), to);
  return out;
}

/** The elements of a tensor of numbers as float32; those of a float32 tensor are its own. */
export function floatsOf({ type, data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  return type === 'float16'
    ? fromFloat16(data as Uint16Array)
    : Float32Array.from(data as Int32Array, Number);
}

/** The elements of a tensor of any number type as doubles; undefined of strings. */
export function numbersOf(tensor: Tensor): Float64Array | undefined {
  const { type, data } = tensor;
  if (type === 'string') return undefined;
  return Float64Array.from((type === 'float16' ? floatsOf(tensor) : data) as Float32Array, Number);
}

/** A tensor of `dataType` that holds float32 `values`, converted. */
export function tensorOf(dataType: DataType, values: Float32Array, dims: readonly number[]): Tensor {
  switch (dataType) {
    case 'float':
      return new Tensor('float32', values, dims);
    case 'double':
      return new Tensor('float64', Float64Array.from(values), dims);
    case 'int64':
      return new Tensor(
        'int64',
        BigInt64Array.from(values, (v) => BigInt(Math.round(v))),
        dims,
      );
    case 'int32':
      return new Tensor('int32', Int32Array.from(values), dims);
    case 'uint8':
      return new Tensor('uint8', Uint8Array.from(values), dims);
    case 'int8':
      return new Tensor('int8', Int8Array.from(values), dims);
    case 'bool':
      return new Tensor(
        'bool',
        Uint8Array.from(values, (v) => (v === 0 ? 0 : 1)),
        dims,
      );
    case 'float16':
      return new Tensor('float16', toHalf(values), dims);
    default:
      throw unsupportedInputType('input', dataType);
  }
}
