/** Whether the original knows the data at all, asked before anything is trained on it. */

import { isGuessing } from '../calibrate/index.ts';
import { type Dataset, partition } from '../data/index.ts';
import type { Splits } from '../data/splits.ts';
import { optionText } from '../errors/index.ts';
import { type Note, warning } from '../errors/notes.ts';
import { answersOf, type PredictOptions } from './predict.ts';

/** Samples that are checked. */
const CHECKED = 128;

/** A warning when the original is no better than guessing on calibration samples; undefined when it is, or when they have no labels. */
export async function warnOfGuessing(
  { calibration: { dataset } }: Splits,
  seed: number,
  predicting: PredictOptions,
): Promise<Note | undefined> {
  if (dataset.unlabelled || dataset.random) return undefined;
  const { checked } = partition(dataset, { checked: Math.min(1, CHECKED / dataset.size) }, seed);
  const answers = await answersOf(checked, predicting);
  const right = answers.filter((answer, i) => answer === checked.labels[i]).length;
  const { classes } = predicting.typed;
  return isGuessing(right, checked.size, classes)
    ? describeGuessing(right, checked.size, classes)
    : undefined;
}

/**
 * A warning when the labels of training samples name another class than the original more often than its own: what learns from both is pulled two
 * ways. Undefined when they do not, or when there are none.
 */
export async function warnOfContradiction(
  train: Dataset,
  seed: number,
  predicting: PredictOptions,
): Promise<Note | undefined> {
  if (train.unlabelled || train.random) return undefined;
  const { checked } = partition(train, { checked: Math.min(1, CHECKED / train.size) }, seed);
  const answers = await answersOf(checked, predicting);
  const agreed = answers.filter((answer, i) => answer === checked.labels[i]).length;
  if (2 * agreed >= checked.size) return undefined;
  return warning(
    'labels-contradict',
    `The original says what the label says of ${agreed} of ${checked.size} training samples only. Heads and students learn from both. Where the labels are wrong, or in another order, give ${optionText('labels', 'none')}, and the original's answers are all that counts.`,
  );
}

const OPTIONS = '`preset`, `scale`, `mean`, `std`, `channels`, `layout`; of texts `tokenizer`';

const describeGuessing = (right: number, samples: number, classes: number): Note =>
  warning(
    'original-guesses',
    `The original is right on ${right} of ${samples} samples, hardly better than guessing among ${classes} classes. What it is fed is not what it was trained on (${OPTIONS}), or labels are not in the order of its outputs. Nothing below means anything then.`,
  );
