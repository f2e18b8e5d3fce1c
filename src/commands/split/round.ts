/** Features that travel in 8 or 16 bits: the scales of each channel, and what rounding changes. */
import type { Dataset } from '../../data/index.ts';
import type { Manifest, OperatingPoint, SplitLoss, SplitLossAt } from '../../emit/manifest.ts';
import { type Events, progressOf } from '../../errors/events.ts';
import { elementCount } from '../../graph/tensor.ts';
import { withSession } from '../../ort/session.ts';
import { floatsOf } from '../../ort/tensors.ts';
import type { PartTensor } from '../../passes/lower-part.ts';
import { channelScales, type FeatureForm } from '../../passes/quantise-features.ts';
import { accuracyOf } from '../../predict/predict.ts';
import { classesIn, runScores, sampleFeeds, thresholdsFeed } from '../../predict/run-emitted.ts';
import { samplesOf } from './check.ts';
import type { PartFile, Splitting } from './parts.ts';
import type { Rest } from './rests.ts';
import { type Running, runSplit, withStages } from './run.ts';

/** Shares of a channel's values that its scale may cover; what is beyond is cut off. */
const COVERED = [1, 0.9999, 0.999, 0.99];
/** Of int8. */
const MOST = 127;
/** Values that are looked at, of all channels together. */
const MOST_VALUES = 2 ** 25;
const BATCH = 32;

/** How each feature travels, by its name. */
export type Forms = ReadonlyMap<string, FeatureForm>;

/** In 16 bits all of them do. */
export const inHalves = ({ gives }: Pick<PartFile, 'gives'>): Forms =>
  new Map(gives.map(({ name }) => [name, { bits: 16 }]));

/** In 8 bits, with scales fitted on samples of `dataset` that go on behind `client` at one of `points`; on all of them where none does. */
export async function fitScales(
  { manifest, cut }: Splitting,
  client: PartFile,
  points: readonly OperatingPoint[],
  dataset: Dataset,
  running: Running,
  events: Events,
): Promise<Forms> {
  const features = client.gives.filter(({ role, dataType }) => role === 'feature' && FLOATS.has(dataType));
  return await withStages([client], running, async ([stage]) => {
    const collect = async (thresholds: readonly number[]) => {
      const found = new Map(features.map(({ name }) => [name, [] as Float32Array[]]));
      let left = MOST_VALUES;
      for (let at = 0; at < dataset.size && left > 0; at += batchOf(manifest)) {
        events.signal?.throwIfAborted();
        const feeds = await sampleFeeds(dataset, indicesFrom(at, manifest, dataset));
        const outputs = await stage!.session.run({ ...feeds, ...thresholdsFeed(thresholds) });
        for (const { name } of features) {
          const own = floatsOf(outputs[name]!);
          found.get(name)!.push(own);
          left -= own.length;
        }
      }
      return new Map([...found].map(([name, pieces]) => [name, joined(pieces)]));
    };
    const goingMost = manifest.exits.map((_, k) =>
      k < cut ? Math.max(...points.map(({ thresholds }) => thresholds[k]!)) : 1,
    );
    const found = await collect(goingMost);
    const isAny = [...found.values()].some(({ length }) => length > 0);
    const values = isAny ? found : await collect(manifest.exits.map(() => 1));
    return new Map(
      features.map((tensor) => [
        tensor.name,
        { bits: 8, scales: scalesOf(tensor, values.get(tensor.name)!) },
      ]),
    );
  });
}

const FLOATS = new Set(['float', 'float16', 'double']);

function joined(pieces: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** The scale of each channel of `tensor`, whose `values` are [n, …]: of those that cover a share in COVERED the one that rounds with the least squared error. */
function scalesOf({ dims, channelAxis }: PartTensor, values: Float32Array): Float32Array {
  const sizes = dims.slice(1) as number[];
  const samples = values.length / elementCount(sizes);
  const [shape, axis] =
    channelAxis === undefined ? [[1, values.length], 0] : [[samples, ...sizes], channelAxis];
  const candidates = COVERED.map((kept) => channelScales(values, shape, axis, kept));
  const errors = candidates.map((scales) => errorsOf(values, scales, elementCount(shape.slice(axis + 1))));
  return candidates[0]!.map((_, c) => {
    const least = Math.min(...errors.map((own) => own[c]!));
    return candidates[errors.findIndex((own) => own[c] === least)]![c]!;
  });
}

/** [channels]: sum of the squared errors of `values`, rounded to steps of `scales`. `inner`: elements of one channel that lie side by side. */
function errorsOf(values: Float32Array, scales: Float32Array, inner: number): Float64Array {
  const errors = new Float64Array(scales.length);
  for (let i = 0; i < values.length; i++) {
    const c = Math.floor(i / inner) % scales.length;
    const steps = Math.max(-MOST, Math.min(MOST, Math.round(values[i]! / scales[c]!)));
    errors[c]! += (values[i]! - scales[c]! * steps) ** 2;
  }
  return errors;
}

/** Client and server with features as they are, and as they travel. */
export interface BothWays {
  readonly client: PartFile;
  readonly rests: readonly Rest[];
}

/** What rounding changes on `dataset`, at all points of the rests. `model`: the package's own, whose answers stand in for labels where there are none. */
export async function measureLoss(
  { manifest, pixels }: Splitting,
  exact: BothWays,
  rounded: BothWays,
  dataset: Dataset,
  model: string,
  running: Running,
  events: Events,
): Promise<SplitLoss> {
  const labels = dataset.unlabelled ? await answersOf(manifest, dataset, model, running) : dataset.labels;
  const progress = progressOf(events)('measuring the loss', 'points');
  const total = exact.rests.reduce((sum, { points }) => sum + points.length, 0);
  const found = new Map<string, SplitLossAt>();
  const measure = async (n: number) => {
    const files = [exact.client, rounded.client, exact.rests[n]!.file, rounded.rests[n]!.file];
    await withStages(files, running, async ([client, roundedClient, rest, roundedRest]) => {
      for (const { name, thresholds } of exact.rests[n]!.points) {
        const [whole, own] = [new Int32Array(dataset.size), new Int32Array(dataset.size)];
        for (let at = 0; at < dataset.size; at += batchOf(manifest)) {
          events.signal?.throwIfAborted();
          const some = await samplesOf(dataset, indicesFrom(at, manifest, dataset), pixels);
          const classes = async (from: typeof client, to: typeof rest) => {
            const { scores } = await runSplit(some, from, [to!], thresholds, manifest);
            return classesIn(scores, some.count, manifest.activation);
          };
          whole.set(await classes(client, rest), at);
          own.set(await classes(roundedClient, roundedRest), at);
        }
        found.set(name, {
          accuracy: accuracyOf(own, labels),
          accuracyWhole: accuracyOf(whole, labels),
          changed: 1 - accuracyOf(own, whole),
        });
        progress(found.size, total);
      }
    });
  };
  for (const n of exact.rests.keys()) await measure(n);
  return {
    samples: dataset.size,
    changed: Math.max(...[...found.values()].map(({ changed }) => changed)),
    points: Object.fromEntries(found),
  };
}

const batchOf = ({ batch }: Manifest) => (batch === 'fixed' ? 1 : BATCH);

const indicesFrom = (at: number, manifest: Manifest, { size }: Dataset): number[] =>
  Array.from({ length: Math.min(batchOf(manifest), size - at) }, (_, i) => at + i);

/** [samples]: what the original answers, every exit closed. */
async function answersOf(
  manifest: Manifest,
  dataset: Dataset,
  model: string,
  { session }: Running,
): Promise<Int32Array> {
  const scores = await withSession(model, session, (opened) =>
    runScores({
      session: opened,
      dataset,
      output: manifest.outputs.scores,
      thresholds: manifest.exits.map(() => 1),
      batch: batchOf(manifest),
    }),
  );
  return classesIn(scores, dataset.size, manifest.activation);
}
