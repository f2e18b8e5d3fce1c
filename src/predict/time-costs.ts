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
  /** Costs in MACs: which exits there are, and in which networks. */
  readonly costs: CostModel;
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
  const { model, dataset } = options;
  const exits = options.costs.exits.length;
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
  return { costs: costsOfTimes(alone, open, options.costs), exactMs: alone.at(-1)! };
}

/**
 * `alone` and `open` [exits + 1]: milliseconds of leaving at exit k, never leaving last, with the exits before closed or open. What comes
 * before exit k, earlier networks and heads, takes `open[k] - alone[k]` together. Opening an exit adds its head to the exits after it in its
 * network; what is left of `alone[k]` is the way to its tap. The last exit of a network before the original adds way and head alike to all
 * that follows, and one is never paid without the other: both count as way. Nothing is less than 0, and no tap nearer than the one before it
 * in its network. The last parameter: the networks, and which exits are in them.
 */
export function costsOfTimes(
  alone: readonly number[],
  open: readonly number[],
  { exits, networks }: CostModel,
): CostModel {
  const exact = alone.at(-1)!;
  const before = open.map((time, k) => Math.max(0, time - alone[k]!));
  const reached = networks.map(() => 0);
  const timed = exits.map(({ network }, k) => {
    const isOriginal = network === networks.length - 1;
    const isLast = !isOriginal && exits[k + 1]?.network !== network;
    const head = isLast ? 0 : Math.max(0, before[k + 1]! - before[k]!) / exact;
    const way = Math.max(reached[network]!, alone[k]! / exact - head);
    const prefix = isOriginal ? Math.min(1, way) : way;
    reached[network] = prefix;
    return { network, prefix, head };
  });
  return { exits: timed, networks: [...reached.slice(0, -1), 1] };
}
