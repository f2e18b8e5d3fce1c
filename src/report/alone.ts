/** Networks of a chain by themselves: what a user would run instead. */
import { closesAll, isNamed } from '../calibrate/index.ts';
import { CLOSED } from '../calibrate/types.ts';
import { answerAt, exitName, inWords, networkName } from '../emit/chain-words.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { percent } from './numbers.ts';

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

type Compared = Pick<OperatingPoint, 'relativeCost' | 'accuracy'>;

/** The most accurate of `alone` that costs less than `point` and is at least as accurate on the same samples. */
export const betterThan = <A extends Alone>(
  alone: readonly A[],
  { relativeCost, accuracy }: Compared,
): A | undefined =>
  alone
    .filter((one) => one.relativeCost < relativeCost && one.accuracy >= accuracy)
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
      `${one.name} alone costs ${percent(one.relativeCost)} of the original and is right on ${percent(one.accuracy, 2)}: ${inWords(worse)} ${cost} more and ${are} no better on these samples.`,
    ];
  });
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}
