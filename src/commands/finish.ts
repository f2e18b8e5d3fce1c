/** The second half of `compile` and `calibrate`: from exits that are ready to the written folder, in five steps. */
import type { Goals } from '../calibrate/goals.ts';
import type { Origin } from '../emit/describe.ts';
import type { KeptTokenizer } from '../emit/keep-tokenizer.ts';
import type { VerifyEffort } from '../predict/verify.ts';
import type { CompileContext } from './project.ts';
import type { ReadyExits } from './ready-exits.ts';
import { reportedSamples } from './steps/calibrated.ts';
import { choosePoints } from './steps/choose-points.ts';
import { choosePolicy } from './steps/choose-policy.ts';
import { type Compiled, describeAndWrite } from './steps/describe-and-write.ts';
import { lowerAndVerify } from './steps/lower-and-verify.ts';
import { measureLatency } from './steps/measure-latency.ts';

/** Options of the second half. */
export interface FinishOptions {
  /** How many of the reported samples the emitted model is checked on before it is written; `some` by default. */
  readonly verify?: VerifyEffort;
  /** Write report.html too; true by default. */
  readonly report?: boolean;
  /** Measure latencies; true by default. Without them the same run writes the same bytes. */
  readonly timing?: boolean;
}

/** Where the result goes, and what the manifest records that no step finds out. */
export interface Destination {
  readonly out: string;
  /** Replace what is there. */
  readonly force: boolean;
  readonly origin: Origin;
  /** What texts were encoded by. */
  readonly tokenizer: KeptTokenizer | undefined;
}

/**
 * Nothing is written unless the emitted model answers as heads and policy do in plain arithmetic. Deterministic but for latencies. Throws
 * `emitted-model-differs`, `time-budget-unreachable`, and what writing a folder throws.
 */
export async function finish(
  context: CompileContext,
  exits: ReadyExits,
  goals: Goals,
  { verify, report = true, timing = true }: FinishOptions,
  destination: Destination,
): Promise<Compiled> {
  const chosen = await choosePolicy(context, exits, goals);
  const points = await choosePoints(context, exits, goals, chosen);
  const reported = await reportedSamples(context, exits, chosen);
  const calibrated = { exits, goals, chosen, points, reported };
  const emitted = await lowerAndVerify(context, calibrated, verify);
  const latency = timing ? await measureLatency(context, calibrated, emitted) : undefined;
  return await describeAndWrite(context, calibrated, { emitted, latency }, { ...destination, report });
}
