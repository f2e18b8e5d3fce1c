import { provenance } from '../../emit/describe.ts';
import { lowerExits } from '../../passes/lower-exits.ts';
import type { FittedPolicy } from '../../predict/fitted-policy.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';

/** The original with its exits and `policy` inside; `baked`: thresholds that are built in. */
export const lower = (
  { inspection: { source, typed }, dropOutputs }: CompileContext,
  { heads }: ReadyExits,
  policy: FittedPolicy,
  baked?: readonly number[],
) => lowerExits(typed, heads, { ...policy, baked, dropOutputs, metadata: provenance(source.sha256) });
