/** What is grown, once the training samples are counted. */
import { noTaps } from '../errors/index.ts';
import { info, type Note } from '../errors/notes.ts';
import { chainOf, costsOfChain } from '../networks/chain.ts';
import { LATEST_TAP, reasonsOf } from '../passes/plan-exits.ts';
import { LEAST_SAMPLES } from '../students/effort.ts';
import { asksForExits } from './head-options.ts';
import type { Project, ProjectOptions } from './project.ts';

/**
 * `project` with what is grown on so many training samples: by default students in front of an original without heads where there are enough, and
 * heads alone where not. Students that were asked for stay. A note says why nothing is grown. Throws `no-taps` where heads would have no place.
 */
export function settleGrowth<P extends Pick<Project, 'chain' | 'heads' | 'costs' | 'growth' | 'inspection'>>(
  project: P,
  samples: number,
  options: ProjectOptions,
): { readonly project: P; readonly note?: Note } {
  const { growth, chain, inspection } = project;
  if (!growth?.byDefault) return { project };
  const isEnough = samples >= LEAST_SAMPLES;
  const { plan } = inspection;
  if (!isEnough && plan.exits.length === 0)
    throw noTaps(reasonsOf(plan.rejected), plan.taps.length, LATEST_TAP);
  const keepsHeads = !isEnough || asksForExits(options);
  const networks = chain.networks
    .filter(({ id }) => isEnough || !growth.students.has(id))
    .map((network) => (network.id === 'original' && !keepsHeads ? { ...network, heads: [] } : network));
  const original = chain.networks.at(-1)!;
  const settled = chainOf(networks);
  const changed = {
    ...project,
    chain: settled,
    heads: settled.heads,
    costs: costsOfChain(settled),
    growth: isEnough ? { ...growth, ...(!keepsHeads && { instead: original.heads }) } : undefined,
  };
  if (isEnough) return { project: changed };
  const few = `${samples.toLocaleString('en')} training samples are few for one (\`student\` asks for it all the same, from ${LEAST_SAMPLES.toLocaleString('en')} on it is the default)`;
  return { project: changed, note: info('no-student', `No student is grown, heads are trained: ${few}.`) };
}
