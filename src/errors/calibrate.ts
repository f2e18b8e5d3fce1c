/** Of thresholds that cannot be had. */
import { OfframpError } from './offramp-error.ts';

/** `samples`: those that test what is promised, a half or a third of the calibration data; `needed`: how many of them it takes. */
export const tooFewForGuarantee = (samples: number, limit: number, confidence: number, needed: number) =>
  new OfframpError(
    'too-few-for-guarantee',
    `a loss of at most ${limit} with confidence ${confidence} cannot be promised by the ${samples} calibration samples that are left to test it: even without a single error that takes ${needed}`,
    `Give ${Math.ceil((10 * needed) / Math.max(1, samples)) / 10} times as many calibration samples (the others search thresholds, or fit confidence where \`validation\` is not given), or ask for a larger loss or a smaller confidence.`,
  );

export const classWithoutSamples = (missing: number, samples: number) =>
  new OfframpError(
    'class-without-samples',
    `none of the ${samples} validation samples is of class ${missing}, and the policy needs the precision on every class`,
    'Give `validation` with samples of every class (without it, a part of `calibration` or `train` serves), or choose another `policy`.',
  );

export const wrongThresholdCount = (got: number, exits: number) =>
  new OfframpError(
    'wrong-threshold-count',
    `${got} thresholds for ${exits} exits`,
    'Give one threshold per exit; 1 closes an exit.',
  );

export const wrongHeadCount = (got: number, exits: number) =>
  new OfframpError(
    'wrong-head-count',
    `${got} head families for ${exits} exits`,
    'Give one family for all exits, or one an exit, earliest first.',
  );

export const accuracyUnreachable = (floor: number, best: number, target: 'accuracy' | 'agreement') =>
  new OfframpError(
    'accuracy-unreachable',
    `no operating point has an ${target} of ${floor} on the calibration data; the best has ${best.toFixed(4)}`,
    'Ask for less: early exits cannot make a model better than it is.',
  );

export const timeBudgetUnreachable = (milliseconds: number, cheapest: number) =>
  new OfframpError(
    'budget-unreachable',
    `no operating point takes ${milliseconds} ms or less on average on this machine; the fastest takes ${cheapest.toFixed(2)} ms`,
    'Ask for a larger budget, put a cheaper network in front (`first`), or add an earlier exit or cheaper heads.',
  );

export const budgetUnreachable = (budget: number, cheapest: number) =>
  new OfframpError(
    'budget-unreachable',
    `no operating point costs ${budget} of the original or less; the cheapest costs ${cheapest.toFixed(3)}`,
    'Ask for a larger budget, put a cheaper network in front (`first`), or add an earlier exit or cheaper heads.',
  );
