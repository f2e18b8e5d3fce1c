/** What is asked of the thresholds, and what can be refused before any work is done. */

import { badOption, budgetUnreachable, option, unknownPoint } from '../errors/index.ts';
import type { PolicyName } from '../policies/index.ts';
import {
  BEST,
  budgetName,
  type CostModel,
  cheapestCost,
  dropName,
  floorName,
  isNamed,
  refuseTooFew,
  STANDING_NAMES,
  timeBudgetName,
} from './index.ts';

/** Goals that a user may set. */
export interface ThresholdOptions {
  /** `auto`: the policy that measures best at the costs asked for (see `choosePolicy`). */
  readonly policy?: PolicyName | 'auto';
  /** What thresholds are to preserve: accuracy against labels, or agreement with the original. */
  readonly target?: 'accuracy' | 'agreement';
  /**
   * The answer of samples that reach the end: the original's, or that of an ensemble of the original and the open exits
   * (policies/final-answer.ts), which is right more often and agrees with the original less. When left out: `ensembled` with `auto` for
   * accuracy, else `original`.
   */
  readonly final?: 'original' | 'ensembled';
  /** Average costs relative to the original that operating points are wanted for. */
  readonly budgets?: readonly number[];
  /** Average milliseconds per sample, one sample at a time, on this machine, that operating points are wanted for. */
  readonly budgetsMs?: readonly number[];
  /** Least values of the target, on the calibration data, that operating points are wanted for. */
  readonly minAccuracies?: readonly number[];
  /** Losses of the target that operating points are wanted for. */
  readonly maxAccuracyDrops?: readonly number[];
  /**
   * With this probability over the draw of the calibration samples, every one of `maxAccuracyDrops` holds on the population: half
   * of the calibration split is then held back from the search and tests what it found (see `guarantee`).
   */
  readonly confidence?: number;
  /** `baked` builds the thresholds of the default point into the model. */
  readonly thresholds?: 'input' | 'baked';
  /** Name of the default operating point. */
  readonly at?: string;
}

/** `ThresholdOptions` with defaults filled in. */
export type Goals = Required<Omit<ThresholdOptions, 'confidence'>> & Pick<ThresholdOptions, 'confidence'>;

export const DEFAULT_GOALS: Goals = {
  policy: 'max-prob',
  target: 'accuracy',
  final: 'original',
  budgets: [],
  budgetsMs: [],
  minAccuracies: [],
  maxAccuracyDrops: [],
  thresholds: 'input',
  at: 'balanced',
};

const GOAL_NAMES = [...(Object.keys(DEFAULT_GOALS) as (keyof Goals)[]), 'confidence'] as const;

/**
 * `options`, and where they leave something out, `before`; without labels no answer can be more often right than the original's. `chain`: the
 * defaults are those of a chain of networks whose calibration split has so many `samples` (see `chainDefaults`).
 */
export function settleGoals(
  options: ThresholdOptions,
  unlabelled: boolean,
  before: Goals = DEFAULT_GOALS,
  chain?: { readonly samples: number },
): Goals {
  const given = GOAL_NAMES.filter((name) => options[name] !== undefined);
  const asked = Object.fromEntries(given.map((name) => [name, options[name]]));
  const goals: Goals = { ...before, ...asked };
  const forAccuracy = goals.target === 'accuracy' && !unlabelled;
  const settled: Goals =
    chain && forAccuracy ? { ...before, ...chainDefaults(chain.samples), ...asked } : goals;
  return options.final === undefined ? { ...settled, final: finalFor(settled, unlabelled) } : settled;
}

/**
 * Least size of the calibration split, counting what validation takes of it, at which `auto` is the default of a chain. Two chains before
 * ResNet-56 on CIFAR-10, against max-prob with the original's final answer: `auto` loses more in 5 of 10 draws of 500 samples, in 7 of 26 of 1,000
 * in 1 of 26 of 2,000 and in 2 of 18 of 3,000. Max-prob with the final answer ensembled loses more in 1 of 102 draws of 500 to 2,000.
 */
export const CHAIN_AUTO_SAMPLES = 2000;

const chainDefaults = (samples: number): Pick<Goals, 'policy' | 'final'> => ({
  policy: samples >= CHAIN_AUTO_SAMPLES ? 'auto' : 'max-prob',
  final: 'ensembled',
});

/** The final answer of `goals` when none was asked for: an ensemble where it may be one and the policy is chosen by measurement. */
function finalFor({ target, policy, final }: Goals, unlabelled: boolean): Goals['final'] {
  if (target === 'agreement' || unlabelled) return 'original';
  return policy === 'auto' ? 'ensembled' : final;
}

/** Shares of the calibration split when there is a `confidence`. */
export const HALVES = { search: 0.5, promise: 0.5 };

/** The confidence of each drop, so that all of them hold together with the one asked for (Bonferroni). */
export const confidenceOfEach = ({ confidence, maxAccuracyDrops }: Goals): number =>
  1 - (1 - confidence!) / maxAccuracyDrops.length;

/** Refuses a confidence without a drop above 0, and an ensemble where agreement with the original is the target. Throws `bad-option`. */
export function refuseContradictions(goals: Goals, unlabelled: boolean): void {
  const { confidence, maxAccuracyDrops, target, final } = goals;
  if (final === 'ensembled' && (target === 'agreement' || unlabelled))
    throw badOption(
      option('final'),
      final,
      unlabelled
        ? 'labels with it: without them only the original is right'
        : "`target: 'accuracy'` with it, or `final: 'original'`: exits join to be right, not to agree with the original",
    );
  if (confidence === undefined) return;
  if (maxAccuracyDrops.length === 0)
    throw badOption(
      option('confidence'),
      `${confidence}`,
      '`maxAccuracyDrops` with it: what is to be promised',
    );
  if (maxAccuracyDrops.includes(0))
    throw badOption(
      option('maxAccuracyDrops'),
      '0',
      'more than 0 with `confidence`: no number of samples promises that nothing is lost',
    );
}

/**
 * Refuses a budget below the cheapest exit, a default point that will not exist, and too few `samples` (of the calibration split) for a
 * guarantee. Throws `budget-unreachable`, `unknown-operating-point` or `too-few-for-guarantee`.
 */
export function refuseUnreachable(costs: CostModel, samples: number, goals: Goals): void {
  const { budgets, budgetsMs, minAccuracies, maxAccuracyDrops, at } = goals;
  const cheapest = cheapestCost(costs);
  for (const budget of budgets) if (budget < cheapest) throw budgetUnreachable(budget, cheapest);
  const names = [
    ...STANDING_NAMES,
    BEST,
    ...budgets.map(budgetName),
    ...budgetsMs.map(timeBudgetName),
    ...minAccuracies.map(floorName),
    ...maxAccuracyDrops.map(dropName),
  ];
  if (isNamed(at) && !names.includes(at)) throw unknownPoint(at, names);
  refuseUnpromised(samples, goals);
}

/** Throws `too-few-for-guarantee` where half of `samples` calibration samples cannot show that the drops hold. */
export function refuseUnpromised(samples: number, goals: Goals): void {
  if (goals.confidence === undefined) return;
  for (const drop of goals.maxAccuracyDrops)
    refuseTooFew(Math.ceil(HALVES.promise * samples), drop, confidenceOfEach(goals));
}
