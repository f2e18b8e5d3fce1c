import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { badDataFile } from '../errors/index.ts';

export interface ZipEntry {
  /** Where the entry's (possibly compressed) bytes begin. */
  readonly offset: number;
  readonly compressedBytes: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
}

/**
 * Entries of a zip file by name, from its central directory (PKWARE APPNOTE 4.3, with zip64), so that each can be
 * streamed by itself.
 */
export async function zipEntries(file: string): Promise<Map<string, ZipEntry>> {
  const handle = await open(file);
  try {
    const { directory, count } = await readDirectory(file, handle);
    const entries = new Map<string, ZipEntry>();
    for (let i = 0, at = 0; i < count; i++) {
      if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50)
        throw badDataFile(file, 'its zip directory is damaged');
      const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) =>
        directory.readUInt16LE(at + o),
      ) as [number, number, number];
      const name = directory.toString('utf8', at + 46, at + 46 + nameBytes);
      const extra = directory.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes);
      const method = directory.readUInt16LE(at + 10);
      if ((method !== 0 && method !== 8) || directory.readUInt16LE(at + 8) & 1)
        throw badDataFile(file, `entry ${name} is encrypted or packed by method ${method}`, 'Use np.savez.');
      const [, compressedBytes, header] = widened(extra, [
        directory.readUInt32LE(at + 24),
        directory.readUInt32LE(at + 20),
        directory.readUInt32LE(at + 42),
      ]) as [number, number, number];
      const local = await readAt(file, handle, header, 30);
      const offset = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
      entries.set(name, { offset, compressedBytes, method });
      at += 46 + nameBytes + extraBytes + commentBytes;
    }
    return entries;
  } finally {
    await handle.close();
  }
}

/** The bytes of `entry`, as stored. */
export function openEntry(file: string, entry: ZipEntry): Readable {
  return createReadStream(file, { start: entry.offset, end: entry.offset + entry.compressedBytes - 1 });
}

async function readDirectory(
  file: string,
  handle: FileHandle,
): Promise<{ directory: Buffer; count: number }> {
  const { size } = await handle.stat();
  const tailStart = Math.max(0, size - 65557);
  const tail = await readAt(file, handle, tailStart, size - tailStart);
  const end = tail.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0 || end + 22 > tail.length) throw badDataFile(file, 'it does not end as a zip file does');
  let count = tail.readUInt16LE(end + 10);
  let bytes = tail.readUInt32LE(end + 12);
  let offset = tail.readUInt32LE(end + 16);
  if (end >= 20 && tail.readUInt32LE(end - 20) === 0x07064b50) {
    const wide = await readAt(file, handle, Number(tail.readBigUInt64LE(end - 12)), 56);
    [count, bytes, offset] = [32, 40, 48].map((o) => Number(wide.readBigUInt64LE(o))) as [
      number,
      number,
      number,
    ];
  }
  return { directory: await readAt(file, handle, offset, bytes), count };
}

/** Replaces each value that is 2³²-1 by the next one of the zip64 extra field, in the order the format lists them. */
function widened(extra: Buffer, values: readonly number[]): number[] {
  let wide: Buffer = Buffer.alloc(0);
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2))
    if (extra.readUInt16LE(at) === 1) wide = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
  let next = 0;
  return values.map((value) => (value === 0xffffffff ? Number(wide.readBigUInt64LE(8 * next++)) : value));
}

async function readAt(file: string, handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { size } = await handle.stat();
  if (position + length > size) throw badDataFile(file, 'its zip directory points outside it');
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead !== length) throw badDataFile(file, 'it ends too early');
  return buffer;
}
