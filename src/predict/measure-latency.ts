/** Wall-clock latency of several models on the same samples, measured in turn. */
import type { Dataset } from '../data/index.ts';
import type { Model } from '../graph/types.ts';
import { type Feeds, type Session, type SessionOptions, withSession } from '../ort/session.ts';
import { sampleFeeds, thresholdsFeed } from './run-emitted.ts';

export interface BenchmarkCandidate {
  readonly name: string;
  readonly session: Session;
  /** Added to every sample's feeds, e.g. the thresholds. */
  readonly extra: Feeds;
  /** Fed instead of the samples, where it takes them in another form: as many as there are samples. */
  readonly samples?: readonly Feeds[];
  /** Outputs asked for; all when left out. Each costs onnxruntime-node 10 to 20 µs. */
  readonly fetches?: readonly string[];
}

/** Milliseconds a run. */
export interface Latency {
  /** Timed runs: samples times passes. */
  readonly runs: number;
  /** Median of all of them. */
  readonly p50: number;
  /** 95th percentile of all of them. */
  readonly p95: number;
  /** [samples]: the least of each sample's runs, so that disturbances of the machine drop out. */
  readonly least: Float64Array;
  /** Mean of `least`. */
  readonly mean: number;
}

export interface LatencyOptions {
  readonly warmup: number;
  /** Passes over `samples`: timed runs of each. */
  readonly passes: number;
  /** Untimed runs before a timed one where another session ran last, which fill the CPU caches again; 0 by default. */
  readonly settle?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Milliseconds per run of each candidate over `samples`. Candidates take turns sample by sample, so that disturbances of the machine
 * affect all of them alike. Sessions must have spinning off.
 */
export async function measureLatency(
  candidates: readonly BenchmarkCandidate[],
  samples: readonly Feeds[],
  options: LatencyOptions,
): Promise<ReadonlyMap<string, Latency>> {
  const { passes } = options;
  const times = new Map(candidates.map((c) => [c.name, new Float64Array(samples.length * passes)]));
  for (let i = 0; i < options.warmup; i++) {
    for (const c of candidates)
      await c.session.run({ ...(c.samples ?? samples)[i % samples.length]!, ...c.extra });
  }
  let last: Session | undefined;
  for (let pass = 0; pass < passes; pass++) {
    for (let i = 0; i < samples.length; i++) {
      options.signal?.throwIfAborted();
      for (const c of candidates) {
        const feeds = { ...(c.samples ?? samples)[i]!, ...c.extra };
        const settling = c.session === last ? 0 : (options.settle ?? 0);
        for (let n = 0; n < settling; n++) await c.session.run(feeds, c.fetches);
        last = c.session;
        const start = performance.now();
        await c.session.run(feeds, c.fetches);
        times.get(c.name)![pass * samples.length + i] = performance.now() - start;
      }
      options.onProgress?.(pass * samples.length + i + 1, passes * samples.length);
    }
  }
  return new Map([...times].map(([name, all]) => [name, summarize(all, samples.length)]));
}

/** Of `times` [passes, samples]. */
export function summarize(times: Float64Array, samples: number): Latency {
  const least = Float64Array.from(times.subarray(0, samples));
  for (const [i, time] of times.entries()) least[i % samples] = Math.min(least[i % samples]!, time);
  return {
    runs: times.length,
    p50: quantile(times, 0.5),
    p95: quantile(times, 0.95),
    least,
    mean: least.reduce((a, b) => a + b, 0) / samples,
  };
}

/** The least of `values` that `share` of them do not exceed. */
export function quantile(values: Float64Array, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

export interface Benchmark {
  readonly model: Uint8Array;
  readonly original: Model;
  readonly dataset: Dataset;
  /** Those that the model can be run at: of a model with thresholds built in, the one that they are. */
  readonly points: readonly { readonly name: string; readonly thresholds: readonly number[] }[];
  readonly baked: boolean;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * How models are timed against each other: single samples, spread over the data. One untimed run precedes each change of session: the points of
 * the compiled model share a session, so that without it the original alone would always start with cold caches.
 */
export const BENCHMARK = { batch: 1, warmup: 20, samples: 100, passes: 3, settle: 1 } as const;
export const BASELINE = 'baseline';

/** `most` samples of `dataset` or all there are, evenly spread over it, each a run's feeds. */
export async function spreadSamples(dataset: Dataset, most: number): Promise<Feeds[]> {
  const count = Math.min(most, dataset.size);
  const picks = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count));
  return Promise.all(picks.map((i) => sampleFeeds(dataset, [i])));
}

/** Latency of the original (`baseline`) and of every operating point on samples of `dataset`, one at a time. */
export async function benchmarkEmitted(benchmark: Benchmark): Promise<ReadonlyMap<string, Latency>> {
  const samples = await spreadSamples(benchmark.dataset, BENCHMARK.samples);
  return await withSession(benchmark.original, benchmark.session, (original) =>
    withSession(benchmark.model, benchmark.session, (session) => {
      const points = benchmark.points.map(({ name, thresholds }) => {
        return { name, session, extra: thresholdsFeed(benchmark.baked ? undefined : thresholds) };
      });
      const candidates = [{ name: BASELINE, session: original, extra: {} }, ...points];
      return measureLatency(candidates, samples, {
        ...BENCHMARK,
        signal: benchmark.signal,
        onProgress: benchmark.onProgress,
      });
    }),
  );
}
