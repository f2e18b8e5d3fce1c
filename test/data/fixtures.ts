import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
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
