/** Bounds that what was measured must keep, for CI: `--fail-if "drop > 0.5"`; and the figures as a flat file, `--metrics`. */
import { isNamed } from '../calibrate/index.ts';
import { type ReadOptions, refuseAmongSamples } from '../commands/apart.ts';
import type { Comparison } from '../commands/compare.ts';
import type { Measured, MeasuredPoint } from '../commands/evaluate.ts';
import { listOf, type Rule } from '../commands/option-rules.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkApart, checkReplaceable, writeOneFile } from '../emit/write.ts';
import { badOption, gateFailed, notMeasured } from '../errors/index.ts';

/** What bounds are of: accuracy and agreement in percent, drop in points, cost and latency relative to the original, or to A. */
export type FigureName = 'accuracy' | 'agreement' | 'drop' | 'cost' | 'latency';

interface Figure {
  /** The way to the worse. A bound the other way round would fail when all is well, and hold when nothing is. */
  readonly worse: '>' | '<';
  /** Given as a share, which `%` divides by 100. */
  readonly isShare?: true;
  /** Limits, from above the first up to the second, that somebody can mean: an accuracy of .92 % is none, nor a cost of 60 times the original's. */
  readonly meant: readonly [number, number];
}

const FIGURES: Readonly<Record<FigureName, Figure>> = {
  accuracy: { worse: '<', meant: [1, 100] },
  agreement: { worse: '<', meant: [1, 100] },
  drop: { worse: '>', meant: [-1, 100] },
  cost: { worse: '>', isShare: true, meant: [0, 10] },
  latency: { worse: '>', isShare: true, meant: [0, 10] },
};

/** Undefined: not measured. */
export type Figures = Readonly<Partial<Record<FigureName, number | undefined>>>;

export interface Bound {
  /** As it was given. */
  readonly text: string;
  readonly figure: FigureName;
  readonly limit: number;
}

const FORM = /^\s*([a-z]+)\s*([<>])\s*(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(%|x)?\s*$/;

export const bound: Rule<Bound> = {
  wanted:
    'what must not be: "drop > 0.5" (points), "accuracy < 92" or "agreement < 97" (percent), "cost > 0.6" or "latency > 1.1x" (of the original)',
  accepts: (value): value is Bound => typeof value === 'object' && value !== null && 'limit' in value,
  read: (given) => (typeof given === 'string' ? (readBound(given) ?? given) : given),
  schema: { type: 'string' },
};

/** Several, between commas. A comma with no name behind it is none of these: that of `0,5` stays in the word, which an error then shows whole. */
export const bounds: Rule<readonly Bound[]> = {
  ...listOf(bound, { atLeast: 1 }),
  read: (given) =>
    [given]
      .flat()
      .flatMap((one) => (typeof one === 'string' ? one.split(/,(?=\s*[a-z])/i) : [one]))
      .map((one) => bound.read(typeof one === 'string' ? one.trim() : one)),
};

function readBound(text: string): Bound | undefined {
  const [, name, sign, number, unit] = FORM.exec(text) ?? [];
  const figure = (Object.keys(FIGURES) as FigureName[]).find((one) => one === name);
  if (!figure) return undefined;
  const { worse, isShare, meant } = FIGURES[figure];
  if (sign !== worse || (unit === 'x' && !isShare)) return undefined;
  const limit = isShare && unit === '%' ? Number(number) / 100 : Number(number);
  return limit > meant[0] && limit <= meant[1] ? { text: text.trim(), figure, limit } : undefined;
}

/** Throws `bad-option` where one of `bounds` is on a figure that the command does not have. */
export function checkFigures(
  bounds: readonly Bound[] = [],
  has: readonly FigureName[],
  instead: string,
): void {
  const other = bounds.find(({ figure }) => !has.includes(figure));
  if (other) throw badOption('--fail-if', other.text, `a bound on ${has.join(', ')}; ${instead}`);
}

/** Throws `gate-failed` with all bounds that do not hold, `where` by where, and `not-measured`. */
export function checkBounds(
  bounds: readonly Bound[] = [],
  measured: Readonly<Record<string, Figures>>,
): void {
  const broken = Object.entries(measured).flatMap(([where, figures]) =>
    bounds.flatMap(({ text, figure, limit }) => {
      const value = figures[figure];
      if (value === undefined || Number.isNaN(value)) throw notMeasured(text, where);
      const isBroken = FIGURES[figure].worse === '>' ? value > limit : value < limit;
      const told = `${where} has ${figure} ${Number(value.toPrecision(6))} (${text})`;
      return isBroken ? [{ told, costs: FIGURES[figure].isShare === true }] : [];
    }),
  );
  if (broken.length > 0)
    throw gateFailed(
      broken.map(({ told }) => told),
      { costs: broken.some(({ costs }) => costs), loses: broken.some(({ costs }) => !costs) },
    );
}

type Point = MeasuredPoint | OperatingPoint;

/** Of a share, or of a difference of two. A drop from .915 to .905 is 1, not the 1.0000000000000009 that breaks `drop > 1`. */
const inPercent = (share: number) => Number((100 * share).toFixed(9));

/** `original`: its accuracy; null where it was not measured. Without labels accuracy is agreement, and there is no drop. */
export function figuresOf(
  { accuracy, agreement, relativeCost }: Point,
  original: number | null,
  isLabelled: boolean,
): Figures {
  return {
    accuracy: isLabelled ? inPercent(accuracy) : undefined,
    agreement: agreement === null ? undefined : inPercent(agreement),
    drop: isLabelled && original !== null ? inPercent(original - accuracy) : undefined,
    cost: relativeCost,
  };
}

/** Of B, measured against A. */
export const figuresOfB = ({ b, agreement, accuracy, macsRatio, latencyRatio }: Comparison): Figures => ({
  accuracy: b.accuracy === null ? undefined : inPercent(b.accuracy),
  agreement: inPercent(agreement),
  drop: accuracy ? inPercent(-accuracy.difference) : undefined,
  cost: macsRatio,
  latency: latencyRatio,
});

type Metrics = Readonly<Record<string, number>>;

/** What is not null, by name. */
const numbersIn = (values: Readonly<Record<string, number | null | undefined>>): Metrics =>
  Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );

/**
 * The original and every point with a name of its own: `balanced/accuracy`, in shares of 1, drops in points, latencies in milliseconds. Without
 * labels no accuracies.
 */
export function metricsOf(
  {
    baseline,
    operatingPoints,
  }: Pick<Manifest | Measured, 'baseline'> & { readonly operatingPoints: readonly Point[] },
  isLabelled: boolean,
): Metrics {
  const named = operatingPoints.filter(({ name }) => isNamed(name));
  const ofPoints = named.flatMap((point) => {
    const { name, agreement, relativeCost, latencyMsMean } = point;
    const accuracy = isLabelled ? point.accuracy : undefined;
    const { drop } = figuresOf(point, baseline.accuracy, isLabelled);
    const own = { accuracy, agreement, drop, cost: relativeCost, latency_ms: latencyMsMean };
    return Object.entries(own).map(([figure, value]) => [`${name}/${figure}`, value] as const);
  });
  return numbersIn({
    'original/accuracy': isLabelled ? baseline.accuracy : undefined,
    'original/macs': baseline.macs,
    'original/latency_ms': baseline.latencyMsMean,
    ...Object.fromEntries(ofPoints),
  });
}

export function metricsOfBoth(comparison: Comparison): Metrics {
  const { a, b, samples, agreement, macsRatio, latencyRatio } = comparison;
  const sides = Object.entries({ a, b }).map(([side, { accuracy, macs, latencyMsP50 }]) => ({
    [`${side}/accuracy`]: accuracy,
    [`${side}/macs`]: macs,
    [`${side}/latency_ms`]: latencyMsP50,
  }));
  const { drop } = figuresOfB(comparison);
  return numbersIn({
    samples,
    ...Object.assign({}, ...sides),
    agreement,
    drop,
    cost: macsRatio,
    latency: latencyRatio,
  });
}

/** Numbers by name, some of which have what they are of before a slash. */
function isMetrics(text: string): boolean {
  try {
    const found = Object.entries(JSON.parse(text));
    return (
      found.every(([, value]) => typeof value === 'number') && found.some(([name]) => /^\w+\//.test(name))
    );
  } catch {
    return false;
  }
}

/**
 * Where `args` want metrics, if anywhere: refused before any work where they cannot go, where something else is or lies among samples, or where
 * one of `others` lies, which is read or written.
 */
export async function metricsFile(
  { metrics: path, ...args }: ReadOptions & { readonly metrics?: string | undefined },
  others: readonly string[],
): Promise<(metrics: Metrics) => Promise<void>> {
  if (path === undefined) return async () => {};
  await checkReplaceable(path, isMetrics);
  await checkApart(path, others);
  await refuseAmongSamples([path], args);
  return async (metrics) => await writeOneFile(path, `${JSON.stringify(metrics, null, 2)}\n`);
}
