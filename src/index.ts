/** What `import 'onnx-offramp'` gives: the compiler, and what its results are made of. */
export { type CalibrateOptions, calibrate } from './calibrate-compiled.ts';
export {
  type AccuracyDifference,
  type Compared,
  type CompareOptions,
  type Comparison,
  compare,
} from './compare.ts';
export { type CompileOptions, compile } from './compile.ts';
export {
  type Manifest,
  type ManifestExit,
  type OperatingPoint,
  printManifest,
  readManifest,
} from './emit/manifest.ts';
export { type EmitOptions, emit } from './emit-package.ts';
export { loadModel, mergeShards, printKubernetesJob } from './entries.ts';
export { OfframpError } from './errors.ts';
export { type EvaluateOptions, type Evaluation, evaluate } from './evaluate.ts';
export type { Events, ProgressEvent } from './events.ts';
export type { KubernetesJobOptions } from './export/kubernetes-job.ts';
export { type ExportedTriton, type ExportTritonOptions, exportTriton } from './export-triton.ts';
export { type ExtractedShard, type ExtractShardOptions, extractShard } from './extract-shard.ts';
export type { Compiled } from './finish.ts';
export { type Inspection, type InspectOptions, inspect } from './inspect.ts';
export { parseModel, serializeModel } from './parser/index.ts';
export { type CompilePlan, planCompile } from './plan-compile.ts';
export type { Merged, MergeOptions, Shard } from './train/shards.ts';
export type { ThresholdOptions } from './wishes.ts';
