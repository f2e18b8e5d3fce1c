/** Costs of samples relative to the original. */
import type { ExitPlan, Head } from '../passes/exits.ts';
import type { CostModel } from './types.ts';

/** MACs as shares of the original's, every head counted. */
export function costsOf(plan: ExitPlan, heads: readonly Head[]): CostModel {
  return {
    prefix: plan.exits.map((exit) => exit.prefixMacs / plan.totalMacs),
    head: heads.map((head) => head.macs / plan.totalMacs),
  };
}

/** [K + 1]: cost of a sample that leaves at each exit, and of one that reaches the end, with all exits open. */
export function leavingCosts({ prefix, head }: CostModel): number[] {
  let heads = 0;
  const costs = prefix.map((way, k) => {
    heads += head[k]!;
    return way + heads;
  });
  return [...costs, 1 + heads];
}

/** Cost of leaving at the cheapest exit when no other is open. */
export const cheapestCost = ({ prefix, head }: CostModel): number =>
  Math.min(...prefix.map((way, k) => way + head[k]!));
