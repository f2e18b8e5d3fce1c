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

/** What a user may ask of the thresholds. */
export interface ThresholdOptions {
  /** `auto`: the one that measures best at the costs asked for (see `choosePolicy`). */
  readonly policy?: PolicyName | 'auto';
  /** What thresholds preserve: accuracy against labels, or agreement with the original. */
  readonly target?: 'accuracy' | 'agreement';
  /**
   * Who answers samples that go all the way: the original, or the original joined by the open exits (policies/last.ts), which is right more
   * often and agrees with the original less. `joined` with `auto` for accuracy, else `original`, when left out.
   */
  readonly final?: 'original' | 'ensembled';
  /** Average costs relative to the original that operating points are wanted for. */
  readonly budgets?: readonly number[];
  /** Average milliseconds a sample, alone, on this machine, that operating points are wanted for. */
  readonly budgetsMs?: readonly number[];
  /** Least values of the target, on the calibration data, that operating points are wanted for. */
  readonly minAccuracies?: readonly number[];
  /** Losses of the target that operating points are wanted for. */
  readonly maxAccuracyDrops?: readonly number[];
  /**
   * With this probability over the draw of the calibration samples, every one of `maxAccuracyDrops` is kept on the population: half
   * of the calibration role is then held back from the search and tests what it found (see `guarantee`).
   */
  readonly confidence?: number;
  /** `baked` builds the thresholds of the default point into the model. */
  readonly thresholds?: 'input' | 'baked';
  /** Name of the default operating point. */
  readonly at?: string;
}

/** `ThresholdOptions` with everything settled. */
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

/** What is asked for in `options`, and in `before` where they say nothing. Without labels nothing can be more right than the original. */
export function settleGoals(
  options: ThresholdOptions,
  unlabelled: boolean,
  before: Goals = DEFAULT_GOALS,
): Goals {
  const names = [
    'policy',
    'target',
    'final',
    'budgets',
    'budgetsMs',
    'minAccuracies',
    'maxAccuracyDrops',
    'confidence',
    'thresholds',
    'at',
  ] as const;
  const given = names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]));
  const goals: Goals = { ...before, ...Object.fromEntries(given) };
  if (options.final !== undefined) return goals;
  const agree = goals.target === 'agreement' || unlabelled;
  return { ...goals, final: agree ? 'original' : goals.policy === 'auto' ? 'ensembled' : before.final };
}

/** Shares of the calibration role when something is to be promised. */
export const HALVES = { search: 0.5, promise: 0.5 };

/** The confidence of each promise, so that all of them hold with the one asked for. */
export const confidenceOfEach = ({ confidence, maxAccuracyDrops }: Goals): number =>
  1 - (1 - confidence!) / maxAccuracyDrops.length;

/** A promise needs a drop to promise, and who joins the original does not agree with it. Throws `bad-option`. */
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
 * What can be seen before any work is done: a budget below the cheapest exit, a default point that will not exist, too few of the
 * `samples` calibration samples for a promise. Throws `budget-unreachable`, `unknown-operating-point` or `too-few-for-guarantee`.
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

/** Throws `too-few-for-guarantee` where half of `samples` calibration samples cannot hold what is to be promised. */
export function refuseUnpromised(samples: number, goals: Goals): void {
  if (goals.confidence === undefined) return;
  for (const drop of goals.maxAccuracyDrops)
    refuseTooFew(Math.ceil(HALVES.promise * samples), drop, confidenceOfEach(goals));
}
