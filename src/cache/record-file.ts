/** Fixed-size records on disk that grow from the front and survive interruption: only chunks with the right hash are used. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open, readFile, utimes } from 'node:fs/promises';
import { cacheDamaged } from '../errors/index.ts';
import { replaceFile, writing } from './files.ts';

/** Records between two progress marks. */
export const CHUNK = 256;
const PIECE_BYTES = 1 << 22;

/** `<path>.json` beside the records: the sha256 of every complete chunk. */
interface Mark {
  readonly recordBytes: number;
  readonly size: number;
  readonly chunks: readonly string[];
}

/** The part of a record file whose hashes are right. */
export interface VerifiedRecords {
  /** sha256 of every chunk from the front that the mark has for its bytes. */
  readonly chunks: readonly string[];
  /** The mark has more chunks than that. */
  readonly damaged: boolean;
}

export class RecordFile {
  private readonly chunks: string[];
  private hash = createHash('sha256');
  private written: number;

  private constructor(
    readonly path: string,
    readonly recordBytes: number,
    /** Records when complete. */
    readonly size: number,
    private readonly file: FileHandle,
    chunks: readonly string[],
  ) {
    this.chunks = [...chunks];
    this.written = this.done;
  }

  /** Opens or makes `path`. A chunk whose hash is not that of the mark, and all after it, count as missing. */
  static async open(path: string, recordBytes: number, size: number): Promise<RecordFile> {
    return writing(path, async () => {
      const file = await open(path, 'r+').catch(() => open(path, 'w+'));
      const { chunks } = await verified(path, file.fd, recordBytes, size);
      await utimes(path, new Date(), new Date());
      return new RecordFile(path, recordBytes, size, file, chunks);
    });
  }

  /** sha256 of every complete chunk. */
  get hashes(): readonly string[] {
    return this.chunks;
  }

  /** Records that are there for good: whole chunks, and the last one. */
  get done(): number {
    return Math.min(this.size, this.chunks.length * CHUNK);
  }

  /** Forgets the chunks after the first `records` (a multiple of CHUNK). */
  rewind(records: number): void {
    this.chunks.length = Math.min(this.chunks.length, records / CHUNK);
    this.written = this.done;
    this.hash = createHash('sha256');
  }

  /** Adds whole records, no more than the current chunk has room for. */
  async append(records: Uint8Array): Promise<void> {
    await writing(this.path, async () => {
      const start = this.written * this.recordBytes;
      for (let at = 0; at < records.length; )
        at += (await this.file.write(records, at, records.length - at, start + at)).bytesWritten;
      this.hash.update(records);
      this.written += records.length / this.recordBytes;
      if (this.written % CHUNK !== 0 && this.written !== this.size) return;
      this.chunks.push(this.hash.digest('hex'));
      this.hash = createHash('sha256');
      const mark: Mark = { recordBytes: this.recordBytes, size: this.size, chunks: this.chunks };
      await replaceFile(`${this.path}.json`, JSON.stringify(mark), `${this.path}.tmp`);
    });
  }

  /** Syncs the records, which `append` does not: the mark's hashes show what a crash lost. */
  async close(): Promise<void> {
    try {
      await writing(this.path, () => this.file.datasync());
    } finally {
      await this.file.close();
    }
  }
}

/** Reads `path` and compares its chunks with its mark; a file that is missing has none. */
export async function verifyRecords(
  path: string,
  recordBytes: number,
  size: number,
): Promise<VerifiedRecords> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return { chunks: [], damaged: false };
  }
  try {
    return await verified(path, fd, recordBytes, size);
  } finally {
    closeSync(fd);
  }
}

async function verified(
  path: string,
  fd: number,
  recordBytes: number,
  size: number,
): Promise<VerifiedRecords> {
  const mark = await readMark(path);
  const known = mark?.recordBytes === recordBytes && mark.size === size ? mark.chunks : [];
  const piece = new Uint8Array(Math.min(PIECE_BYTES, CHUNK * recordBytes));
  const wrong = known.findIndex((hash, i) => {
    const records = Math.min(CHUNK, size - i * CHUNK);
    return hashOf(fd, i * CHUNK * recordBytes, records * recordBytes, piece) !== hash;
  });
  return { chunks: wrong < 0 ? known : known.slice(0, wrong), damaged: wrong >= 0 };
}

/** Reads a complete record file. Throws `cache-damaged` where it is missing or too short. */
export class RecordReader {
  private readonly fd: number;

  constructor(
    readonly path: string,
    readonly recordBytes: number,
  ) {
    try {
      this.fd = openSync(path, 'r');
    } catch {
      throw cacheDamaged(path);
    }
  }

  /** Copies `count` records from `first` on into `target` at byte `at`. */
  read(first: number, count: number, target: Uint8Array, at: number): void {
    const length = count * this.recordBytes;
    if (!readFully(this.fd, target, at, length, first * this.recordBytes)) throw cacheDamaged(this.path);
  }

  close(): void {
    closeSync(this.fd);
  }
}

async function readMark(path: string): Promise<Mark | undefined> {
  try {
    const mark = JSON.parse(await readFile(`${path}.json`, 'utf8'));
    return Array.isArray(mark.chunks) ? mark : undefined;
  } catch {
    return undefined;
  }
}

function readFully(fd: number, target: Uint8Array, at: number, length: number, position: number): boolean {
  for (let got = 0; got < length; ) {
    const n = readSync(fd, target, at + got, length - got, position + got);
    if (n === 0) return false;
    got += n;
  }
  return true;
}

/** Of `length` bytes, read through `piece`; undefined where there are fewer. */
function hashOf(fd: number, position: number, length: number, piece: Uint8Array): string | undefined {
  const hash = createHash('sha256');
  for (let at = 0; at < length; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, length - at));
    if (!readFully(fd, part, 0, part.length, position + at)) return undefined;
    hash.update(part);
  }
  return hash.digest('hex');
}
