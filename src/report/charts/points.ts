/** Operating points as dots with their names: accuracy against cost, measured time against foretold. */
import type { AloneFacts } from '../alone.ts';
import type { PointFacts, ReportFacts } from '../facts.ts';
import { costPercent, ms, percent, signedPoints } from '../numbers.ts';
import { colour } from '../palette.ts';
import {
  type Chart,
  costName,
  LEGEND,
  MARGINS,
  measureText,
  named,
  niceAxis,
  plainLabel,
  quiet,
  type Size,
  type Tip,
} from './draw.ts';

/** Room for one line of labels, in pixels. */
const LANE = 15;
/** Between a point and its name. */
const GAP = 8;
/** Names further below than this are tied to their point by a line. */
const FAR = 14;

/** Where a name stands: below its point or beside it. */
interface Placed {
  readonly position: 'bottom' | 'right';
  readonly align: 'left' | 'right';
  /** Of the name's top, or of its left, from the point. */
  readonly distance: number;
}

/**
 * Names below points, in pixels (y down), none on another or on a point: they begin at their point, or end there at the right edge. Where
 * that is taken they stand beside it, if lines leave room there (`beside`), or hang as far down as it takes. Points from left to right.
 */
function placeNames<Labelled extends { readonly name: string }>(
  labelled: readonly Labelled[],
  at: (point: Labelled) => readonly [number, number],
  xs: Ends,
  ys: Ends,
  size: Size,
  beside: boolean,
): Placed[] {
  const points = labelled.map((point) => inPixels(at(point), xs, ys, size));
  // More room beside a point than above it, or a name that stands there seems to be its own.
  const taken = points.map(([x, y]) => ({ x, y, half: 16, height: 7 }));
  const edge = size.width - MARGINS.right;
  return points.map(([x, y], i) => {
    const half = measureText(labelled[i]!.name).width / 2 + 4;
    const isFree = (middle: number, line: number) =>
      !taken.some(
        (b) => Math.abs(b.x - middle) < half + b.half && Math.abs(b.y - line) < LANE / 2 + b.height,
      );
    const take = (middle: number, line: number) => taken.push({ x: middle, y: line, half, height: LANE / 2 });
    const align = x + 2 * half < edge ? 'left' : 'right';
    const middle = align === 'left' ? x + half : x - half;
    const right = x + GAP + half;
    let line = y + GAP + LANE / 2;
    if (beside && !isFree(middle, line) && right + half < edge && isFree(right, y)) {
      take(right, y);
      return { position: 'right', align: 'left', distance: GAP };
    }
    while (!isFree(middle, line)) line += 3;
    take(middle, line);
    return { position: 'bottom', align, distance: line - LANE / 2 - y };
  });
}

/** Lines from points to names that hang far below them. */
function leaders<Labelled>(
  labelled: readonly Labelled[],
  at: (point: Labelled) => readonly [number, number],
  names: readonly Placed[],
) {
  return {
    ...quiet,
    type: 'custom' as const,
    data: labelled.flatMap((point, i) => {
      const { position, distance } = names[i]!;
      return position === 'bottom' && distance > FAR ? [[...at(point), distance]] : [];
    }),
    encode: { x: 0, y: 1 },
    renderItem: (_: unknown, api: { value(i: number): number | string; coord(at: number[]): number[] }) => {
      const [value, height, distance] = [0, 1, 2].map((i) => Number(api.value(i))) as [
        number,
        number,
        number,
      ];
      const [x, y] = api.coord([value, height]) as [number, number];
      return {
        type: 'line' as const,
        shape: { x1: x, y1: y, x2: x, y2: y + distance },
        style: { stroke: colour('muted'), lineWidth: 1 },
      };
    },
  };
}

interface Ends {
  readonly min: number;
  readonly max: number;
}

/** Where a point lies in a drawing of `size` with the margins of `MARGINS`. */
function inPixels(
  [x, y]: readonly [number, number],
  xs: Ends,
  ys: Ends,
  { width, height }: Size,
): [number, number] {
  const { left, right, top, bottom } = MARGINS;
  return [
    left + ((x - xs.min) / (xs.max - xs.min)) * (width - left - right),
    height - bottom - ((y - ys.min) / (ys.max - ys.min)) * (height - top - bottom),
  ];
}

/** What has a place in the drawing. */
type Compared = Pick<PointFacts, 'name' | 'relativeCost' | 'accuracy'>;

/** A network alone may lie as many times the height of the points and their band below them; what lies further down is not drawn. */
const DEEPEST = 3;

/** The 95 % band of the points, in percent, and of those that are drawn; from where to where those matter that have names. */
function bandOf({ manifest, points }: ReportFacts) {
  const base = 100 * manifest.baseline.accuracy;
  const band = points.map(({ relativeCost, drop }) => ({
    cost: 100 * relativeCost,
    low: base - 100 * drop.high,
    high: base - 100 * drop.low,
  }));
  const highest = Math.max(base, ...band.map(({ high }) => high));
  const least = Math.min(...band.filter((_, i) => points[i]!.named).map(({ low }) => low));
  // What lies far below every named point would flatten all that matters.
  const shown = band.filter(({ high }) => high >= least - (highest - least) / 2);
  return { band, shown, highest, least };
}

/** The networks alone that `frontier` draws. */
export function drawnAlone(facts: ReportFacts): AloneFacts[] {
  const { highest, least } = bandOf(facts);
  return facts.alone.filter(({ accuracy }) => 100 * accuracy >= least - DEEPEST * (highest - least));
}

/** The axis of costs, in percent: from near the cheapest that is drawn on, for nothing is to be seen between 0 and there. */
export function costAxis(facts: ReportFacts) {
  const { shown } = bandOf(facts);
  const others = drawnAlone(facts).map(({ relativeCost }) => 100 * relativeCost);
  const costs = [...shown.map(({ cost }) => cost), ...others];
  return niceAxis(Math.min(...costs), Math.max(100, ...others), 10);
}

/**
 * Accuracy against average cost, both in percent: points with their band, the named ones by name, the original, and the other networks of a
 * chain alone. What lies far below every named point is cut off, or it would flatten all that matters.
 */
export function frontier(facts: ReportFacts, size: Size): Chart {
  const { manifest, points, chosen } = facts;
  const base = manifest.baseline.accuracy;
  const { band, shown, highest } = bandOf(facts);
  const others = drawnAlone(facts);
  const lows = [...shown.map(({ low }) => low), ...others.map(({ accuracy }) => 100 * accuracy)];
  const y = niceAxis(Math.min(...lows), Math.max(highest, ...others.map((one) => 100 * one.accuracy)));
  const x = costAxis(facts);
  const at = ({ relativeCost, accuracy }: Compared): [number, number] => [100 * relativeCost, 100 * accuracy];
  const settings = points.filter((point) => point.named);
  const labelled: Compared[] = [...settings, ...others].sort((a, b) => a.relativeCost - b.relativeCost);
  const names = placeNames(labelled, at, x, y, size, false);
  const nameOf = (point: Compared) => names[labelled.indexOf(point)]!;
  const networksSeries = {
    ...quiet,
    type: 'scatter' as const,
    color: colour('ink'),
    symbol: 'diamond',
    symbolSize: 11,
    itemStyle: { opacity: 1 },
    data: others.map((one) => ({ value: at(one), name: one.name, label: nameOf(one) })),
    label: { ...plainLabel, show: true, formatter: '{b}' },
    z: 4,
  };
  const tips = [...points.filter((point) => !point.named), ...labelled].map((point) => {
    const [cost, accuracy] = at(point);
    const { drop } = point as Partial<PointFacts>;
    const name = others.includes(point as AloneFacts) ? `${point.name} alone` : point.name;
    const change = drop === undefined ? '' : `, ${signedPoints(-drop.value)} points`;
    return {
      says: `${name}: accuracy ${percent(point.accuracy, 2)}${change}, cost ${costPercent(point.relativeCost)}`,
      x: cost,
      y: accuracy,
    };
  });
  return {
    tips: merged(tips.filter((tip) => tip.x >= x.min && tip.y >= y.min)),
    cut: x.min > 0,
    grid: MARGINS,
    legend: { ...LEGEND, data: ['operating points', '95 % of the difference'] },
    xAxis: {
      type: 'value',
      ...named(costName(x.min), 32),
      ...x,
    },
    yAxis: {
      type: 'value',
      ...named('accuracy, %', 44),
      ...y,
    },
    series: [
      {
        ...quiet,
        type: 'custom',
        name: '95 % of the difference',
        color: colour('band'),
        clip: true,
        data: [[0, 0]],
        renderItem: (_, api) => ({
          type: 'polygon',
          shape: {
            points: [
              ...band.map(({ cost, high }) => api.coord([cost, high])),
              ...band.toReversed().map(({ cost, low }) => api.coord([cost, low])),
            ],
          },
          style: { fill: colour('band') },
        }),
      },
      {
        ...quiet,
        type: 'line',
        name: 'original',
        color: colour('muted'),
        data: [
          [x.min, 100 * base],
          [x.max, 100 * base],
        ],
        showSymbol: false,
        lineStyle: { type: 'dashed', width: 1.5 },
      },
      {
        ...quiet,
        type: 'line',
        name: 'operating points',
        color: colour('accent'),
        data: points.map(at),
        symbol: 'circle',
        symbolSize: 4,
        itemStyle: { color: colour('accent') },
        lineStyle: { width: 2 },
      },
      leaders(labelled, at, names),
      {
        ...quiet,
        type: 'scatter',
        itemStyle: { opacity: 1 },
        data: settings.map((point) => ({
          value: at(point),
          name: point.name,
          symbolSize: point === chosen ? 13 : 9,
          itemStyle: {
            color: point === chosen ? colour('accent') : colour('paper'),
            borderColor: colour('accent'),
            borderWidth: 2,
          },
          label: {
            fontWeight: point === chosen ? ('bold' as const) : ('normal' as const),
            ...nameOf(point),
          },
        })),
        label: { ...plainLabel, show: true, formatter: '{b}' },
        z: 5,
      },
      ...(others.length > 0 ? [networksSeries] : []),
    ],
  };
}

/** Points that lie in one place tell it together. */
function merged(tips: readonly Tip[]): Tip[] {
  const at = new Map<string, Tip>();
  for (const tip of tips) {
    const place = `${tip.x} ${tip.y}`;
    const same = at.get(place);
    at.set(place, same ? { ...same, says: `${same.says}\n${tip.says}` } : tip);
  }
  return [...at.values()];
}

/** A point whose time was measured, and what its MACs alone would make one expect. Milliseconds. */
export interface Timed {
  readonly name: string;
  readonly expected: number;
  readonly measured: number;
  readonly named: boolean;
}

/** Measured time against the time that MACs foretell. */
export function latencyAgainstCost(points: readonly Timed[], size: Size): Chart {
  const most = 1.12 * Math.max(...points.flatMap(({ expected, measured }) => [expected, measured]));
  const at = ({ expected, measured }: Timed): [number, number] => [expected, measured];
  const labelled = points.filter(({ named }) => named);
  const axis = { min: 0, max: most };
  const names = placeNames(labelled, at, axis, axis, size, true);
  const digits = (v: number) => String(Number(v.toPrecision(3)));
  const tips = [...points.filter(({ named }) => !named), ...labelled].map((point) => {
    const { name, expected, measured } = point;
    return {
      says: `${name}: measured ${ms(measured)}, foretold ${ms(expected)}`,
      x: expected,
      y: measured,
    };
  });
  return {
    tips,
    grid: MARGINS,
    legend: { ...LEGEND, data: ['operating points', 'if time followed MACs'] },
    xAxis: {
      type: 'value',
      ...named('foretold by MACs, ms', 32),
      min: 0,
      max: most,
      axisLabel: { formatter: digits, showMaxLabel: false },
    },
    yAxis: {
      type: 'value',
      ...named('measured, ms', 44),
      min: 0,
      max: most,
      axisLabel: { formatter: digits, showMaxLabel: false },
    },
    series: [
      {
        ...quiet,
        type: 'line',
        name: 'if time followed MACs',
        color: colour('muted'),
        showSymbol: false,
        data: [
          [0, 0],
          [most, most],
        ],
        lineStyle: { type: 'dashed', width: 1.5 },
      },
      leaders(labelled, at, names),
      {
        ...quiet,
        type: 'scatter',
        itemStyle: { opacity: 1 },
        name: 'operating points',
        color: colour('accent'),
        data: points.map((point) => ({
          value: at(point),
          name: point.name,
          symbolSize: point.named ? 9 : 5,
          label: { show: point.named, ...names[labelled.indexOf(point)] },
        })),
        label: { ...plainLabel, formatter: '{b}' },
      },
    ],
  };
}
