/** Pictures become the model's input on threads of their own: a large one takes a second, in which the event loop answers others. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import sharp from 'sharp';
import type { Elements } from './compiled-package.ts';
import { Quota, Refusal } from './limits.ts';

export interface DecoderOptions {
  /** Threads. */
  readonly decoders: number;
  /** That a picture may have; a few kilobytes of PNG can hold gigabytes of them. */
  readonly maxPixels: number;
  /** Of the large pictures that may be there at a time, what one client may have. */
  readonly clientShare: number;
}

/** A thread's answer to the bytes of a picture. */
interface Decoded {
  readonly input?: Elements;
  readonly problem?: string;
}

/** A picture on its way to a thread. */
interface Job {
  readonly body: Buffer;
  /** False once nobody waits for it. */
  readonly isWanted: () => boolean;
  readonly resolve: (input: Elements) => void;
  readonly reject: (error: Error) => void;
}

/** Pixels from which on a picture is large. */
const LARGE = 2 ** 20;
/** Large pictures that are decoded or wait for it. */
const MAX_LARGE = 8;
/** Pixels. Resizing needs room for the longer side at the model's width. */
const MAX_SIDE = 2 ** 14;

// A content type is only a claim: no other decoder of sharp's, SVG's for one, ever sees a body.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'],
});
// No picture comes twice, and each thread decodes one.
sharp.cache(false);
sharp.concurrency(1);

/** Large pictures leave one thread free, where there are two, so small ones never wait for them. */
export class Decoders {
  readonly #options: DecoderOptions;
  readonly #module: string;
  readonly #large: Quota;
  readonly #waiting: { small: Job[]; large: Job[] } = { small: [], large: [] };
  readonly #idle: Worker[] = [];
  #largeRunning = 0;

  private constructor(module: string, options: DecoderOptions) {
    this.#module = module;
    this.#options = options;
    this.#large = new Quota('large pictures at a time', MAX_LARGE, options.clientShare);
  }

  /** `module` is the URL of the package, whose `preprocess` the threads run. Rejects when they do not start. */
  static async open(module: string, options: DecoderOptions): Promise<Decoders> {
    const all = new Decoders(module, options);
    await Promise.all(Array.from({ length: options.decoders }, () => all.#start()));
    return all;
  }

  /**
   * The picture in `body` as the model's input. Rejects with a Refusal: 400 for no picture or one of the wrong size, 413 for one with
   * too many pixels, 429 and 503 for a large one among too many.
   */
  async decode(body: Buffer, client: string, isWanted: () => boolean): Promise<Elements> {
    const isLarge = (await this.#pixelsOf(body)) > LARGE;
    if (isLarge) this.#large.take(client);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting[isLarge ? 'large' : 'small'].push({ body, isWanted, resolve, reject });
        this.#next();
      });
    } finally {
      if (isLarge) this.#large.giveBack(client);
    }
  }

  /** By what the picture says of itself, before a pixel is decoded. */
  async #pixelsOf(body: Buffer): Promise<number> {
    const { maxPixels } = this.#options;
    const { width, height } = await sizeOf(body);
    const size = `this one has ${width} x ${height}`;
    if (width * height > maxPixels)
      throw new Refusal(413, `a picture may have ${maxPixels} pixels at most; ${size}`);
    if (Math.max(width, height) > MAX_SIDE)
      throw new Refusal(413, `a picture may have ${MAX_SIDE} pixels a side at most; ${size}`);
    return width * height;
  }

  #next(): void {
    const { small, large } = this.#waiting;
    while (this.#idle.length > 0) {
      const mayBeLarge = this.#largeRunning < Math.max(1, this.#options.decoders - 1);
      const isLarge = small.length === 0;
      const job = small.shift() ?? (mayBeLarge ? large.shift() : undefined);
      if (!job) return;
      if (job.isWanted()) this.#run(this.#idle.pop()!, job, isLarge);
      else job.reject(new Error('its client has left'));
    }
  }

  #run(worker: Worker, { body, resolve, reject }: Job, isLarge: boolean): void {
    if (isLarge) this.#largeRunning++;
    const onMessage = ({ input, problem }: Decoded) => {
      done();
      if (input) resolve(input);
      else reject(new Refusal(400, `bad picture: ${problem}`));
      this.#idle.push(worker);
      this.#next();
    };
    const onExit = () => {
      done();
      reject(new Error('a decoding thread has ended'));
    };
    const done = () => {
      worker.off('message', onMessage).off('exit', onExit);
      if (isLarge) this.#largeRunning--;
    };
    worker.once('message', onMessage).once('exit', onExit);
    worker.postMessage(body);
  }

  /** A thread, and another when it ends. It does not keep the process alive. */
  async #start(): Promise<void> {
    const { maxPixels } = this.#options;
    const workerData = { module: this.#module, maxPixels };
    const worker = new Worker(new URL('./decode-worker.js', import.meta.url), { workerData });
    await once(worker, 'message');
    worker.unref();
    worker.on('error', (error) => console.error(error));
    worker.once('exit', () => {
      const place = this.#idle.indexOf(worker);
      if (place >= 0) this.#idle.splice(place, 1);
      void this.#start();
    });
    this.#idle.push(worker);
    this.#next();
  }
}

async function sizeOf(body: Buffer): Promise<{ readonly width: number; readonly height: number }> {
  try {
    return await sharp(body, { limitInputPixels: false }).metadata();
  } catch (error) {
    throw new Refusal(400, `bad picture: ${(error as Error).message}`);
  }
}
