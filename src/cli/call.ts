/** From what yargs parsed to the options of the function that a command calls. */

import type { CalibrateOptions } from '../commands/calibrate.ts';
import type { CompareOptions } from '../commands/compare.ts';
import type { CompilePlanOptions } from '../commands/compile.ts';
import type { EmitOptions } from '../commands/emit.ts';
import type { EvaluateOptions } from '../commands/evaluate.ts';
import type { ExportKserveOptions } from '../commands/export-kserve.ts';
import type { ExportOnnxOptions } from '../commands/export-onnx.ts';
import type { ExportTransformersOptions } from '../commands/export-transformers.ts';
import type { ExportTritonOptions } from '../commands/export-triton.ts';
import type { ExtractShardOptions } from '../commands/extract-shard.ts';
import type { InspectOptions } from '../commands/inspect.ts';
import { OPTIONS } from '../commands/options.ts';
import type { SplitOptions } from '../commands/split-options.ts';
import type { KubernetesJobOptions } from '../export/kubernetes-job.ts';

interface OptionsOf {
  readonly inspect: Omit<InspectOptions, 'session'>;
  readonly compile: CompilePlanOptions;
  readonly features: ExtractShardOptions;
  readonly calibrate: CalibrateOptions;
  readonly evaluate: EvaluateOptions;
  readonly compare: CompareOptions;
  readonly split: SplitOptions;
  readonly emit: EmitOptions;
  readonly 'export transformers': ExportTransformersOptions;
  readonly 'export onnx': ExportOnnxOptions;
  readonly 'export triton': ExportTritonOptions;
  readonly 'export kserve': ExportKserveOptions;
  readonly 'export k8s': KubernetesJobOptions;
}

/** Every option of `O` is there; one that was not given is undefined. */
type Given<O> = {
  readonly [K in keyof O]-?: undefined extends O[K] ? O[K] | undefined : O[K];
};

/**
 * The options of the API's function that `command` calls, out of `args`, which hold more. A command without a flag for one of them does not
 * compile.
 */
export function optionsFor<C extends keyof OptionsOf>(command: C, args: Given<OptionsOf[C]>): OptionsOf[C] {
  const known = Object.entries(args).filter(
    ([name, value]) => value !== undefined && Object.hasOwn(OPTIONS[command], name),
  );
  return Object.fromEntries(known) as OptionsOf[C];
}

/** The API's names for the flags of thresholds that are called otherwise. */
export const thresholdsOf = ({ budget, minAccuracy, maxAccuracyDrop }: ThresholdFlags) => ({
  budgets: budget?.budgets,
  budgetsMs: budget?.budgetsMs,
  minAccuracies: minAccuracy,
  maxAccuracyDrops: maxAccuracyDrop,
});

interface ThresholdFlags {
  readonly budget: { readonly budgets: readonly number[]; readonly budgetsMs: readonly number[] } | undefined;
  readonly minAccuracy: readonly number[] | undefined;
  readonly maxAccuracyDrop: readonly number[] | undefined;
}
