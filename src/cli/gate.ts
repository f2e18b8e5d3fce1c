/** Bounds that what was measured must keep, for CI: `--fail-if "drop > 0.5"`; and the figures as a flat file, `--metrics`. */
import { isNamed } from '../calibrate/index.ts';
import type { Comparison } from '../commands/compare.ts';
import type { Measured, MeasuredPoint } from '../commands/evaluate.ts';
import type { Rule } from '../commands/option-rules.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkFile, writeOneFile } from '../emit/write.ts';
import { badOption, gateFailed, notMeasured } from '../errors/index.ts';

/** What bounds are of: accuracy and agreement in percent, drop in points, cost and latency relative to the original, or to A. */
const FIGURES = ['accuracy', 'agreement', 'drop', 'cost', 'latency'] as const;
export type FigureName = (typeof FIGURES)[number];
/** Undefined: not measured. */
export type Figures = Readonly<Partial<Record<FigureName, number | undefined>>>;

export interface Bound {
  /** As it was given. */
  readonly text: string;
  readonly figure: FigureName;
  readonly sign: '>' | '<';
  readonly limit: number;
}

const FORM = new RegExp(`^\\s*(${FIGURES.join('|')})\\s*([<>])\\s*(\\d*\\.?\\d+)\\s*(%|x)?\\s*$`);

/** Shares may be given in percent. */
const IN_SHARES: readonly FigureName[] = ['cost', 'latency'];
/** A bound of .92 would always hold. */
const IN_PERCENT: readonly FigureName[] = ['accuracy', 'agreement'];

export const bound: Rule<Bound> = {
  wanted: 'a bound such as "drop > 0.5", "accuracy < 92 %", "cost > 0.6" or "latency > 1.1x"',
  accepts: (value): value is Bound => typeof value === 'object' && value !== null && 'limit' in value,
  read: (given) => (typeof given === 'string' ? (readBound(given) ?? given) : given),
  schema: { type: 'string' },
};

function readBound(text: string): Bound | undefined {
  const [, name, sign, number, unit] = FORM.exec(text) ?? [];
  const figure = FIGURES.find((one) => one === name);
  if (!figure) return undefined;
  const isShare = IN_SHARES.includes(figure);
  if (unit === 'x' && !isShare) return undefined;
  if (IN_PERCENT.includes(figure) && Number(number) <= 1) return undefined;
  const limit = isShare && unit === '%' ? Number(number) / 100 : Number(number);
  return { text: text.trim(), figure, sign: sign as Bound['sign'], limit };
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
    bounds.flatMap(({ text, figure, sign, limit }) => {
      const value = figures[figure];
      if (value === undefined) throw notMeasured(text, where);
      const isBroken = sign === '>' ? value > limit : value < limit;
      return isBroken ? [`${where} has ${figure} ${Number(value.toPrecision(6))} (${text})`] : [];
    }),
  );
  if (broken.length > 0) throw gateFailed(broken);
}

type Point = MeasuredPoint | OperatingPoint;

export function figuresOf({ accuracy, agreement, relativeCost }: Point, original: number | null): Figures {
  return {
    accuracy: 100 * accuracy,
    agreement: agreement === null ? undefined : 100 * agreement,
    drop: original === null ? undefined : 100 * (original - accuracy),
    cost: relativeCost,
  };
}

/** Of B, measured against A. */
export const figuresOfB = ({ b, agreement, accuracy, macsRatio, latencyRatio }: Comparison): Figures => ({
  accuracy: b.accuracy === null ? undefined : 100 * b.accuracy,
  agreement: 100 * agreement,
  drop: accuracy ? -100 * accuracy.difference : undefined,
  cost: macsRatio,
  latency: latencyRatio,
});

type Metrics = Readonly<Record<string, number>>;

/** What is not null, by name. */
const numbersIn = (values: Readonly<Record<string, number | null | undefined>>): Metrics =>
  Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );

/** The original and every point with a name of its own: `balanced/accuracy`, in shares of 1, drops in points, latencies in milliseconds. */
export function metricsOf({
  baseline,
  operatingPoints,
}: Pick<Manifest | Measured, 'baseline'> & { readonly operatingPoints: readonly Point[] }): Metrics {
  const named = operatingPoints.filter(({ name }) => isNamed(name));
  const ofPoints = named.flatMap((point) => {
    const { name, accuracy, agreement, relativeCost, latencyMsMean } = point;
    const { drop } = figuresOf(point, baseline.accuracy);
    const own = { accuracy, agreement, drop, cost: relativeCost, latency_ms: latencyMsMean };
    return Object.entries(own).map(([figure, value]) => [`${name}/${figure}`, value] as const);
  });
  return numbersIn({
    'original/accuracy': baseline.accuracy,
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

/** Where metrics go, if anywhere: refused before any work where they cannot. */
export async function metricsFile(path: string | undefined): Promise<(metrics: Metrics) => Promise<void>> {
  if (path === undefined) return async () => {};
  await checkFile(path);
  return async (metrics) => await writeOneFile(path, `${JSON.stringify(metrics, null, 2)}\n`);
}
