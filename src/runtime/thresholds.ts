/** Which thresholds a call asks for, and what they make samples cost. */
import { told, unknownIn } from './values.ts';

interface Point {
  readonly thresholds: readonly number[];
  readonly relativeCost: number;
}

interface Choice<Name extends string = string> {
  readonly at?: Name | undefined;
  readonly budget?: number | undefined;
  readonly thresholds?: readonly number[] | undefined;
}

/**
 * The thresholds that `choice` asks for; those of `fallback` when it asks for nothing. `others`: what else `choice` may hold. Throws a TypeError or
 * RangeError.
 */
export function thresholdsOf(
  points: Readonly<Record<string, Point>>,
  fallback: string,
  choice: Choice,
  others: readonly string[] = [],
): Float32Array {
  const problem = unknownIn(choice, ['at', 'budget', 'thresholds', ...others]);
  if (problem !== undefined) throw new TypeError(`options: ${problem}`);
  const { at, budget, thresholds } = choice;
  if (Number(at !== undefined) + Number(budget !== undefined) + Number(thresholds !== undefined) > 1) {
    throw new TypeError('at, budget and thresholds exclude each other');
  }
  if (thresholds !== undefined) {
    const exits = points[fallback]!.thresholds.length;
    const wanted = exits === 1 ? '1 number' : `${exits} numbers, one an exit,`;
    if (!Array.isArray(thresholds) && !ArrayBuffer.isView(thresholds))
      throw new TypeError(`thresholds: ${wanted} expected as a list, got ${told(thresholds)}`);
    // A copy has no holes, which `every` would pass over.
    const given: unknown[] = Array.from(thresholds as readonly unknown[]);
    if (given.length !== exits || !given.every((t) => typeof t === 'number' && !Number.isNaN(t)))
      throw new RangeError(`thresholds: ${wanted} expected, got [${given.map(told).join(', ')}]`);
    return Float32Array.from(given as number[]);
  }
  if (budget !== undefined && typeof budget !== 'number')
    throw new TypeError(`budget: a number expected, got ${told(budget)}`);
  const name = pointOf(points, fallback, { at, budget })!;
  if (!Object.hasOwn(points, name)) {
    throw new RangeError(`no operating point "${name}"; there are ${Object.keys(points).join(', ')}`);
  }
  return new Float32Array(points[name]!.thresholds);
}

/** Name of the operating point that `choice` means; undefined when it has thresholds of its own. */
export function pointOf<Name extends string>(
  points: Readonly<Record<Name, Point>>,
  fallback: Name,
  { at, budget, thresholds }: Choice<Name>,
): Name | undefined {
  if (thresholds !== undefined) return undefined;
  return budget === undefined ? (at ?? fallback) : dearestWithin(points, budget);
}

/** Name of the dearest of `points` whose relative cost is at most `budget`. Throws a RangeError that names the cheapest. */
export function dearestWithin<Name extends string>(
  points: Readonly<Record<Name, Point>>,
  budget: number,
): Name {
  const byCost = (Object.entries(points) as [Name, Point][]).sort(
    ([, a], [, b]) => a.relativeCost - b.relativeCost,
  );
  const found = byCost.filter(([, { relativeCost }]) => relativeCost <= budget).at(-1);
  if (found) return found[0];
  const [name, { relativeCost }] = byCost[0]!;
  throw new RangeError(
    `budget ${budget}: no operating point costs as little; the cheapest is "${name}", ${relativeCost}`,
  );
}

/**
 * What a sample that leaves at each exit (the full path last) has cost under `thresholds`, [K + 1], relative to the
 * original model; a closed exit costs nothing.
 */
export function relativeCosts(
  exits: readonly { readonly prefixMacs: number; readonly headMacs: number }[],
  fullMacs: number,
  thresholds: ArrayLike<number>,
): number[] {
  const costs: number[] = [];
  let heads = 0;
  for (const [k, { prefixMacs, headMacs }] of exits.entries()) {
    if (thresholds[k]! < 1) heads += headMacs;
    costs.push((prefixMacs + heads) / fullMacs);
  }
  costs.push((fullMacs + heads) / fullMacs);
  return costs;
}

/**
 * What a sample that leaves at each exit of a chain (the original's answer last) has cost under `thresholds`, [K + 1], relative to the
 * original; a closed exit costs nothing. `network` of an exit, and of the original (`full`), is the index of its network; 0 when it is
 * left out. Every network before that has been run up to its last open exit.
 */
export function chainCosts(
  exits: readonly {
    readonly network?: number | undefined;
    readonly prefixMacs: number;
    readonly headMacs: number;
  }[],
  full: { readonly network: number; readonly macs: number },
  thresholds: ArrayLike<number>,
): number[] {
  let heads = 0;
  let spent = 0;
  let reached = { network: full.network, prefixMacs: 0 };
  const costOf = (network: number, macs: number) =>
    (spent + (network === reached.network ? 0 : reached.prefixMacs) + macs + heads) / full.macs;
  const costs = exits.map(({ network = 0, prefixMacs, headMacs }, k) => {
    if (!(thresholds[k]! < 1)) return costOf(network, prefixMacs);
    if (network !== reached.network) spent += reached.prefixMacs;
    heads += headMacs;
    reached = { network, prefixMacs };
    return costOf(network, prefixMacs);
  });
  return [...costs, costOf(full.network, full.macs)];
}
