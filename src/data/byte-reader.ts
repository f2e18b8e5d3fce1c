import { pipeline, type Readable, type Transform } from 'node:stream';
import { badDataFile, messageOf } from '../errors/index.ts';

/** Reads exact numbers of bytes from a stream; holds at most one chunk beyond them. */
export class ByteReader {
  readonly file: string;
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** `decompress`, when given, stands between `source` and the reader. `file` is named in errors. */
  constructor(file: string, source: Readable, decompress?: Transform) {
    this.file = file;
    this.#stream = decompress ? pipeline(source, decompress, () => {}) : source;
    this.#chunks = this.#stream[Symbol.asyncIterator]();
  }

  /** The next `n` bytes, at offset 0 of memory of their own. */
  async take(n: number): Promise<Uint8Array> {
    while (this.#heldBytes < n) {
      const chunk = await this.#next();
      if (!chunk) throw badDataFile(this.file, 'it ends too early');
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
    }
    const taken = new Uint8Array(n);
    for (let at = 0; at < n; ) {
      const chunk = this.#held[0]!;
      const part = chunk.subarray(0, n - at);
      taken.set(part, at);
      at += part.length;
      if (part.length === chunk.length) this.#held.shift();
      else this.#held[0] = chunk.subarray(part.length);
    }
    this.#heldBytes -= n;
    return taken;
  }

  /** Reads the end, where packed files say whether they are whole. Throws `bad-data-file` also where more than the end is left. */
  async finish(): Promise<void> {
    if (this.#heldBytes > 0 || (await this.#next()))
      throw badDataFile(this.file, 'it goes on behind its last element');
  }

  close(): void {
    this.#stream.destroy();
  }

  /** Undefined at the end. */
  async #next(): Promise<Buffer | undefined> {
    const next = await this.#chunks.next().catch((error: unknown) => {
      throw badDataFile(this.file, messageOf(error));
    });
    return next.done ? undefined : next.value;
  }
}

/** Runs `fn`, closing `reader` if it fails. */
export async function closeOnError<T>(reader: ByteReader, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    reader.close();
    throw error;
  }
}
