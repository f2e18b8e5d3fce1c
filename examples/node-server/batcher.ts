/** Samples that arrive one by one, run together. */
import { setImmediate as turnOfLoop } from 'node:timers/promises';

export interface BatcherOptions {
  /** Samples that run together at most. */
  readonly maxBatch: number;
  /** Milliseconds that a sample waits for company at most while nothing runs. */
  readonly maxWaitMs: number;
  /** Batches that run, or wait for their turn, at a time; 1 by default. */
  readonly workers?: number;
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

/** So many runs at a time, in the order they were asked for. */
export class Turns {
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #atOnce: number;
  #running = 0;

  constructor(atOnce = 1) {
    this.#atOnce = atOnce;
  }

  /** `run` must not reject. Where there is room it begins when all that has arrived is read: of several requests, the first is not run alone. */
  take(run: () => Promise<void>): void {
    this.#waiting.push(run);
    if (this.#running < this.#atOnce) void this.#next();
  }

  async #next(): Promise<void> {
    this.#running++;
    await turnOfLoop();
    for (let run = this.#waiting.shift(); run; run = this.#waiting.shift()) await run();
    this.#running--;
  }
}

/**
 * Runs a batch when it is full or its first sample has waited long enough, and it is its turn. There are no more runs at a time than workers;
 * samples that arrive meanwhile are the next batch, so batches grow with the load by themselves.
 */
export class Batcher<Sample, Result> {
  readonly #run: (samples: readonly Sample[]) => Promise<readonly Result[]>;
  readonly #maxBatch: number;
  readonly #workers: number;
  readonly #turns: Turns;
  #maxWaitMs: number;
  /** Batches that wait for their turn, or run. */
  #taken = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #queue: Waiting<Sample, Result>[] = [];

  /** `run` gives one result a sample, in order. Batchers may share `turns`. */
  constructor(
    run: (samples: readonly Sample[]) => Promise<readonly Result[]>,
    options: BatcherOptions,
    turns = new Turns(options.workers),
  ) {
    this.#run = run;
    this.#maxBatch = options.maxBatch;
    this.#maxWaitMs = options.maxWaitMs;
    this.#workers = options.workers ?? 1;
    this.#turns = turns;
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
    if (this.#taken >= this.#workers || !first) return;
    clearTimeout(this.#timer);
    const rest = first.since + this.#maxWaitMs - performance.now();
    if (this.#queue.length < this.#maxBatch && rest > 0) this.#timer = setTimeout(() => this.#next(), rest);
    else {
      this.#taken++;
      // Who comes before its turn comes along.
      this.#turns.take(() => this.#answer(this.#queue.splice(0, this.#maxBatch)));
    }
  }

  async #answer(batch: readonly Waiting<Sample, Result>[]): Promise<void> {
    const began = performance.now();
    try {
      const results = await this.#run(batch.map(({ sample }) => sample));
      for (const [n, { since, resolve }] of batch.entries())
        resolve({ result: results[n]!, batchSize: batch.length, waitedMs: began - since });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#taken--;
    this.#next();
  }
}
