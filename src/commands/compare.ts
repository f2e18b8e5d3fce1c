/** Two models on the same samples: compiled ones at a point of each, or a compiled and a plain one. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { type Discordant, mcnemarPValue, pairedInterval } from '../calibrate/index.ts';
import {
  type Dataset,
  type InputSpec,
  openDataset,
  type Preprocessing,
  type PreprocessingOptions,
  resolvePreprocessing,
  subset,
  withoutCopies,
} from '../data/index.ts';
import { inputsOf } from '../data/splits.ts';
import { tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkEmitted, readPackage } from '../emit/read-package.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { notComparable, pointNotBuiltIn, unknownPoint } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { refuseLooseInputs } from '../model/inspect.ts';
import { observeFacts } from '../model/observe-facts.ts';
import { raiseModel } from '../model/raise-model.ts';
import { type Session, type SessionOptions, settleSession, withSession } from '../ort/session.ts';
import { inlineFunctions, type LoadedModel, loadModel } from '../parser/index.ts';
import type { Activation } from '../passes/exits.ts';
import { fixInputs, type InputOptions } from '../passes/fix-inputs.ts';
import { giveValue } from '../passes/give-value.ts';
import { EXIT_INDEX } from '../passes/lower-exits.ts';
import { runPasses } from '../passes/pass.ts';
import { totalMacsOf } from '../passes/plan-exits.ts';
import { BENCHMARK, type Latency, measureLatency, spreadSamples } from '../predict/measure-latency.ts';
import { accuracyOf } from '../predict/predict.ts';
import { classesIn, runEmitted, runScores, thresholdsFeed } from '../predict/run-emitted.ts';
import { inputsIn, meanCost, share } from './evaluate.ts';
import { checkCall } from './options.ts';
import { sizesOf } from './reopen.ts';

/** The preprocessing is that of plain models; packages have their own, and a plain model takes that of the other where nothing is said. */
export interface CompareOptions extends PreprocessingOptions {
  /** A folder that `compile` wrote, or an .onnx file. */
  readonly a: string;
  readonly b: string;
  readonly test: string;
  /** How plain models are read, as `inspect` takes it; by default one that the other side was compiled from as it was then. */
  readonly output?: string;
  readonly dims?: InputOptions['dims'];
  readonly set?: InputOptions['set'];
  /** Operating point of each, or one of both; each package's default point when left out. A plain model has none. */
  readonly at?: readonly string[];
  /** Samples a run. */
  readonly batch?: number;
  /** `none`: there is no accuracy, only agreement. */
  readonly labels?: 'none';
  /** A tokenizer.json, where data are text; a package's own by default. */
  readonly tokenizer?: string;
  readonly skipBad?: boolean;
  readonly cache?: string;
  readonly threads?: number;
  /** ONNX Runtime's execution provider, of both; `cpu` by default. */
  readonly provider?: string;
}

export interface Compared {
  readonly path: string;
  /** Operating point; null of a plain model. */
  readonly point: string | null;
  /** Null without labels. */
  readonly accuracy: number | null;
  /** Mean over samples, every executed head counted. */
  readonly macs: number;
  /** The same as a share of the model with all its exits closed; 1 of a plain model. */
  readonly relativeCost: number;
  /** [K + 1]: share of samples leaving at each exit, the full path last; empty of a plain model. */
  readonly exitShares: readonly number[];
  /** Median milliseconds of the timed runs, one sample each. */
  readonly latencyMsP50: number;
  /** Mean over samples of the least of each one's runs. */
  readonly latencyMsMean: number;
}

/** Accuracy of B - accuracy of A. */
export interface AccuracyDifference extends Discordant {
  readonly difference: number;
  /** 95 % (`pairedInterval`). */
  readonly interval: readonly [number, number];
  /** Of "both are right equally often" (`mcnemarPValue`). */
  readonly pValue: number;
}

export interface Comparison {
  readonly samples: number;
  /** Content hash of the samples as A takes them. */
  readonly hash: string;
  readonly a: Compared;
  readonly b: Compared;
  /** Share of samples that both give the same class. */
  readonly agreement: number;
  /** Null without labels. */
  readonly accuracy: AccuracyDifference | null;
  /** Average MACs of B by those of A. */
  readonly macsRatio: number;
  /** Median latency of B by that of A. */
  readonly latencyRatio: number;
}

/** What is known of a model before it is run. */
interface Side {
  readonly path: string;
  /** What is run. */
  readonly file: string | Model;
  readonly session: SessionOptions;
  readonly inputs: readonly InputSpec[];
  readonly output: string;
  readonly activation: Activation;
  readonly classes: number;
  readonly classNames: readonly string[] | undefined;
  readonly tokenizer?: string | undefined;
  readonly batch: 'dynamic' | 'fixed';
  /** Of one sample that goes all the way. */
  readonly macs: number;
  readonly compiled?: { readonly manifest: Manifest; readonly point: OperatingPoint };
}

/**
 * Runs both on every sample of `test` and, in turn, on single samples for the time they take. Throws `not-comparable`,
 * `unknown-operating-point` and `point-not-built-in`.
 */
export async function compare(options: CompareOptions, events: Events = {}): Promise<Comparison> {
  checkCall('compare', options, events);
  const { batch = 32, cache = defaultCache(), skipBad } = options;
  const { signal } = events;
  const progress = progressOf(events);
  const [atA, atB = atA] = options.at ?? [];
  const threads = await settleSession(options);
  const [packageA, packageB] = [await packageAt(options.a, atA), await packageAt(options.b, atB)];
  const plain = (path: string, other: Package | undefined) =>
    lookAtPlain(path, threads, (source) => readingOf(options, source, other?.manifest));
  for (const one of [packageA, packageB]) if (one) await checkEmitted(one.path, one.manifest, threads);
  const a = packageA ? lookAtPackage(packageA, threads) : await plain(options.a, packageB);
  const b = packageB ? lookAtPackage(packageB, threads) : await plain(options.b, packageA);
  refuseUnlike(a, b);

  const opened: Dataset[] = [];
  const naming = [a, b].find(({ classNames }) => classNames);
  const open = async (side: Side, other: Side, name: string) => {
    const dataset = await openDataset(options.test, {
      inputs: side.inputs,
      preprocessing: preprocessingOf(side, other, options),
      cache,
      classes: side.classes,
      skipBad,
      labels: options.labels ?? naming?.classNames,
      labelsFrom: naming && join(naming.path, 'manifest.json'),
      tokenizer: options.tokenizer ?? side.tokenizer ?? other.tokenizer,
      split: 'test',
      signal,
      onProgress: progress(`decoding for ${name}`),
    });
    opened.push(dataset);
    return dataset;
  };
  try {
    const [allA, allB] = [await open(a, b, 'A'), await open(b, a, 'B')];
    // What is there twice is no evidence of two, and the test reckons with independent samples.
    const once = allA.random ? allA : await withoutCopies(allA);
    if (once !== allA)
      events.onNote?.(
        `${allA.size - once.size} of ${allA.size} samples are exact copies of others and left out.`,
      );
    const dataA = once;
    const dataB = once === allA || allB.size !== allA.size ? allB : subset(allB, once.partOf!.samples);
    refuseOtherSamples(a, b, dataA, dataB);
    return await withSession(a.file, a.session, (sessionA) =>
      withSession(b.file, b.session, async (sessionB) => {
        const runs = [
          { name: 'A', side: a, dataset: dataA, session: sessionA },
          { name: 'B', side: b, dataset: dataB, session: sessionB },
        ] as const;
        const answers: Answered[] = [];
        for (const { name, side, dataset, session } of runs) {
          const run = { session, dataset, batch, signal, onProgress: progress(`running ${name}`) };
          answers.push(await answer(side, run));
        }
        const candidates = await Promise.all(
          runs.map(async ({ name, side, dataset, session }) => ({
            name,
            session,
            extra: thresholdsFeed(thresholdsOf(side)),
            samples: await spreadSamples(dataset, BENCHMARK.samples),
          })),
        );
        const onProgress = progress('timing', 'samples');
        const benchmark = { ...BENCHMARK, signal, onProgress };
        const times = await measureLatency(candidates, candidates[0]!.samples, benchmark);
        const labels = dataA.unlabelled ? undefined : dataA.labels;
        const told = runs.map(({ name, side }, i) => tell(side, answers[i]!, labels, times.get(name)!));
        const [toldA, toldB] = told as [Compared, Compared];
        const [givenA, givenB] = answers.map(({ classes }) => classes) as [Int32Array, Int32Array];
        return {
          samples: dataA.size,
          hash: dataA.hash,
          a: toldA,
          b: toldB,
          agreement: accuracyOf(givenA, givenB),
          accuracy: labels ? differenceOf(givenA, givenB, labels) : null,
          macsRatio: toldB.macs / toldA.macs,
          latencyRatio: toldB.latencyMsP50 / toldA.latencyMsP50,
        };
      }),
    );
  } finally {
    for (const dataset of opened) await dataset.close();
  }
}

interface Package {
  readonly path: string;
  readonly manifest: Manifest;
  readonly point: OperatingPoint;
}

/** What `path` holds, at the point `at`; undefined when it is a model file. */
async function packageAt(path: string, at: string | undefined): Promise<Package | undefined> {
  const isFile = (await stat(path).catch(() => undefined))?.isFile() ?? path.endsWith('.onnx');
  if (isFile) return undefined;
  const manifest = await readPackage(path);
  const { outputs, operatingPoints, defaultPoint } = manifest;
  const point = operatingPoints.find(({ name }) => name === (at ?? defaultPoint));
  if (!point)
    throw unknownPoint(
      `${at} in ${path}`,
      operatingPoints.map((p) => p.name),
    );
  if (outputs.thresholds === null && point.name !== defaultPoint)
    throw pointNotBuiltIn(point.name, path, defaultPoint);
  return { path, manifest, point };
}

function lookAtPackage({ path, manifest, point }: Package, session: SessionOptions): Side {
  const { classes, labels, batch, outputs, baseline } = manifest;
  return {
    path,
    file: join(path, 'model.onnx'),
    session,
    inputs: inputsIn(manifest),
    output: outputs.scores,
    activation: manifest.activation,
    classes,
    classNames: labels,
    tokenizer: tokenizerFor(path, manifest, undefined),
    batch,
    macs: baseline.macs,
    compiled: { manifest, point },
  };
}

interface Reading extends InputOptions {
  readonly output?: string | undefined;
}

/** How a plain model is read: as is said, and else as the other side was compiled from it. */
function readingOf({ output, dims, set }: CompareOptions, source: LoadedModel, other?: Manifest): Reading {
  const then = other?.source.sha256 === source.sha256 ? other : undefined;
  return {
    output: output ?? then?.outputs.scores,
    dims: { ...(then && sizesOf(source.model, then.inputs)), ...then?.source.dims, ...dims },
    set: { ...then?.source.set, ...set },
  };
}

async function lookAtPlain(
  path: string,
  threads: SessionOptions,
  readingFor: (source: LoadedModel) => Reading,
): Promise<Side> {
  const source = await loadModel(path);
  const session = { ...threads, externalDataFolder: source.folder };
  if (source.model.graph.outputs.some(({ name }) => name === EXIT_INDEX))
    throw notComparable(
      path,
      'another',
      `${basename(path)} is what compile wrote, without its manifest`,
      'Give its folder.',
    );
  const { output, dims = {}, set = {} } = readingFor(source);
  const reading = { output, dims, session };
  const inlined = inlineFunctions(source.model);
  const asked = giveValue(inlined, output);
  const fixed = { ...asked, graph: runPasses(asked.graph, [fixInputs({ dims, set })]) };
  const typed = await observeFacts(await raiseModel(fixed, reading), reading);
  refuseLooseInputs(typed);
  return {
    path,
    file: asked === inlined && Object.keys(set).length === 0 ? path : fixed,
    session,
    inputs: inputsOf(typed),
    output: typed.output,
    activation: typed.activation,
    classes: typed.classes,
    classNames: undefined,
    batch: typed.batch,
    macs: totalMacsOf(typed),
  };
}

function refuseUnlike(a: Side, b: Side): void {
  const hint = 'Both must tell the same classes apart, in the same order.';
  if (a.classes !== b.classes)
    throw notComparable(a.path, b.path, `one has ${a.classes} classes, the other ${b.classes}`, hint);
  const odd = a.classNames?.findIndex((name, i) => b.classNames && b.classNames[i] !== name) ?? -1;
  if (odd >= 0)
    throw notComparable(
      a.path,
      b.path,
      `class ${odd} is ${a.classNames![odd]} in one and ${b.classNames![odd]} in the other`,
      hint,
    );
}

/** What tells that row i of both is the same sample: as many of them, with the same labels, and the same records where those are alike. */
function refuseOtherSamples(a: Side, b: Side, dataA: Dataset, dataB: Dataset): void {
  const hint = 'Give data that both read in the same way; of random data, models with inputs of one shape.';
  if (dataA.size !== dataB.size)
    throw notComparable(
      a.path,
      b.path,
      `${dataA.size} samples are read for one, ${dataB.size} for the other`,
      hint,
    );
  const odd = dataA.labels.findIndex((label, i) => label !== dataB.labels[i]);
  if (odd >= 0) throw notComparable(a.path, b.path, `sample ${odd} has another label for each`, hint);
  if (dataA.random && dataA.hash !== dataB.hash)
    throw notComparable(a.path, b.path, 'random samples are drawn for each shape of input', hint);
}

function preprocessingOf(side: Side, other: Side, options: CompareOptions): Preprocessing {
  const own = side.compiled?.manifest.preprocessing;
  if (own !== undefined) return own as Preprocessing;
  const said = (['preset', 'scale', 'mean', 'std', 'layout', 'channels', 'resize'] as const).some(
    (name) => options[name] !== undefined,
  );
  const theirs = other.compiled?.manifest.preprocessing;
  return said || !theirs ? resolvePreprocessing(options, side.inputs) : (theirs as Preprocessing);
}

interface Answered {
  /** [n] */
  readonly classes: Int32Array;
  /** [n]; undefined of a plain model. */
  readonly exits?: Int32Array;
}

interface Running {
  readonly session: Session;
  readonly dataset: Dataset;
  readonly batch: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

/** Thresholds that `side` is fed; undefined where it takes none. */
const thresholdsOf = ({ compiled }: Side) =>
  compiled && compiled.manifest.outputs.thresholds !== null ? compiled.point.thresholds : undefined;

async function answer(side: Side, running: Running): Promise<Answered> {
  const run = {
    ...running,
    output: side.output,
    thresholds: thresholdsOf(side),
    batch: side.batch === 'fixed' ? 1 : running.batch,
  };
  const count = running.dataset.size;
  const said = (scores: Float32Array) => classesIn(scores, count, side.activation);
  if (!side.compiled) return { classes: said(await runScores(run)) };
  const { scores, exits } = await runEmitted(run);
  return { classes: said(scores), exits };
}

function tell(
  side: Side,
  { classes, exits }: Answered,
  labels: Int32Array | undefined,
  time: Latency,
): Compared {
  const { path, compiled, macs } = side;
  const relativeCost = compiled ? meanCost(compiled.manifest, compiled.point.thresholds, exits!) : 1;
  return {
    path,
    point: compiled?.point.name ?? null,
    accuracy: labels ? accuracyOf(classes, labels) : null,
    macs: relativeCost * macs,
    relativeCost,
    exitShares: compiled
      ? [...compiled.point.thresholds.keys(), compiled.point.thresholds.length].map((k) => share(exits!, k))
      : [],
    latencyMsP50: time.p50,
    latencyMsMean: time.mean,
  };
}

function differenceOf(a: Int32Array, b: Int32Array, labels: Int32Array): AccuracyDifference {
  let [onlyA, onlyB] = [0, 0];
  for (const [i, label] of labels.entries()) {
    if (a[i] === label && b[i] !== label) onlyA++;
    if (b[i] === label && a[i] !== label) onlyB++;
  }
  const counts = { samples: labels.length, onlyA, onlyB };
  return {
    ...counts,
    difference: (onlyB - onlyA) / labels.length,
    interval: pairedInterval(counts),
    pValue: mcnemarPValue(counts),
  };
}
