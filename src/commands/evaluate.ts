/** Runs a compiled model as an app would, on labelled samples, and compares with what its manifest promises. */
import { join } from 'node:path';
import { CLOSED, pointNamed } from '../calibrate/index.ts';
import type { Dataset } from '../data/index.ts';
import { NOTHING_LABELLED } from '../data/splits.ts';
import { leavingCostsAt } from '../emit/chain-words.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkEmitted, readPackage } from '../emit/read-package.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { bakedUnlabelled, pointNotBuiltIn } from '../errors/index.ts';
import { type Session, settleSession, withSession } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import { refuseNotFiniteScores, type Scored } from '../predict/finite-scores.ts';
import { accuracyOf } from '../predict/predict.ts';
import { classesIn, runEmitted } from '../predict/run-emitted.ts';
import { pointsAlone } from '../report/index.ts';
import { refuseAmongSamples } from './apart.ts';
import { refuseNotFinite } from './not-finite.ts';
import { isUnlabelled, openSamples } from './open-samples.ts';
import { checkCall, withRemedies } from './options.ts';

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
  /** Without labels the original's answers stand in for them: accuracy is agreement. */
  readonly isLabelled: boolean;
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
  return await withRemedies('evaluate', () => evaluatePackage(options, events));
}

async function evaluatePackage(options: EvaluateOptions, events: Events): Promise<Evaluation> {
  const { folder } = options;
  await refuseAmongSamples([options.cache], options);
  const promised = await readPackage(folder);
  const wanted = pointsToRun(promised, folder, options.at);
  const session = await settleSession({
    threads: options.threads,
    provider: options.provider ?? promised.sessionOptions.provider,
  });
  await checkEmitted(folder, promised, session);
  const split = promised.measuredOn;
  if (isUnlabelled(promised, options) && isBaked(promised)) throw bakedUnlabelled();
  const dataset = await openSamples(options.test, split, promised, options, events);
  try {
    await refuseNotFinite(dataset, events.signal);
    if (dataset.unlabelled && !dataset.random) events.onNote?.(NOTHING_LABELLED);
    const measured = await withSession(join(folder, 'model.onnx'), session, (model) =>
      measurePoints(folder, promised, wanted, dataset, model, options.batch ?? 32, events),
    );
    const sameData = promised.data[split]?.hash === dataset.hash;
    const isLabelled = !dataset.unlabelled;
    return { measured, promised, isLabelled, sameData, ...differences(measured, promised) };
  } finally {
    await dataset.close();
  }
}

const isBaked = ({ outputs }: Manifest) => outputs.thresholds === null;

/** The points named `at`; all of them, or the one that is built in, when left out. */
function pointsToRun(
  promised: Manifest,
  folder: string,
  at: readonly string[] | undefined,
): readonly OperatingPoint[] {
  const { operatingPoints, defaultPoint } = promised;
  if (!isBaked(promised)) return at?.map((name) => pointNamed(operatingPoints, name)) ?? operatingPoints;
  const wanted = (at ?? [defaultPoint]).map((name) => pointNamed(operatingPoints, name));
  const other = wanted.find(({ name }) => name !== defaultPoint);
  if (other) throw pointNotBuiltIn(other.name, folder, defaultPoint);
  return wanted;
}

/** For messages: the model in a package. */
export const compiledIn = (folder: string): Scored => ({
  who: `the model in ${folder}`,
  load: async () => await loadModel(join(folder, 'model.onnx')),
});

/** Runs all samples at each of `wanted`; besides at `exact`, and through each network of a chain alone, where the model can be run so. */
async function measurePoints(
  folder: string,
  promised: Manifest,
  wanted: readonly OperatingPoint[],
  dataset: Dataset,
  session: Session,
  batch: number,
  events: Events,
): Promise<Measured> {
  const { exits, outputs, activation } = promised;
  const progress = progressOf(events);
  const run = async (thresholds: readonly number[] | undefined, phase: string) => {
    const answers = await runEmitted({
      session,
      dataset,
      output: outputs.scores,
      batch: promised.batch === 'fixed' ? 1 : batch,
      thresholds,
      signal: events.signal,
      onProgress: progress(phase),
    });
    const { scores, exits } = answers;
    await refuseNotFiniteScores(scores, dataset, compiledIn(folder), events.signal);
    return { classes: classesIn(scores, dataset.size, activation), exits };
  };
  const closed = exits.map(() => CLOSED);
  const original = isBaked(promised) ? undefined : (await run(closed, 'original')).classes;
  const labels = dataset.unlabelled ? original! : dataset.labels;
  const operatingPoints: MeasuredPoint[] = [];
  for (const [i, { guarantee: _, ...point }] of wanted.entries()) {
    const thresholds = isBaked(promised) ? undefined : point.thresholds;
    const answers = await run(thresholds, `point ${i + 1}/${wanted.length}`);
    operatingPoints.push({
      ...point,
      accuracy: accuracyOf(answers.classes, labels),
      agreement: original ? accuracyOf(answers.classes, original) : null,
      relativeCost: meanCost(promised, point.thresholds, answers.exits),
      exitShares: [...exits.keys(), exits.length].map((k) => share(answers.exits, k)),
      latencyMsP50: null,
      latencyMsMean: null,
    });
  }
  const accuracy = original ? accuracyOf(original, labels) : null;
  const baseline = { ...promised.baseline, accuracy, latencyMsP50: null, latencyMsMean: null };
  const accuracies = new Map<number, number>();
  for (const { network, thresholds } of isBaked(promised) ? [] : pointsAlone(promised)) {
    const { classes } = await run(thresholds, `network ${network + 1} alone`);
    accuracies.set(network, accuracyOf(classes, labels));
  }
  const ofOriginal = (promised.networks?.length ?? 0) - 1;
  if (accuracy !== null) accuracies.set(ofOriginal, accuracy);
  const networks = promised.networks?.map(({ accuracy: _, ...network }, n) => {
    const alone = accuracies.get(n);
    return { ...network, ...(alone !== undefined && { accuracy: alone }) };
  });
  return { ...promised, ...(networks && { networks }), operatingPoints, baseline, latency: null };
}

/** Share of samples that left at exit `k`. */
export const share = (exits: Int32Array, k: number) =>
  exits.reduce((n, e) => n + Number(e === k), 0) / exits.length;

/** Mean cost relative to the original of samples that took `exits`, every executed head counted. */
export function meanCost(
  manifest: Pick<Manifest, 'exits' | 'networks' | 'baseline'>,
  thresholds: readonly number[],
  taken: Int32Array,
): number {
  const costs = leavingCostsAt(manifest, thresholds);
  return taken.reduce((sum, k) => sum + costs[k]!, 0) / taken.length;
}

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
