/** The four splits of the data: train, validation, calibration, test. Those that the user does not give are cut off the training data. */

import { emptyDataset, noSampleInput, optionText, trainingDataMissing } from '../errors/index.ts';
import { info, type Note, warning } from '../errors/notes.ts';
import type { TypedModel } from '../passes/exits.ts';
import { plainName } from './class-names.ts';
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

/** How splits are opened. */
export interface OpeningOptions extends Omit<OpenOptions, 'onProgress' | 'split'> {
  /** Labels for a split that has none. */
  readonly answersOf: (dataset: Dataset) => Promise<Int32Array>;
}

export interface SplitData {
  readonly dataset: Dataset;
  /** Set when the user did not give this split: where its samples come from. */
  readonly from?: string;
  /** Samples that were left out because they are exact copies of others. */
  readonly copies?: number;
}

export interface Splits {
  /** Undefined when it was not given. */
  readonly train: SplitData | undefined;
  /** Undefined when it was not given: it is cut off the training data later. */
  readonly validation: SplitData | undefined;
  readonly calibration: SplitData;
  /** Undefined when nothing is left to report on: figures are then of the calibration split. */
  readonly test: SplitData | undefined;
  /** What labels go by; undefined where nothing names the classes. */
  readonly classes?: SettledClasses | undefined;
  close(): Promise<void>;
}

/** The samples of a split, as the manifest describes them. */
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

export const NOTHING_LABELLED = info(
  'nothing-labelled',
  "Nothing is labelled: the original's own answers stand in for labels, so accuracy is agreement with it.",
);

/** Notes for the reader of the figures: how classes were matched; samples that are random, unlabelled or copies. */
export function notesOnSplits(splits: Splits): Note[] {
  const all = SPLITS.flatMap((split) => splits[split]?.dataset ?? []);
  const notes = [...(splits.classes?.notes ?? [])];
  if (all.some((dataset) => dataset.random))
    notes.push(
      warning(
        'random-samples',
        'The samples are random: this shows that everything runs. No accuracy, cost or threshold below means anything.',
      ),
    );
  else if (all.some((dataset) => dataset.unlabelled)) notes.push(NOTHING_LABELLED);
  for (const split of SPLITS) {
    const { copies = 0, dataset } = splits[split] ?? {};
    if (dataset && isOneClass(dataset))
      notes.push(
        warning(
          'one-class',
          `All ${dataset.size} ${split} samples are of class ${dataset.labels[0]}: what is learned or measured from them knows of no other.`,
        ),
      );
    if (copies > 0)
      notes.push(
        info(
          'copies-left-out',
          `${copies} of ${copies + dataset!.size} ${split} samples are exact copies of others and left out.`,
        ),
      );
  }
  return notes;
}

/** Not of one sample, of which nobody learns anything. */
const isOneClass = ({ labels, unlabelled, size }: Dataset) =>
  size > 1 && !unlabelled && labels[0]! >= 0 && labels.every((label) => label === labels[0]);

/** The split with each sample once, and without those that are in `others`: for figures and guarantees. */
async function distinct({ dataset, from }: SplitData, others: readonly SplitData[] = []): Promise<SplitData> {
  if (dataset.random) return { dataset, ...(from && { from }) };
  const kept = await withoutCopies(
    dataset,
    others.map((split) => split.dataset),
  );
  if (kept.size === 0) throw emptyDataset(`${dataset.path} (what is not in other splits too)`);
  return { dataset: kept, ...(from && { from }), copies: dataset.size - kept.size };
}

/** Shares of the training data that stand in for splits that were not given. */
const SHARES = { calibration: 0.15, test: 0.15 };

/** How the training data are cut where no calibration data are given; test data are cut off them too unless they are given. */
export function cutOffTrain(hasTest: boolean): Readonly<Record<string, number>> {
  const shares = { calibration: SHARES.calibration, ...(hasTest ? {} : { test: SHARES.test }) };
  return { train: 1 - Object.values(shares).reduce((a, b) => a + b, 0), ...shares };
}

/** The class names that all splits are matched with. */
export interface SettledClasses extends KnownClasses {
  /** One for each split that has them in another order, or not at all. */
  readonly notes: readonly Note[];
}

/**
 * The class names in the options, else those of the first split that names all classes. Every split that has names must have these:
 * labels are matched by name, whatever their order. Undefined where the model's order is not known. Decodes nothing. Throws
 * `unknown-label`.
 */
export async function settleClasses(
  paths: SplitPaths,
  options: Omit<OpenOptions, 'onProgress' | 'split'>,
): Promise<SettledClasses | undefined> {
  const { labels, labelsFrom = 'the given class names', classes, ownClasses } = options;
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
  const own =
    ownClasses && ownClasses.names.length === (classes ?? ownClasses.names.length) ? ownClasses : undefined;
  const unlike = own && named.find(({ names }) => !shareNames(names, own.names));
  const known = labels
    ? { names: labels, from: labelsFrom }
    : own && !unlike
      ? own
      : first && { names: first.names, from: first.place };
  if (!known) return undefined;
  const notes: Note[] = [];
  if (!labels && unlike)
    notes.push(
      info(
        'classes-named-otherwise',
        `${unlike.place} has other class names than ${own.from} ("${unlike.names[0]}", not "${own.names[0]}"): its own are used, in the order of its labels.`,
      ),
    );
  for (const { place, own } of found) {
    if (own) {
      const order = classesIn(place, own.names, known);
      if (!labels && order.some((known, i) => known !== i))
        notes.push(
          info(
            'classes-reordered',
            `${place} has the classes in another order than ${known.from}: they are matched by name.`,
          ),
        );
    } else if (!labels)
      notes.push(
        info(
          'classes-by-number',
          `${place} does not name its classes: labels that are numbers are taken for those of ${known.from}, 0 for "${known.names[0]}" and so on.`,
        ),
      );
  }
  return { ...known, notes };
}

/** Whether one name at least is in both, be it in another case, of which `classesIn` then tells. */
function shareNames(a: readonly string[], b: readonly string[]): boolean {
  const known = new Set(b.map((name) => plainName(name).toLowerCase()));
  return a.some((name) => known.has(plainName(name).toLowerCase()));
}

/** Opens every path, labels unlabelled samples by the original's answers, and cuts missing splits off the training data, by seed. */
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

/** The splits that were given, and those that are cut off the training data. */
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
  const parts = partition(train.dataset, cutOffTrain(test !== undefined), seed);
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
