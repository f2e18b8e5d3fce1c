/** Wall-clock latency of several ways to answer the same samples, measured in turn. */
import type { Dataset } from './data/index.ts';
import type { Model } from './graph/types.ts';
import { type Feeds, type Session, type SessionOptions, withSession } from './ort.ts';
import { sampleFeeds, thresholdsFeed } from './run-emitted.ts';

export interface Contestant {
  readonly name: string;
  readonly session: Session;
  /** Added to every sample's feeds, e.g. the thresholds. */
  readonly extra: Feeds;
  /** Fed instead of the samples, where it takes them in another form: as many as there are samples. */
  readonly samples?: readonly Feeds[];
  /** Outputs asked for; all when left out. Each costs onnxruntime-node 10 to 20 µs. */
  readonly fetches?: readonly string[];
}

export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly mean: number;
}

export interface LatencyOptions {
  readonly warmup: number;
  /** Passes over `samples`; a sample's latency is its least over the passes, so that the machine's hiccups drop out. */
  readonly passes: number;
  /** Untimed runs of a contestant before each timed one, which chase what the others left out of the caches; 0 by default. */
  readonly settle?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Milliseconds a run of each contestant over `samples`, which take turns sample by sample: what disturbs the machine
 * disturbs all of them alike. Sessions must have spinning off.
 */
export async function measureLatency(
  contestants: readonly Contestant[],
  samples: readonly Feeds[],
  options: LatencyOptions,
): Promise<ReadonlyMap<string, Latency>> {
  const least = new Map(
    contestants.map((c) => [c.name, new Float64Array(samples.length).fill(Number.POSITIVE_INFINITY)]),
  );
  for (let i = 0; i < options.warmup; i++) {
    for (const c of contestants)
      await c.session.run({ ...(c.samples ?? samples)[i % samples.length]!, ...c.extra });
  }
  for (let pass = 0; pass < options.passes; pass++) {
    for (let i = 0; i < samples.length; i++) {
      options.signal?.throwIfAborted();
      for (const c of contestants) {
        const feeds = { ...(c.samples ?? samples)[i]!, ...c.extra };
        for (let n = 0; n < (options.settle ?? 0); n++) await c.session.run(feeds, c.fetches);
        const start = performance.now();
        await c.session.run(feeds, c.fetches);
        const times = least.get(c.name)!;
        times[i] = Math.min(times[i]!, performance.now() - start);
      }
      options.onProgress?.(pass * samples.length + i + 1, options.passes * samples.length);
    }
  }
  return new Map([...least].map(([name, times]) => [name, summarize(times)]));
}

export function summarize(times: Float64Array): Latency {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { p50: at(0.5), p95: at(0.95), mean: sorted.reduce((a, b) => a + b, 0) / sorted.length };
}

export interface Race {
  readonly model: Uint8Array;
  readonly original: Model;
  readonly dataset: Dataset;
  readonly points: readonly { readonly name: string; readonly thresholds: readonly number[] }[];
  /** Thresholds are built into the model: all points are that one. */
  readonly baked: boolean;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** How operating points are timed: single samples, spread over the data. */
export const RACE = { batch: 1, warmup: 20, samples: 100, passes: 3 } as const;
export const BASELINE = 'baseline';

/** `most` samples of `dataset` or all there are, evenly spread over it, each a run's feeds. */
export async function spreadSamples(dataset: Dataset, most: number): Promise<Feeds[]> {
  const count = Math.min(most, dataset.size);
  const picks = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count));
  return Promise.all(picks.map((i) => sampleFeeds(dataset, [i])));
}

/** Latency of the original (`baseline`) and of every operating point on samples of `dataset`, one at a time. */
export async function raceOriginal(race: Race): Promise<ReadonlyMap<string, Latency>> {
  const samples = await spreadSamples(race.dataset, RACE.samples);
  return await withSession(race.original, race.session, (original) =>
    withSession(race.model, race.session, (session) => {
      const points = race.points.map(({ name, thresholds }) => {
        return { name, session, extra: thresholdsFeed(race.baked ? undefined : thresholds) };
      });
      const contestants = [{ name: BASELINE, session: original, extra: {} }, ...points];
      return measureLatency(contestants, samples, {
        ...RACE,
        signal: race.signal,
        onProgress: race.onProgress,
      });
    }),
  );
}
