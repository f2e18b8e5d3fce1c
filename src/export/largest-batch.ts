/** How many samples may share a run, when a run is answered as a whole. */

/** A batch's cost may be this many times a lone sample's, on average. */
const PATIENCE = 1.5;
const SIZES = [32, 16, 8, 4, 2] as const;

/**
 * A batch is answered when its last sample is: samples that are sure early wait for the others, and gain nothing. The
 * cost of the dearest of n samples that leave at exit k with share s_k at cost c_k is on average Σ c_k (F_k^n −
 * F_{k−1}^n), F_k = s_0 + … + s_k. Returns the largest power of two up to 32 at which that is at most 1.5 times the
 * mean cost of one.
 *
 * `costs` and `shares`: [K + 1], the full path last; `costs` rise.
 */
export function largestBatch(costs: readonly number[], shares: readonly number[]): number {
  const dearestOf = (samples: number) => {
    let below = 0;
    return costs.reduce((sum, cost, k) => {
      const before = below ** samples;
      below += shares[k]!;
      return sum + cost * (below ** samples - before);
    }, 0);
  };
  const lone = dearestOf(1);
  return SIZES.find((samples) => dearestOf(samples) <= PATIENCE * lone) ?? 1;
}
