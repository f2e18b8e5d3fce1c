/**
 * The manifest: everything about a compiled model that is not in model.onnx. Read by `evaluate`, by the stub generator
 * and by other people's tools; its shape is published as schema/manifest.schema.json.
 */
import type { DataSummary } from '../data/splits.ts';
import type { Preprocessing } from '../data/types.ts';
import type { DataType } from '../graph/types.ts';
import type { Grown } from '../networks/chain.ts';
import type { Activation } from '../passes/exits.ts';

/** Shares, accuracies and relative costs are fractions; MACs and relative costs are per sample. K exits, C classes. */
export interface Manifest {
  readonly schemaVersion: 1;
  /** Of Offramp. */
  readonly version: string;
  /** npm name of the package, where one was given. */
  readonly name?: string;
  readonly source: Source;
  readonly seed: number;
  /** Training recipe, e.g. `distill`. */
  readonly recipe: string;
  /** How heads were trained; absent when none were. */
  readonly training?: Training;
  /** Exit policy, e.g. `confidence` or `max-prob`. */
  readonly policy: string;
  /** Set when the policy learns something. */
  readonly policyFit?: PolicyFit;
  /** Set when open exits join the last answer; the original alone gives it otherwise. */
  readonly final?: FinalAnswer;
  /** Set when the policy was chosen among all of them. */
  readonly policyComparison?: PolicyComparison;
  readonly calibration: CalibrationGoals;
  /** Number of classes, C. */
  readonly classes: number;
  /** [C]: class names, when known. */
  readonly labels?: readonly string[];
  /** The original's inputs, in the model's order; `thresholds` is not among them. */
  readonly inputs: readonly ManifestInput[];
  readonly outputs: ManifestOutputs;
  /** What the scores output has been through: `none` means logits. */
  readonly activation: Activation;
  readonly batch: 'dynamic' | 'fixed';
  /** External data of model.onnx, relative to it; absent when there is none. */
  readonly dataFiles?: readonly string[];
  /** What texts became the inputs by, kept beside model.onnx as tokenizer.json; absent where data were no texts. */
  readonly tokenizer?: { readonly sha256: string };
  /** model.onnx; absent in older manifests. */
  readonly model?: {
    readonly sha256: string;
    /** Its operator set, where there are several networks. */
    readonly opset?: number;
    /** Set when it was written for browsers' ONNX Runtime. */
    readonly runtime?: 'web';
  };
  /** The trained heads, kept beside model.onnx as heads.onnx; absent where exits came with the model, and in older manifests. */
  readonly heads?: { readonly sha256: string };
  /** How stored numbers become the first sample input; null when they are fed as they are. */
  readonly preprocessing: Preprocessing | null;
  /** Set of a chain: its networks in the order samples meet them, the original last. */
  readonly networks?: readonly ManifestNetwork[];
  /** Networks that were given or grown and that no named point uses; they are not in model.onnx. */
  readonly leftOut?: readonly Pick<ManifestNetwork, 'file' | 'sha256' | 'relativeCost' | 'grown'>[];
  /** [K], in the order samples meet them. */
  readonly exits: readonly ManifestExit[];
  readonly baseline: Baseline;
  /** Cheapest first. */
  readonly operatingPoints: readonly OperatingPoint[];
  /** Operating point in force when the caller names none; the one that a baked model has inside. */
  readonly defaultPoint: string;
  /** The data split behind every accuracy, cost and share here. */
  readonly measuredOn: 'test' | 'calibration';
  /** How latencies were measured; null when they were not. */
  readonly latency: LatencyProtocol | null;
  /** Heads were trained on `train`, their confidence layers fitted on `validation`, thresholds chosen on `calibration`. */
  readonly data: Readonly<Partial<Record<DataSplit, DataSummary>>>;
  readonly sessionOptions: ManifestSessionOptions;
  readonly environment: Environment;
  /** Set of the client of a split: model.onnx ends at an exit, and a server is asked for samples that do not leave before. */
  readonly split?: ManifestSplit;
}

/** Where a model was split, and what the client sends of a sample that it does not answer. */
export interface ManifestSplit {
  /** Id of the last exit that the client has. */
  readonly after: string;
  /** What names of served models begin with. */
  readonly served: string;
  /** Name of the served model at each operating point; it ends with 12 hex digits of the file's SHA-256. */
  readonly models: Readonly<Record<string, string>>;
  readonly sends: readonly ManifestSent[];
  /** Of a sample that is sent. */
  readonly bytes: number;
  /** What rounding the features changes; absent where they travel as they are, or there are none. */
  readonly loss?: SplitLoss;
}

/** A tensor that travels. `pixels`: an input as bytes before preprocessing, in the input's own axes; `state`: what the policy goes on from. */
export interface ManifestSent extends ManifestInput {
  readonly role: 'pixels' | 'input' | 'feature' | 'state';
  /** Of a feature that is rounded. */
  readonly bits?: 8 | 16;
}

/** Measured on the same samples with features as they are and as they travel. */
export interface SplitLoss {
  readonly samples: number;
  /** Share of samples that get another class, where most do. */
  readonly changed: number;
  /** By operating point. */
  readonly points: Readonly<Record<string, SplitLossAt>>;
}

export interface SplitLossAt {
  /** Of client and server. */
  readonly accuracy: number;
  /** Of the model before it was split. */
  readonly accuracyWhole: number;
  /** Share of samples that get another class. */
  readonly changed: number;
}

export type DataSplit = 'train' | 'validation' | 'calibration' | 'test';

export interface Source {
  /** Set when class names came by --labels, or are those of the model's config.json, rather than with the data. */
  readonly labels?: 'given' | 'config';
  /** Base name. */
  readonly file: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly opset: number;
  /** Producer's name and version; may be empty. */
  readonly producer: string;
  /** Set when it had exits already: their outputs, earliest first, its own last. */
  readonly exitOutputs?: readonly string[];
  /** The output that was named as the scores. */
  readonly output?: string;
  /** Sizes that were given to symbolic dimensions, by their names. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Inputs that became constants, and their values: one for all elements, or one an element. */
  readonly set?: Readonly<Record<string, number | readonly number[]>>;
  /** Set when it took one sample at a time and was made to take any number. */
  readonly widenBatch?: true;
  /** Set when its external data were in another folder. */
  readonly externalDataFolder?: 'given';
  /** Set when pictures that cannot be read were to be left out. */
  readonly skipBad?: true;
}

/** The recipe's settings, and how training went. */
export interface Training {
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  /** Cost weight, of the recipes that have one. */
  readonly lambda?: number;
  /** Set when heads learned most from samples that earlier ones do not take. */
  readonly survivors?: true;
  /** Views of each training sample that were to be cached. */
  readonly views: number;
  /** Bytes that cached features could take, set when those of all views did not fit: heads saw fewer views, or those computed for each batch. */
  readonly cacheLimit?: number;
  /** All exits that were trained, in order: set where some were left out since. */
  readonly exits?: readonly Pick<ManifestExit, 'tap' | 'head'>[];
  /** Steps, counted from 1, that losses are given for. */
  readonly steps: readonly number[];
  /** Running means of each exit's loss at those steps, by exit id; `joint` where all exits share one. */
  readonly losses: Readonly<Record<string, readonly number[]>>;
}

/** What the policy learned, and from which samples. */
export interface PolicyFit {
  /** Named vectors, as the policy defines them. */
  readonly parameters: Readonly<Record<string, readonly number[]>>;
  readonly data: DataSummary;
}

/** Logits of a sample that goes all the way: the original's + `weight` times the sum of those of the open exits' heads. */
export interface FinalAnswer {
  readonly weight: number;
}

/** How policies did on calibration samples that they had not seen. */
export interface PolicyComparison {
  /** Average costs relative to the original, from and to. */
  readonly costs: readonly [number, number];
  /** Best first: what thresholds preserve, at even costs from one to the other, and its mean. */
  readonly policies: readonly {
    readonly policy: string;
    readonly mean: number;
    readonly curve: readonly number[];
  }[];
}

/** What thresholds were asked to do. */
export interface CalibrationGoals {
  /** What they preserve: accuracy against labels, or agreement with the original. */
  readonly target: 'accuracy' | 'agreement';
  /** Average costs relative to the original that points were asked for. */
  readonly budgets: readonly number[];
  /** Average milliseconds a sample, alone, that points were asked for. */
  readonly budgetsMs?: readonly number[];
  /** Least values of the target that points were asked for, as fractions. */
  readonly minAccuracies?: readonly number[];
  /** Losses of the target that points were asked for, as fractions. */
  readonly maxAccuracyDrops: readonly number[];
  /** Set when those were to be promised: the probability of keeping all of them. */
  readonly confidence?: number;
}

export interface ManifestInput {
  readonly name: string;
  readonly dataType: DataType;
  /** `N` is the batch axis of a dynamic batch; an input without one is the same for all samples. */
  readonly dims: readonly (number | 'N')[];
}

export interface ManifestOutputs {
  /** The original's output of class scores, [N, C], or one score a sample; see `activation`. */
  readonly scores: string;
  /** Of the scores; `float` when absent. */
  readonly dataType?: 'float' | 'float16';
  /** Exit taken, int64 [N]; K is the full path. */
  readonly exitIndex: string;
  /** The policy's score where the sample left, float [N]. */
  readonly exitConfidence: string;
  /** Name of the float [K] input that takes thresholds; null when they are baked in. */
  readonly thresholds: string | null;
  /** The original's outputs that are not the emitted model's, since samples that leave early do not compute them. */
  readonly dropped?: readonly string[];
}

/** A network of a chain. */
export interface ManifestNetwork extends Pick<Source, 'output' | 'dims' | 'set' | 'externalDataFolder'> {
  /** `first_1`, `first_2`, …, `student_1`, …, `original` */
  readonly id: string;
  /** Name of its file, or of the package that it came from; with the folders before it where another has the same name. */
  readonly file: string;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Of a sample, its adapter included. */
  readonly macs: number;
  /** `macs` as a share of `baseline.macs`. */
  readonly relativeCost: number;
  /** What the numbers of its input are; absent of the original, whose are the manifest's. */
  readonly preprocessing?: Preprocessing;
  /** What is done to the original's inputs to make its own, in words; absent when nothing is. */
  readonly adapter?: readonly string[];
  /** [C]: which of its outputs each class is; absent when they are in the same order. */
  readonly classOrder?: readonly number[];
  /** Of it alone, on the split that figures are measured on; the original's is that of `baseline`. Absent where its end is no exit. */
  readonly accuracy?: number;
  /** Set when it came out of a compiled package, with its exits. */
  readonly package?: true;
  /** Set when it is a student, whose file lies beside the manifest: how it was built and trained. */
  readonly grown?: Grown;
}

export interface ManifestExit {
  /** `exit_1`, `exit_2`, … */
  readonly id: string;
  /** Which of `networks` it is in; absent when there is one. */
  readonly network?: number;
  /** Name of the tapped value. */
  readonly tap: string;
  /** Head family; `end` where a network itself answers. */
  readonly head: string;
  /** MACs of its network up to the tap. */
  readonly prefixMacs: number;
  /** MACs of this exit's head alone. */
  readonly headMacs: number;
  /** What a sample that leaves here has cost with every exit open: earlier networks, prefix, this head and all earlier heads. */
  readonly costMacs: number;
  /** `costMacs` as a share of `baseline.macs`. */
  readonly relativeCost: number;
}

export interface OperatingPoint {
  readonly name: string;
  readonly policy: string;
  /** [K]: float32 values; an exit fires when its confidence is greater; 1 closes it. */
  readonly thresholds: readonly number[];
  readonly accuracy: number;
  /** Share of samples answered as the original does. */
  readonly agreement: number;
  /** Mean over samples, every executed head counted. */
  readonly relativeCost: number;
  /**
   * Median milliseconds of the timed runs (`latency`), one sample each; null when not measured, as at points that are not the one built
   * into the model.
   */
  readonly latencyMsP50: number | null;
  /** Mean over samples of the least of each one's runs, so without the machine's hiccups: what a budget of time is about. */
  readonly latencyMsMean?: number | null;
  /** [K + 1]: share of samples leaving at each exit, the full path last. */
  readonly exitShares: readonly number[];
  /** Set when a promise comes with it. */
  readonly guarantee?: PointGuarantee;
}

/** With probability `confidence` over the draw of `samples` calibration samples, the risk on the population is at most `limit`. */
export interface PointGuarantee {
  /** `drop`: of accuracy against the original; `disagreement`: with the original's answers. */
  readonly risk: 'drop' | 'disagreement';
  readonly limit: number;
  readonly confidence: number;
  readonly samples: number;
  /** The risk on those samples. */
  readonly observedRisk: number;
  /** Least limit that the same test would have passed. */
  readonly upperBound: number;
  readonly pValue: number;
}

/** The original model. */
export interface Baseline {
  readonly accuracy: number;
  readonly macs: number;
  /** As of an operating point. */
  readonly latencyMsP50: number | null;
  readonly latencyMsMean?: number | null;
}

/** The original and every point took turns, sample by sample. */
export interface LatencyProtocol {
  /** Samples a run. */
  readonly batch: number;
  readonly threads: number;
  /** Runs of each that were not timed. */
  readonly warmup: number;
  /** Timed runs of each with every sample; absent in older manifests, whose medians and percentiles too are over the least of three. */
  readonly passes?: number;
  /** Timed runs of each. */
  readonly runs: number;
  /** Execution provider. */
  readonly provider: string;
  /** 95th percentile of the timed runs in milliseconds, by operating point name; `baseline` for the original. */
  readonly p95s: Readonly<Record<string, number>>;
}

/** The options that all figures were measured with; what the stub opens its session with. */
export interface ManifestSessionOptions {
  readonly provider: string;
  /** Threads inside an op; null leaves it to ONNX Runtime. */
  readonly threads: number | null;
  /** Whether idle threads spin for work. */
  readonly spinning: boolean;
  readonly optimization: 'disabled' | 'basic' | 'extended' | 'all';
}

/** What compiled and measured. */
export interface Environment {
  readonly node: string;
  readonly onnxruntime: string;
  /** e.g. `linux-x64`. */
  readonly platform: string;
}
