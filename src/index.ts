/** What `import 'onnx-offramp'` gives: the compiler, and what its results are made of. */

export type { ThresholdOptions } from './calibrate/goals.ts';
export { type CalibrateOptions, calibrate } from './commands/calibrate.ts';
export {
  type AccuracyDifference,
  type Compared,
  type CompareOptions,
  type Comparison,
  compare,
} from './commands/compare.ts';
export { type CompileOptions, compile } from './commands/compile.ts';
export { type EmitOptions, emit } from './commands/emit.ts';
export { loadModel, mergeShards, printKubernetesJob } from './commands/entries.ts';
export { type EvaluateOptions, type Evaluation, evaluate } from './commands/evaluate.ts';
export { type ExportedTriton, type ExportTritonOptions, exportTriton } from './commands/export-triton.ts';
export { type ExtractedShard, type ExtractShardOptions, extractShard } from './commands/extract-shard.ts';
export type { Compiled } from './commands/finish.ts';
export { inspect } from './commands/inspect.ts';
export { type CompilePlan, planCompile } from './commands/plan.ts';
export type { Manifest, ManifestExit, OperatingPoint } from './emit/manifest.ts';
export { printManifest, readManifest } from './emit/manifest-json.ts';
export type { Events, ProgressEvent } from './errors/events.ts';
export { OfframpError } from './errors/index.ts';
export type { KubernetesJobOptions } from './export/kubernetes-job.ts';
export type { Inspection, InspectOptions } from './model/inspect.ts';
export { parseModel, serializeModel } from './parser/index.ts';
export type { Merged, MergeOptions, Shard } from './train/shards.ts';
