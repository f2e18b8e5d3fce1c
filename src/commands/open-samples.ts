/** Samples for a model that was compiled before: read as its compile read them. */
import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { type Dataset, type InputSpec, openDataset, type Preprocessing } from '../data/index.ts';
import { UNLABELLED } from '../data/splits.ts';
import { tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { DataSplit, Manifest } from '../emit/manifest.ts';
import { type Events, progressOf } from '../errors/events.ts';

export interface SamplesAgainOptions {
  /** What `compile` wrote. */
  readonly folder: string;
  readonly skipBad?: boolean;
  /** `none`: the original's own answers are the labels; so too when compile had none. */
  readonly labels?: 'none';
  /** A tokenizer.json, where data are text; the package's own by default. */
  readonly tokenizer?: string;
  readonly cache?: string;
}

/** Whether the original's answers stand in for labels, in the figures of `manifest` or by `labels`. */
export const isUnlabelled = (
  { data, measuredOn }: Manifest,
  { labels }: Pick<SamplesAgainOptions, 'labels'>,
): boolean => labels === UNLABELLED || data[measuredOn]?.labels === 'original';

/** Opens the samples at `path`. Throws what reading data throws. */
export const openSamples = (
  path: string,
  split: DataSplit,
  manifest: Manifest,
  options: SamplesAgainOptions,
  events: Events,
): Promise<Dataset> =>
  openDataset(path, {
    inputs: inputsIn(manifest),
    preprocessing: manifest.preprocessing as Preprocessing,
    cache: options.cache ?? defaultCache(),
    classes: manifest.classes,
    skipBad: options.skipBad,
    labels: isUnlabelled(manifest, options) ? UNLABELLED : manifest.labels,
    labelsFrom: join(options.folder, 'manifest.json'),
    tokenizer: tokenizerFor(options.folder, manifest, options.tokenizer),
    split,
    signal: events.signal,
    onProgress: progressOf(events)(`decoding ${split}`),
  });

/** What samples of a compiled model consist of. */
export const inputsIn = ({ inputs }: Manifest): InputSpec[] =>
  inputs.map(({ name, dataType, dims }) => ({ name, dataType, dims: dims.slice(1) as number[] }));
