/** Predictions and a fitted policy → outcomes: scores and answers at every exit. */
import { CLOSED, type ExitOutcomes, type OutcomesAt } from '../calibrate/types.ts';
import { ensembleLogits } from '../policies/final-answer.ts';
import { argMaxRows } from '../policies/rows.ts';
import { type FittedPolicy, policyIn } from './fitted-policy.ts';
import { exitsOf, type Predictions } from './predict.ts';

/**
 * `predictions` as `fittedPolicy` scores them, every sample at every exit. The scores of a policy with state, and an ensembled final answer,
 * depend on which exits are open: those whose `thresholds` are below `CLOSED`, all when left out.
 */
export function outcomesOf(
  predictions: Predictions,
  fittedPolicy: FittedPolicy,
  thresholds?: readonly number[],
): ExitOutcomes {
  const policy = policyIn(fittedPolicy);
  const samples = predictions.labels.length;
  const classes = predictions.original.length / samples;
  const all = exitsOf(predictions);
  const exits = all.length;
  const isOpen = all.map((_, k) => thresholds === undefined || thresholds[k]! < CLOSED);
  const state = new Float32Array(samples * policy.state(exits, classes));
  const decisions = all.map((outputs, exit) => {
    const own = isOpen[exit] ? state : state.slice();
    return policy.decide({ ...outputs, exit, exits, classes, state: own }, fittedPolicy.parameters);
  });
  const ensembled = fittedPolicy.final && isOpen.includes(true);
  const final = ensembled
    ? ensembleLogits(predictions.original, state, classes, fittedPolicy.final!)
    : predictions.original;
  return {
    scores: decisions.map((d) => d.score),
    logits: [...decisions.map((d) => d.logits), final],
    predictions: decisions.map((d) => argMaxRows(d.logits, samples)),
    original: argMaxRows(predictions.original, samples),
    final: argMaxRows(final, samples),
    labels: predictions.labels,
  };
}

/** Outcomes by thresholds, computed once for each set of open exits that makes a difference. */
export function outcomesAt(predictions: Predictions, fittedPolicy: FittedPolicy): OutcomesAt<ExitOutcomes> {
  const exits = predictions.logits.length;
  const hasState = policyIn(fittedPolicy).state(exits, 1) > 0;
  const known = new Map<string, ExitOutcomes>();
  return (thresholds) => {
    const key = hasState ? (thresholds ?? []).map((t) => (t < CLOSED ? 'open' : 'closed')).join() : '';
    const found = known.get(key) ?? outcomesOf(predictions, fittedPolicy, thresholds);
    known.set(key, found);
    return found;
  };
}
