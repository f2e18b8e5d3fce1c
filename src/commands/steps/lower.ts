import { provenance } from '../../emit/describe.ts';
import { lowerChain } from '../../passes/lower-exits.ts';
import type { Runtime } from '../../passes/place-weights.ts';
import type { FittedPolicy } from '../../predict/fitted-policy.ts';
import { networksWith } from '../chain-exits.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';

/** The chain with its exits and `policy` inside; `baked`: thresholds that are built in; `runtime`: which ONNX Runtime it is for. */
export const lower = (
  { inspection: { source }, chain, dropOutputs }: CompileContext,
  { heads }: ReadyExits,
  policy: FittedPolicy,
  baked?: readonly number[],
  runtime?: Runtime,
) =>
  lowerChain(networksWith(chain, heads), {
    ...policy,
    baked,
    ...(runtime && { runtime }),
    dropOutputs,
    metadata: provenance(source.sha256),
  });
