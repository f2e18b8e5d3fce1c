/** Predictions and a fitted policy → outcomes: scores and answers at every exit. */
import { CLOSED, type ExitOutcomes, type OutcomesAt } from '../calibrate/types.ts';
import { ensembleOf } from '../policies/final-answer.ts';
import { type Decision, policyOf } from '../policies/index.ts';
import { argMaxRows } from '../policies/rows.ts';
import type { FittedPolicy } from './fitted-policy.ts';
import { exitsOf, type Predictions } from './predict.ts';

/**
 * `predictions` as `fittedPolicy` scores them, every sample at every exit. The scores of a policy with state, and an ensembled final answer,
 * depend on which exits are open: those whose `thresholds` are below `CLOSED`, all when left out.
 */
export const outcomesOf = (
  predictions: Predictions,
  fittedPolicy: FittedPolicy,
  thresholds?: readonly number[],
): ExitOutcomes => outcomesAt(predictions, fittedPolicy)(thresholds);

/** Outcomes by thresholds, computed once for each set of open exits that makes a difference; so is what they have in common. */
export function outcomesAt(predictions: Predictions, fittedPolicy: FittedPolicy): OutcomesAt<ExitOutcomes> {
  const policy = policyOf(fittedPolicy.policy);
  const exits = predictions.logits.length;
  const isDependent = policy.state(exits, 1) > 0 || Boolean(fittedPolicy.final);
  const original = argMaxRows(predictions.original, predictions.labels.length);
  const decide = decider(predictions, fittedPolicy);
  const known = new Map<string, ExitOutcomes>();
  const made = (isOpen: readonly boolean[]): ExitOutcomes => {
    const decided = decide(isOpen);
    const final = finalLogits(predictions, fittedPolicy, isOpen);
    return {
      scores: decided.map(({ score }) => score),
      logits: [...decided.map(({ logits }) => logits), final],
      answers: decided.map(({ answers }) => answers),
      original,
      final: final === predictions.original ? original : argMaxRows(final, original.length),
      labels: predictions.labels,
    };
  };
  return (thresholds) => {
    const isOpen = predictions.logits.map((_, k) => thresholds === undefined || thresholds[k]! < CLOSED);
    const key = isDependent ? isOpen.join() : '';
    const found = known.get(key) ?? made(isOpen);
    known.set(key, found);
    return found;
  };
}

interface Decided extends Decision {
  /** [N]: the class answered. */
  readonly answers: Int32Array;
}

/** The policy at every exit by which are open; those that are not leave the state as it was. What an exit decides depends on the open ones before it. */
function decider(predictions: Predictions, { policy: name, parameters }: FittedPolicy) {
  const policy = policyOf(name);
  const samples = predictions.labels.length;
  const classes = predictions.original.length / samples;
  const all = exitsOf(predictions);
  const exits = all.length;
  const known = new Map<string, Decided>();
  return (isOpen: readonly boolean[]): Decided[] => {
    const state = new Float32Array(samples * policy.state(exits, classes));
    return all.map((outputs, exit) => {
      const key = state.length > 0 ? isOpen.slice(0, exit).join() : `exit ${exit}`;
      const found = known.get(key);
      const writes = isOpen[exit] && state.length > 0;
      if (found && !writes) return found;
      const own = writes ? state : state.slice();
      const decision = policy.decide({ ...outputs, exit, exits, classes, state: own }, parameters);
      const decided = found ?? { ...decision, answers: argMaxRows(decision.logits, samples) };
      known.set(key, decided);
      return decided;
    });
  };
}

/** Logits of samples that reach the end: the original's where no exit is open. */
function finalLogits(
  { logits, original, labels }: Predictions,
  { final }: FittedPolicy,
  isOpen: readonly boolean[],
): Float32Array {
  const open = logits.filter((_, k) => isOpen[k]);
  return final && open.length > 0
    ? ensembleOf(original, open, original.length / labels.length, final)
    : original;
}
