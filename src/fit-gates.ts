/** Confidence heads, fitted on samples that neither branch nor backbone has seen. */
import { splitRoles } from './data/index.ts';
import type { Events } from './events.ts';
import { accuracyOf, type Judged, type JudgeOptions } from './judge.ts';
import type { Head } from './passes/exits.ts';
import { argMaxRows } from './policies/rows.ts';
import type { RoleData, Roles } from './roles.ts';
import { openFeatures } from './train/features.ts';
import { fitConfidence } from './train/gates.ts';

/** Train accuracy this far above calibration accuracy: the backbone knows its training samples by heart. */
const MEMORISED = 0.02;
/** Training samples that are asked to find that out. */
const PROBED = 2000;
const BATCH = 256;
/** Share of the role that the validation part is cut from. */
export const SHARE = { calibration: 1 / 3, train: 0.1 };

export interface GateRoles {
  readonly train: RoleData;
  readonly validation: RoleData;
  /** Calibration samples that confidence heads were not fitted on: for policies that use those. */
  readonly unseen: RoleData;
}

/**
 * Settles the validation role when none was given: a part of the training data, or, when the backbone has memorised
 * those (a ResNet-56 gets 99.99 % of its own training pictures right), a part of the calibration data.
 */
export async function settleValidation(
  roles: Roles & { readonly train: RoleData },
  seed: number,
  options: JudgeOptions,
  events: Events,
): Promise<GateRoles> {
  const { train, validation, calibration } = roles;
  if (validation) return { train, validation, unseen: calibration };
  const size = train.dataset.size;
  const share = Math.min(1, PROBED / size);
  const probe = splitRoles(train.dataset, { probe: share }, seed).probe;
  const onTrain = await originalAccuracy(probe, options);
  const onCalibration = await originalAccuracy(calibration.dataset, options);
  if (onTrain - onCalibration > MEMORISED) {
    const { validation, unseen } = splitRoles(
      calibration.dataset,
      { validation: SHARE.calibration, unseen: 1 - SHARE.calibration },
      seed,
    );
    const figures = `${(100 * onTrain).toFixed(2)} % on training data, ${(100 * onCalibration).toFixed(2)} % on calibration data`;
    events.onNote?.(
      `The original has memorised its training data (${figures}): confidence heads are fitted on a third of the calibration data.`,
    );
    return {
      train,
      validation: { dataset: validation, from: 'split of calibration' },
      unseen: { dataset: unseen, from: 'rest of calibration' },
    };
  }
  const parts = splitRoles(train.dataset, { validation: SHARE.train, train: 1 - SHARE.train }, seed);
  return {
    train: { dataset: parts.train, from: 'rest of train' },
    validation: { dataset: parts.validation, from: 'split of train' },
    unseen: calibration,
  };
}

async function originalAccuracy(dataset: RoleData['dataset'], options: JudgeOptions): Promise<number> {
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

/** `heads` with confidence layers that predict, on the validation role, whether their own answer is right. */
export function fitGates<H extends Head>(heads: readonly H[], validation: Judged): H[] {
  return heads.map((head, k) => {
    const answers = argMaxRows(validation.logits[k]!, validation.labels.length);
    const correct = Uint8Array.from(answers, (answer, i) => Number(answer === validation.labels[i]));
    return fitConfidence(head, validation.pooled[k]!, correct);
  });
}
