/** Costs of segments and heads in milliseconds on this machine, measured on the emitted model. */
import { CLOSED, type CostModel } from '../calibrate/index.ts';
import type { Dataset } from '../data/index.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { HIGHEST_OPEN } from '../policies/index.ts';
import {
  type BenchmarkCandidate,
  type LatencyOptions,
  measureLatency,
  spreadSamples,
} from './measure-latency.ts';
import { thresholdsFeed } from './run-emitted.ts';

export interface TimeCosts {
  /** Shares of `exactMs`. */
  readonly costs: CostModel;
  /** Mean over samples of the least milliseconds of each when every exit is closed. */
  readonly exactMs: number;
}

export interface TimeOptions {
  /** With thresholds as an input. */
  readonly model: Uint8Array;
  readonly exits: number;
  readonly dataset: Dataset;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

const TIMING = { samples: 40, warmup: 10, passes: 5 } as const;
/** A threshold that every score exceeds. */
const BELOW_ALL_SCORES = -1;

/**
 * Times, one sample at a time, leaving at each exit with every exit before it closed and with every one open, and never leaving. A head's
 * time is what opening it adds.
 */
export async function timeCosts(options: TimeOptions): Promise<TimeCosts> {
  const { model, exits, dataset } = options;
  const samples = await spreadSamples(dataset, TIMING.samples);
  const thresholds = (before: number, at: number) =>
    Array.from({ length: exits }, (_, k) => (k < at ? before : k === at ? BELOW_ALL_SCORES : CLOSED));
  const timing: LatencyOptions = { ...TIMING, signal: options.signal, onProgress: options.onProgress };
  const times = await withSession(model, options.session, (session) => {
    const candidates: BenchmarkCandidate[] = Array.from({ length: exits + 1 }, (_, k) => k).flatMap((k) => [
      { name: `alone ${k}`, session, extra: thresholdsFeed(thresholds(CLOSED, k)) },
      { name: `open ${k}`, session, extra: thresholdsFeed(thresholds(HIGHEST_OPEN, k)) },
    ]);
    return measureLatency(candidates, samples, timing);
  });
  const alone = Array.from({ length: exits + 1 }, (_, k) => times.get(`alone ${k}`)!.mean);
  const open = Array.from({ length: exits + 1 }, (_, k) => times.get(`open ${k}`)!.mean);
  const costs = costsOfTimes(alone, open);
  return { costs, exactMs: alone.at(-1)! };
}

/**
 * `alone` and `open` [exits + 1]: milliseconds of leaving at exit k, never leaving last, with the exits before closed or open. The heads
 * before k take `open[k] - alone[k]` together; what is left of `alone[k]` is the way to its tap. Nothing is less than 0, and
 * no tap nearer than the one before.
 */
export function costsOfTimes(alone: readonly number[], open: readonly number[]): CostModel {
  const exact = alone.at(-1)!;
  const before = open.map((time, k) => Math.max(0, time - alone[k]!));
  const head = alone.slice(0, -1).map((_, k) => Math.max(0, before[k + 1]! - before[k]!) / exact);
  let reached = 0;
  const prefix = head.map((share, k) => {
    reached = Math.min(1, Math.max(reached, alone[k]! / exact - share));
    return reached;
  });
  return { prefix, head };
}
