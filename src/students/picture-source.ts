/** What a student learns from: samples as it reads them, in any of many views, beside the original's answers. */

import { type Dataset, PLAIN_VIEW, type Progress, type View } from '../data/index.ts';
import type { Events } from '../errors/events.ts';
import type { SessionOptions } from '../ort/session.ts';
import { feedsOf } from '../ort/tensors.ts';
import type { TypedModel } from '../passes/exits.ts';
import type { FeatureBatch, FeatureSource } from '../train/feature-source.ts';
import { MIRRORED, openFeatures } from '../train/features.ts';

export const TEACHERS = ['cached', 'fresh'] as const;
/** `cached`: what the original says of the plain and of the mirrored sample stands for all shifts of it. `fresh`: it is asked about every view anew. */
export type TeacherMode = (typeof TEACHERS)[number];

/** The original, from whose answers a student learns. */
export interface Teacher {
  readonly typed: TypedModel;
  /** Identity of the model's bytes. */
  readonly modelHash: string;
}

export interface PictureOptions {
  readonly teacher: Teacher;
  readonly mode: TeacherMode;
  readonly dataset: Dataset;
  /** Those that are drawn from. */
  readonly views: readonly View[];
  /** Of the caches; without it the original is asked anew. */
  readonly cacheFolder?: string | undefined;
  readonly cacheLimitBytes?: number | undefined;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Events['onNote'];
  readonly onProgress?: Progress | undefined;
}

/** The views of `views` that the original's answers are cached of: plain, mirrored, or both. */
export const plainOf = (views: readonly View[]): View[] =>
  [PLAIN_VIEW, MIRRORED].filter(({ mirror }) => views.some((view) => view.mirror === mirror));

/** Asks the original about every sample, where that is to be cached and is not, and opens both. `disk-full` as `openFeatures`. */
export async function openPictures(options: PictureOptions): Promise<PictureSource> {
  const { teacher, mode, dataset, views, cacheFolder, session, signal, onNote, onProgress } = options;
  const isFresh = mode === 'fresh' || cacheFolder === undefined;
  const answers = await openFeatures({
    ...teacher,
    heads: [],
    dataset,
    half: false,
    views: isFresh ? views : plainOf(views),
    ...(!isFresh && { cacheFolder }),
    cacheLimitBytes: options.cacheLimitBytes,
    session,
    signal,
    onNote,
    onProgress,
  });
  return new PictureSource(dataset, answers, views);
}

/** Features of a batch are the original's inputs, by name. */
export class PictureSource implements FeatureSource {
  readonly size: number;
  readonly labels: Int32Array;
  readonly classes: number;
  readonly half = false;
  readonly storage: FeatureSource['storage'];
  /** Which view of the answers stands for each of `views`. */
  private readonly answered: readonly number[];
  private rows: { readonly n: number; readonly data?: Float32Array } = { n: 0 };

  constructor(
    private readonly dataset: Dataset,
    private readonly answers: FeatureSource,
    readonly views: readonly View[],
  ) {
    this.size = dataset.size;
    this.labels = dataset.labels;
    this.classes = answers.classes;
    this.storage = answers.storage;
    const kept = answers.views;
    this.answered = views.map((view, i) =>
      kept.length === views.length
        ? i
        : Math.max(
            0,
            kept.findIndex(({ mirror }) => mirror === view.mirror),
          ),
    );
  }

  async read(
    indices: ArrayLike<number>,
    views: ArrayLike<number> = new Uint8Array(indices.length),
  ): Promise<FeatureBatch> {
    const n = indices.length;
    const seen = Array.from(views, (v) => this.views[v]!);
    const reused = this.rows.n === n ? this.rows.data : undefined;
    this.rows = { n, data: await this.dataset.read(indices, seen, reused) };
    const { logits } = await this.answers.read(
      indices,
      Uint32Array.from(views, (v) => this.answered[v]!),
    );
    return { features: feedsOf(this.dataset.inputs, this.rows.data!, n), logits };
  }

  async close(): Promise<void> {
    await this.answers.close();
  }
}
