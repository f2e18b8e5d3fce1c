/** Bodies of requests, read so that none takes more time or memory than it may. */
import type { IncomingMessage } from 'node:http';
import { Quota, Refusal } from './limits.ts';

export interface BodyOptions {
  /** Milliseconds that a body may be on its way. */
  readonly bodyTimeoutMs: number;
  /** Of the memory for bodies, what one client may hold. */
  readonly clientShare: number;
}

/** What is expected in a body. */
export interface Expected {
  /** For refusals, e.g. `a picture`. */
  readonly what: string;
  /** That it may have. */
  readonly bytes: number;
}

/** Bytes of all bodies together that are on their way or without an answer. */
const MAX_BODIES_BYTES = 256 * 2 ** 20;

export class Bodies {
  readonly #timeoutMs: number;
  readonly #memory: Quota;
  /** Ends the reading of a body, one of each that is on its way. */
  readonly #ends = new Set<() => void>();

  constructor({ bodyTimeoutMs, clientShare }: BodyOptions) {
    this.#timeoutMs = bodyTimeoutMs;
    this.#memory = new Quota('bytes at a time', MAX_BODIES_BYTES, clientShare);
  }

  /** On their way. */
  get count(): number {
    return this.#ends.size;
  }

  /** Those on their way have `ms` left. */
  hurry(ms: number): void {
    for (const end of this.#ends) setTimeout(end, ms).unref();
  }

  /** What `use` makes of the body of `request`. Rejects with a Refusal when the body is too large, too late, or too much beside others. */
  async with<T>(
    request: IncomingMessage,
    client: string,
    { what, bytes }: Expected,
    use: (body: Buffer) => Promise<T>,
  ): Promise<T> {
    const tooLarge = () => new Refusal(413, `${what} may have ${bytes} bytes at most`);
    if (Number(request.headers['content-length']) > bytes) throw tooLarge();
    let size = 0;
    let isOver = false;
    const collect = async () => {
      const chunks: Buffer[] = [];
      // A plain `for await` would close the connection when it is left early, and nobody would read why.
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        if (isOver) break;
        if (size + chunk.length > bytes) throw tooLarge();
        this.#memory.take(client, chunk.length);
        size += chunk.length;
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    };
    try {
      return await use(await this.#inTime(collect(), what));
    } finally {
      isOver = true;
      this.#memory.giveBack(client, size);
    }
  }

  async #inTime(body: Promise<Buffer>, what: string): Promise<Buffer> {
    let end = () => {};
    const late = new Promise<never>((_, reject) => {
      end = () => reject(new Refusal(408, `${what} took too long to arrive`, { Connection: 'close' }));
    });
    const timer = setTimeout(end, this.#timeoutMs);
    this.#ends.add(end);
    try {
      return await Promise.race([body, late]);
    } finally {
      clearTimeout(timer);
      this.#ends.delete(end);
    }
  }
}
