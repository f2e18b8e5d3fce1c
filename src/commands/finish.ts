/** The second half of `compile` and `calibrate`: from exits that are ready to the written folder, in five steps. */
import type { Goals } from '../calibrate/goals.ts';
import type { Origin } from '../emit/describe.ts';
import type { KeptTokenizer } from '../emit/keep-tokenizer.ts';
import type { Runtime } from '../passes/place-weights.ts';
import type { VerifyEffort } from '../predict/verify.ts';
import type { CompileContext } from './project.ts';
import type { ReadyExits } from './ready-exits.ts';
import { reportedSamples } from './steps/calibrated.ts';
import { type Compiled, describeAndWrite } from './steps/describe-and-write.ts';
import { chooseUsed } from './steps/leave-out.ts';
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
  /** Which ONNX Runtime the model is for; `native` by default. In browsers the `web` form takes less memory. */
  readonly runtime?: Runtime;
  /** Keep networks and exits of a chain that no named point uses. */
  readonly keepAll?: boolean;
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
  opened: CompileContext,
  ready: ReadyExits,
  goals: Goals,
  { verify, report = true, timing = true, keepAll = false, runtime }: FinishOptions,
  destination: Destination,
): Promise<Compiled> {
  const { context, exits, chosen, points, leftOut } = await chooseUsed(opened, ready, goals, keepAll);
  const reported = await reportedSamples(context, exits, chosen);
  const calibrated = { exits, goals, chosen, points, leftOut, reported, runtime };
  const emitted = await lowerAndVerify(context, calibrated, verify);
  try {
    const latency = timing ? await measureLatency(context, calibrated, emitted) : undefined;
    return await describeAndWrite(context, calibrated, { emitted, latency }, { ...destination, report });
  } finally {
    await emitted.close();
  }
}
