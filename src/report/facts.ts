/** What the report says, as plain data: all of its arithmetic, none of its looks. */

import { closesAll, isNamed, NAMED_DROPS, walk } from '../calibrate/index.ts';
import { CLOSED, type ExitOutcomes, type OutcomesAt } from '../calibrate/types.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { option } from '../errors/index.ts';
import { eachSoftmax, largestOf } from '../policies/rows.ts';
import { type AloneFacts, aloneFacts } from './alone.ts';
import { type Drop, dropOf, type Reliability, reliabilityOf } from './statistics.ts';

export interface ReportFacts {
  readonly manifest: Manifest;
  readonly samples: number;
  /** Every operating point, cheapest first. */
  readonly points: readonly PointFacts[];
  /** The one that is used when none is named; all that follows is at its thresholds. */
  readonly chosen: PointFacts;
  /** Networks in front of the original by themselves, cheapest first. */
  readonly alone: readonly AloneFacts[];
  /** [K]: whether a named point, or the chosen one, opens that exit. */
  readonly used: readonly boolean[];
  /** [K + 1]: samples that leave at each exit, the full path last. */
  readonly leaving: readonly { readonly right: number; readonly wrong: number }[];
  /** [K] */
  readonly scores: readonly ScoreFacts[];
  /** [K + 1]: of each exit asked about every sample, and of the original. */
  readonly reliability: readonly (Reliability & { readonly accuracy: number })[];
  /** [K + 1] */
  readonly examples: readonly ExitExamples[];
}

export interface PointFacts extends OperatingPoint {
  readonly drop: Drop;
  /** Whether it has a name that says what it is for. */
  readonly named: boolean;
}

/** How an exit's scores are spread over all samples, whether or not they get that far. */
export interface ScoreFacts {
  /** Edges of the bins, rising: one more than there are bins. */
  readonly edges: readonly number[];
  /** Samples in each bin that this exit answers right, and wrong. */
  readonly right: readonly number[];
  readonly wrong: readonly number[];
  /** Samples whose score is no number: they never leave here. */
  readonly unscored: number;
  /** Open thresholds of the points worth comparing, lowest first. */
  readonly thresholds: readonly { readonly point: string; readonly at: number }[];
}

/** Samples that leave at one exit, a few of each kind. */
export interface ExitExamples {
  /** Right, the largest probability first. */
  readonly easy: readonly Example[];
  /** Right, the smallest probability first. */
  readonly hard: readonly Example[];
  /** Wrong, the largest probability first. */
  readonly wrong: readonly Example[];
}

export interface Example {
  /** Index in the reported data. */
  readonly sample: number;
  readonly label: number;
  readonly answer: number;
  /** Softmax of the logits that gave the answer, at the answer. */
  readonly probability: number;
}

/**
 * A message when the point that is used by default takes as long as the original did. `baking`: how its reader asks for thresholds that
 * are built in.
 */
export function noTimeSaved(
  { operatingPoints, defaultPoint, baseline, outputs, networks }: Manifest,
  baking: string,
): string | undefined {
  const mean = operatingPoints.find(({ name }) => name === defaultPoint)?.latencyMsMean ?? undefined;
  const before = baseline.latencyMsMean ?? undefined;
  if (mean === undefined || before === undefined || mean < before) return undefined;
  const remedy = outputs.thresholds === null ? '' : ` ${baking} costs less of it.`;
  const why = networks
    ? 'too few samples leave before the original, because the networks in front know too little or much is asked of them, or those networks cost nearly what the original does.'
    : 'too few samples leave here, because heads know too little (more samples or epochs) or much is asked of them, or the model is too small to make up for it.';
  return `No time is saved here: a sample takes ${mean} ms at ${defaultPoint} and ${before} ms in the original. An exit needs some 0.1 ms besides its ${networks ? 'MACs' : 'head'}: ${why}${remedy}`;
}

/** What is lost on the way to and from the exits, in milliseconds, and as a share of the original's time: more, and the machine was disturbed. */
const UNSTEADY = { ms: 0.5, share: 0.5 } as const;

/** What to say when latencies contradict each other: with all exits closed the model does what the original does; undefined where they do not. */
export function unsteadyLatency({ operatingPoints, baseline }: Manifest): string | undefined {
  const closed = operatingPoints.find(({ thresholds }) => closesAll(thresholds));
  const [mean, before] = [closed?.latencyMsMean ?? undefined, baseline.latencyMsMean ?? undefined];
  if (mean === undefined || before === undefined) return undefined;
  if (Math.abs(mean - before) <= Math.max(UNSTEADY.ms, UNSTEADY.share * before)) return undefined;
  return `Latencies are not to be relied on: at ${closed!.name} a sample takes ${mean} ms, and in the original, which does the same, ${before} ms. Other work disturbed the machine, most likely: measure again when it is idle (\`compare\`).`;
}

/** What a point with a standing name may lose on new samples, on average over draws of the calibration samples; undefined for others. */
const allowedDrop = (name: string): number | undefined => NAMED_DROPS[name as keyof typeof NAMED_DROPS];

/** Whether the reported samples say, beyond chance, that the point loses more than its name allows. */
export const losesMore = ({ name, drop }: PointFacts): boolean => drop.low > (allowedDrop(name) ?? Infinity);

/** What to say when points lose more on samples that nothing was fitted on than their names allow; undefined where none does. */
export function lossesBeyondNames(
  manifest: Manifest,
  outcomes: OutcomesAt<ExitOutcomes>,
): string | undefined {
  if (manifest.measuredOn !== 'test') return undefined;
  const points = manifest.operatingPoints.filter(({ name }) => allowedDrop(name) !== undefined);
  const beyond = points.map((point) => pointFacts(point, outcomes(point.thresholds))).filter(losesMore);
  if (beyond.length === 0) return undefined;
  const losses = beyond.map(
    ({ name, drop }) =>
      `${name} lost ${(100 * drop.value).toFixed(2)} points (meant: ${100 * allowedDrop(name)!})`,
  );
  return `On the test samples ${losses.join(', ')}; that is beyond chance. More calibration samples, which ${manifest.networks ? 'no network' : 'the original'} has${manifest.networks ? '' : ' not'} been trained on, make thresholds that hold; ${option('maxAccuracyDrops')} with ${option('confidence')} promises.`;
}

const EXAMPLES = 4;
const BINS = 30;
/** Points whose thresholds are drawn into histograms, if there are that many. */
const MOST_MARKED = 4;

export function reportFacts(manifest: Manifest, outcomes: OutcomesAt<ExitOutcomes>): ReportFacts {
  const points = manifest.operatingPoints.map((point) => pointFacts(point, outcomes(point.thresholds)));
  const chosen = points.find(({ name }) => name === manifest.defaultPoint)!;
  const seen = outcomes(chosen.thresholds);
  const samples = seen.labels.length;
  const { exits, answers } = walk(seen, chosen.thresholds);
  const isRight = Array.from(answers, (answer, i) => answer === seen.labels[i]);
  const confidences = seen.logits.map((logits) => topProbabilities(logits, samples));
  const original = outcomes(seen.scores.map(() => CLOSED));
  const ofOriginal = topProbabilities(original.logits.at(-1)!, samples);
  const places = seen.logits.map((_, k) => k);
  return {
    manifest,
    samples,
    points,
    chosen,
    alone: aloneFacts(manifest, outcomes),
    used: manifest.exits.map((_, k) =>
      points.some((point) => (point.named || point === chosen) && point.thresholds[k]! < CLOSED),
    ),
    leaving: places.map((k) => {
      const here = isRight.filter((_, i) => exits[i] === k);
      const right = here.filter(Boolean).length;
      return { right, wrong: here.length - right };
    }),
    scores: seen.scores.map((scores, k) =>
      scoreFacts(
        scores,
        seen.answers[k]!.map((p, i) => +(p === seen.labels[i])),
        markedThresholds(points, chosen, k),
      ),
    ),
    reliability: [...seen.answers, seen.original].map((answers, k) => {
      const right = Array.from(answers, (answer, i) => answer === seen.labels[i]);
      const accuracy = right.filter(Boolean).length / samples;
      return { ...reliabilityOf(k < seen.scores.length ? confidences[k]! : ofOriginal, right), accuracy };
    }),
    examples: places.map((k) => {
      const here = [...exits.keys()].filter((i) => exits[i] === k);
      const example = (sample: number): Example => ({
        sample,
        label: seen.labels[sample]!,
        answer: answers[sample]!,
        probability: confidences[k]![sample]!,
      });
      const all = here.map(example).sort((a, b) => b.probability - a.probability || a.sample - b.sample);
      const right = all.filter(({ label, answer }) => label === answer);
      return {
        easy: right.slice(0, EXAMPLES),
        hard: right.slice(EXAMPLES).slice(-EXAMPLES).reverse(),
        wrong: all.filter(({ label, answer }) => label !== answer).slice(0, EXAMPLES),
      };
    }),
  };
}

/** Samples whose images the report shows, each once. */
export const picturedSamples = ({ examples }: ReportFacts): number[] => [
  ...new Set(examples.flatMap((e) => [e.easy, e.hard, e.wrong].flat().map(({ sample }) => sample))),
];

const pointFacts = (point: OperatingPoint, seen: ExitOutcomes): PointFacts => ({
  ...point,
  drop: dropOf(seen, point.thresholds),
  named: isNamed(point.name),
});

/** [n]: the largest softmax of each row of `logits`. */
function topProbabilities(logits: Float32Array, samples: number): Float64Array {
  const top = new Float64Array(samples);
  eachSoftmax(logits, logits.length / samples, (p, i) => {
    top[i] = largestOf(p);
  });
  return top;
}

/** The chosen point's threshold at exit k and those of other named points, as far as they are open there. */
function markedThresholds(points: readonly PointFacts[], chosen: PointFacts, k: number) {
  const usual = ['fast', 'balanced', 'accurate'];
  const others = points.filter(({ name, named }) => named && name !== chosen.name);
  const ranked = [chosen, ...others.sort((a, b) => usual.indexOf(b.name) - usual.indexOf(a.name))];
  return ranked
    .filter(({ thresholds }) => thresholds[k]! < CLOSED)
    .slice(0, MOST_MARKED)
    .map(({ name, thresholds }) => ({ point: name, at: thresholds[k]! }))
    .sort((a, b) => a.at - b.at);
}

/** `right` is 1 where the exit answers right, else 0. */
function scoreFacts(
  scores: Float32Array,
  right: Int32Array,
  thresholds: ScoreFacts['thresholds'],
): ScoreFacts {
  const finite = [...scores.keys()].filter((i) => Number.isFinite(scores[i]!));
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const i of finite) {
    least = Math.min(least, scores[i]!);
    most = Math.max(most, scores[i]!);
  }
  if (!(least < most)) [least, most] = finite.length > 0 ? [least - 0.5, least + 0.5] : [0, 1];
  const counts = { right: new Array<number>(BINS).fill(0), wrong: new Array<number>(BINS).fill(0) };
  for (const i of finite) {
    const bin = Math.min(BINS - 1, Math.floor(((scores[i]! - least) / (most - least)) * BINS));
    counts[right[i] ? 'right' : 'wrong'][bin]!++;
  }
  return {
    edges: Array.from({ length: BINS + 1 }, (_, b) => least + ((most - least) * b) / BINS),
    ...counts,
    unscored: scores.length - finite.length,
    thresholds,
  };
}
