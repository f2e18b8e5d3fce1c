/** Confidence layers and temperatures, fitted on samples that neither branch nor backbone has seen. */

import { fitTemperature, Z_95 } from '../calibrate/index.ts';
import { partition } from '../data/index.ts';
import type { SplitData, Splits } from '../data/splits.ts';
import type { Events } from '../errors/events.ts';
import { info } from '../errors/notes.ts';
import type { Head } from '../passes/exits.ts';
import { argMaxRows } from '../policies/rows.ts';
import { fitConfidence, withTemperature } from '../train/confidence.ts';
import { openFeatures } from '../train/features.ts';
import { accuracyOf, type HeadPredictions, type PredictOptions } from './predict.ts';

/** Where train accuracy is this far above calibration accuracy, and that is beyond chance, the original has memorised its training samples. */
const MEMORISED = 0.02;
/** Training samples that this is measured on. */
const PROBED = 2000;
const BATCH = 256;
/** Share of the split that the validation part is cut from. */
const SHARE = { calibration: 1 / 3, train: 0.1 };

export interface ValidationSplits {
  readonly validation: SplitData;
  /** Calibration samples that neither confidence heads nor a policy was fitted on. */
  readonly unseen: SplitData;
}

export interface ConfidenceSplits extends ValidationSplits {
  readonly train: SplitData;
}

/**
 * Finds the validation split when none was given: a part of the training data, or, when the backbone has memorised
 * those (a ResNet-56 gets 99.99 % of its own training pictures right), a part of the calibration data.
 */
export async function settleValidation(
  splits: Splits & { readonly train: SplitData },
  seed: number,
  options: PredictOptions,
  events: Events,
): Promise<ConfidenceSplits> {
  const { train, validation, calibration } = splits;
  if (validation) return { train, validation, unseen: calibration };
  const size = train.dataset.size;
  const share = Math.min(1, PROBED / size);
  const probe = partition(train.dataset, { probe: share }, seed).probe;
  const onTrain = await originalAccuracy(probe, options);
  const onCalibration = await originalAccuracy(calibration.dataset, options);
  const isMore = isBeyondChance(
    { share: onTrain, samples: probe.size },
    { share: onCalibration, samples: calibration.dataset.size },
  );
  if (isMore && onTrain - onCalibration > MEMORISED) {
    const figures = `${(100 * onTrain).toFixed(2)} % on training data, ${(100 * onCalibration).toFixed(2)} % on calibration data`;
    events.onNote?.(
      info(
        'training-data-memorised',
        `The original has memorised its training data (${figures}): what must not be fitted on it, confidence and policy, is fitted on a third of the calibration data.`,
      ),
    );
    return { train, ...thirdOf(calibration, seed) };
  }
  return { ...tenthOf(train, seed), unseen: calibration };
}

/**
 * The validation split when nothing is trained: the one given, or the part of the data that compile would have cut. `fitted` is the hash of
 * the samples that confidence heads were fitted on, which are never among the unseen.
 */
export function findValidation(splits: Splits, seed: number, fitted?: string): ValidationSplits {
  const { train, validation, calibration } = splits;
  const third = thirdOf(calibration, seed);
  const isFitted = ({ dataset }: SplitData) => dataset.hash === fitted;
  const unseen = isFitted(third.validation) ? third.unseen : calibration;
  if (validation) return { validation, unseen };
  const tenth = train && tenthOf(train, seed);
  return tenth && isFitted(tenth.validation) ? { validation: tenth.validation, unseen } : third;
}

interface Measured {
  readonly share: number;
  readonly samples: number;
}

/**
 * Whether the share of `a` is above that of `b`, of other samples, with 95 % confidence: Wald's interval of the difference, with one right and one
 * wrong sample added to both (Agresti and Caffo 2000), which holds for few samples too.
 */
export function isBeyondChance(a: Measured, b: Measured): boolean {
  const [first, second] = [a, b].map(({ share, samples }) => {
    const mean = (share * samples + 1) / (samples + 2);
    return { mean, variance: (mean * (1 - mean)) / (samples + 2) };
  });
  return first!.mean - second!.mean > Z_95 * Math.sqrt(first!.variance + second!.variance);
}

/** A third of the calibration split, and the rest. */
function thirdOf({ dataset, from }: SplitData, seed: number): ValidationSplits {
  const cutBefore = from === undefined ? '' : `, ${from}`;
  const shares = { validation: SHARE.calibration, unseen: 1 - SHARE.calibration };
  const parts = partition(dataset, shares, seed);
  return {
    validation: { dataset: parts.validation, from: `split of calibration${cutBefore}` },
    unseen: { dataset: parts.unseen, from: `rest of calibration${cutBefore}` },
  };
}

/** A tenth of the training split, and the rest. */
function tenthOf({ dataset }: SplitData, seed: number): Omit<ConfidenceSplits, 'unseen'> {
  const parts = partition(dataset, { validation: SHARE.train, train: 1 - SHARE.train }, seed);
  return {
    validation: { dataset: parts.validation, from: 'split of train' },
    train: { dataset: parts.train, from: 'rest of train' },
  };
}

async function originalAccuracy(dataset: SplitData['dataset'], options: PredictOptions): Promise<number> {
  const source = await openFeatures({ ...options, heads: [], dataset, half: false, onProgress: undefined });
  const answers = new Int32Array(dataset.size);
  try {
    for (let first = 0; first < dataset.size; first += BATCH) {
      options.signal?.throwIfAborted();
      const rows = Math.min(BATCH, dataset.size - first);
      const { logits } = await source.read(Int32Array.from({ length: rows }, (_, i) => first + i));
      answers.set(argMaxRows(logits.data as Float32Array, rows), first);
    }
  } finally {
    await source.close();
  }
  return accuracyOf(answers, dataset.labels);
}

/**
 * Trained `heads` with what is fitted on the validation split: a confidence head that predicts whether their own answer is
 * right, and a temperature that calibrates their probabilities; the temperature becomes part of their weights and costs nothing.
 */
export function fitConfidenceHeads<H extends Head>(
  heads: readonly H[],
  { logits, pooled, labels }: HeadPredictions,
): H[] {
  return heads.map((head, k) => {
    const answers = argMaxRows(logits[k]!, labels.length);
    const correct = Uint8Array.from(answers, (answer, i) => Number(answer === labels[i]));
    return withTemperature(fitConfidence(head, pooled[k]!, correct), fitTemperature(logits[k]!, labels));
  });
}
