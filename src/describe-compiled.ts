/** The manifest of a compiled model, put together from what every step found out. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Guarantee } from './calibrate/guarantee.ts';
import { measure } from './calibrate/measure.ts';
import type { CostModel } from './calibrate/types.ts';
import type { Preprocessing } from './data/index.ts';
import type { Manifest, OperatingPoint } from './emit/manifest.ts';
import { opsetOf } from './graph/types.ts';
import { accuracyOf, type View } from './judge.ts';
import { BASELINE, type Latency, RACE } from './measure-latency.ts';
import { ONNXRUNTIME_VERSION, type SessionOptions, toOrtOptions } from './ort.ts';
import type { LoadedModel } from './parser/index.ts';
import type { ExitPlan, Head, TypedModel } from './passes/exits.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX, THRESHOLDS } from './passes/lower-exits.ts';
import { ROLES, type Role, type RoleData } from './roles.ts';

export const VERSION: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

/** What the emitted model's metadata_props say of where it comes from. */
export const provenance = (sha256: string) => ({
  'offramp.version': VERSION,
  'offramp.source.sha256': sha256,
});

export interface CompiledFacts {
  readonly modelFile: string;
  readonly source: LoadedModel;
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  readonly heads: readonly Head[];
  readonly recipe: string;
  readonly policy: string;
  readonly seed: number;
  readonly roles: Readonly<Record<Role, RoleData | undefined>>;
  readonly labels: readonly string[] | undefined;
  readonly preprocessing: Preprocessing;
  readonly points: readonly { readonly name: string; readonly thresholds: readonly number[] }[];
  readonly defaultPoint: string;
  readonly baked: boolean;
  readonly costs: CostModel;
  /** On the role that is reported. */
  readonly view: View;
  /** By operating point's name. */
  readonly promises?: ReadonlyMap<string, Guarantee> | undefined;
  readonly latency: ReadonlyMap<string, Latency>;
  readonly session: SessionOptions;
}

export function describeCompiled(facts: CompiledFacts): Manifest {
  const { source, typed, plan, heads, roles, view, latency, labels } = facts;
  const { model } = source;
  const options = toOrtOptions(facts.session);
  let headsSoFar = 0;
  return {
    schemaVersion: 1,
    version: VERSION,
    source: {
      file: basename(facts.modelFile),
      sha256: source.sha256,
      opset: opsetOf(model),
      producer: `${model.producerName} ${model.producerVersion}`.trim(),
    },
    seed: facts.seed,
    recipe: facts.recipe,
    policy: facts.policy,
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
      thresholds: facts.baked ? null : THRESHOLDS,
    },
    activation: typed.activation,
    batch: typed.batch,
    preprocessing: facts.preprocessing,
    exits: heads.map(({ exit, kind, macs }) => {
      headsSoFar += macs;
      const costMacs = exit.prefixMacs + headsSoFar;
      return {
        id: exit.id,
        tap: exit.tap.value,
        head: kind,
        prefixMacs: exit.prefixMacs,
        headMacs: macs,
        costMacs,
        relativeCost: costMacs / plan.totalMacs,
      };
    }),
    baseline: {
      accuracy: accuracyOf(view().original, view().labels),
      macs: plan.totalMacs,
      latencyMsP50: rounded(latency.get(BASELINE)?.p50),
    },
    operatingPoints: facts.points.map(({ name, thresholds }) => ({
      name,
      policy: facts.policy,
      thresholds,
      ...measure(view(thresholds), facts.costs, thresholds),
      latencyMsP50: rounded(latency.get(name)?.p50),
      ...promiseOf(facts.promises?.get(name)),
    })),
    defaultPoint: facts.defaultPoint,
    measuredOn: roles.test ? 'test' : 'calibration',
    latency: {
      batch: RACE.batch,
      threads: options.intraOpNumThreads!,
      warmup: RACE.warmup,
      runs: RACE.samples * RACE.passes,
      provider: facts.session.provider ?? 'cpu',
      p95s: Object.fromEntries([...latency].map(([name, { p95 }]) => [name, rounded(p95)!])),
    },
    data: Object.fromEntries(
      ROLES.flatMap((role) => {
        const data = roles[role];
        if (!data) return [];
        const { dataset, from } = data;
        return [[role, { samples: dataset.size, hash: dataset.hash, ...(from && { from }) }]];
      }),
    ),
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

function promiseOf(kept: Guarantee | undefined): Pick<OperatingPoint, 'guarantee'> {
  if (!kept) return {};
  const { risk, limit, confidence, samples, observedRisk, upperBound, pValue } = kept;
  return { guarantee: { risk, limit, confidence, samples, observedRisk, upperBound, pValue } };
}

const rounded = (ms: number | undefined) => (ms === undefined ? null : Number(ms.toPrecision(4)));
