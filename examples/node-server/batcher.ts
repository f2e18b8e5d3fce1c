/** Samples that arrive one by one, run together. */

export interface BatcherOptions {
  /** Samples that run together at most. */
  readonly maxBatch: number;
  /** Milliseconds that a sample waits for company at most while nothing runs. */
  readonly maxWaitMs: number;
}

export interface Answer<Result> {
  readonly result: Result;
  /** Samples that ran together. */
  readonly batchSize: number;
  /** Milliseconds from `submit` to the start of the run. */
  readonly waitedMs: number;
}

interface Waiting<Sample, Result> {
  readonly sample: Sample;
  readonly since: number;
  readonly resolve: (answer: Answer<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs a batch when it is full or its first sample has waited long enough. There is one run at a time; samples that
 * arrive meanwhile are the next batch, so batches grow with the load by themselves.
 */
export class Batcher<Sample, Result> {
  readonly #run: (samples: readonly Sample[]) => Promise<readonly Result[]>;
  readonly #maxBatch: number;
  #maxWaitMs: number;
  #isRunning = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #queue: Waiting<Sample, Result>[] = [];

  /** `run` gives one result a sample, in order. */
  constructor(run: (samples: readonly Sample[]) => Promise<readonly Result[]>, options: BatcherOptions) {
    this.#run = run;
    this.#maxBatch = options.maxBatch;
    this.#maxWaitMs = options.maxWaitMs;
  }

  /** Samples that wait for a run. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Rejects with what the run of its batch rejects with. */
  submit(sample: Sample): Promise<Answer<Result>> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ sample, since: performance.now(), resolve, reject });
      this.#next();
    });
  }

  /** From now on nobody waits for company. */
  hurry(): void {
    this.#maxWaitMs = 0;
    this.#next();
  }

  #next(): void {
    const [first] = this.#queue;
    if (this.#isRunning || !first) return;
    clearTimeout(this.#timer);
    const rest = first.since + this.#maxWaitMs - performance.now();
    if (this.#queue.length < this.#maxBatch && rest > 0) this.#timer = setTimeout(() => this.#next(), rest);
    else void this.#answer(this.#queue.splice(0, this.#maxBatch));
  }

  async #answer(batch: readonly Waiting<Sample, Result>[]): Promise<void> {
    this.#isRunning = true;
    const began = performance.now();
    try {
      const results = await this.#run(batch.map(({ sample }) => sample));
      for (const [n, { since, resolve }] of batch.entries())
        resolve({ result: results[n]!, batchSize: batch.length, waitedMs: began - since });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#isRunning = false;
    this.#next();
  }
}
