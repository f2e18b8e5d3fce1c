/** Costs of samples relative to the original. */
import type { Head } from '../passes/exits.ts';
import type { CostModel } from './types.ts';

/** MACs as shares of the original's, every head counted. `networks`: in the order samples meet them, the original last. */
export function costsOf(
  networks: readonly { readonly totalMacs: number }[],
  heads: readonly Head[],
): CostModel {
  const { totalMacs } = networks.at(-1)!;
  return {
    exits: heads.map(({ exit: { network, prefixMacs }, macs }) => ({
      network,
      prefix: prefixMacs / totalMacs,
      head: macs / totalMacs,
    })),
    networks: networks.map((network) => network.totalMacs / totalMacs),
  };
}

/** [K + 1]: cost of a sample that leaves at each exit, and of one that reaches the end, with all exits open. In the unit of `cost`. */
export function leavingCosts({ exits, networks }: CostModel): number[] {
  let heads = 0;
  const costs = exits.map(({ network, prefix, head }) => {
    heads += head;
    return spentBefore(exits, network) + prefix + heads;
  });
  return [...costs, spentBefore(exits, networks.length - 1) + networks.at(-1)! + heads];
}

/** Cost of the networks before `network`, each up to its last exit, without heads. */
function spentBefore(exits: CostModel['exits'], network: number): number {
  let spent = 0;
  for (const [k, exit] of exits.entries())
    if (exit.network < network && exits[k + 1]?.network !== exit.network) spent += exit.prefix;
  return spent;
}

/** Cost of leaving at the cheapest exit when no other is open. */
export const cheapestCost = ({ exits }: CostModel): number =>
  Math.min(...exits.map(({ prefix, head }) => prefix + head));
