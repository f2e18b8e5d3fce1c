/** Two models on the same samples: compiled ones at a point of each, or a compiled and a plain one. */

import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { type Discordant, mcnemarPValue, pairedInterval } from '../calibrate/index.ts';
import { type Dataset, openDataset, subset, withoutCopies } from '../data/index.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { info } from '../errors/notes.ts';
import { type Session, settleSession, withSession } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import { guessing } from '../predict/check-original.ts';
import { refuseNotFiniteScores, type Scored } from '../predict/finite-scores.ts';
import { BENCHMARK, type Latency, measureLatency, spreadSamples } from '../predict/measure-latency.ts';
import { accuracyOf } from '../predict/predict.ts';
import { classesIn, runEmitted, runScores, thresholdsFeed } from '../predict/run-emitted.ts';
import { refuseAmongSamples } from './apart.ts';
import {
  openSides,
  preprocessingOf,
  refuseOtherSamples,
  type Side,
  type SideOptions,
  thresholdsOf,
} from './compare-sides.ts';
import { compiledIn, meanCost, share } from './evaluate.ts';
import { refuseNotFinite } from './not-finite.ts';
import { checkCall } from './options.ts';

export interface CompareOptions extends SideOptions {
  /** Samples that both are run on. */
  readonly test: string;
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

/** A side with its samples, ready to run. */
interface Runnable {
  readonly name: 'A' | 'B';
  readonly side: Side;
  readonly dataset: Dataset;
  readonly session: Session;
}

/**
 * Runs both on every sample of `test` and, in turn, on single samples for the time they take. Throws `not-comparable`,
 * `unknown-operating-point` and `point-not-built-in`.
 */
export async function compare(options: CompareOptions, events: Events = {}): Promise<Comparison> {
  checkCall('compare', options, events);
  await refuseAmongSamples([options.cache], options);
  const [a, b] = await openSides(options, await settleSession(options));
  return await withSamples(a, b, options, events, (dataA, dataB) =>
    withSession(a.file, a.session, (sessionA) =>
      withSession(b.file, b.session, (sessionB) =>
        compareRuns(
          { name: 'A', side: a, dataset: dataA, session: sessionA },
          { name: 'B', side: b, dataset: dataB, session: sessionB },
          options.batch ?? 32,
          events,
        ),
      ),
    ),
  );
}

/** Opens the samples for each side, whose preprocessing may differ, without copies; and closes them whatever happens. */
async function withSamples<T>(
  a: Side,
  b: Side,
  options: CompareOptions,
  events: Events,
  use: (dataA: Dataset, dataB: Dataset) => Promise<T>,
): Promise<T> {
  const progress = progressOf(events);
  const naming = [a, b].find(({ classNames }) => classNames);
  const open = (name: string, side: Side, other: Side) =>
    openDataset(options.test, {
      inputs: side.inputs,
      preprocessing: preprocessingOf(side, other, options),
      cache: options.cache ?? defaultCache(),
      classes: side.classes,
      skipBad: options.skipBad,
      labels: options.labels ?? naming?.classNames,
      labelsFrom: naming && join(naming.path, 'manifest.json'),
      tokenizer: options.tokenizer ?? side.tokenizer ?? other.tokenizer,
      split: 'test',
      signal: events.signal,
      onProgress: progress(`decoding for ${name}`),
    });
  const opened: Dataset[] = [];
  try {
    const allA = await open('A', a, b);
    opened.push(allA);
    const allB = await open('B', b, a);
    opened.push(allB);
    for (const dataset of opened) await refuseNotFinite(dataset, events.signal);
    // McNemar's test assumes independent samples.
    const dataA = allA.random ? allA : await withoutCopies(allA);
    if (dataA !== allA)
      events.onNote?.(
        info(
          'copies-left-out',
          `${allA.size - dataA.size} of ${allA.size} samples are exact copies of others and left out.`,
        ),
      );
    const dataB = dataA === allA || allB.size !== allA.size ? allB : subset(allB, dataA.partOf!.samples);
    refuseOtherSamples(a, b, dataA, dataB);
    return await use(dataA, dataB);
  } finally {
    for (const dataset of opened) await dataset.close();
  }
}

async function compareRuns(a: Runnable, b: Runnable, batch: number, events: Events): Promise<Comparison> {
  const { signal } = events;
  const progress = progressOf(events);
  const answersA = await answer(a, batch, events);
  const answersB = await answer(b, batch, events);
  const candidates = [await candidateOf(a), await candidateOf(b)] as const;
  const onProgress = progress('timing', 'samples');
  const times = await measureLatency(candidates, candidates[0].samples, { ...BENCHMARK, signal, onProgress });
  const labels = a.dataset.unlabelled ? undefined : a.dataset.labels;
  const foundA = describe(a.side, answersA, labels, times.get(a.name)!);
  const foundB = describe(b.side, answersB, labels, times.get(b.name)!);
  if (labels && !a.dataset.random)
    for (const { path, accuracy } of [foundA, foundB]) {
      const note = guessing(path, Math.round(accuracy! * labels.length), labels.length, a.side.classes);
      if (note) events.onNote?.(note);
    }
  return {
    samples: a.dataset.size,
    hash: a.dataset.hash,
    a: foundA,
    b: foundB,
    agreement: accuracyOf(answersA.classes, answersB.classes),
    accuracy: labels ? differenceOf(answersA.classes, answersB.classes, labels) : null,
    macsRatio: foundB.macs / foundA.macs,
    latencyRatio: foundB.latencyMsP50 / foundA.latencyMsP50,
  };
}

const scoredBy = ({ path, file, compiled, session: { externalDataFolder: folder } }: Side): Scored =>
  compiled
    ? compiledIn(path)
    : {
        who: path,
        load: async () => (typeof file === 'string' ? await loadModel(file) : { model: file, folder }),
      };

const candidateOf = async ({ name, side, dataset, session }: Runnable) => ({
  name,
  session,
  extra: thresholdsFeed(thresholdsOf(side)),
  samples: await spreadSamples(dataset, BENCHMARK.samples),
});

interface Answers {
  /** [n] */
  readonly classes: Int32Array;
  /** [n]; undefined of a plain model. */
  readonly exits?: Int32Array;
}

async function answer(
  { name, side, dataset, session }: Runnable,
  batch: number,
  events: Events,
): Promise<Answers> {
  const run = {
    session,
    dataset,
    output: side.output,
    thresholds: thresholdsOf(side),
    batch: side.batch === 'fixed' ? 1 : batch,
    signal: events.signal,
    onProgress: progressOf(events)(`running ${name}`),
  };
  const classesOf = async (scores: Float32Array) => {
    await refuseNotFiniteScores(scores, dataset, scoredBy(side), events.signal);
    return classesIn(scores, dataset.size, side.activation);
  };
  if (!side.compiled) return { classes: await classesOf(await runScores(run)) };
  const { scores, exits } = await runEmitted(run);
  return { classes: await classesOf(scores), exits };
}

function describe(
  side: Side,
  { classes, exits }: Answers,
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
