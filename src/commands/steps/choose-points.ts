/** Step 2 of 5: thresholds for every operating point. */

import { confidenceOfEach, type Goals } from '../../calibrate/goals.ts';
import {
  BEST,
  type Candidate,
  dropName,
  type Guarantee,
  guarantee,
  measure,
  type NamedPoint,
  operatingPoints,
  pickBudget,
  pointNamed,
  timeBudgetName,
} from '../../calibrate/index.ts';
import { timeBudgetUnreachable } from '../../errors/index.ts';
import { info } from '../../errors/notes.ts';
import { serializeModel } from '../../parser/index.ts';
import { crossFitted, searchFor } from '../../predict/choose-policy.ts';
import { outcomesAt } from '../../predict/outcomes.ts';
import { timeCosts } from '../../predict/time-costs.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';
import type { ChosenPolicy } from './choose-policy.ts';
import { lower } from './lower.ts';

export interface ChosenPoints {
  /** Cheapest first. */
  readonly points: readonly NamedPoint[];
  /** The point that is used when none is named. */
  readonly defaultPoint: NamedPoint;
  /** By the point's name; empty when no drop is promised. */
  readonly promises: ReadonlyMap<string, Guarantee>;
}

/** Searches thresholds on `chosen.searched` and picks the points that have a name or are asked for. Throws `time-budget-unreachable`. */
export async function choosePoints(
  context: CompileContext,
  exits: ReadyExits,
  goals: Goals,
  chosen: ChosenPolicy,
): Promise<ChosenPoints> {
  const { policy, unseen } = chosen;
  const { target } = goals;
  const hull = searchFor(outcomesAt(chosen.searched.predictions, policy), policy, context.costs, target);
  const promises = await promisesFor(context, exits, goals, chosen, hull);
  const promised = [...promises].map(([name, { thresholds }]): [string, Candidate] => [
    name,
    hull.find((point) => point.thresholds === thresholds)!,
  ]);
  const timed = await pointsForTimes(context, exits, goals, chosen);
  const points = operatingPoints(
    { hull, unseen },
    {
      target,
      budgets: goals.budgets,
      floors: goals.minAccuracies,
      maxDrops: goals.maxAccuracyDrops,
      found: new Map([...promised, ...timed]),
    },
  );
  const isMissing = goals.at === BEST && !points.some(({ name }) => name === BEST);
  if (isMissing)
    context.events.onNote?.(
      info(
        'no-best-point',
        'No setting was found that is more accurate than the original beyond chance: exact stands in for best.',
      ),
    );
  return { points, promises, defaultPoint: pointNamed(points, isMissing ? 'exact' : goals.at) };
}

/** The cheapest point of `hull` that keeps each of the drops asked for with the confidence asked for, all of them together (Bonferroni). */
async function promisesFor(
  { costs }: CompileContext,
  exits: ReadyExits,
  goals: Goals,
  { policy, promise }: ChosenPolicy,
  hull: readonly Candidate[],
): Promise<ReadonlyMap<string, Guarantee>> {
  if (!promise) return new Map();
  const outcomes = outcomesAt(await exits.predict(promise, 'predicting promises'), policy);
  const confidence = confidenceOfEach(goals);
  const risk = goals.target === 'agreement' ? 'disagreement' : 'drop';
  return new Map(
    goals.maxAccuracyDrops.map((limit) => [
      dropName(limit),
      guarantee(hull, outcomes, costs, { risk, limit, confidence }),
    ]),
  );
}

/** For each budget in milliseconds the best point that keeps to it, found with costs that are measured on the lowered model. */
async function pointsForTimes(
  context: CompileContext,
  exits: ReadyExits,
  { target, budgetsMs }: Goals,
  { policy, searched }: ChosenPolicy,
): Promise<[name: string, point: Candidate][]> {
  if (budgetsMs.length === 0) return [];
  const { costs, seed, predicting, progress } = context;
  const { costs: times, exactMs } = await timeCosts({
    model: serializeModel(lower(context, exits, policy)),
    costs,
    dataset: searched.dataset,
    session: predicting.session,
    signal: predicting.signal,
    onProgress: progress('timing segments', 'runs'),
  });
  const outcomes = outcomesAt(searched.predictions, policy);
  const hull = searchFor(outcomes, policy, times, target);
  const unseen = crossFitted(searched.predictions, policy, times, target, seed);
  const cheapestMs = hull[0]!.relativeCost * exactMs;
  return budgetsMs.map((budget) => {
    if (cheapestMs > budget) throw timeBudgetUnreachable(budget, cheapestMs);
    const { thresholds } = pickBudget({ hull, unseen }, budget / exactMs);
    return [timeBudgetName(budget), { thresholds, ...measure(outcomes(thresholds), costs, thresholds) }];
  });
}
