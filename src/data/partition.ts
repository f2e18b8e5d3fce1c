import { createHash } from 'node:crypto';
import { badFractions, emptyPart } from '../errors/index.ts';
import { Random } from '../graph/random.ts';
import type { Dataset } from './types.ts';

/** Samples `indices` of `dataset`, in that order, as a dataset with a hash of its own. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const chosen = Int32Array.from(indices);
  const inParent = (some: ArrayLike<number>) =>
    Int32Array.from(some, (i) => {
      if (!(i >= 0 && i < chosen.length)) throw new RangeError(`no sample ${i} among ${chosen.length}`);
      return chosen[i]!;
    });
  const { path, unlabelled, random, classNames, skipped, inputs, preprocessing } = dataset;
  const { isImage, recordDims, recordType } = dataset;
  const digest = createHash('sha256').update(dataset.hash).update(chosen).digest('hex');
  return {
    path,
    unlabelled,
    random,
    classNames,
    skipped,
    inputs,
    preprocessing,
    isImage,
    recordDims,
    recordType,
    partOf: { whole: dataset, samples: chosen },
    size: chosen.length,
    labels: chosen.map((i) => dataset.labels[i]!),
    hash: random ? `random-${digest}` : digest,
    readRecords: (some) => dataset.readRecords(inParent(some)),
    read: (some, views, out) => dataset.read(inParent(some), views, out),
    close: async () => {},
  };
}

/** Which samples of `whole` those of `part` are, in its order; undefined when it was not cut from it. */
export function samplesWithin(part: Dataset, whole: Dataset): Int32Array | undefined {
  if (part === whole) return Int32Array.from({ length: whole.size }, (_, i) => i);
  const outer = part.partOf && samplesWithin(part.partOf.whole, whole);
  return outer && part.partOf!.samples.map((i) => outer[i]!);
}

/**
 * Disjoint parts of `dataset`, e.g. `{ train: 0.7, validation: 0.1, calibration: 0.1, test: 0.1 }`, with each class in
 * the same proportions; `seed` determines them. What the fractions leave over is in no part.
 */
export function partition<Split extends string>(
  dataset: Dataset,
  fractions: Readonly<Record<Split, number>>,
  seed: number,
): Record<Split, Dataset> {
  const splits = Object.keys(fractions) as Split[];
  const shares = splits.map((split) => fractions[split]);
  const rest = 1 - shares.reduce((a, b) => a + b, 0);
  if (!shares.every((f) => f > 0) || rest < -1e-9)
    throw badFractions(`fractions ${splits.map((r) => `${r} ${fractions[r]}`).join(', ')}`);

  const parts = deal(classByClass(dataset.labels, seed), [...shares, Math.max(0, rest)]);
  const entries = splits.map((split, k) => {
    if (parts[k]!.length === 0) throw emptyPart(dataset.path, dataset.size, split);
    return [
      split,
      subset(
        dataset,
        parts[k]!.sort((a, b) => a - b),
      ),
    ];
  });
  return Object.fromEntries(entries) as Record<Split, Dataset>;
}

/** All samples, one class after another, shuffled within each. */
function classByClass(labels: Int32Array, seed: number): number[] {
  const classes = new Map<number, number[]>();
  labels.forEach((label, i) => {
    const members = classes.get(label);
    if (members) members.push(i);
    else classes.set(label, [i]);
  });
  const random = new Random(seed, 'split');
  return [...classes.keys()].sort((a, b) => a - b).flatMap((label) => random.shuffle(classes.get(label)!));
}

/** How many of `samples` each of `fractions` gets in `partition`. Throws `empty-dataset` where one gets none. */
export function partSizes<Split extends string>(
  path: string,
  samples: number,
  fractions: Readonly<Record<Split, number>>,
): Record<Split, number> {
  const splits = Object.keys(fractions) as Split[];
  const parts = deal(
    Array.from({ length: samples }, (_, i) => i),
    splits.map((split) => fractions[split]),
  );
  const empty = parts.findIndex((part) => part.length === 0);
  if (empty >= 0) throw emptyPart(path, samples, splits[empty]!);
  return Object.fromEntries(splits.map((split, k) => [split, parts[k]!.length])) as Record<Split, number>;
}

/** Deals samples out so that any stretch of them, so any class, is shared to within about one: always to the part most behind. */
function deal(samples: readonly number[], shares: readonly number[]): number[][] {
  const parts: number[][] = shares.map(() => []);
  const owed = shares.map(() => 0);
  for (const sample of samples) {
    shares.forEach((share, k) => {
      owed[k]! += share;
    });
    const most = owed.indexOf(Math.max(...owed));
    owed[most]! -= 1;
    parts[most]!.push(sample);
  }
  return parts;
}
