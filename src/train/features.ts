/** Features of the frozen backbone, for training heads: cached on disk where they fit, else recomputed for each batch. */
import { join } from 'node:path';
import { makeFolder, writing } from '../cache/files.ts';
import { exclusively } from '../cache/lock.ts';
import { CHUNK, RecordFile } from '../cache/record-file.ts';
import { holdRoom } from '../cache/space.ts';
import { type Dataset, PLAIN_VIEW, type Progress, type View } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import type { SessionOptions } from '../ort/session.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { Extractor, type Slot, slotsOf } from './extractor.ts';
import { type FeatureIdentity, identityOf, keyOf } from './feature-identity.ts';
import { CachedSource, type FeatureSource, RecomputedSource } from './feature-source.ts';

/** Both views of 50,000 images at the default taps of a ResNet-56 take 7.4 GB. */
export const DEFAULT_LIMIT_BYTES = 8e9;

export const MIRRORED: View = { mirror: true, dx: 0, dy: 0 };

export interface FeatureOptions {
  readonly typed: TypedModel;
  /** Identity of the model's bytes. */
  readonly modelHash: string;
  readonly heads: readonly Head[];
  readonly dataset: Dataset;
  /** Where features are kept; without it nothing is. */
  readonly cacheFolder?: string | undefined;
  /** Most that all cached features may take, 8 GB by default; an input, on which the numbers may depend. */
  readonly cacheLimitBytes?: number | undefined;
  /** What to cache, most wanted first; `[PLAIN_VIEW]` by default. Fewer are cached when they do not all fit. */
  readonly views?: readonly View[];
  /** Views to draw from when features are recomputed; `views` by default. */
  readonly freshViews?: readonly View[];
  /** float16 features, the default. */
  readonly half?: boolean;
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
  readonly onProgress?: Progress | undefined;
}

/** Every shift of up to `reach` pixels, plain and mirrored. */
export function cropViews(reach = 4): readonly View[] {
  const shifts = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  return [false, true].flatMap((mirror) => shifts.flatMap((dy) => shifts.map((dx) => ({ mirror, dx, dy }))));
}

/** `options` with everything that follows from them. */
export interface FeaturePlan extends FeatureOptions {
  readonly slots: readonly Slot[];
  readonly views: readonly View[];
  readonly identity: FeatureIdentity;
}

export function planFeatures(options: FeatureOptions): FeaturePlan {
  const { typed, heads, views = [PLAIN_VIEW], half = true, session } = options;
  const slots = slotsOf(typed, heads, half);
  const identity = identityOf({ ...options, views, slots, provider: session?.provider });
  return { ...options, views, slots, identity };
}

/** Where each feature is in `folder`, [views][slots]. */
export const pathsIn = (folder: string, { identity, views }: FeaturePlan): string[][] =>
  views.map((view) => identity.features.map((feature) => join(folder, keyOf(identity, feature, view))));

/**
 * Fills the cache (or takes it up where an interrupted run left it) and opens it, or opens the backbone. Which of the two, and with how many
 * views, depends on the limit alone, so that numbers do not depend on what else is on the disk. Throws `disk-full` where that has no room.
 */
export async function openFeatures(options: FeatureOptions): Promise<FeatureSource> {
  const plan = planFeatures(options);
  const { typed, dataset, cacheFolder, slots, views } = plan;
  const perView = dataset.size * slots.reduce((sum, slot) => sum + slot.recordBytes, 0);
  const limit = options.cacheLimitBytes ?? DEFAULT_LIMIT_BYTES;
  const count = Math.min(views.length, Math.floor(limit / Math.max(1, perView)));
  if (cacheFolder === undefined || count === 0) {
    const extractor = await Extractor.open(typed, dataset, slots, session(plan));
    return new RecomputedSource(facts(plan), slots, options.freshViews ?? views, extractor);
  }
  const folder = join(cacheFolder, 'features');
  await writing(folder, () => makeFolder(folder));
  const kept = pathsIn(folder, plan).slice(0, count);
  const release = await holdRoom(folder, kept.flat(), { needed: count * perView, limit }, plan);
  try {
    await fillFiles(plan, kept, { first: 0, size: dataset.size });
    return openFilled(plan, kept, release);
  } catch (error) {
    await release();
    throw error;
  }
}

const facts = ({ dataset, typed, half = true }: FeatureOptions) => ({
  size: dataset.size,
  labels: dataset.labels,
  classes: typed.classes,
  half,
});

const session = (options: FeatureOptions): SessionOptions => options.session ?? {};

/** Complete files of all samples as a source; `paths` [views][slots] may be of fewer views than planned. `release` is called when it closes. */
export const openFilled = (
  plan: FeaturePlan,
  paths: readonly (readonly string[])[],
  release?: () => Promise<void>,
): FeatureSource =>
  new CachedSource(
    {
      facts: facts(plan),
      slots: plan.slots,
      views: plan.views.slice(0, paths.length),
      paths,
    },
    release,
  );

/** Some samples in a row. */
export interface SampleRange {
  /** A multiple of CHUNK, so that batches are the same whatever the range. */
  readonly first: number;
  readonly size: number;
}

/** Writes the features of samples `range` to `paths` [views][slots]; chunks that are there are kept. */
export async function fillFiles(
  plan: FeaturePlan,
  paths: readonly (readonly string[])[],
  range: SampleRange,
): Promise<void> {
  const { size } = range;
  for (const [v, own] of paths.entries()) {
    await exclusively(own, plan, async () => {
      const files: RecordFile[] = [];
      try {
        for (const [s, slot] of plan.slots.entries())
          files.push(await RecordFile.open(own[s]!, slot.recordBytes, size));
        await fill(plan, files, plan.views[v]!, range, (done) =>
          plan.onProgress?.(v * size + done, paths.length * size),
        );
      } finally {
        await Promise.all(files.map((file) => file.close()));
      }
    });
  }
}

/** Runs the backbone over the samples that `files`, one a slot, lack. */
async function fill(
  plan: FeaturePlan,
  files: readonly RecordFile[],
  view: View,
  range: SampleRange,
  onProgress: (done: number) => void,
): Promise<void> {
  const { dataset, typed, slots, signal } = plan;
  const pending = files.flatMap((file, i) => (file.done < file.size ? [{ file, slot: slots[i]! }] : []));
  if (pending.length > 0) {
    const start = Math.min(...pending.map(({ file }) => file.done));
    for (const { file } of pending) file.rewind(start);
    const wanted = pending.map(({ slot }) => slot);
    const extractor = await Extractor.open(typed, dataset, wanted, session(plan));
    try {
      for (let done = start; done < range.size; done += CHUNK) {
        const indices = Int32Array.from(
          { length: Math.min(CHUNK, range.size - done) },
          (_, i) => range.first + done + i,
        );
        await extractor.run(indices, view, async (_, records) => {
          signal?.throwIfAborted();
          for (const [i, { file }] of pending.entries()) await file.append(records[i]!);
        });
        onProgress(done + indices.length);
      }
    } finally {
      await extractor.close();
    }
  }
  onProgress(range.size);
}
