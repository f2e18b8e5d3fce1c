import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import * as assert from 'uvu/assert';
import {
  type Dataset,
  type InputSpec,
  type OpenOptions,
  openDataset,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../../src/data/index.ts';
import { OfframpError } from '../../src/errors/index.ts';

/** A folder that goes away with the process. */
export const temp = mkdtempSync(join(tmpdir(), 'offramp-data-'));
process.on('exit', () => rmSync(temp, { recursive: true, force: true }));
let folders = 0;

export function freshFolder(): string {
  const folder = join(temp, String(folders++));
  mkdirSync(folder);
  return folder;
}

export function put(file: string, bytes: Uint8Array | string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

/** Deterministic bytes. */
export function pixels(count: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export async function putImage(
  file: string,
  raw: Uint8Array,
  [height, width, channels]: readonly [number, number, 1 | 2 | 3 | 4],
): Promise<void> {
  const image = sharp(raw, { raw: { width, height, channels } });
  const grey = channels < 3 ? image.toColourspace('b-w') : image;
  const packed = file.endsWith('.webp') ? grey.webp({ lossless: true, exact: true }) : grey.png();
  put(file, await packed.toBuffer());
}

/** A PNG of one grey bit a pixel, all black. */
export function hugePng(width: number, height: number): Buffer {
  const chunk = (name: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const rows = deflateSync(Buffer.alloc(height * (1 + Math.ceil(width / 8))));
  const start = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([start, chunk('IHDR', header), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}

/** An .npy file; `shape` without the parentheses of numpy. */
export function npy(
  descr: string,
  shape: readonly number[],
  data: ArrayBufferView,
  fortran = false,
): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const header = `${text.padEnd(117)}\n`;
  const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  start.writeUInt16LE(header.length, 8);
  return Buffer.concat([
    start,
    Buffer.from(header),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

/** What a zip entry says of itself, where it is not the truth. */
export interface Lies {
  readonly bytes?: number;
  readonly compressedBytes?: number;
  readonly crc?: number;
  readonly offset?: number;
  /** Its sizes stand in a zip64 field: as many of them as it says. */
  readonly wide?: number;
}

/** A zip file of deflated entries. */
export function zip(
  entries: Readonly<Record<string, Uint8Array>>,
  lies: Readonly<Record<string, Lies>> = {},
): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const packed = deflateRawSync(content);
    const { bytes = content.length, compressedBytes = packed.length, wide = 0, ...lie } = lies[name] ?? {};
    const { crc = crc32(content), offset = at } = lie;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(8, 8);
    local.writeUInt16LE(name.length, 26);
    files.push(local, Buffer.from(name), packed);
    at += 30 + name.length + packed.length;
    const extra = Buffer.alloc(wide && 4 + 8 * wide);
    if (wide > 0) {
      extra.writeUInt16LE(1);
      extra.writeUInt16LE(8 * wide, 2);
      for (const [k, value] of [bytes, compressedBytes].slice(0, wide).entries())
        extra.writeBigUInt64LE(BigInt(value), 4 + 8 * k);
    }
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(crc, 16);
    entry.writeUInt32LE(wide ? 0xffffffff : compressedBytes, 20);
    entry.writeUInt32LE(wide ? 0xffffffff : bytes, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(offset, 42);
    directory.push(entry, Buffer.from(name), extra);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(Object.keys(entries).length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, ...directory, end]);
}

export function idx(dims: readonly number[], data: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = 8;
  header[3] = dims.length;
  for (const [i, d] of dims.entries()) header.writeUInt32BE(d, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

export function putIdx(
  folder: string,
  dims: readonly number[],
  x: Uint8Array,
  y: Uint8Array,
  gz = true,
): string {
  const [pack, end] = gz ? [gzipSync, '.gz'] : [(bytes: Uint8Array) => bytes, ''];
  put(join(folder, `a-labels-idx1-ubyte${end}`), pack(idx([y.length], y)));
  return put(join(folder, `a-images-idx3-ubyte${end}`), pack(idx(dims, x)));
}

export function input(...dims: number[]): InputSpec {
  return { name: 'x', dims, dataType: 'float' };
}

export const cache = join(temp, 'cache');

export async function openAt(
  path: string,
  spec: InputSpec,
  preprocessing: PreprocessingOptions = {},
  options: Partial<OpenOptions> = {},
): Promise<Dataset> {
  return openFor(path, [spec], options, preprocessing);
}

/** Samples at `path` for a model of these inputs. */
export async function openFor(
  path: string,
  inputs: readonly InputSpec[],
  options: Partial<OpenOptions> = {},
  preprocessing: PreprocessingOptions = {},
): Promise<Dataset> {
  const resolved = resolvePreprocessing(preprocessing, inputs);
  return openDataset(path, { inputs, preprocessing: resolved, cache, ...options });
}

/** int64 inputs `[length]`. */
export function tokenInputs(length: number, ...names: string[]): InputSpec[] {
  return names.map((name) => ({ name, dims: [length], dataType: 'int64' }));
}

/** All samples of `data`, one row each, and closes it. */
export async function rowsOf(data: Dataset): Promise<number[][]> {
  const all = await data.read(Int32Array.from({ length: data.size }, (_, i) => i));
  const width = all.length / data.size;
  await data.close();
  return Array.from({ length: data.size }, (_, i) => [...all.subarray(i * width, (i + 1) * width)]);
}

/** `run` fails with the Offramp error `code`, whose message mentions each of `mentions`. */
export async function fails(
  run: () => unknown,
  code: string,
  ...mentions: readonly string[]
): Promise<OfframpError> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof OfframpError)) throw error;
    assert.is(error.code, code);
    for (const part of mentions) assert.ok(`${error.message} ${error.hint}`.includes(part), error.message);
    assert.ok(error.hint.length > 0);
    return error;
  }
  assert.unreachable(`${code} expected`);
  throw new Error();
}
