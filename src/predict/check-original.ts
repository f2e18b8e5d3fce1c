/** Whether the original knows the data at all, asked before anything is trained on it. */

import { isGuessing } from '../calibrate/index.ts';
import { type Dataset, partition } from '../data/index.ts';
import type { Splits } from '../data/splits.ts';
import { optionText } from '../errors/index.ts';
import { type Note, warning } from '../errors/notes.ts';
import { argMaxRows } from '../policies/rows.ts';
import { refuseNotFiniteScores, type Scored } from './finite-scores.ts';
import { logitsOf, type PredictOptions } from './predict.ts';

/** Samples that are checked. */
const CHECKED = 128;

/**
 * A warning when the original is no better than guessing on calibration samples; undefined when it is, or when they have no
 * labels. Throws `scores-not-finite` where it gives no scores for some of them.
 */
export async function warnOfGuessing(
  { calibration: { dataset } }: Splits,
  seed: number,
  predicting: PredictOptions,
): Promise<Note | undefined> {
  const found = await checkLabels(dataset, seed, predicting);
  if (!found) return undefined;
  const { right, samples } = found;
  const { classes } = predicting.typed;
  return guessing('The original', right, samples, classes);
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
  const found = await checkLabels(train, seed, predicting);
  if (!found || 2 * found.right >= found.samples) return undefined;
  const { right, samples } = found;
  return warning(
    'labels-contradict',
    `The original says what the label says of ${right} of ${samples} training samples only. Heads and students learn from both. Where the labels are wrong, or in another order, give ${optionText('labels', 'none')}, and the original's answers are all that counts.`,
  );
}

/** For messages. */
export const originalIn = ({ typed: { model }, session }: PredictOptions): Scored => ({
  who: 'the original',
  load: async () => ({ model, folder: session.externalDataFolder }),
});

/** On how many of a few samples the original says what the label says; undefined when there are no labels. */
async function checkLabels(
  dataset: Dataset,
  seed: number,
  predicting: PredictOptions,
): Promise<{ readonly right: number; readonly samples: number } | undefined> {
  const { checked } = partition(dataset, { checked: Math.min(1, CHECKED / dataset.size) }, seed);
  const logits = await logitsOf(checked, predicting);
  await refuseNotFiniteScores(logits, checked, originalIn(predicting), predicting.signal);
  if (dataset.unlabelled || dataset.random) return undefined;
  const answers = argMaxRows(logits, checked.size);
  const right = answers.filter((answer, i) => answer === checked.labels[i]).length;
  return { right, samples: checked.size };
}

const OPTIONS = '`preset`, `scale`, `mean`, `std`, `channels`, `layout`; of texts `tokenizer`';

/** A warning when `who` is right no more often than guessing would be. */
export function guessing(who: string, right: number, samples: number, classes: number): Note | undefined {
  if (!isGuessing(right, samples, classes)) return undefined;
  return warning(
    'original-guesses',
    `${who} is right on ${right} of ${samples} samples, hardly better than guessing among ${classes} classes. What it is fed is not what it was trained on (${OPTIONS}), or labels are not in the order of its outputs. Nothing below means anything then.`,
  );
}
