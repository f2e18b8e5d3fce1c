/** What heads learn from: the frozen backbone's features, cached on disk where they fit, else recomputed for each batch. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset, Progress, View } from '../data/index.ts';
import type { SessionOptions } from '../ort.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { evict, spaceFor } from './cache-space.ts';
import { Extractor, type Slot, slotsOf } from './extractor.ts';
import { CachedSource, type FeatureSource, RecomputedSource } from './feature-source.ts';
import { exclusively } from './lock.ts';
import { CHUNK, RecordFile, writing } from './record-file.ts';

const VERSION = 1;
/** Both views of 50,000 pictures at the default taps of a ResNet-56 take 7.4 GB. */
const DEFAULT_LIMIT_BYTES = 8e9;

export const PLAIN: View = { mirror: false, dx: 0, dy: 0 };
export const MIRRORED: View = { mirror: true, dx: 0, dy: 0 };

export interface FeatureOptions {
  readonly typed: TypedModel;
  /** Identity of the model's bytes. */
  readonly modelHash: string;
  readonly heads: readonly Head[];
  readonly dataset: Dataset;
  /** Where features are kept; without it nothing is. */
  readonly cacheFolder?: string | undefined;
  /** 8 GB by default; never more than half of what the disk has left. */
  readonly cacheLimitBytes?: number | undefined;
  /** What to cache, most wanted first; `[PLAIN]` by default. Fewer are cached when they do not all fit. */
  readonly views?: readonly View[];
  /** Views to draw from when features are recomputed; `views` by default. */
  readonly freshViews?: readonly View[];
  /** float16 features, the default. */
  readonly half?: boolean;
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: Progress | undefined;
}

/** Every shift of up to `reach` pixels, plain and mirrored. */
export function cropViews(reach = 4): readonly View[] {
  const shifts = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  return [false, true].flatMap((mirror) => shifts.flatMap((dy) => shifts.map((dx) => ({ mirror, dx, dy }))));
}

/** Fills the cache (or takes it up where an interrupted run left it) and opens it, or opens the backbone. */
export async function openFeatures(options: FeatureOptions): Promise<FeatureSource> {
  const { typed, heads, dataset, views = [PLAIN], half = true, cacheFolder } = options;
  const slots = slotsOf(typed, heads, half);
  const perView = dataset.size * slots.reduce((sum, slot) => sum + slot.recordBytes, 0);
  if (cacheFolder !== undefined) {
    const folder = join(cacheFolder, 'features');
    await writing(folder, () => mkdir(folder, { recursive: true }));
    const paths = views.map((view) => slots.map((slot) => join(folder, keyOf(options, slot, view))));
    const limit = await spaceFor(folder, paths.flat(), options.cacheLimitBytes ?? DEFAULT_LIMIT_BYTES);
    const count = Math.min(views.length, Math.floor(limit / Math.max(1, perView)));
    if (count > 0) {
      await evict(folder, new Set(paths.slice(0, count).flat()), limit - count * perView);
      return await openCached(options, slots, views.slice(0, count), paths);
    }
  }
  const fresh = options.freshViews ?? views;
  return new RecomputedSource(
    facts(options),
    slots,
    fresh,
    await Extractor.open(typed, dataset, slots, session(options)),
  );
}

const facts = ({ dataset, typed, half = true }: FeatureOptions) => ({
  size: dataset.size,
  labels: dataset.labels,
  classes: typed.classes,
  half,
});

const session = (options: FeatureOptions): SessionOptions => options.session ?? {};

function keyOf({ modelHash, dataset, typed }: FeatureOptions, slot: Slot, view: View): string {
  const { value, as, stem } = slot.request;
  const stems = stem?.nodes.map((n) => n.opType) ?? [];
  const input = [dataset.hash, dataset.inputs, dataset.preprocessing, view];
  const key = JSON.stringify([
    VERSION,
    modelHash,
    typed.batch,
    value,
    stems,
    as,
    slot.dims,
    dataset.size,
    ...input,
  ]);
  return createHash('sha256').update(key).digest('hex').slice(0, 40);
}

async function openCached(
  options: FeatureOptions,
  slots: readonly Slot[],
  views: readonly View[],
  paths: readonly (readonly string[])[],
): Promise<FeatureSource> {
  const { size } = options.dataset;
  for (const [v, view] of views.entries()) {
    await exclusively(paths[v]!, options.signal, async () => {
      const files: RecordFile[] = [];
      try {
        for (const [s, slot] of slots.entries())
          files.push(await RecordFile.open(paths[v]![s]!, slot.recordBytes, size));
        await fill(options, slots, files, view, (done) =>
          options.onProgress?.(v * size + done, views.length * size),
        );
      } finally {
        await Promise.all(files.map((file) => file.close()));
      }
    });
  }
  return new CachedSource({ facts: facts(options), slots, views, paths: paths.slice(0, views.length) });
}

/** Runs the backbone over what `files` lack. */
async function fill(
  options: FeatureOptions,
  slots: readonly Slot[],
  files: readonly RecordFile[],
  view: View,
  onProgress: (done: number) => void,
): Promise<void> {
  const { dataset, typed, signal } = options;
  const pending = files.flatMap((file, i) => (file.done < file.size ? [{ file, slot: slots[i]! }] : []));
  if (pending.length > 0) {
    const start = Math.min(...pending.map(({ file }) => file.done));
    for (const { file } of pending) file.rewind(start);
    const wanted = pending.map(({ slot }) => slot);
    const extractor = await Extractor.open(typed, dataset, wanted, session(options));
    try {
      for (let first = start; first < dataset.size; first += CHUNK) {
        const indices = Int32Array.from(
          { length: Math.min(CHUNK, dataset.size - first) },
          (_, i) => first + i,
        );
        await extractor.run(indices, view, async (_, records) => {
          signal?.throwIfAborted();
          for (const [i, { file }] of pending.entries()) await file.append(records[i]!);
        });
        onProgress(first + indices.length);
      }
    } finally {
      await extractor.close();
    }
  }
  onProgress(dataset.size);
}
