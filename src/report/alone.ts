/** Networks of a chain by themselves: what a user would run instead. */
import { closesAll, isGuessing, isNamed, NAMED_DROPS, walk } from '../calibrate/index.ts';
import { CLOSED, type ExitOutcomes, type OutcomesAt } from '../calibrate/types.ts';
import { answerAt, exitName, inWords, networkName } from '../emit/chain-words.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { costPercent, count, percent, signedPoints } from './numbers.ts';
import { type Drop, dropOf } from './statistics.ts';

/** A network in front of the original, alone, on the samples that are reported. */
export interface Alone {
  readonly name: string;
  /** MACs as a share of the original's. */
  readonly relativeCost: number;
  readonly accuracy: number;
}

/** Networks in front whose own answers are among the exits: of others nothing was measured. Cheapest first. */
export function networksAlone(manifest: Pick<Manifest, 'networks'>): Alone[] {
  const { networks = [] } = manifest;
  return networks
    .slice(0, -1)
    .flatMap(({ relativeCost, accuracy }, n) =>
      accuracy === undefined ? [] : [{ name: networkName(manifest, n), relativeCost, accuracy }],
    )
    .sort((a, b) => a.relativeCost - b.relativeCost);
}

/** The operating point that a network alone would be: only its end is open, and every sample leaves there. */
export function pointsAlone({ networks = [], exits }: Pick<Manifest, 'networks' | 'exits'>): {
  readonly network: number;
  readonly thresholds: readonly number[];
}[] {
  return networks.slice(0, -1).flatMap((_, n) => {
    const end = exits.findIndex(({ network, head }) => network === n && head === 'end');
    if (end < 0) return [];
    return [{ network: n, thresholds: exits.map((_, k) => (k === end ? Number.NEGATIVE_INFINITY : CLOSED)) }];
  });
}

/** A network alone beside the original, on the same samples. */
export interface AloneFacts extends Alone {
  /** Share of samples answered as the original does. */
  readonly agreement: number;
  readonly drop: Drop;
  /** Offramp grew it: its file is in the package. */
  readonly grown: boolean;
}

/** Of the networks in front whose own answers are among the exits, cheapest first. */
export function aloneFacts(manifest: Manifest, outcomes: OutcomesAt<ExitOutcomes>): AloneFacts[] {
  return pointsAlone(manifest)
    .map(({ network, thresholds }) => {
      const seen = outcomes(thresholds);
      const { answers } = walk(seen, thresholds);
      const shareOf = (wanted: Int32Array) =>
        answers.filter((answer, i) => answer === wanted[i]).length / answers.length;
      const { relativeCost, grown } = manifest.networks![network]!;
      return {
        name: networkName(manifest, network),
        relativeCost,
        accuracy: shareOf(seen.labels),
        agreement: shareOf(seen.original),
        drop: dropOf(seen, thresholds),
        grown: grown !== undefined,
      };
    })
    .sort((a, b) => a.relativeCost - b.relativeCost);
}

/** A network that is as good as the original is shown to lose less than this, as `balanced` may. */
const AS_GOOD = NAMED_DROPS.balanced;

/**
 * What a network alone is beside the original, by the interval of the accuracy that it loses: `better` beyond chance; `as good` where nothing is
 * lost beyond chance and a loss of a point is ruled out. Where it is not, for samples are too few, being right as often is all that is said.
 */
function standing({
  drop: { value, low, high },
}: AloneFacts): 'better' | 'as good' | 'right as often' | undefined {
  if (high < 0) return 'better';
  if (low <= 0 && high < AS_GOOD) return 'as good';
  return value <= 0 ? 'right as often' : undefined;
}

/**
 * A message on networks that cost less than the original and by themselves are as good or better on the reported samples; undefined where none
 * is, where there are no labels to tell by, and where the original only guesses.
 */
export function asGoodAlone(manifest: Manifest, alone: readonly AloneFacts[]): string | undefined {
  const { measuredOn, data, baseline, classes } = manifest;
  const { samples, random, labels } = data[measuredOn]!;
  if (random || labels === 'original') return undefined;
  if (isGuessing(Math.round(baseline.accuracy * samples), samples, classes)) return undefined;
  const points = (loss: number) => signedPoints(-loss);
  const sentences = alone.flatMap((one) => {
    const is = standing(one);
    if (one.relativeCost >= 1 || !is) return [];
    const { value, low, high } = one.drop;
    const doubt =
      is === 'right as often'
        ? `, but so few samples leave room for a loss of ${signedPoints(high).slice(1)} points`
        : '';
    return [
      `${one.name} is right on ${percent(one.accuracy, 2)} of ${count(samples)} ${measuredOn} samples, the original on ${percent(baseline.accuracy, 2)}: this small network by itself is ${is} on your data (${points(value)} points, 95 % interval ${points(high)} to ${points(low)})${doubt}. It costs ${costPercent(one.relativeCost)} of the original${one.grown ? `, and its file lies beside model.onnx` : ''}.`,
    ];
  });
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}

type Compared = Pick<OperatingPoint, 'relativeCost' | 'accuracy'>;

/** How far the mean of a cost over samples may be from that cost. */
const ROUNDING = 1e-9;

/** The most accurate of `alone` that costs less than `point` and is at least as accurate on the same samples. */
export const betterThan = <A extends Alone>(
  alone: readonly A[],
  { relativeCost, accuracy }: Compared,
): A | undefined =>
  alone
    .filter((one) => one.relativeCost < (1 - ROUNDING) * relativeCost && one.accuracy >= accuracy)
    .sort((a, b) => b.accuracy - a.accuracy)[0];

/** A message on named points at which every sample leaves at one exit, so that nothing behind it is ever run; undefined where there is none. */
export function leavesAtOne(manifest: Manifest): string | undefined {
  const { operatingPoints, exits, networks } = manifest;
  const sentences = exits.flatMap((_, k) => {
    const names = operatingPoints
      .filter(({ name, exitShares }) => isNamed(name) && exitShares[k] === 1)
      .map(({ name }) => name);
    if (names.length === 0) return [];
    const what = networks
      ? `with the answer of ${answerAt(manifest, k).replace(/ itself$/, ' alone')}`
      : 'and nothing behind it is run';
    return [
      `At ${inWords(names)} every sample leaves at ${networks ? exits[k]!.id : exitName(manifest, k)}, ${what}.`,
    ];
  });
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}

/** A message when named points cost more than a network alone and are no better; undefined where none does. */
export function betterAlone(manifest: Manifest): string | undefined {
  const alone = networksAlone(manifest);
  const points = manifest.operatingPoints.filter(
    ({ name, thresholds }) => isNamed(name) && !closesAll(thresholds),
  );
  const sentences = alone.flatMap((one) => {
    const worse = points.filter((point) => betterThan(alone, point) === one).map(({ name }) => name);
    if (worse.length === 0) return [];
    const [cost, are] = worse.length === 1 ? ['costs', 'is'] : ['cost', 'are'];
    return [
      `${one.name} alone costs ${costPercent(one.relativeCost)} of the original and is right on ${percent(one.accuracy, 2)}: ${inWords(worse)} ${cost} more and ${are} no better on these samples.`,
    ];
  });
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}

/** A message when no named point opens an exit, so that nothing in front of the original's own end is worth what it costs; undefined where some does. */
export function neverPays(manifest: Manifest): string | undefined {
  const { networks = [], operatingPoints } = manifest;
  if (!operatingPoints.every(({ name, thresholds }) => !isNamed(name) || closesAll(thresholds)))
    return undefined;
  if (networks.length === 0)
    return 'Do not use this: no named point is cheaper than the original and loses as little as its name says, so every sample goes all the way. The exits know too little: more training samples or epochs may help, or a small network in front.';
  const cut = networks.flatMap(({ grown }, n) => {
    const { stoppedAt } = grown?.training ?? {};
    return stoppedAt === undefined
      ? []
      : [`${networkName(manifest, n)} was stopped at step ${count(stoppedAt)}`];
  });
  const longer = cut.length > 0 ? ` ${inWords(cut)}: without that limit it may learn more.` : '';
  return `Do not use this: no named point is cheaper than the original and loses as little as its name says. The networks in front are not worth what they cost on these data.${longer}`;
}
