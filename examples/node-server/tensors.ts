/** Tensors, with the names that the Open Inference Protocol has for what is in them. */

export type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

type NumbersClass = {
  new (length: number): Numbers;
  new (buffer: ArrayBuffer): Numbers;
  readonly BYTES_PER_ELEMENT: number;
};

/** How numbers of a type are held here: FP16 by its bits, BOOL as 0 and 1. */
export const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<string, NumbersClass>;

export type Datatype = keyof typeof ARRAYS;

export interface Tensor {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Numbers;
}

/** By the names of a model's inputs or outputs. */
export type Tensors = ReadonlyMap<string, Tensor>;

export const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

export const bytesOf = (datatype: Datatype, shape: readonly number[]): number =>
  elements(shape) * ARRAYS[datatype].BYTES_PER_ELEMENT;

export const arrayOf = (datatype: Datatype, length: number): Numbers =>
  new (ARRAYS[datatype] as NumbersClass)(length);

/** One row a sample: of each tensor its part of the first axis. No number is copied. */
export function rowsOf(tensors: Tensors): Tensors[] {
  const [first] = tensors.values();
  const rows = Array.from({ length: first?.shape[0] ?? 0 }, () => new Map<string, Tensor>());
  for (const [name, { datatype, shape, data }] of tensors) {
    const [, ...own] = shape;
    const size = elements(own);
    for (const [n, row] of rows.entries())
      row.set(name, { datatype, shape: [1, ...own], data: data.subarray(n * size, (n + 1) * size) });
  }
  return rows;
}

/** Copies of rows, as one tensor of each of `names` along the first axis. */
export function gathered(rows: readonly Tensors[], names: readonly string[]): Tensors {
  const all = new Map<string, Tensor>();
  for (const name of names) {
    const parts = rows.map((row) => row.get(name)!);
    const [{ datatype, shape }] = parts as [Tensor];
    const length = parts.reduce((sum, { data }) => sum + data.length, 0);
    const data = arrayOf(datatype, length);
    let at = 0;
    for (const part of parts) {
      data.set(part.data as never, at);
      at += part.data.length;
    }
    all.set(name, { datatype, shape: parts.length === 1 ? shape : [parts.length, ...shape.slice(1)], data });
  }
  return all;
}

/** Where the first NaN or infinity is; -1 where there is none. */
export function indexOfNotFinite({ datatype, data }: Tensor): number {
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return (data as Float32Array).findIndex((value) => !Number.isFinite(value));
    case 'FP16':
      return (data as Uint16Array).findIndex((bits) => (bits & 0x7c00) === 0x7c00);
    default:
      return -1;
  }
}
