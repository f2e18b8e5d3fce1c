import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, Readable, Transform } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { badDataFile } from '../errors/index.ts';

export interface ZipEntry {
  /** Where the entry's (possibly compressed) bytes begin. */
  readonly offset: number;
  readonly compressedBytes: number;
  readonly bytes: number;
  /** Of the uncompressed bytes. */
  readonly crc: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
}

/** Deflate makes no more of a byte: 258 bytes take two bits at least. */
export const MOST_EXPANSION = 1032;
/** A larger directory is none of arrays. */
const MOST_DIRECTORY_BYTES = 2 ** 26;

/**
 * Entries of a zip file by name, from its central directory (PKWARE APPNOTE 4.3, with zip64), so that each can be
 * streamed by itself. Their sizes are possible ones: within the file, and what deflate can make of it. Throws `bad-data-file`.
 */
export async function zipEntries(file: string): Promise<Map<string, ZipEntry>> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const { directory, count } = await readDirectory(file, handle, size);
    const entries = new Map<string, ZipEntry>();
    for (let i = 0, at = 0; i < count; i++) {
      if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50) throw damaged(file);
      const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) =>
        directory.readUInt16LE(at + o),
      ) as [number, number, number];
      const name = directory.toString('utf8', at + 46, at + 46 + nameBytes);
      const extra = directory.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes);
      const method = directory.readUInt16LE(at + 10);
      if ((method !== 0 && method !== 8) || directory.readUInt16LE(at + 8) & 1)
        throw badDataFile(file, `entry ${name} is encrypted or packed by method ${method}`, 'Use np.savez.');
      const [bytes, compressedBytes, header] = widened(file, extra, [
        directory.readUInt32LE(at + 24),
        directory.readUInt32LE(at + 20),
        directory.readUInt32LE(at + 42),
      ]) as [number, number, number];
      const local = await readAt(file, handle, size, header, 30);
      if (local.readUInt32LE(0) !== 0x04034b50) throw damaged(file);
      const offset = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
      const isPossible =
        method === 0 ? bytes === compressedBytes : bytes <= MOST_EXPANSION * (compressedBytes + 1);
      if (!isPossible || offset + compressedBytes > size)
        throw badDataFile(file, `entry ${name} cannot have the size that the zip directory states`);
      entries.set(name, { offset, compressedBytes, bytes, crc: directory.readUInt32LE(at + 16), method });
      at += 46 + nameBytes + extraBytes + commentBytes;
    }
    return entries;
  } finally {
    await handle.close();
  }
}

const damaged = (file: string) => badDataFile(file, 'its zip directory is damaged');

/** The bytes of `entry`, uncompressed. The stream fails, at its end at the latest, unless they are as many as stated and have the CRC-32 stated. */
export function openEntry(file: string, entry: ZipEntry): Readable {
  const { offset, compressedBytes, method } = entry;
  const stored =
    compressedBytes === 0
      ? Readable.from([])
      : createReadStream(file, { start: offset, end: offset + compressedBytes - 1 });
  const ignore = () => {};
  return method === 8
    ? pipeline(stored, createInflateRaw(), checked(entry), ignore)
    : pipeline(stored, checked(entry), ignore);
}

function checked({ bytes, crc }: ZipEntry): Transform {
  let sum = 0;
  let passed = 0;
  const isWhole = () => passed === bytes && sum === crc;
  const differs = () => new Error('its bytes are not those that were packed: their length or CRC-32 differs');
  return new Transform({
    transform(chunk: Buffer, _, done) {
      sum = crc32(chunk, sum);
      passed += chunk.length;
      done(passed > bytes ? differs() : null, chunk);
    },
    flush(done) {
      done(isWhole() ? null : differs());
    },
  });
}

async function readDirectory(
  file: string,
  handle: FileHandle,
  size: number,
): Promise<{ directory: Buffer; count: number }> {
  const tailStart = Math.max(0, size - 65557);
  const tail = await readAt(file, handle, size, tailStart, size - tailStart);
  const end = tail.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0 || end + 22 > tail.length) throw badDataFile(file, 'it does not end as a zip file does');
  let count = tail.readUInt16LE(end + 10);
  let bytes = tail.readUInt32LE(end + 12);
  let offset = tail.readUInt32LE(end + 16);
  if (end >= 20 && tail.readUInt32LE(end - 20) === 0x07064b50) {
    const wide = await readAt(file, handle, size, wideNumber(file, tail, end - 12), 56);
    if (wide.readUInt32LE(0) !== 0x06064b50) throw damaged(file);
    [count, bytes, offset] = [32, 40, 48].map((o) => wideNumber(file, wide, o)) as [number, number, number];
  }
  if (bytes > MOST_DIRECTORY_BYTES) throw damaged(file);
  return { directory: await readAt(file, handle, size, offset, bytes), count };
}

/** Replaces each value that is 2³²-1 by the next one of the zip64 extra field, in the order the format lists them. */
function widened(file: string, extra: Buffer, values: readonly number[]): number[] {
  let wide: Buffer = Buffer.alloc(0);
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2))
    if (extra.readUInt16LE(at) === 1) wide = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
  let next = 0;
  return values.map((value) => (value === 0xffffffff ? wideNumber(file, wide, 8 * next++) : value));
}

function wideNumber(file: string, bytes: Buffer, at: number): number {
  const number = at + 8 <= bytes.length ? Number(bytes.readBigUInt64LE(at)) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw damaged(file);
  return number;
}

async function readAt(
  file: string,
  handle: FileHandle,
  size: number,
  position: number,
  length: number,
): Promise<Buffer> {
  if (position + length > size) throw badDataFile(file, 'its zip directory points outside it');
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead !== length) throw badDataFile(file, 'it ends too early');
  return buffer;
}
