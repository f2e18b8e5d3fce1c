/** The manifest of a compiled model, put together from what every step found out. */

import { createHash } from 'node:crypto';
import { leavingCosts } from '../calibrate/costs.ts';
import type { Goals } from '../calibrate/goals.ts';
import type { Guarantee } from '../calibrate/guarantee.ts';
import { measure } from '../calibrate/measure.ts';
import type { CostModel, OutcomesAt } from '../calibrate/types.ts';
import type { Preprocessing } from '../data/index.ts';
import { opsetOf } from '../graph/types.ts';
import { type Inspected, SOURCE_HASH } from '../model/inspect.ts';
import type { Chain, Network } from '../networks/chain.ts';
import { ONNXRUNTIME_VERSION, type SessionOptions, toOrtOptions } from '../ort/session.ts';
import type { Head } from '../passes/exits.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX, THRESHOLDS } from '../passes/lower-exits.ts';
import type { Runtime } from '../passes/place-weights.ts';
import { BASELINE, BENCHMARK, type Latency } from '../predict/measure-latency.ts';
import { accuracyOf } from '../predict/predict.ts';
import { describeLeftOut, describeNetworks } from './describe-networks.ts';
import type {
  CalibrationGoals,
  Manifest,
  OperatingPoint,
  PolicyComparison,
  PolicyFit,
  Source,
  Training,
} from './manifest.ts';
import { VERSION } from './version.ts';

/** What the emitted model's metadata_props say of where it comes from. */
export const provenance = (sha256: string) => ({
  'offramp.version': VERSION,
  [SOURCE_HASH]: sha256,
});

/** What a manifest says that no step finds out: it was given, or stands in the manifest of an earlier compile. */
export interface Origin {
  /** npm name of the package. */
  readonly name?: string | undefined;
  /** The original's file, and how it was asked to be read. */
  readonly source: Omit<Source, 'sha256' | 'opset' | 'producer'>;
  readonly seed: number;
  readonly recipe: string;
  readonly labels: readonly string[] | undefined;
  readonly preprocessing: Preprocessing;
  /** Networks that an earlier compile left out. */
  readonly leftOut?: Manifest['leftOut'];
}

export interface CompiledFacts {
  readonly origin: Origin;
  readonly tokenizer: { readonly sha256: string } | undefined;
  readonly inspection: Inspected;
  /** Outputs that the emitted model lacks. */
  readonly dropped: readonly string[];
  readonly chain: Chain;
  /** Networks that were given and are not in it. */
  readonly leftOut: readonly Network[];
  /** [K], of all networks. */
  readonly heads: readonly Head[];
  /** [networks in front]: accuracy of each by itself; undefined where a network's end is no exit. */
  readonly accuracies: readonly (number | undefined)[];
  /** Which ONNX Runtime model.onnx is for. */
  readonly runtime: Runtime | undefined;
  /** Locations of its external data. */
  readonly dataFiles: readonly string[];
  /** heads.onnx; undefined where exits came with the model. */
  readonly kept: Uint8Array | undefined;
  readonly goals: Goals;
  /** The one asked for, or chosen. */
  readonly policy: string;
  readonly policyFit: PolicyFit | undefined;
  readonly training: Training | undefined;
  /** Weight of the open exits in the last answer, if they were to join it. */
  readonly final: number | undefined;
  readonly comparison: PolicyComparison | undefined;
  readonly data: Manifest['data'];
  readonly points: readonly { readonly name: string; readonly thresholds: readonly number[] }[];
  readonly defaultPoint: string;
  readonly costs: CostModel;
  /** On the split that is reported. */
  readonly outcomes: OutcomesAt;
  /** By operating point's name. */
  readonly promises?: ReadonlyMap<string, Guarantee> | undefined;
  /** Of the original, and of the points that model.onnx can be run at; undefined when nothing was timed. */
  readonly latency: ReadonlyMap<string, Latency> | undefined;
  readonly session: SessionOptions;
}

/** A manifest before model.onnx has its last bytes, which tell some of it. */
export type Described = Omit<Manifest, 'model'> & {
  readonly model: Omit<NonNullable<Manifest['model']>, 'sha256'>;
};

/** `model`: model.onnx as it is written, in pieces. */
export function sealed(described: Described, model: readonly Uint8Array[]): Manifest {
  const hash = createHash('sha256');
  for (const piece of model) hash.update(piece);
  return { ...described, model: { sha256: hash.digest('hex'), ...described.model } };
}

export function describeCompiled(facts: CompiledFacts): Described {
  const { origin, inspection, heads, goals, policy, policyFit, comparison, data, outcomes, latency } = facts;
  const { source, typed, plan } = inspection;
  const { model } = source;
  const { file, ...reading } = origin.source;
  const { labels } = origin;
  const leftOut = [...(origin.leftOut ?? []), ...facts.leftOut.map((one) => describeLeftOut(one, plan))];
  const options = toOrtOptions(facts.session);
  const { original, labels: right } = outcomes();
  const accuracy = accuracyOf(original, right);
  const networks = describeNetworks(facts.chain, [...facts.accuracies, accuracy]);
  const leavingMacs = leavingCosts({
    exits: heads.map(({ exit, macs }) => ({ network: exit.network, prefix: exit.prefixMacs, head: macs })),
    networks: facts.costs.networks.map((share) => share * plan.totalMacs),
  });
  return {
    schemaVersion: 1,
    version: VERSION,
    ...(origin.name !== undefined && { name: origin.name }),
    source: {
      file,
      sha256: source.sha256,
      opset: opsetOf(model),
      producer: `${model.producerName} ${model.producerVersion}`.trim(),
      ...reading,
    },
    seed: origin.seed,
    recipe: origin.recipe,
    ...(facts.training && { training: facts.training }),
    policy,
    ...(policyFit && { policyFit }),
    ...(facts.final !== undefined && { final: { weight: facts.final } }),
    ...(comparison && { policyComparison: comparison }),
    calibration: goalsOf(goals),
    classes: typed.classes,
    ...(labels?.length === typed.classes && { labels }),
    inputs: typed.sampleInputs.map((name) => {
      const { dataType, dims } = typed.facts.get(name)!;
      return { name, dataType, dims: typed.batch === 'dynamic' ? ['N' as const, ...dims.slice(1)] : dims };
    }),
    outputs: {
      scores: typed.output,
      ...(typed.facts.get(typed.output)!.dataType === 'float16' && { dataType: 'float16' as const }),
      exitIndex: EXIT_INDEX,
      exitConfidence: EXIT_CONFIDENCE,
      thresholds: goals.thresholds === 'baked' ? null : THRESHOLDS,
      ...(facts.dropped.length > 0 && { dropped: facts.dropped }),
    },
    activation: typed.activation,
    batch: typed.batch,
    ...(facts.dataFiles.length > 0 && { dataFiles: facts.dataFiles }),
    ...(facts.tokenizer && { tokenizer: { sha256: facts.tokenizer.sha256 } }),
    model: {
      ...(networks && { opset: opsetOf(typed.model) }),
      ...(facts.runtime === 'web' && { runtime: 'web' as const }),
    },
    ...(facts.kept && { heads: { sha256: createHash('sha256').update(facts.kept).digest('hex') } }),
    preprocessing: origin.preprocessing,
    ...(networks && { networks }),
    ...(leftOut.length > 0 && { leftOut }),
    exits: heads.map(({ exit, kind, macs }, k) => ({
      id: exit.id,
      ...(networks && { network: exit.network }),
      tap: exit.tap.value,
      head: kind,
      prefixMacs: exit.prefixMacs,
      headMacs: macs,
      costMacs: leavingMacs[k]!,
      relativeCost: leavingMacs[k]! / plan.totalMacs,
    })),
    baseline: {
      accuracy,
      macs: plan.totalMacs,
      latencyMsP50: rounded(latency?.get(BASELINE)?.p50),
      latencyMsMean: rounded(latency?.get(BASELINE)?.mean),
    },
    operatingPoints: facts.points.map(({ name, thresholds }) => ({
      name,
      policy,
      thresholds,
      ...measure(outcomes(thresholds), facts.costs, thresholds),
      latencyMsP50: rounded(latency?.get(name)?.p50),
      latencyMsMean: rounded(latency?.get(name)?.mean),
      ...promiseOf(facts.promises?.get(name)),
    })),
    defaultPoint: facts.defaultPoint,
    measuredOn: data.test ? 'test' : 'calibration',
    latency: latency
      ? {
          batch: BENCHMARK.batch,
          threads: options.intraOpNumThreads!,
          warmup: BENCHMARK.warmup,
          passes: BENCHMARK.passes,
          runs: latency.get(BASELINE)!.runs,
          provider: facts.session.provider ?? 'cpu',
          p95s: Object.fromEntries([...latency].map(([name, { p95 }]) => [name, rounded(p95)!])),
        }
      : null,
    data,
    sessionOptions: {
      provider: facts.session.provider ?? 'cpu',
      threads: facts.session.threads ?? null,
      spinning: false,
      optimization: 'all',
    },
    environment: {
      node: process.version,
      onnxruntime: ONNXRUNTIME_VERSION,
      platform: `${process.platform}-${process.arch}`,
    },
  };
}

/** What nobody asked for is left out. */
function goalsOf(goals: Goals): CalibrationGoals {
  const { target, budgets, budgetsMs, minAccuracies, maxAccuracyDrops, confidence } = goals;
  return {
    target,
    budgets,
    ...(budgetsMs.length > 0 && { budgetsMs }),
    ...(minAccuracies.length > 0 && { minAccuracies }),
    maxAccuracyDrops,
    ...(confidence !== undefined && { confidence }),
  };
}

function promiseOf(kept: Guarantee | undefined): Pick<OperatingPoint, 'guarantee'> {
  if (!kept) return {};
  const { risk, limit, confidence, samples, observedRisk, upperBound, pValue } = kept;
  return { guarantee: { risk, limit, confidence, samples, observedRisk, upperBound, pValue } };
}

const rounded = (ms: number | undefined) => (ms === undefined ? null : Number(ms.toPrecision(4)));
