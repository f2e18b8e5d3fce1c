import { classMargin } from './class-margin.ts';
import { confidence } from './confidence.ts';
import { correctness } from './correctness.ts';
import { eenet } from './eenet.ts';
import { ensemble } from './ensemble.ts';
import { entropy } from './entropy.ts';
import { gain } from './gain.ts';
import { margin } from './margin.ts';
import { maxProb } from './max-prob.ts';
import { patience } from './patience.ts';
import type { Policy } from './policy.ts';

export {
  type Decision,
  type ExitOutputs,
  type FitData,
  HIGHEST_OPEN,
  type Policy,
  type PolicyParameters,
} from './policy.ts';

/** Every policy by its name. */
export const POLICIES = {
  'max-prob': maxProb,
  confidence,
  entropy,
  margin,
  patience,
  ensemble,
  gain,
  correctness,
  eenet,
  'class-margin': classMargin,
} as const satisfies Record<string, Policy>;

export type PolicyName = keyof typeof POLICIES;
export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

/** `POLICIES[name]` as a `Policy`. */
export const policyOf = (name: PolicyName): Policy => POLICIES[name];
