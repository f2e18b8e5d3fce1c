import {
  badDataFile,
  badLabels,
  beyondFloat,
  labelCountMismatch,
  sampleShapeMismatch,
} from '../errors/index.ts';
import { elementCount, fromHalf } from '../graph/tensor.ts';
import { isReshape } from './align.ts';
import type { ByteReader } from './byte-reader.ts';
import type { FileStamp } from './files.ts';
import { combinedInput } from './preprocessing.ts';
import type { Block, Source } from './records.ts';
import type { InputSpec } from './types.ts';

/** An array whose header has been read and whose elements come next from `reader`, the last axis fastest. */
export interface ArrayStream {
  readonly dims: readonly number[];
  readonly element: ElementType;
  readonly littleEndian: boolean;
  readonly reader: ByteReader;
  /** More bytes than these cannot come, by the size of the file. */
  readonly mostBytes: number;
}

type Get = (view: DataView, at: number, littleEndian: boolean) => number;

/** Element types by numpy's code: bytes, how to read one. */
const ELEMENTS = {
  b1: [1, (v, at) => v.getUint8(at)],
  u1: [1, (v, at) => v.getUint8(at)],
  i1: [1, (v, at) => v.getInt8(at)],
  u2: [2, (v, at, le) => v.getUint16(at, le)],
  i2: [2, (v, at, le) => v.getInt16(at, le)],
  u4: [4, (v, at, le) => v.getUint32(at, le)],
  i4: [4, (v, at, le) => v.getInt32(at, le)],
  u8: [8, (v, at, le) => Number(v.getBigUint64(at, le))],
  i8: [8, (v, at, le) => Number(v.getBigInt64(at, le))],
  f2: [2, (v, at, le) => fromHalf(v.getUint16(at, le))],
  f4: [4, (v, at, le) => v.getFloat32(at, le)],
  f8: [8, (v, at, le) => v.getFloat64(at, le)],
} satisfies Record<string, readonly [number, Get]>;

export type ElementType = keyof typeof ELEMENTS;

export function isElementType(code: string): code is ElementType {
  return Object.hasOwn(ELEMENTS, code);
}

/** Beyond it float32 skips whole numbers. */
export const LARGEST_WHOLE_FLOAT = 2 ** 24;
export const BLOCK_BYTES = 1 << 20;
const LABELS_AT_ONCE = 1 << 16;

/** Opens an array anew, at its first element. */
export type OpenArray = () => Promise<ArrayStream>;

export interface Arrays {
  /** `[N, ...]`: one for all inputs, or one each. */
  readonly x: readonly OpenArray[];
  /** `[N]` or `[N, 1]`; undefined when nothing need be labelled. */
  readonly y: OpenArray | undefined;
}

/**
 * Samples of arrays. A single one keeps its shape, and uint8 stays uint8; all else becomes float32, one input's numbers
 * after another's.
 */
export async function arraySource(
  about: { format: string; path: string; files: readonly FileStamp[] },
  arrays: Arrays,
  inputs: readonly InputSpec[],
): Promise<Source> {
  const xs: ArrayStream[] = [];
  for (const open of arrays.x) xs.push(await peek(open));
  const x = xs[0]!;
  const count = x.dims[0] ?? 0;
  const flat = xs.find(({ dims }) => dims.length < 2);
  if (flat) throw badDataFile(flat.reader.file, 'it has no axis besides the samples');
  if (xs.length > 1) checkEach(about.path, xs, inputs, count);
  if (arrays.y) {
    const y = await peek(arrays.y);
    if (y.dims.length === 0 || elementCount(y.dims.slice(1)) !== 1)
      throw badLabels(y.reader.file, `labels are [${y.dims.join(', ')}]`);
    if (y.dims[0] !== count) throw labelCountMismatch(y.reader.file, y.dims[0]!, count);
  }

  const isBytes = xs.length === 1 && (x.element === 'u1' || x.element === 'b1');
  return {
    ...about,
    decode: xs.map(({ reader }) => reader.file),
    count: async () => count,
    dims: xs.length === 1 ? x.dims.slice(1) : combinedInput(inputs).dims,
    dtype: isBytes ? 'uint8' : 'float',
    classNames: undefined,
    async *blocks() {
      const labels = arrays.y ? await readLabels(await arrays.y()) : new Int32Array(count);
      const streams: ArrayStream[] = [];
      try {
        for (const open of arrays.x) streams.push(await open());
        yield* readBlocks(streams, labels, isBytes);
      } finally {
        for (const { reader } of streams) reader.close();
      }
    },
  };
}

async function peek(open: OpenArray): Promise<ArrayStream> {
  const stream = await open();
  stream.reader.close();
  const { dims, element, reader, mostBytes } = stream;
  // A header may state any size: what nobody could read is refused before room is made for it.
  const stated = elementCount(dims) * ELEMENTS[element][0];
  if (!(stated <= mostBytes))
    throw badDataFile(
      reader.file,
      `it ends too early: [${dims.join(', ')}] elements take ${stated} bytes, and no more than ${mostBytes} can come`,
    );
  return stream;
}

function checkEach(
  path: string,
  xs: readonly ArrayStream[],
  inputs: readonly InputSpec[],
  count: number,
): void {
  for (const [k, { dims, reader }] of xs.entries()) {
    const { name, dims: expected } = inputs[k]!;
    const sample = dims.slice(1);
    if (!isReshape(sample, expected)) throw sampleShapeMismatch(path, sample, name, expected);
    if (dims[0] !== count)
      throw badDataFile(
        reader.file,
        `it has ${dims[0]} samples, but ${xs[0]!.reader.file} has ${count}`,
        'Save all inputs of the same samples, in the same order.',
      );
  }
}

async function* readBlocks(
  xs: readonly ArrayStream[],
  labels: Int32Array,
  isBytes: boolean,
): AsyncGenerator<Block> {
  const widths = xs.map(({ dims }) => elementCount(dims.slice(1)));
  const sampleBytes = xs.reduce((sum, { element }, k) => sum + widths[k]! * ELEMENTS[element][0], 0);
  const perBlock = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, sampleBytes)));
  for (let at = 0; at < labels.length; at += perBlock) {
    const part = labels.subarray(at, at + perBlock);
    const records: Uint8Array[] = [];
    for (const [k, x] of xs.entries()) {
      const bytes = await x.reader.take(part.length * widths[k]! * ELEMENTS[x.element][0]);
      records.push(isBytes ? bytes : toFloats(x, bytes, at * widths[k]!));
    }
    yield { records: sideBySide(records, part.length), labels: part, skipped: [] };
  }
  for (const { reader } of xs) await reader.finish();
}

/** Sample after sample, each with its piece of every part. */
function sideBySide(parts: readonly Uint8Array[], samples: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  for (let i = 0, to = 0; i < samples; i++)
    for (const part of parts) {
      const size = part.length / samples;
      out.set(part.subarray(i * size, (i + 1) * size), to);
      to += size;
    }
  return out;
}

function toFloats(x: ArrayStream, bytes: Uint8Array, firstElement: number): Uint8Array {
  if (x.element === 'f4' && x.littleEndian) return bytes;
  const numbers = values(x, bytes);
  if (!x.element.startsWith('f')) {
    const bad = numbers.findIndex((v) => Math.abs(v) > LARGEST_WHOLE_FLOAT);
    if (bad >= 0) throw beyondFloat(x.reader.file, `element ${firstElement + bad}`);
  }
  return new Uint8Array(Float32Array.from(numbers).buffer);
}

async function readLabels(y: ArrayStream): Promise<Int32Array> {
  try {
    const labels = new Int32Array(y.dims[0]!);
    for (let at = 0; at < labels.length; at += LABELS_AT_ONCE) {
      const count = Math.min(LABELS_AT_ONCE, labels.length - at);
      const numbers = values(y, await y.reader.take(count * ELEMENTS[y.element][0]));
      const bad = numbers.findIndex((v) => v !== (v | 0));
      if (bad >= 0) throw badLabels(y.reader.file, `label ${at + bad} is ${numbers[bad]}`);
      labels.set(numbers, at);
    }
    await y.reader.finish();
    return labels;
  } finally {
    y.reader.close();
  }
}

function values({ element, littleEndian }: ArrayStream, bytes: Uint8Array): Float64Array {
  const [size, get]: readonly [number, Get] = ELEMENTS[element];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float64Array(bytes.byteLength / size);
  for (let i = 0; i < out.length; i++) out[i] = get(view, i * size, littleEndian);
  return out;
}
