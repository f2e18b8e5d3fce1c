/** Values to tensors and back, checked. */
import type * as Ort from 'onnxruntime-common';

/** What the model wants of one input; `N` is the batch axis. */
export interface TensorSpec {
  readonly type: Ort.Tensor.Type;
  readonly dims: readonly (number | 'N')[];
}

/** The onnxruntime module: `import * as ort from 'onnxruntime-node'`, or from 'onnxruntime-web'. */
export type Runtime = Pick<typeof Ort, 'InferenceSession' | 'Tensor'>;

/**
 * `value` as a tensor for the input `name`. Throws a TypeError when its elements are of another type, a RangeError when
 * it is not a whole number of samples or holds NaN.
 */
export function toTensor(
  ort: Runtime,
  name: string,
  spec: TensorSpec,
  value: Ort.Tensor.DataType | Ort.Tensor,
): Ort.Tensor {
  const { type, dims } = spec;
  if (typeof value === 'object' && value !== null && 'dims' in value) {
    if (value.type !== type || !fitsDims(value.dims, dims)) {
      const got = `a ${value.type} tensor of [${value.dims.join(', ')}]`;
      throw new RangeError(`${shown(name, spec)} expected, got ${got}`);
    }
    if (value.location === 'cpu') refuseNaN(name, value.data);
    return readable(ort, value);
  }
  if (!fitsType(value, type)) {
    const got = Object.prototype.toString.call(value).slice(8, -1);
    throw new TypeError(`${shown(name, spec)} expected, got ${got}`);
  }
  const sampleSize = dims.reduce<number>((size, d) => (d === 'N' ? size : size * d), 1);
  const batch = value.length / sampleSize;
  const whole = dims.includes('N') ? Number.isInteger(batch) && batch > 0 : batch === 1;
  if (!whole) {
    const lengths = dims.includes('N') ? `a multiple of ${sampleSize}` : String(sampleSize);
    throw new RangeError(`${shown(name, spec)} takes ${lengths} elements, got ${value.length}`);
  }
  refuseNaN(name, value);
  const sizes = dims.map((d) => (d === 'N' ? batch : d));
  return readable(ort, new ort.Tensor(type, value, sizes));
}

/** onnxruntime-node reads nothing out of a Float16Array (Node 24 and later), so a tensor that holds one is made anew of its bits. */
function readable(ort: Runtime, tensor: Ort.Tensor): Ort.Tensor {
  if (tensor.type !== 'float16' || tensor.location !== 'cpu' || tensor.data instanceof Uint16Array)
    return tensor;
  const { buffer, byteOffset, length } = tensor.data as Float32Array;
  const value = new Uint16Array(buffer, byteOffset, length);
  // The constructor would turn them into a Float16Array again.
  return Object.defineProperty(new ort.Tensor('float16', value, tensor.dims), 'data', { value });
}

function shown(name: string, { type, dims }: TensorSpec): string {
  return `input "${name}": ${type} [${dims.join(', ')}]`;
}

function fitsDims(given: readonly number[], wanted: TensorSpec['dims']): boolean {
  return (
    given.length === wanted.length && given.every((d, i) => d > 0 && (d === wanted[i] || wanted[i] === 'N'))
  );
}

/** By tag, which arrays of another realm have too. float16 may be its bits; a bool is a byte. */
function fitsType(value: Ort.Tensor.DataType, type: Ort.Tensor.Type): boolean {
  const tag = Object.prototype.toString.call(value).slice(8, -1).toLowerCase();
  if (type === 'string') return tag === 'array';
  if (type === 'bool') return tag === 'uint8array';
  if (type === 'int64' || type === 'uint64') return tag === `big${type}array`;
  return tag === `${type}array` || (type === 'float16' && tag === 'uint16array');
}

/** Sums first, in four lanes: a third of the time that asking each element takes, and only then looks where it is. */
function refuseNaN(name: string, data: Ort.Tensor.DataType): void {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return;
  const end = data.length - (data.length % 4);
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < end; i += 4) {
    a += data[i]!;
    b += data[i + 1]!;
    c += data[i + 2]!;
    d += data[i + 3]!;
  }
  for (let i = end; i < data.length; i++) a += data[i]!;
  if (!Number.isNaN(a + b + c + d)) return;
  const at = data.findIndex(Number.isNaN);
  if (at >= 0) throw new RangeError(`input "${name}": element ${at} is NaN`);
}

/** Throws a RangeError unless all inputs hold the same number of samples. */
export function checkBatch(
  specs: Readonly<Record<string, TensorSpec>>,
  feeds: Readonly<Record<string, Ort.Tensor>>,
): void {
  const names = Object.keys(specs).filter((name) => specs[name]!.dims.includes('N'));
  const sizes = names.map((name) => feeds[name]!.dims[specs[name]!.dims.indexOf('N')]);
  if (new Set(sizes).size > 1) {
    throw new RangeError(
      `the inputs hold different numbers of samples: ${names.join(', ')} have ${sizes.join(', ')}`,
    );
  }
}

/** The data of the output `name`. */
export function dataOf<T extends Ort.Tensor.Type>(
  outputs: Ort.InferenceSession.ReturnType,
  name: string,
  type: T,
): Ort.Tensor.DataTypeMap[T] {
  const output = outputs[name];
  if (output?.type !== type)
    throw new TypeError(`output "${name}": ${type} expected, got ${output?.type ?? 'nothing'}`);
  return output.data as Ort.Tensor.DataTypeMap[T];
}

/** float16 numbers, or their bits where the platform has no Float16Array. */
export function fromFloat16(data: ArrayLike<number>): Float32Array {
  if (!(data instanceof Uint16Array)) return Float32Array.from(data);
  return Float32Array.from(data, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}
