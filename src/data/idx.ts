import { createReadStream } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { badDataFile, labelsFileMissing } from '../errors/index.ts';
import { type ArrayStream, arraySource, type ElementType } from './arrays.ts';
import { ByteReader, closeOnError } from './byte-reader.ts';
import { fileStamp, fileStamps, isFile } from './files.ts';
import type { Source, SourceOptions } from './records.ts';
import { MOST_EXPANSION } from './zip.ts';

const IMAGES = /images([-.])idx\d-ubyte(\.gz)?$/;

/** Element types by the third byte of an IDX file (Y. LeCun, the MNIST database). */
const TYPES: Readonly<Record<number, ElementType>> = {
  8: 'u1',
  9: 'i1',
  11: 'i2',
  12: 'i4',
  13: 'f4',
  14: 'f8',
};

export function isIdxImages(path: string): boolean {
  return IMAGES.test(path);
}

/** An IDX pair, given its images file. */
export async function idxSource(path: string, { inputs, labels }: SourceOptions): Promise<Source> {
  const y = labels === 'none' ? undefined : labelsOf(path);
  const about = { format: 'idx', path, files: fileStamps(y ? [path, y] : [path]) };
  return arraySource(about, { x: [() => openIdx(path)], y: y ? () => openIdx(y) : undefined }, inputs);
}

/** The labels file beside `images`, packed or not. */
function labelsOf(images: string): string {
  const name = basename(images).replace(IMAGES, 'labels$1idx1-ubyte$2');
  const expected = join(dirname(images), name);
  const other = expected.endsWith('.gz') ? expected.slice(0, -3) : `${expected}.gz`;
  const found = [expected, other].find(isFile);
  if (!found) throw labelsFileMissing(images, expected);
  return found;
}

async function openIdx(file: string): Promise<ArrayStream> {
  const reader = new ByteReader(
    file,
    createReadStream(file),
    file.endsWith('.gz') ? createGunzip() : undefined,
  );
  return closeOnError(reader, async () => {
    const magic = await reader.take(4);
    const element = TYPES[magic[2]!];
    if (magic[0] !== 0 || magic[1] !== 0 || !element)
      throw badDataFile(file, 'it does not begin as an IDX file does');
    const header = await reader.take(4 * magic[3]!);
    const view = new DataView(header.buffer);
    const dims = Array.from({ length: magic[3]! }, (_, i) => view.getUint32(4 * i));
    const { sizeBytes } = fileStamp(file);
    const mostBytes = file.endsWith('.gz') ? MOST_EXPANSION * sizeBytes : sizeBytes;
    return { dims, element, littleEndian: false, reader, mostBytes };
  });
}
