/** Runs a compiled model as an app would, on labelled samples, and compares with what its manifest promises. */
import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { type InputSpec, openDataset, type Preprocessing } from '../data/index.ts';
import { NOTHING_LABELLED, UNLABELLED } from '../data/splits.ts';
import { tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkEmitted, readPackage } from '../emit/read-package.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { bakedUnlabelled, pointNotBuiltIn } from '../errors/index.ts';
import { settleSession, withSession } from '../ort/session.ts';
import { accuracyOf } from '../predict/predict.ts';
import { classesIn, runEmitted } from '../predict/run-emitted.ts';
import { relativeCosts } from '../runtime/thresholds.ts';
import { checkCall } from './options.ts';

export interface EvaluateOptions {
  /** What `compile` wrote. */
  readonly folder: string;
  /** Labelled samples. */
  readonly test: string;
  /** Names of the operating points to measure; all of them by default, or the one that is built in. */
  readonly at?: readonly string[];
  /** Samples a run. */
  readonly batch?: number;
  readonly skipBad?: boolean;
  /** `none`: the original's own answers are the labels; so too when compile had none. */
  readonly labels?: 'none';
  /** A tokenizer.json, where data are text; the package's own by default. */
  readonly tokenizer?: string;
  readonly cache?: string;
  readonly threads?: number;
  /** ONNX Runtime's execution provider; that of the manifest's figures by default. */
  readonly provider?: string;
}

/** Null where model.onnx cannot tell: with thresholds built in it never answers as the original does. Latencies are not measured. */
export interface MeasuredPoint extends Omit<OperatingPoint, 'agreement' | 'guarantee'> {
  readonly agreement: number | null;
}

/** A manifest with its figures replaced by those measured now. */
export interface Measured extends Omit<Manifest, 'operatingPoints' | 'baseline'> {
  readonly operatingPoints: readonly MeasuredPoint[];
  /** Accuracy is null as a point's agreement is. */
  readonly baseline: Omit<Manifest['baseline'], 'accuracy'> & { readonly accuracy: number | null };
}

export interface Evaluation {
  readonly measured: Measured;
  readonly promised: Manifest;
  /** The same samples as the manifest's figures are from: then the two must agree. */
  readonly sameData: boolean;
  /** Largest difference of accuracy, agreement or cost between the two, of what was measured. */
  readonly largestDifference: number;
  /** Largest difference of an exit's share: samples whose score is within float32's reach of a threshold leave elsewhere. */
  readonly movedShare: number;
}

/**
 * The operating points on every sample of `test`, through the emitted model itself: of baked thresholds the one that is built in. Throws
 * `baked-unlabelled`, `unknown-operating-point` and `point-not-built-in`.
 */
export async function evaluate(options: EvaluateOptions, events: Events = {}): Promise<Evaluation> {
  checkCall('evaluate', options, events);
  const { folder, batch = 32, cache = defaultCache() } = options;
  const { signal } = events;
  const promised = await readPackage(folder);
  const baked = promised.outputs.thresholds === null;
  const all = promised.operatingPoints;
  const wanted = options.at?.map((name) => pointNamed(all, name)) ?? (baked ? [builtIn(promised)] : all);
  const other = wanted.find(({ name }) => baked && name !== promised.defaultPoint);
  if (other) throw pointNotBuiltIn(other.name, folder, promised.defaultPoint);
  const modelFile = join(folder, 'model.onnx');
  const session = await settleSession({
    threads: options.threads,
    provider: options.provider ?? promised.sessionOptions.provider,
  });
  await checkEmitted(folder, promised, session);
  const progress = progressOf(events);
  const unlabelled =
    options.labels === UNLABELLED || promised.data[promised.measuredOn]?.labels === 'original';
  if (unlabelled && baked) throw bakedUnlabelled();
  const dataset = await openDataset(options.test, {
    inputs: inputsIn(promised),
    preprocessing: promised.preprocessing as Preprocessing,
    cache,
    classes: promised.classes,
    skipBad: options.skipBad,
    labels: unlabelled ? UNLABELLED : promised.labels,
    labelsFrom: join(folder, 'manifest.json'),
    tokenizer: tokenizerFor(folder, promised, options.tokenizer),
    split: promised.measuredOn,
    signal,
    onProgress: progress('decoding test'),
  });
  if (dataset.unlabelled && !dataset.random) events.onNote?.(NOTHING_LABELLED);
  try {
    const measured = await withSession(modelFile, session, async (model) => {
      const size = promised.batch === 'fixed' ? 1 : batch;
      const run = { session: model, dataset, output: promised.outputs.scores, batch: size, signal };
      const closed = baked ? undefined : promised.exits.map(() => 1);
      const exact =
        closed && (await runEmitted({ ...run, thresholds: closed, onProgress: progress('original') }));
      const original = exact && classesIn(exact.scores, dataset.size, promised.activation);
      const labels = dataset.unlabelled ? original! : dataset.labels;
      const points: MeasuredPoint[] = [];
      for (const [i, { guarantee: _, ...point }] of wanted.entries()) {
        const thresholds = baked ? undefined : point.thresholds;
        const answers = await runEmitted({
          ...run,
          thresholds,
          onProgress: progress(`point ${i + 1}/${wanted.length}`),
        });
        const given = classesIn(answers.scores, dataset.size, promised.activation);
        const shares = promised.exits.map((_, k) => share(answers.exits, k));
        points.push({
          ...point,
          accuracy: accuracyOf(given, labels),
          agreement: original ? accuracyOf(given, original) : null,
          relativeCost: meanCost(promised, point.thresholds, answers.exits),
          exitShares: [...shares, share(answers.exits, promised.exits.length)],
          latencyMsP50: null,
          latencyMsMean: null,
        });
      }
      const baseline = {
        ...promised.baseline,
        accuracy: original ? accuracyOf(original, labels) : null,
        latencyMsP50: null,
        latencyMsMean: null,
      };
      return { ...promised, operatingPoints: points, baseline, latency: null };
    });
    const sameData = promised.data[promised.measuredOn]?.hash === dataset.hash;
    return { measured, promised, sameData, ...differences(measured, promised) };
  } finally {
    await dataset.close();
  }
}

/** What samples of a compiled model consist of. */
export const inputsIn = ({ inputs }: Manifest): InputSpec[] =>
  inputs.map(({ name, dataType, dims }) => ({ name, dataType, dims: dims.slice(1) as number[] }));

/** Share of samples that left at exit `k`. */
export const share = (exits: Int32Array, k: number) =>
  exits.reduce((n, e) => n + Number(e === k), 0) / exits.length;

/** Mean cost relative to the original of samples that took `exits`, every executed head counted. */
export function meanCost(
  { exits, baseline }: Pick<Manifest, 'exits' | 'baseline'>,
  thresholds: readonly number[],
  taken: Int32Array,
): number {
  const costs = relativeCosts(exits, baseline.macs, thresholds);
  return taken.reduce((sum, k) => sum + costs[k]!, 0) / taken.length;
}

/** The operating point that a model with baked thresholds has inside. */
const builtIn = ({ operatingPoints, defaultPoint }: Manifest) => pointNamed(operatingPoints, defaultPoint);

function differences(
  measured: Measured,
  promised: Manifest,
): Pick<Evaluation, 'largestDifference' | 'movedShare'> {
  const named = new Map(promised.operatingPoints.map((p) => [p.name, p]));
  const pairs = measured.operatingPoints.map((point) => [point, named.get(point.name)!] as const);
  const gap = (now: number | null, then: number | null) => (now === null ? 0 : Math.abs(now - then!));
  const apart = (of: (p: MeasuredPoint) => number | null) => pairs.map(([a, b]) => gap(of(a), of(b)));
  return {
    largestDifference: Math.max(
      gap(measured.baseline.accuracy, promised.baseline.accuracy),
      ...apart((p) => p.accuracy),
      ...apart((p) => p.agreement),
      ...apart((p) => p.relativeCost),
    ),
    movedShare: Math.max(
      ...pairs.flatMap(([a, b]) => a.exitShares.map((s, k) => Math.abs(s - b.exitShares[k]!))),
    ),
  };
}
