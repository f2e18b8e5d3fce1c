/** The networks of a chain, for the manifest. */
import type { Chain, Network } from '../networks/chain.ts';
import type { ExitPlan } from '../passes/exits.ts';
import type { ManifestNetwork } from './manifest.ts';

/** Undefined for a model on its own. `accuracies` [networks]: of each by itself, where known, on the split that is reported. */
export function describeNetworks(
  { networks }: Chain,
  accuracies: readonly (number | undefined)[],
): ManifestNetwork[] | undefined {
  if (networks.length === 1) return undefined;
  const { totalMacs } = networks.at(-1)!.plan;
  return networks.map(({ id, file, source, plan, reading }, n) => {
    const { dims = {}, set, adapter = [], output, ...others } = reading ?? {};
    return {
      id,
      file,
      sha256: source.sha256,
      macs: plan.totalMacs,
      relativeCost: plan.totalMacs / totalMacs,
      ...others,
      ...(adapter.length > 0 && { adapter }),
      ...(accuracies[n] !== undefined && { accuracy: accuracies[n] }),
      ...(output !== undefined && { output }),
      ...(Object.keys(dims).length > 0 && { dims }),
      ...(set && { set }),
    };
  });
}

/** A network that is not in the file, `original` the plan of the last. */
export const describeLeftOut = ({ file, source, plan, reading }: Network, original: ExitPlan) => ({
  file,
  sha256: source.sha256,
  relativeCost: plan.totalMacs / original.totalMacs,
  ...(reading?.grown && { grown: reading.grown }),
});
