/** What `import 'onnx-offramp'` gives: the compiler, and what its results are made of. */

export type { ThresholdOptions } from './calibrate/goals.ts';
export type { Discordant } from './calibrate/paired.ts';
export type { BakeOptions } from './commands/bake.ts';
export { type CalibrateOptions, calibrate } from './commands/calibrate.ts';
export {
  type AccuracyDifference,
  type Compared,
  type CompareOptions,
  type Comparison,
  compare,
} from './commands/compare.ts';
export type { SideOptions } from './commands/compare-sides.ts';
export { type CompileOptions, type CompilePlanOptions, compile } from './commands/compile.ts';
export { type EmitOptions, emit } from './commands/emit.ts';
export { loadModel, mergeShards, printKubernetesJob } from './commands/entries.ts';
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type Measured,
  type MeasuredPoint,
} from './commands/evaluate.ts';
export { type ExportedOnnx, type ExportOnnxOptions, exportOnnx } from './commands/export-onnx.ts';
export {
  type ExportedTransformers,
  type ExportTransformersOptions,
  exportTransformers,
} from './commands/export-transformers.ts';
export { type ExportedTriton, type ExportTritonOptions, exportTriton } from './commands/export-triton.ts';
export { type ExtractedShard, type ExtractShardOptions, extractShard } from './commands/extract-shard.ts';
export type { FinishOptions } from './commands/finish.ts';
export type { GrowthOptions } from './commands/growth.ts';
export type { HubModelOptions } from './commands/hub-model.ts';
export {
  type InspectedExit,
  type InspectedInput,
  type InspectedNetwork,
  type Inspection,
  type InspectOptions,
  inspect,
} from './commands/inspect.ts';
export {
  type CompilePlan,
  type PlannedBranch,
  type PlannedNetwork,
  type PlannedSeconds,
  type PlannedSplit,
  planCompile,
} from './commands/plan.ts';
export type { ProjectOptions } from './commands/project.ts';
export type { Compiled } from './commands/steps/describe-and-write.ts';
export type { PreprocessingOptions, Preset } from './data/preprocessing.ts';
export type { DataSummary, Split, SplitPaths } from './data/splits.ts';
export type { InputSpec, Layout, Preprocessing, Progress, Resample, View } from './data/types.ts';
export type {
  Baseline,
  CalibrationGoals,
  DataSplit,
  Environment,
  FinalAnswer,
  LatencyProtocol,
  Manifest,
  ManifestExit,
  ManifestInput,
  ManifestNetwork,
  ManifestOutputs,
  ManifestSent,
  ManifestSessionOptions,
  ManifestSplit,
  OperatingPoint,
  PointGuarantee,
  PolicyComparison,
  PolicyFit,
  Source,
  SplitLoss,
  SplitLossAt,
  Training,
} from './emit/manifest.ts';
export { printManifest, readManifest } from './emit/manifest-json.ts';
export type { Events, ProgressEvent } from './errors/events.ts';
export { OfframpError } from './errors/index.ts';
export type { Note } from './errors/notes.ts';
export type { KubernetesJobOptions } from './export/kubernetes-job.ts';
export type { PipelineTask } from './export/pipeline-files.ts';
export type {
  Attribute,
  DataType,
  Dim,
  ExternalData,
  Graph,
  Model,
  Node,
  OpsetImport,
  SparseTensor,
  Tensor,
  TensorType,
  UnknownFields,
  ValueInfo,
} from './graph/types.ts';
export type { Dtype } from './hub/folder.ts';
export type { ModelOptions } from './model/inspect.ts';
export type { ObserveOptions } from './model/observe-facts.ts';
export type { Grown, GrownTraining } from './networks/chain.ts';
export type { FirstOptions } from './networks/open-first.ts';
export type { SessionOptions } from './ort/session.ts';
export { type LoadedModel, parseModel, serializeModel } from './parser/index.ts';
export type { Activation, Head, HeadKind, PlannedExit, RejectedTap, Tap } from './passes/exits.ts';
export type { InputOptions } from './passes/fix-inputs.ts';
export type { Runtime } from './passes/place-weights.ts';
export type { Placement, PlanOptions } from './passes/plan-exits.ts';
export type { PolicyName } from './policies/index.ts';
export type { VerifyEffort } from './predict/verify.ts';
export type { PointSampling } from './runtime/affine.ts';
export type { Filter } from './runtime/pixels.ts';
export type { Resize } from './runtime/place.ts';
export type { Augment } from './students/augment.ts';
export type { Effort } from './students/effort.ts';
export type { ExitLoss } from './students/exit-losses.ts';
export type { TeacherMode } from './students/picture-source.ts';
export type { Family } from './students/student.ts';
export type { FeatureFacts, FeatureIdentity } from './train/feature-identity.ts';
export type { RecipeName } from './train/recipes.ts';
export type { Merged, MergeOptions, Shard } from './train/shards.ts';
