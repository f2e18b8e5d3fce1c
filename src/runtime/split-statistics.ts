/** Monitoring of a model whose rest is on a server: where samples leave, who answers them, and what asking costs. */
import { type Drift, ExitStatistics } from './exit-statistics.ts';
import type { AnsweredWhere } from './wire.ts';

/** Milliseconds over the last calls or requests; NaN before the first. */
export interface MeanAndP95 {
  readonly mean: number;
  /** The 95th percentile. */
  readonly p95: number;
}

/** Calls and requests that milliseconds are of. */
const TIMES = 1000;

/** Counts samples and bytes. Nothing here throws once it is made. Logged, it shows what it has counted. */
export class SplitStatistics<Name extends string> {
  readonly #points: Readonly<Record<Name, { readonly exitShares: readonly number[] }>>;
  /** Exits here; the others are on the server. */
  readonly #cut: number;
  readonly #exits: ExitStatistics<Name>;
  /** Samples that were not answered count here for the exits that they would have gone to: drift is about samples, not about servers. */
  readonly #judged: ExitStatistics<Name>;
  /** By how much each exit has had less than its share of samples that were not answered. */
  readonly #owed: number[];
  #asked = 0;
  #unanswered = 0;
  /** Samples of calls that rejected since the server did not answer. */
  #rejected = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #clientTimes: number[] = [];
  #serverTimes: number[] = [];
  #problem: string | undefined;

  /** `points` as of `ExitStatistics`; the first `cut` exits are here. */
  constructor(
    points: Readonly<Record<Name, { readonly exitShares: readonly number[] }>>,
    measuredSamples: number,
    cut: number,
  ) {
    this.#points = points;
    this.#cut = cut;
    this.#exits = new ExitStatistics(points, measuredSamples);
    this.#judged = new ExitStatistics(points, measuredSamples);
    this.#owed = this.#exits.counts.map(() => 0);
    // Node's console.log looks for this, and shows no getters without it.
    Object.defineProperty(this, Symbol.for('nodejs.util.inspect.custom'), { value: () => this.toJSON() });
  }

  /** Samples since the start. */
  get samples(): number {
    return this.#exits.samples;
  }

  /** [K + 1]: samples since the start that were answered at each exit, the full path last. */
  get counts(): readonly number[] {
    return this.#exits.counts;
  }

  /** Mean cost of a sample since the start, here and on the server, as a share of the original model's; NaN before the first. */
  get meanRelativeCost(): number {
    return this.#exits.meanRelativeCost;
  }

  /**
   * Whether samples leave where they did when the model was measured; undefined until 1,000 have been judged. Those that the server did not
   * answer count as gone on, to the exits behind the split as often as was measured.
   */
  get drift(): Drift | undefined {
    return this.#judged.drift;
  }

  /** Share of samples that the server was not asked for; NaN before the first. */
  get stayed(): number {
    return 1 - this.#asked / (this.samples + this.#rejected);
  }

  /** Samples that were for the server, also those that it was not asked for since it had not answered others. */
  get asked(): number {
    return this.#asked;
  }

  /** Samples of those that it did not answer; with `offline: 'throw'` all that a call asked for which rejected. Other samples of such a call are in `stayed` alone. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Of bodies, repetitions included. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Of bodies, repetitions included. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** A call here, waiting for earlier calls included. */
  get clientMs(): MeanAndP95 {
    return overall(this.#clientTimes);
  }

  /** A request that was answered, repetitions included. */
  get serverMs(): MeanAndP95 {
    return overall(this.#serverTimes);
  }

  /** Why the server did not answer the last time it was asked; undefined where it did. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Counts samples that were classified at the operating point `at`; those of other thresholds (no `at`) are not judged for drift. */
  record(
    results: readonly {
      readonly exit: number;
      readonly relativeCost: number;
      readonly where: AnsweredWhere;
    }[],
    at?: Name,
  ): void {
    this.#exits.record(results);
    for (const { where } of results) {
      if (where !== 'client') this.#asked++;
      if (where !== 'client' && where !== 'server') this.#unanswered++;
    }
    if (at === undefined) return;
    const shares = this.#points[at].exitShares;
    this.#judged.record(
      results.map((result) =>
        result.where === 'client' || result.where === 'server'
          ? result
          : { ...result, exit: this.#exitBehind(shares) },
      ),
      at,
    );
  }

  /** A call rejected since the server did not answer: of its `samples` it was `asked` for some. */
  rejected(samples: number, asked: number): void {
    this.#rejected += samples;
    this.#asked += asked;
    this.#unanswered += asked;
  }

  /** An exit behind the split, each as often as its share says. */
  #exitBehind(shares: readonly number[]): number {
    const behind = shares.slice(this.#cut);
    const sum = behind.reduce((total, share) => total + share, 0);
    const owed = this.#owed;
    for (const [i, share] of behind.entries()) owed[this.#cut + i]! += sum > 0 ? share / sum : 0;
    let exit = shares.length - 1;
    for (let k = this.#cut; k < exit; k++) if (owed[k]! > owed[exit]!) exit = k;
    owed[exit]! -= 1;
    return exit;
  }

  /** `bytes` of a request have gone. */
  sent(bytes: number): void {
    this.#bytesSent += bytes;
  }

  /** `bytes` of an answer have come. */
  received(bytes: number): void {
    this.#bytesReceived += bytes;
  }

  /** A call took so long here. */
  ranHere(milliseconds: number): void {
    keep(this.#clientTimes, milliseconds);
  }

  /** A request was answered. */
  answered(milliseconds: number): void {
    keep(this.#serverTimes, milliseconds);
    this.#problem = undefined;
  }

  /** A request was not answered. */
  failed(problem: string): void {
    this.#problem = problem;
  }

  /** What it has counted, as a plain object, which `JSON.stringify` and Node's `console.log` show. */
  toJSON(): {
    samples: number;
    counts: readonly number[];
    meanRelativeCost: number;
    stayed: number;
    asked: number;
    unanswered: number;
    bytesSent: number;
    bytesReceived: number;
    clientMs: MeanAndP95;
    serverMs: MeanAndP95;
    problem: string | undefined;
    drift: Drift | undefined;
  } {
    const { samples, counts, meanRelativeCost, stayed, asked, unanswered } = this;
    const { bytesSent, bytesReceived, clientMs, serverMs, problem, drift } = this;
    return {
      ...{ samples, counts, meanRelativeCost, stayed, asked, unanswered },
      ...{ bytesSent, bytesReceived, clientMs, serverMs, problem, drift },
    };
  }

  /** Starts again from nothing. */
  reset(): void {
    this.#exits.reset();
    this.#judged.reset();
    this.#owed.fill(0);
    this.#asked = 0;
    this.#unanswered = 0;
    this.#rejected = 0;
    this.#bytesSent = 0;
    this.#bytesReceived = 0;
    this.#clientTimes = [];
    this.#serverTimes = [];
    this.#problem = undefined;
  }
}

function keep(times: number[], milliseconds: number): void {
  times.push(milliseconds);
  if (times.length > TIMES) times.shift();
}

function overall(times: readonly number[]): MeanAndP95 {
  const sorted = [...times].sort((a, b) => a - b);
  const p95 = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN;
  return { mean: times.reduce((sum, ms) => sum + ms, 0) / times.length, p95 };
}
