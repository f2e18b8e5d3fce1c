/** What a chain loses at given costs: policy and thresholds on random halves of the pictures, figures on the other halves. */
import { type CostModel, measure, pairedInterval, walk } from '../src/calibrate/index.ts';
import { shuffled } from '../src/graph/random.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import { type Predictions, rowsOf } from '../src/predict/predict.ts';
import { mean, points } from './budgets.ts';
import { thresholdsFor, type Way } from './chain-ways.ts';

export const BUDGETS = [0.25, 0.3, 0.35, 0.4, 0.45, 0.532, 0.638, 0.745];
export const DRAWS = 10;
/** Of a chain with many exits, whose searches take minutes. */
const FEW_DRAWS = 3;
const MANY_EXITS = 4;

/** What every exit of a chain answers about calibration and test pictures together. */
export interface Answered {
  readonly costs: CostModel;
  readonly predictions: Predictions;
  /** MACs a sample of the original. */
  readonly macs: number;
}

/** Sums over the pictures reported. */
export interface Reported {
  samples: number;
  /** Right by the original alone, and by the chain alone. */
  onlyOriginal: number;
  onlyChain: number;
  agreed: number;
  cost: number;
}

export const drawsOf = ({ exits }: CostModel) => (exits.length > MANY_EXITS ? FEW_DRAWS : DRAWS);

export const nothing = (): Reported => ({ samples: 0, onlyOriginal: 0, onlyChain: 0, agreed: 0, cost: 0 });

export function add(
  to: Reported,
  answers: Int32Array,
  { original, labels }: { original: Int32Array; labels: Int32Array },
) {
  for (const [i, label] of labels.entries()) {
    to.onlyOriginal += Number(original[i] === label && answers[i] !== label);
    to.onlyChain += Number(original[i] !== label && answers[i] === label);
    to.agreed += Number(answers[i] === original[i]);
  }
  to.samples += labels.length;
}

export const lostIn = ({ onlyOriginal, onlyChain, samples }: Reported) =>
  (onlyOriginal - onlyChain) / samples;

/** By budget, one entry a draw: fitted on each half of the pictures and reported on the other. */
export function contest(
  way: Way,
  { predictions, costs }: Pick<Answered, 'predictions' | 'costs'>,
  budgets: readonly number[] = BUDGETS,
) {
  const draws = drawsOf(costs);
  const byBudget = new Map(budgets.map((budget) => [budget, [] as Reported[]]));
  const policies = new Map<string, number>();
  for (let draw = 0; draw < draws; draw++) {
    const order = shuffled(predictions.labels.length, draw, 'halves');
    const middle = Math.floor(order.length / 2);
    const [a, b] = [order.slice(0, middle), order.slice(middle)].map((rows) =>
      rowsOf(predictions, rows.sort()),
    );
    const drawn = new Map(budgets.map((budget) => [budget, nothing()]));
    for (const [calibration, report] of [
      [a!, b!],
      [b!, a!],
    ] as const) {
      const fitted = way.fit(calibration, costs, draw);
      const { policy } = fitted.policy;
      policies.set(policy, (policies.get(policy) ?? 0) + 1);
      const view = outcomesAt(report, fitted.policy);
      for (const [budget, sums] of drawn) {
        const thresholds = thresholdsFor(fitted, budget);
        if (!thresholds) continue;
        const outcomes = view(thresholds);
        add(sums, walk(outcomes, thresholds).answers, outcomes);
        sums.cost += measure(outcomes, costs, thresholds).relativeCost * outcomes.labels.length;
      }
    }
    for (const [budget, sums] of drawn) byBudget.get(budget)!.push(sums);
  }
  return { byBudget, policies };
}

/** The mean draw. */
export function meanOf(draws: readonly Reported[]): Reported {
  const over = (name: keyof Reported) => mean(draws.map((draw) => draw[name]));
  return {
    samples: over('samples'),
    onlyOriginal: over('onlyOriginal'),
    onlyChain: over('onlyChain'),
    agreed: over('agreed'),
    cost: over('cost'),
  };
}

export function interval({ samples, onlyOriginal, onlyChain }: Reported): string {
  const [low, high] = pairedInterval({ samples, onlyA: onlyOriginal, onlyB: onlyChain });
  return `${points(-high)} … ${points(-low)}`;
}
