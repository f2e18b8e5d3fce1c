import { createReadStream, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { badDataFile, messageOf } from '../errors/index.ts';
import { ByteReader } from './byte-reader.ts';
import { imageSource, type LabelledImage } from './decode-image.ts';
import { type FileStamp, fileStamps, isFile } from './files.ts';
import { chooseFiles } from './parts.ts';
import type { Source, SourceOptions } from './records.ts';
import { decodeText } from './text.ts';

const SIDE = 32;
const PLANE = SIDE * SIDE;
const TAKE_RECORDS = 64;

interface Kind {
  /** Label bytes of a record, the last of them the label; red, green and blue planes follow. */
  readonly labelBytes: number;
  /** Text file of class names, one a line. */
  readonly names: string;
  readonly parts: Readonly<Record<string, readonly string[]>>;
}

/** CIFAR-10 and CIFAR-100 (coarse label, then fine label), binary versions (A. Krizhevsky, 2009). */
const KINDS: readonly Kind[] = [
  {
    labelBytes: 1,
    names: 'batches.meta.txt',
    parts: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), test: ['test_batch.bin'] },
  },
  {
    labelBytes: 2,
    names: 'fine_label_names.txt',
    parts: { train: ['train.bin'], test: ['test.bin'] },
  },
];

const namesOf = (kind: Kind) => Object.values(kind.parts).flat();

export function isCifarFile(path: string): boolean {
  return KINDS.some((kind) => namesOf(kind).includes(basename(path)));
}

export function isCifarFolder(path: string): boolean {
  return KINDS.some((kind) => namesOf(kind).some((name) => isFile(join(path, name))));
}

/** One CIFAR file. */
export function cifarFileSource(path: string, options: SourceOptions): Source {
  const kind = KINDS.find((k) => namesOf(k).includes(basename(path)))!;
  return cifarSource(path, kind, dirname(path), [path], options);
}

/** `part` of the CIFAR files in `folder`: train or test. */
export function cifarFolderSource(
  path: string,
  folder: string,
  part: string | undefined,
  options: SourceOptions,
): Source {
  const kind = KINDS.find((k) => namesOf(k).some((name) => isFile(join(folder, name))))!;
  const here = Object.entries(kind.parts).map(
    ([name, files]) => [name, files.map((file) => join(folder, file))] as const,
  );
  const parts = new Map(here.filter(([, files]) => files.some(isFile)));
  return cifarSource(path, kind, folder, chooseFiles(folder, parts, part), options);
}

function cifarSource(
  path: string,
  kind: Kind,
  folder: string,
  files: readonly string[],
  options: SourceOptions,
): Source {
  const missing = files.find((file) => !isFile(file));
  if (missing) throw badDataFile(missing, 'it is missing, but others of its part are there');
  const stamps = fileStamps(files);
  const recordBytes = kind.labelBytes + 3 * PLANE;
  const torn = stamps.find(({ sizeBytes }) => sizeBytes % recordBytes !== 0);
  if (torn)
    throw badDataFile(torn.file, `${torn.sizeBytes} bytes are no whole number of records of ${recordBytes}`);
  const about = {
    format: 'cifar',
    path,
    files: stamps,
    decode: kind.labelBytes,
    count: async () => stamps.reduce((sum, { sizeBytes }) => sum + sizeBytes / recordBytes, 0),
    classNames: readNames(join(folder, kind.names)),
  };
  return imageSource(about, () => imagesOf(stamps, kind.labelBytes), options);
}

function readNames(file: string): string[] | undefined {
  if (!isFile(file)) return undefined;
  try {
    return decodeText(readFileSync(file)).split(/\r?\n/).filter(Boolean);
  } catch (error) {
    throw badDataFile(file, messageOf(error), 'Save the file as UTF-8.');
  }
}

async function* imagesOf(files: readonly FileStamp[], labelBytes: number): AsyncGenerator<LabelledImage> {
  const recordBytes = labelBytes + 3 * PLANE;
  for (const { file, sizeBytes } of files) {
    const reader = new ByteReader(file, createReadStream(file));
    try {
      const count = sizeBytes / recordBytes;
      for (let at = 0; at < count; at += TAKE_RECORDS) {
        const taken = await reader.take(Math.min(TAKE_RECORDS, count - at) * recordBytes);
        for (let from = 0; from < taken.length; from += recordBytes) {
          const data = interleaved(taken.subarray(from + labelBytes, from + recordBytes));
          const label = taken[from + labelBytes - 1]!;
          const content = { data, width: SIDE, height: SIDE, channels: 3 };
          yield { name: `${file} record ${at + from / recordBytes}`, label, content };
        }
      }
    } finally {
      reader.close();
    }
  }
}

function interleaved(planes: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(planes.length);
  for (let p = 0; p < PLANE; p++) for (let c = 0; c < 3; c++) rgb[3 * p + c] = planes[c * PLANE + p]!;
  return rgb;
}
