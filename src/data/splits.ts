/** The four data roles: train, validation, calibration, test. Opened from what the user gave, split from it where needed. */

import { emptyDataset, noSampleInput, optionText, trainingDataMissing } from '../errors/index.ts';
import type { TypedModel } from '../passes/exits.ts';
import {
  classesIn,
  type Dataset,
  type InputSpec,
  isRandom,
  type KnownClasses,
  type NamedClasses,
  namesIn,
  type OpenOptions,
  openDataset,
  partition,
  relabel,
  withoutCopies,
} from './index.ts';

export const SPLITS = ['train', 'validation', 'calibration', 'test'] as const;
export type Split = (typeof SPLITS)[number];

export interface SplitPaths {
  /** May be left out when nothing is trained. */
  readonly train?: string | undefined;
  readonly validation?: string;
  readonly calibration?: string;
  readonly test?: string;
}

/** How roles are opened. */
export interface OpeningOptions extends Omit<OpenOptions, 'onProgress' | 'role'> {
  /** Labels for a role that has none. */
  readonly answersOf: (dataset: Dataset) => Promise<Int32Array>;
}

export interface SplitData {
  readonly dataset: Dataset;
  /** Set when the role was not given as such: where its samples come from. */
  readonly from?: string;
  /** Samples that were left out because they are exact copies of others. */
  readonly copies?: number;
}

export interface Splits {
  /** Undefined when it was not given. */
  readonly train: SplitData | undefined;
  /** Undefined until it is known what it may be cut from. */
  readonly validation: SplitData | undefined;
  readonly calibration: SplitData;
  /** Undefined when nothing is left to report on: figures are then of the calibration role. */
  readonly test: SplitData | undefined;
  /** What labels go by; undefined where nothing names the classes. */
  readonly classes?: SettledClasses | undefined;
  close(): Promise<void>;
}

/** What a manifest says of the samples of a split. */
export interface DataSummary {
  readonly samples: number;
  /** Samples left out because they are exact copies of others. */
  readonly copies?: number;
  /** Content hash of the decoded samples. */
  readonly hash: string;
  /** Where the samples came from when not given as such, e.g. `split of train`. */
  readonly from?: string;
  /** Set when nothing was labelled: the original's own answers stand in for labels, and accuracy is agreement with it. */
  readonly labels?: 'original';
  /** Set when the samples were random numbers, which show that everything runs and nothing else. */
  readonly random?: true;
}

export const summaryOf = ({ dataset, from, copies }: SplitData): DataSummary => ({
  samples: dataset.size,
  hash: dataset.hash,
  ...(from && { from }),
  ...(copies && { copies }),
  ...(dataset.unlabelled && { labels: 'original' as const }),
  ...(dataset.random && { random: true as const }),
});

/** The inputs that data files fill. Throws `no-sample-input`. */
export function inputsOf(typed: TypedModel): InputSpec[] {
  if (typed.sampleInputs.length === 0) throw noSampleInput();
  return typed.sampleInputs.map((name) => {
    const { dims, dataType } = typed.facts.get(name)!;
    return { name, dims: dims.slice(1), dataType };
  });
}

/** What a user gives for labels that are not there. */
export const UNLABELLED = 'none' as const;

export const NOTHING_LABELLED =
  "Nothing is labelled: the original's own answers stand in for labels, so accuracy is agreement with it.";

/** What has to be said of the data before anything is read into the figures. */
export function notesOn(splits: Splits): string[] {
  const all = SPLITS.flatMap((split) => splits[split]?.dataset ?? []);
  const notes = [...(splits.classes?.notes ?? [])];
  if (all.some((dataset) => dataset.random))
    notes.push(
      'RANDOM SAMPLES: this shows that everything runs. No accuracy, cost or threshold below means anything.',
    );
  else if (all.some((dataset) => dataset.unlabelled)) notes.push(NOTHING_LABELLED);
  for (const split of SPLITS) {
    const { copies = 0, dataset } = splits[split] ?? {};
    if (copies > 0)
      notes.push(
        `${copies} of ${copies + dataset!.size} ${split} samples are exact copies of others and left out: what is seen twice is no evidence of two.`,
      );
  }
  return notes;
}

/** A role that figures or promises rest on, each sample counted once and none that another of `roles` has. */
async function distinct({ dataset, from }: SplitData, others: readonly SplitData[] = []): Promise<SplitData> {
  if (dataset.random) return { dataset, ...(from && { from }) };
  const kept = await withoutCopies(
    dataset,
    others.map((split) => split.dataset),
  );
  if (kept.size === 0) throw emptyDataset(`${dataset.path} (what is not in other roles too)`);
  return { dataset: kept, ...(from && { from }), copies: dataset.size - kept.size };
}

/** Shares of the training data that stand in for roles that were not given. */
export const SHARES = { calibration: 0.15, test: 0.15 };

/** The names that classes go by in all roles. */
export interface SettledClasses extends KnownClasses {
  /** What is to be told of roles that have them in another order, or not at all. */
  readonly notes: readonly string[];
}

/**
 * The class names in the options, else those of the first role that names all classes, once every role has shown that it means the same
 * ones: labels are matched by name, whatever their order. Undefined where nothing says what the model's order is. Decodes nothing. Throws
 * `unknown-label`.
 */
export async function settleClasses(
  paths: SplitPaths,
  options: Omit<OpenOptions, 'onProgress' | 'role'>,
): Promise<SettledClasses | undefined> {
  const { labels, labelsFrom = 'the given class names', classes } = options;
  if (labels === UNLABELLED) return undefined;
  const found: { readonly place: string; readonly own: NamedClasses | undefined }[] = [];
  for (const split of SPLITS) {
    const path = paths[split];
    if (path === undefined || isRandom(path)) continue;
    found.push({ place: optionText(split, path), own: await namesIn(path, options) });
  }
  const named = found.flatMap(({ place, own }) => (own ? [{ place, ...own }] : []));
  const first =
    named.find(({ names }) => classes === undefined || names.length === classes) ??
    named.find(({ sortedNames }) => !sortedNames);
  const known = labels
    ? { names: labels, from: labelsFrom }
    : first && { names: first.names, from: first.place };
  if (!known) return undefined;
  const notes: string[] = [];
  for (const { place, own } of found) {
    if (own) {
      const order = classesIn(place, own.names, known);
      if (!labels && order.some((known, i) => known !== i))
        notes.push(`${place} has the classes in another order than ${known.from}: they are matched by name.`);
    } else if (!labels)
      notes.push(
        `${place} does not name its classes: labels that are numbers are taken for those of ${known.from}, 0 for "${known.names[0]}" and so on.`,
      );
  }
  return { ...known, notes };
}

/** Opens every path, lets the original label what is unlabelled, and splits roles that are missing off the training data, by seed. */
export async function openSplits(
  paths: SplitPaths,
  seed: number,
  options: OpeningOptions,
  onProgress: (split: Split, done: number, total: number) => void,
): Promise<Splits> {
  const opened = new Map<Split, Dataset>();
  const close = async () => {
    for (const dataset of opened.values()) await dataset.close();
  };
  const classes = await settleClasses(paths, options);
  try {
    for (const split of SPLITS) {
      const path = paths[split];
      if (path === undefined) continue;
      const dataset = await openDataset(path, {
        ...options,
        ...(classes && { labels: classes.names, labelsFrom: classes.from }),
        split,
        onProgress: (d, t) => onProgress(split, d, t),
      });
      opened.set(split, dataset);
      if (dataset.unlabelled) opened.set(split, relabel(dataset, await options.answersOf(dataset)));
    }
    return { ...(await settleSplits(opened, seed)), classes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The roles that were given, and those that have to come off the training data. */
async function settleSplits(
  opened: ReadonlyMap<Split, Dataset>,
  seed: number,
): Promise<Omit<Splits, 'classes' | 'close'>> {
  const given = (split: Split): SplitData | undefined => {
    const dataset = opened.get(split);
    return dataset && { dataset };
  };
  const train = given('train');
  const validation = given('validation');
  const calibration = given('calibration');
  const test = given('test');
  if (calibration) return { train, validation, calibration: await distinct(calibration), test };
  if (!train) throw trainingDataMissing();
  // Without a calibration role both it and, when nothing was given to report on, the test role come off the training data.
  const shares = { calibration: SHARES.calibration, ...(test ? {} : { test: SHARES.test }) };
  const rest = 1 - Object.values(shares).reduce((a, b) => a + b, 0);
  const fractions: Record<string, number> = { train: rest, ...shares };
  const parts = partition(train.dataset, fractions, seed);
  const part = (split: Split): SplitData => ({ dataset: parts[split]!, from: 'split of train' });
  const heads = part('train');
  const kept = await distinct(part('calibration'), [heads]);
  return {
    train: heads,
    validation,
    calibration: kept,
    test: test ?? (await distinct(part('test'), [heads, kept])),
  };
}
