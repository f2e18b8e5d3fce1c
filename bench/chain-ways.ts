/** Ways of choosing policy and thresholds for a chain, each as `compile` does it with the options named. For chain.ts. */
import { type CostModel, pickBudget, type Searched } from '../src/calibrate/index.ts';
import { shuffled } from '../src/graph/random.ts';
import type { PolicyName } from '../src/policies/index.ts';
import { choosePolicy, crossFitted, searchFor } from '../src/predict/choose-policy.ts';
import { type FittedPolicy, fitFinalAnswer, fitPolicy } from '../src/predict/fitted-policy.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import { type Predictions, rowsOf } from '../src/predict/predict.ts';

export interface Fitted {
  readonly policy: FittedPolicy;
  readonly searched: Searched;
}

export interface Way {
  readonly name: string;
  /** Policy and candidates from the calibration samples; `seed` says which third of them is the validation split where there is one. */
  readonly fit: (calibration: Predictions, costs: CostModel, seed: number) => Fitted;
}

const TARGET = 'accuracy';

/** A third for what the policy learns, the rest for the search: as `compile` cuts the calibration split where nothing is trained. */
function parts(calibration: Predictions, seed: number) {
  const order = shuffled(calibration.labels.length, seed, 'validation');
  const third = Math.round(order.length / 3);
  return {
    validation: rowsOf(calibration, order.slice(0, third).sort()),
    rest: rowsOf(calibration, order.slice(third).sort()),
  };
}

function found(policy: FittedPolicy, rest: Predictions, costs: CostModel, seed: number): Fitted {
  const hull = searchFor(outcomesAt(rest, policy), policy, costs, TARGET);
  return { policy, searched: { hull, unseen: crossFitted(rest, policy, costs, TARGET, seed) } };
}

/** What `compile` does when nothing is said: `auto` from 2,000 calibration samples on, the final answer ensembled. */
export const DEFAULT: Way = {
  name: '`auto`, the default',
  fit(calibration, costs, seed) {
    const { validation, rest } = parts(calibration, seed);
    const final = fitFinalAnswer(validation);
    const options = { target: TARGET, budgets: [], haveConfidence: false, final, seed } as const;
    const { fittedPolicy, unseen } = choosePolicy(validation, rest, costs, options);
    const hull = searchFor(outcomesAt(rest, fittedPolicy), fittedPolicy, costs, TARGET);
    return { policy: fittedPolicy, searched: { hull, unseen } };
  },
};

const learning = (policy: PolicyName): Way => ({
  name: `\`${policy}\`, final answer ensembled`,
  fit(calibration, costs, seed) {
    const { validation, rest } = parts(calibration, seed);
    const fitted = { ...fitPolicy(policy, validation, costs), final: fitFinalAnswer(validation) };
    return found(fitted, rest, costs, seed);
  },
});

/** Needs no validation split. */
export const maxProb = (ensembled: boolean): Way => ({
  name: `\`max-prob\`, ${ensembled ? 'final answer ensembled' : 'every network by itself'}`,
  fit(calibration, costs, seed) {
    const final = ensembled ? fitFinalAnswer(calibration) : undefined;
    return found({ policy: 'max-prob', parameters: {}, final }, calibration, costs, seed);
  },
});

export const WAYS: readonly Way[] = [DEFAULT, learning('ensemble'), maxProb(true), maxProb(false)];

/** Thresholds for a mean cost of `budget`, as `compile` chooses them for a budget that is asked for; undefined where every exit costs more. */
export function thresholdsFor({ searched }: Fitted, budget: number): readonly number[] | undefined {
  return searched.hull[0]!.relativeCost > budget ? undefined : pickBudget(searched, budget).thresholds;
}
