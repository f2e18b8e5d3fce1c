/** Checks, before anything is trained, that the original predicts the data better than guessing would. */
import { isGuessing } from '../calibrate/index.ts';
import { partition } from '../data/index.ts';
import type { Splits } from '../data/splits.ts';
import { answersOf, type PredictOptions } from './predict.ts';

/** Samples that are checked. */
const CHECKED = 128;

/** A warning when the original is no better than guessing on calibration samples; undefined when it is, or when they have no labels. */
export async function warnOfGuessing(
  { calibration: { dataset } }: Splits,
  seed: number,
  predicting: PredictOptions,
): Promise<string | undefined> {
  if (dataset.unlabelled || dataset.random) return undefined;
  const { checked } = partition(dataset, { checked: Math.min(1, CHECKED / dataset.size) }, seed);
  const answers = await answersOf(checked, predicting);
  const right = answers.filter((answer, i) => answer === checked.labels[i]).length;
  const { classes } = predicting.typed;
  return isGuessing(right, checked.size, classes)
    ? describeGuessing(right, checked.size, classes)
    : undefined;
}

const describeGuessing = (right: number, samples: number, classes: number) =>
  `WARNING: the original is right on ${right} of ${samples} samples, hardly better than guessing among ${classes} classes. Either its inputs are not prepared as in training (see --preset, --scale, --mean, --std, --channels, --layout; for texts --tokenizer), or the labels are not in the order of its outputs. Until that is mended, the figures below mean nothing.`;
