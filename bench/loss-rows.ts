/** What chains lose at given costs, as rows of tables. For students.ts and papers.ts. */
import { argMaxRows } from '../src/policies/rows.ts';
import { accuracyOf, type Predictions } from '../src/predict/predict.ts';
import { deviation, mean, points } from './budgets.ts';
import type { Way } from './chain-ways.ts';
import { type Answered, contest, interval, lostIn, meanOf, type Reported } from './halves.ts';

/** Each a cell a budget; '–' where no thresholds cost so little. */
export interface LossRows {
  /** Points lost: of several trainings the mean of their means ± their standard deviation, of one ± that of its draws. */
  readonly lost: string[];
  /** Points lost of each training. */
  readonly each: string[];
  /** The paired 95 % interval over the samples, of the mean draw. */
  readonly paired: string[];
  /** Percent of the answers that are the original's. */
  readonly agreement: string[];
  readonly cost: string[];
}

/** `trained`: the same chain, of each training. */
export function lossRows(way: Way, trained: readonly Answered[], budgets: readonly number[]): LossRows {
  const contests = trained.map((one) => contest(way, one, budgets).byBudget);
  const cells = (cell: (draws: readonly (readonly Reported[])[]) => string) =>
    budgets.map((budget) => {
      const draws = contests.map((byBudget) => byBudget.get(budget)!);
      return draws.flat().every(({ samples }) => samples > 0) ? cell(draws) : '–';
    });
  const means = (draws: readonly (readonly Reported[])[]) => draws.map((own) => mean(own.map(lostIn)));
  const all = (draws: readonly (readonly Reported[])[]) => meanOf(draws.map(meanOf));
  return {
    lost: cells((draws) => {
      const spread = draws.length > 1 ? means(draws) : draws[0]!.map(lostIn);
      return `**${points(mean(means(draws)))}** ± ${points(deviation(spread))}`;
    }),
    each: cells((draws) => means(draws).map(points).join(', ')),
    paired: cells((draws) => interval(all(draws))),
    agreement: cells((draws) => {
      const { agreed, samples } = all(draws);
      return ((100 * agreed) / samples).toFixed(1);
    }),
    cost: cells((draws) => {
      const { cost, samples } = all(draws);
      return (cost / samples).toFixed(3);
    }),
  };
}

/** Percent right: of each exit by itself, and of the original. */
export function aloneOf({ logits, original, labels }: Predictions) {
  const percent = (scores: Float32Array) =>
    (100 * accuracyOf(argMaxRows(scores, labels.length), labels)).toFixed(2);
  return { exits: logits.map(percent).join(', '), original: percent(original) };
}
