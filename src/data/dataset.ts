import { closeSync, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDamaged, viewNeedsImage } from '../errors/index.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Alignment } from './align.ts';
import { convertBytes, convertFloats, PLAIN_VIEW } from './convert.ts';
import { combinedInput } from './preprocessing.ts';
import { type RecordsMeta, recordBytes } from './records.ts';
import type { Dataset, InputSpec, Preprocessing, Skipped, View } from './types.ts';

const CHUNK_BYTES = 1 << 20;

export interface RecordsAbout {
  readonly path: string;
  readonly folder: string;
  readonly meta: RecordsMeta;
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  readonly alignment: Alignment;
  readonly unlabelled: boolean;
  readonly random: boolean;
}

/** Records of a cache folder as a dataset. Throws `cache-damaged` where files are missing or too short. */
export async function openRecords(about: RecordsAbout): Promise<Dataset> {
  const { folder, meta } = about;
  const labelBytes = await readFile(join(folder, 'labels.bin')).catch(() => new Uint8Array());
  if (labelBytes.length !== 4 * meta.count) throw cacheDamaged(folder);
  const labels = new Int32Array(new Uint8Array(labelBytes).buffer);
  let records: number;
  try {
    records = openSync(join(folder, 'records.bin'), 'r');
  } catch {
    throw cacheDamaged(folder);
  }
  return new RecordsDataset(about, labels, records);
}

class RecordsDataset implements Dataset {
  readonly path: string;
  readonly size: number;
  readonly labels: Int32Array;
  readonly unlabelled: boolean;
  readonly random: boolean;
  readonly classNames: readonly string[] | undefined;
  readonly hash: string;
  readonly skipped: readonly Skipped[];
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  readonly isImage: boolean;
  readonly recordDims: readonly number[];
  readonly recordType: 'uint8' | 'float';
  readonly #folder: string;
  /** -1 once closed. */
  #file: number;
  readonly #recordBytes: number;
  readonly #rowElements: number;
  readonly #scratch: Uint8Array;
  readonly #convert: (recordInScratch: number, view: View, out: Float32Array, to: number) => void;

  constructor(about: RecordsAbout, labels: Int32Array, file: number) {
    const { meta, alignment, inputs, preprocessing } = about;
    this.path = about.path;
    this.unlabelled = about.unlabelled;
    this.random = about.random;
    this.size = meta.count;
    this.labels = labels;
    this.classNames = meta.classNames;
    this.hash = about.random ? `random-${meta.hash}` : meta.hash;
    this.skipped = meta.skipped;
    this.inputs = inputs;
    this.preprocessing = preprocessing;
    this.isImage = alignment.isImage;
    this.recordDims = meta.dims;
    this.recordType = meta.dtype;
    this.#folder = about.folder;
    this.#file = file;
    this.#recordBytes = recordBytes(meta);
    this.#rowElements = elementCount(combinedInput(inputs).dims);
    const chunkRecords = Math.max(1, Math.floor(CHUNK_BYTES / this.#recordBytes));
    this.#scratch = new Uint8Array(chunkRecords * this.#recordBytes);
    this.#convert = converterFrom(this.#scratch, meta, alignment, preprocessing);
  }

  async readRecords(indices: ArrayLike<number>): Promise<Uint8Array> {
    const out = new Uint8Array(indices.length * this.#recordBytes);
    for (const { at, first, count } of this.#runs(indices, indices.length))
      this.#readRun(first, out.subarray(at * this.#recordBytes, (at + count) * this.#recordBytes));
    return out;
  }

  async read(
    indices: ArrayLike<number>,
    views: View | readonly View[] = PLAIN_VIEW,
    out = new Float32Array(indices.length * this.#rowElements),
  ): Promise<Float32Array> {
    const viewAt = (at: number) => ('mirror' in views ? views : (views[at] ?? PLAIN_VIEW));
    const chunkRecords = this.#scratch.length / this.#recordBytes;
    for (const { at, first, count } of this.#runs(indices, chunkRecords)) {
      this.#readRun(first, this.#scratch.subarray(0, count * this.#recordBytes));
      for (let i = 0; i < count; i++) {
        const view = viewAt(at + i);
        if (!this.isImage && (view.mirror || view.dx !== 0 || view.dy !== 0)) throw viewNeedsImage(this.path);
        this.#convert(i, view, out, (at + i) * this.#rowElements);
      }
    }
    return out;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = -1;
    if (file >= 0) closeSync(file);
  }

  /** `indices[at]…indices[at + count - 1]` are `first`, `first + 1`, …; at most `longest` at once. */
  *#runs(indices: ArrayLike<number>, longest: number) {
    for (let at = 0; at < indices.length; ) {
      const first = indices[at]!;
      if (!(first >= 0 && first < this.size)) throw new RangeError(`no sample ${first} among ${this.size}`);
      let count = 1;
      while (count < longest && indices[at + count] === first + count && first + count < this.size) count++;
      yield { at, first, count };
      at += count;
    }
  }

  /** Synchronous: a promise takes longer than the read of a small record, and scratch is never shared. */
  #readRun(first: number, out: Uint8Array): void {
    const got = readSync(this.#file, out, 0, out.length, first * this.#recordBytes);
    if (got !== out.length) throw cacheDamaged(this.#folder);
  }
}

function converterFrom(
  scratch: Uint8Array,
  meta: RecordsMeta,
  alignment: Alignment,
  preprocessing: Preprocessing,
): (record: number, view: View, out: Float32Array, to: number) => void {
  const elements = elementCount(meta.dims);
  if (meta.dtype === 'uint8') {
    const convert = convertBytes(alignment, preprocessing);
    return (record, view, out, to) => convert(scratch, record * elements, view, out, to);
  }
  const floats = new Float32Array(scratch.buffer);
  const convert = convertFloats(alignment, preprocessing);
  return (record, view, out, to) => convert(floats, record * elements, view, out, to);
}
