import { badDataFile, badLabels, labelCountMismatch } from '../errors.ts';
import { elementCount, fromHalf } from '../graph/tensor.ts';
import type { ByteReader } from './byte-reader.ts';
import type { FileStamp } from './files.ts';
import type { Block, Source } from './records.ts';

/** An array whose header has been read and whose elements come next from `reader`, the last axis fastest. */
export interface ArrayStream {
  readonly dims: readonly number[];
  readonly element: ElementType;
  readonly littleEndian: boolean;
  readonly reader: ByteReader;
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

const LARGEST_WHOLE_FLOAT = 2 ** 24;
const BLOCK_BYTES = 1 << 20;

/**
 * Samples of two arrays: x `[N, ...]` and y `[N]` or `[N, 1]`. uint8 stays uint8, all else becomes float32.
 * `open` opens one of them anew, at its first element.
 */
export async function arraySource(
  about: { format: string; path: string; files: readonly FileStamp[] },
  open: { x: () => Promise<ArrayStream>; y: () => Promise<ArrayStream> },
): Promise<Source> {
  const x = await peek(open.x);
  const y = await peek(open.y);
  const [count = 0, ...dims] = x.dims;
  if (x.dims.length < 2) throw badDataFile(x.reader.file, 'x has no axis besides the samples');
  if (y.dims.length === 0 || elementCount(y.dims.slice(1)) !== 1)
    throw badLabels(y.reader.file, `labels are [${y.dims.join(', ')}]`);
  if (y.dims[0] !== count) throw labelCountMismatch(y.reader.file, y.dims[0]!, count);

  const isBytes = x.element === 'u1' || x.element === 'b1';
  return {
    ...about,
    decode: x.reader.file,
    count,
    dims,
    dtype: isBytes ? 'uint8' : 'float',
    classNames: undefined,
    async *blocks() {
      const labels = await readLabels(await open.y());
      const stream = await open.x();
      try {
        yield* readBlocks(stream, labels, isBytes);
      } finally {
        stream.reader.close();
      }
    },
  };
}

async function peek(open: () => Promise<ArrayStream>): Promise<ArrayStream> {
  const stream = await open();
  stream.reader.close();
  return stream;
}

async function* readBlocks(x: ArrayStream, labels: Int32Array, isBytes: boolean): AsyncGenerator<Block> {
  const sampleElements = elementCount(x.dims.slice(1));
  const sampleBytes = sampleElements * ELEMENTS[x.element][0];
  const perBlock = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, sampleBytes)));
  for (let at = 0; at < labels.length; at += perBlock) {
    const part = labels.subarray(at, at + perBlock);
    const bytes = await x.reader.take(part.length * sampleBytes);
    yield { records: isBytes ? bytes : toFloats(x, bytes, at * sampleElements), labels: part, skipped: [] };
  }
}

function toFloats(x: ArrayStream, bytes: Uint8Array, firstElement: number): Uint8Array {
  if (x.element === 'f4' && x.littleEndian) return bytes;
  const numbers = values(x, bytes);
  if (!x.element.startsWith('f')) {
    const bad = numbers.findIndex((v) => Math.abs(v) > LARGEST_WHOLE_FLOAT);
    if (bad >= 0)
      throw badDataFile(
        x.reader.file,
        `element ${firstElement + bad} of x is beyond ±2^24, which float32 cannot hold exactly`,
        'Offramp feeds inputs from float32; save smaller numbers.',
      );
  }
  return new Uint8Array(Float32Array.from(numbers).buffer);
}

async function readLabels(y: ArrayStream): Promise<Int32Array> {
  try {
    const numbers = values(y, await y.reader.take(y.dims[0]! * ELEMENTS[y.element][0]));
    const bad = numbers.findIndex((v) => v !== (v | 0));
    if (bad >= 0) throw badLabels(y.reader.file, `label ${bad} is ${numbers[bad]}`);
    return Int32Array.from(numbers);
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
