/** Client and server against the whole model, on the same samples, before anything is written. */
import type { Dataset } from '../../data/index.ts';
import { answersIn, findDifference, noiseFeeds, type RunAnswers } from '../../emit/check-baked.ts';
import type { Manifest, OperatingPoint } from '../../emit/manifest.ts';
import { clientDiffers, notPixels } from '../../errors/index.ts';
import { Random } from '../../graph/random.ts';
import { relativeGap } from '../../ort/gap.ts';
import { type Feeds, type Session, Tensor } from '../../ort/session.ts';
import { THRESHOLDS } from '../../passes/lower-exits.ts';
import { sampleFeeds, thresholdsFeed } from '../../predict/run-emitted.ts';
import type { Pixels } from './parts.ts';
import { runSplit, type Samples, type Stage } from './run.ts';

/** What is compared. */
export interface Sides {
  readonly manifest: Manifest;
  /** The package's own model, or one with the thresholds of the point built in. */
  readonly whole: Session;
  readonly client: Stage | undefined;
}

/** One way to serve what the client does not answer, at `points`. */
export interface Served {
  readonly points: readonly OperatingPoint[];
  /** In one part, or in several. */
  readonly stages: readonly Stage[];
}

export interface SplitAgreement {
  readonly answers: number;
  /** Largest difference of a score, as a share of the largest one beside it. */
  readonly deviation: number;
}

const BATCHES = [1, 2, 7] as const;

/**
 * Gives every one of `samples` to both, at every point, and once more with all exits of the client closed, so that all of them go to the server.
 * Throws `emitted-model-differs` where a sample leaves at another exit or has other scores; ties at a threshold, and the last bits of scores, do not count.
 */
export async function checkSplit(
  sides: Sides,
  { points, stages }: Served,
  samples: readonly Samples[],
  cut: number,
  signal?: AbortSignal,
): Promise<SplitAgreement> {
  const { manifest, client } = sides;
  let answers = 0;
  let deviation = 0;
  for (const point of points)
    for (const thresholds of [point.thresholds, ...(cut > 0 ? [withClientClosed(point, cut)] : [])])
      for (const some of samples) {
        signal?.throwIfAborted();
        const own = await runSplit(some, client, stages, thresholds, manifest);
        const whole = await runWhole(sides, some.feeds, thresholds);
        const found = findDifference(own, whole, manifest, { ...point, thresholds });
        if (found)
          throw clientDiffers(
            point.name,
            found.scores
              ? `a sample that leaves at exit ${found.wanted} has other scores`
              : `a sample leaves at exit ${found.exit}, else at ${found.wanted}`,
          );
        answers += some.count;
        if (own.exits.every((exit, i) => exit === whole.exits[i]))
          deviation = Math.max(deviation, relativeGap(whole.scores, own.scores));
      }
  return { answers, deviation };
}

export async function runWhole(
  { whole, manifest }: Sides,
  feeds: Feeds,
  thresholds: readonly number[],
): Promise<RunAnswers> {
  const isBaked = !whole.inputMetadata.some(({ name }) => name === THRESHOLDS);
  return answersIn(await whole.run({ ...feeds, ...(isBaked ? {} : thresholdsFeed(thresholds)) }), manifest);
}

export const withClientClosed = ({ thresholds }: OperatingPoint, cut: number): number[] =>
  thresholds.map((threshold, k) => (k < cut ? 1 : threshold));

/** Noise in the batches that are checked: of what travels as pixels, pixels. */
export function noiseSamples(manifest: Manifest, pixels: Pixels | undefined): Samples[] {
  const batches = manifest.batch === 'fixed' ? [1] : BATCHES;
  return batches.map((count) => {
    const feeds = noiseFeeds(manifest, count);
    if (!pixels) return { count, feeds, sent: feeds };
    const { dims } = feeds[pixels.input]!;
    const random = new Random(count, 'pixels');
    const bytes = Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () =>
      Math.floor(256 * random.uniform()),
    );
    const sent = new Tensor('uint8', bytes, dims);
    const floats = new Tensor('float32', numbersOf(bytes, dims, pixels), dims);
    return {
      count,
      feeds: { ...feeds, [pixels.input]: floats },
      sent: { ...feeds, [pixels.input]: sent },
    };
  });
}

/** What is fed for pixels `bytes` of `dims`. */
function numbersOf(bytes: Uint8Array, dims: readonly number[], pixels: Pixels): Float32Array {
  const channelOf = channels(dims, pixels);
  return Float32Array.from(bytes, (pixel, at) => pixels.tables[channelOf(at)]![pixel]!);
}

/** The channel of the element at a place. */
function channels(dims: readonly number[], { tables, layout }: Pixels): (at: number) => number {
  if (tables.length === 1) return () => 0;
  const inner = layout === 'NHWC' ? 1 : dims.slice(2).reduce((a, b) => a * b, 1);
  return (at) => Math.floor(at / inner) % tables.length;
}

/** `indices` of `dataset`. Throws `cannot-split` where pixels are to travel and a number is none. */
export async function samplesOf(
  dataset: Dataset,
  indices: readonly number[],
  pixels: Pixels | undefined,
): Promise<Samples> {
  const feeds = await sampleFeeds(dataset, indices);
  const count = indices.length;
  if (!pixels) return { count, feeds, sent: feeds };
  const { data, dims } = feeds[pixels.input]!;
  const channelOf = channels(dims, pixels);
  const known = pixels.tables.map((table) => new Map(Array.from(table, (value, pixel) => [value, pixel])));
  const bytes = Uint8Array.from(data as Float32Array, (value, at) => {
    const pixel = known[channelOf(at)]!.get(value);
    if (pixel === undefined) throw notPixels(dataset.path, value);
    return pixel;
  });
  return { count, feeds, sent: { ...feeds, [pixels.input]: new Tensor('uint8', bytes, dims) } };
}

/** The first samples of `dataset` in the batches that are checked, `atMost` of them. */
export async function batchesOf(
  dataset: Dataset,
  { batch }: Manifest,
  pixels: Pixels | undefined,
  atMost: number,
): Promise<Samples[]> {
  const sizes = batch === 'fixed' ? [1] : BATCHES;
  const found: Samples[] = [];
  for (let at = 0, turn = 0; at < Math.min(atMost, dataset.size); turn++) {
    const size = Math.min(sizes[turn % sizes.length]!, dataset.size - at);
    const indices = Array.from({ length: size }, (_, i) => at + i);
    found.push(await samplesOf(dataset, indices, pixels));
    at += size;
  }
  return found;
}
