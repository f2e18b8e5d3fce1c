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
 * `value` as a tensor for the input `name`; of shared memory a copy, which no other thread can change. Throws a TypeError when its
 * elements are of another type, a RangeError when it is not a whole number of samples or holds NaN or an infinity.
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
    if (value.location !== 'cpu') return value;
    const data = unshared(value.data);
    refuseNotFinite(name, type, data);
    return readable(ort, data === value.data ? value : new ort.Tensor(type, data, value.dims));
  }
  if (!fitsType(value, type)) {
    const got = Object.prototype.toString.call(value).slice(8, -1);
    throw new TypeError(`${shown(name, spec)} expected, got ${got}`);
  }
  const sampleSize = dims.reduce<number>((size, d) => (d === 'N' ? size : size * d), 1);
  const batch = value.length / sampleSize;
  const whole = dims.includes('N') ? Number.isInteger(batch) : batch === 1;
  if (!whole) {
    const lengths = dims.includes('N') ? `a multiple of ${sampleSize}` : String(sampleSize);
    throw new RangeError(`${shown(name, spec)} takes ${lengths} elements, got ${value.length}`);
  }
  const data = unshared(value);
  refuseNotFinite(name, type, data);
  const sizes = dims.map((d) => (d === 'N' ? batch : d));
  return readable(ort, new ort.Tensor(type, data, sizes));
}

/** `data`, copied where it lies in a SharedArrayBuffer, which onnxruntime does not read. */
function unshared<T extends Ort.Tensor.DataType>(data: T): T {
  if (!ArrayBuffer.isView(data)) return data;
  return Object.prototype.toString.call(data.buffer) === '[object SharedArrayBuffer]'
    ? (data.slice() as T)
    : data;
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
  return given.length === wanted.length && given.every((d, i) => d === wanted[i] || wanted[i] === 'N');
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
function refuseNotFinite(name: string, type: Ort.Tensor.Type, data: Ort.Tensor.DataType): void {
  if (!/^float/.test(type)) return;
  const numbers = data as Float32Array;
  // All five bits of the exponent are set in NaN and infinities.
  const isGood = data instanceof Uint16Array ? (bits: number) => (bits & 0x7c00) !== 0x7c00 : Number.isFinite;
  if (!(data instanceof Uint16Array)) {
    const end = numbers.length - (numbers.length % 4);
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < end; i += 4) {
      a += numbers[i]!;
      b += numbers[i + 1]!;
      c += numbers[i + 2]!;
      d += numbers[i + 3]!;
    }
    for (let i = end; i < numbers.length; i++) a += numbers[i]!;
    if (Number.isFinite(a + b + c + d)) return;
  }
  const at = numbers.findIndex((number) => !isGood(number));
  if (at < 0) return;
  const [found] = data instanceof Uint16Array ? fromFloat16(data.subarray(at, at + 1)) : [numbers[at]];
  throw new RangeError(`input "${name}": element ${at} is ${found}`);
}

/** Samples in `feeds`, by the first input that has a batch axis; 1 where none has. */
export function batchOf(
  specs: Readonly<Record<string, TensorSpec>>,
  feeds: Readonly<Record<string, Ort.Tensor>>,
): number {
  const name = Object.keys(specs).find((one) => specs[one]!.dims.includes('N'));
  return name === undefined ? 1 : feeds[name]!.dims[specs[name]!.dims.indexOf('N')]!;
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
