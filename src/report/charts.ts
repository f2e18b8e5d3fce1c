/** The report's charts, drawn by Apache ECharts into SVG text without a browser. Loaded when the first is drawn. */
import type { EChartsOption } from 'echarts';
import type { PolicyComparison, Training } from '../emit/manifest.ts';
import type { PointFacts, ReportFacts, ScoreFacts } from './facts.ts';
import { escapeHtml } from './html.ts';
import { percent } from './numbers.ts';
import { colour, exitColour } from './palette.ts';
import type { Reliability } from './statistics.ts';

/** Draws `option`; `id` must be the document's own, `label` says what is seen. The element scales, its letters with it. */
export type Draw = (option: EChartsOption, size: Size, id: string, label: string) => string;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export async function openCharts(): Promise<Draw> {
  const [core, charts, components, { SVGRenderer }] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ]);
  const { BarChart, CustomChart, LineChart, ScatterChart } = charts;
  const { GridComponent, LegendComponent, MarkLineComponent } = components;
  core.use([
    BarChart,
    CustomChart,
    LineChart,
    ScatterChart,
    GridComponent,
    LegendComponent,
    MarkLineComponent,
    SVGRenderer,
  ]);
  core.setPlatformAPI({ measureText });
  return (option, size, id, label) => {
    const chart = core.init(null, THEME, { renderer: 'svg', ssr: true, ...size });
    try {
      chart.setOption({ animation: false, ...option });
      return cleaned(chart.renderToSVGString(), id, label);
    } finally {
      chart.dispose();
    }
  };
}

/** Widths are not known here: those of a wide font, so that labels keep clear of each other in any. */
function measureText(text: string, font?: string): { width: number } {
  return {
    width: 0.62 * (Number.parseFloat(/([\d.]+)px/.exec(font ?? '')?.[1] ?? '') || FONT) * text.length,
  };
}

/** ECharts numbers its ids and classes through the life of the process, and styles what a mouse hovers over. */
function cleaned(svg: string, id: string, label: string): string {
  return svg
    .replace(/<style\b.*?<\/style>/gs, '')
    .replace(/ (class|pointer-events|ecmeta_\w+|xmlns:xlink|baseProfile|version)="[^"]*"/g, '')
    .replace(/<rect [^>]*fill="none"[^>]*><\/rect>\n?/, '')
    .replace(/\bzr\d+-/g, `${id}-`)
    .replace(/\n+/g, '\n')
    .replace('<svg ', `<svg role="img" aria-label="${escapeHtml(label)}" `)
    .trim();
}

const FONT = 12;
const axisTheme = {
  axisLine: { lineStyle: { color: colour('muted') } },
  axisTick: { lineStyle: { color: colour('muted') } },
  axisLabel: { color: colour('ink'), fontSize: FONT },
  nameTextStyle: { color: colour('ink'), fontSize: FONT },
  splitLine: { lineStyle: { color: colour('grid') } },
};
const THEME = {
  textStyle: { color: colour('ink'), fontFamily: 'inherit', fontSize: FONT },
  valueAxis: axisTheme,
  categoryAxis: { ...axisTheme, splitLine: { show: false } },
  legend: { textStyle: { color: colour('ink'), fontSize: FONT }, inactiveColor: colour('muted') },
};

const plainLabel = { color: colour('ink'), textBorderWidth: 0, fontSize: FONT } as const;
const quiet = { silent: true } as const;

const LEGEND = { top: 4, icon: 'roundRect', itemWidth: 14, itemHeight: 8, itemGap: 18 };

const FRONTIER = { left: 62, right: 34, top: 40, bottom: 52 };

/** Room for one line of labels, in pixels. */
const LANE = 15;
/** Between a point and its name. */
const GAP = 8;

/**
 * Labels below points, in pixels (y down): names begin at their point, or end there at the right edge, and hang so far down that none
 * lies on another, or on a point. Points from left to right.
 */
function labelsBelow<Labelled extends { readonly name: string }>(
  labelled: readonly Labelled[],
  at: (point: Labelled) => readonly [number, number],
  xs: Ends,
  ys: Ends,
  size: Size,
): { align: 'left' | 'right'; distance: number }[] {
  const points = labelled.map((point) => inPixels(at(point), xs, ys, size));
  const taken = points.map(([x, y]) => ({ x, y, half: 7, height: 7 }));
  return points.map(([x, y], i) => {
    const half = measureText(labelled[i]!.name).width / 2 + 4;
    const align = x + 2 * half < size.width ? 'left' : 'right';
    const middle = align === 'left' ? x + half : x - half;
    const clashes = (line: number) =>
      taken.some((b) => Math.abs(b.x - middle) < half + b.half && Math.abs(b.y - line) < LANE / 2 + b.height);
    let line = y + GAP + LANE / 2;
    while (clashes(line)) line += 3;
    taken.push({ x: middle, y: line, half, height: LANE / 2 });
    return { align, distance: line - LANE / 2 - y };
  });
}

interface Ends {
  readonly min: number;
  readonly max: number;
}

/** Where a point lies in a drawing of `size` with the margins of `FRONTIER`. */
function inPixels(
  [x, y]: readonly [number, number],
  xs: Ends,
  ys: Ends,
  { width, height }: Size,
): [number, number] {
  const { left, right, top, bottom } = FRONTIER;
  return [
    left + ((x - xs.min) / (xs.max - xs.min)) * (width - left - right),
    height - bottom - ((y - ys.min) / (ys.max - ys.min)) * (height - top - bottom),
  ];
}

/** Points of percent that an axis shows at least, where all points are one. */
const LEAST_SPAN = 0.5;

/** Ends of an axis in percent from `least` to `most`, and its step: 1, 2 or 5 times a power of ten. */
export function niceAxis(least: number, most: number): { min: number; max: number; interval: number } {
  const rough = Math.max(most - least, LEAST_SPAN) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const interval = power * ([1, 2, 5, 10].find((n) => n * power >= rough) ?? 10);
  const whole = (value: number) => Number(value.toPrecision(12));
  const min = Math.floor(least / interval);
  const max = Math.max(Math.ceil(most / interval), min + 1);
  return { min: whole(min * interval), max: whole(max * interval), interval: whole(interval) };
}

/** A name in the middle of its axis, clear of the figures. */
const named = (name: string, nameGap: number) => ({ name, nameLocation: 'middle' as const, nameGap });

/**
 * Accuracy against average cost, both in percent: points with their band, the named ones by name, and the original. What lies far below
 * every named point is cut off, or it would flatten all that matters.
 */
export function frontier({ manifest, points, chosen }: ReportFacts, size: Size): EChartsOption {
  const base = manifest.baseline.accuracy;
  const band = points.map(({ relativeCost, drop }) => ({
    cost: 100 * relativeCost,
    low: 100 * (base - drop.high),
    high: 100 * (base - drop.low),
  }));
  const highest = Math.max(100 * base, ...band.map(({ high }) => high));
  const least = Math.min(...band.filter((_, i) => points[i]!.named).map(({ low }) => low));
  const shown = band.filter(({ high }) => high >= least - (highest - least) / 2);
  const y = niceAxis(Math.min(...shown.map(({ low }) => low)), highest);
  const x = niceAxis(Math.min(...shown.map(({ cost }) => cost)), 100);
  const at = ({ relativeCost, accuracy }: PointFacts): [number, number] => [
    100 * relativeCost,
    100 * accuracy,
  ];
  const labelled = points.filter((point) => point.named);
  const labels = labelsBelow(labelled, at, x, y, size);
  return {
    grid: FRONTIER,
    legend: { ...LEGEND, data: ['operating points', '95 % of the difference'] },
    xAxis: {
      type: 'value',
      ...named('average cost, % of the original’s MACs', 32),
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
          [0, 100 * base],
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
      {
        ...quiet,
        type: 'scatter',
        data: labelled.map((point, i) => ({
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
            ...labels[i]!,
          },
        })),
        label: { ...plainLabel, show: true, position: 'bottom', formatter: '{b}' },
        z: 5,
      },
    ],
  };
}

/** How many samples leave at each exit of the chosen point, right and wrong. */
export function leavingAtExits({ manifest, leaving }: ReportFacts): EChartsOption {
  const names = placesOf(manifest.exits.map(({ id }) => id));
  return {
    grid: { left: 76, right: 60, top: 36, bottom: 44 },
    legend: LEGEND,
    yAxis: { type: 'category', data: names, inverse: true },
    xAxis: { type: 'value', ...named('samples', 28), splitNumber: 4 },
    series: (['right', 'wrong'] as const).map((kind, i) => ({
      ...quiet,
      type: 'bar' as const,
      name: kind,
      stack: 'all',
      color: colour(kind),
      barMaxWidth: 30,
      data: leaving.map((at) => at[kind]),
      label: {
        ...plainLabel,
        show: i === 1,
        position: 'right' as const,
        formatter: ({ dataIndex }: { dataIndex: number }) => {
          const { right, wrong } = leaving[dataIndex]!;
          return right + wrong === 0 ? 'nobody' : percent(right / (right + wrong));
        },
      },
    })),
  };
}

/** Where samples leave at each named point. */
export function leavingAtPoints({ manifest, points }: ReportFacts): EChartsOption {
  const rows = points.filter(({ named }) => named);
  const places = placesOf(manifest.exits.map(({ id }) => id));
  return {
    grid: { left: 100, right: 24, top: 36, bottom: 44 },
    legend: LEGEND,
    yAxis: {
      type: 'category',
      data: rows.map(({ name }) => name),
      inverse: true,
      axisLabel: { width: 90, overflow: 'truncate' },
    },
    xAxis: { type: 'value', ...named('share of samples, %', 28), max: 100 },
    series: places.map((name, k) => ({
      ...quiet,
      type: 'bar' as const,
      name,
      stack: 'all',
      barMaxWidth: 26,
      color: exitColour(k, places.length - 1),
      data: rows.map(({ exitShares }) => 100 * exitShares[k]!),
    })),
  };
}

/** One exit's scores: of samples it answers right upwards, wrong downwards, both as high as their tallest bar. */
export function scoreHistogram({ edges, right, wrong, thresholds }: ScoreFacts): EChartsOption {
  const heights = (counts: readonly number[]) => counts.map((n) => n / Math.max(1, ...counts));
  const kinds = [
    { name: 'right', heights: heights(right), sign: 1 },
    { name: 'wrong', heights: heights(wrong), sign: -1 },
  ] as const;
  const [first, last] = [edges[0]!, edges.at(-1)!];
  const inside = thresholds.map(({ point, at }) => ({ point, at, x: Math.min(last, Math.max(first, at)) }));
  return {
    grid: { left: 16, right: 16, top: 30 + 15 * Math.max(1, inside.length), bottom: 46 },
    legend: { ...LEGEND, data: kinds.map(({ name }) => name) },
    xAxis: {
      type: 'value',
      ...named('score', 28),
      min: first,
      max: last,
      splitNumber: 5,
      axisLabel: {
        formatter: (v: number) => String(Number(v.toPrecision(2))),
        showMinLabel: false,
        showMaxLabel: false,
      },
      axisLine: { onZero: false },
    },
    yAxis: {
      type: 'value',
      min: -1.05,
      max: 1.05,
      axisLabel: { show: false },
      axisTick: { show: false },
      axisLine: { show: false },
      splitLine: { show: false },
    },
    series: [
      ...kinds.map(({ name, heights, sign }) => ({
        ...quiet,
        type: 'custom' as const,
        name,
        color: colour(name),
        data: heights.map((height, b) => [edges[b]!, edges[b + 1]!, sign * height]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (
          _: unknown,
          api: { value(i: number): number | string; coord(at: number[]): number[] },
        ) => {
          const [from, to, share] = [0, 1, 2].map((i) => Number(api.value(i))) as [number, number, number];
          const [left, tip] = api.coord([from, share]) as [number, number];
          const [right, foot] = api.coord([to, 0]) as [number, number];
          return {
            type: 'rect' as const,
            shape: {
              x: left,
              y: Math.min(tip, foot),
              width: Math.max(0.5, right - left - 1),
              height: Math.abs(foot - tip),
            },
            style: { fill: colour(name) },
          };
        },
      })),
      {
        ...quiet,
        type: 'line',
        data: [],
        markLine: {
          ...quiet,
          symbol: 'none',
          data: inside.map(({ point, x, at }, i) => ({
            xAxis: x,
            lineStyle: {
              color: colour('ink'),
              type: i % 2 === 0 ? ('solid' as const) : ('dashed' as const),
              width: 1.5,
            },
            label: {
              ...plainLabel,
              fontSize: 11,
              formatter: `${point} ${Number(at.toPrecision(3))}`,
              position: 'end' as const,
              align: x > (first + last) / 2 ? ('right' as const) : ('left' as const),
              distance: [0, 4 + 15 * i] as unknown as number,
            },
          })),
        },
      },
    ],
  };
}

/** Of those answers that were given with so much probability, how many were right. */
export function reliabilityDiagram({ bins }: Reliability, tint: string): EChartsOption {
  const axis = { type: 'value' as const, min: 0, max: 100, interval: 25 };
  return {
    grid: { left: 56, right: 18, top: 14, bottom: 48 },
    xAxis: { ...axis, ...named('said: probability, %', 28) },
    yAxis: { ...axis, ...named('seen: accuracy, %', 36) },
    series: [
      {
        ...quiet,
        type: 'line',
        showSymbol: false,
        data: [
          [0, 0],
          [100, 100],
        ],
        lineStyle: { color: colour('muted'), type: 'dashed', width: 1.5 },
      },
      {
        ...quiet,
        type: 'custom',
        data: bins.map(({ confidence, low, high }) => [100 * confidence, 100 * low, 100 * high]),
        encode: { x: 0, y: [1, 2] },
        renderItem: (_, api) => {
          const [x, low] = api.coord([api.value(0), api.value(1)]) as [number, number];
          const [, high] = api.coord([api.value(0), api.value(2)]) as [number, number];
          return {
            type: 'line',
            shape: { x1: x, y1: low, x2: x, y2: high },
            style: { stroke: tint, lineWidth: 1.5 },
          };
        },
      },
      {
        ...quiet,
        type: 'line',
        symbol: 'circle',
        symbolSize: 7,
        data: bins.map(({ confidence, accuracy }) => [100 * confidence, 100 * accuracy]),
        itemStyle: { color: tint },
        lineStyle: { color: tint, width: 1.5 },
      },
    ],
  };
}

/** A point whose time was measured, and what its MACs alone would make one expect. Milliseconds. */
export interface Timed {
  readonly name: string;
  readonly expected: number;
  readonly measured: number;
  readonly named: boolean;
}

/** Measured time against the time that MACs foretell. */
export function latencyAgainstCost(points: readonly Timed[], size: Size): EChartsOption {
  const most = 1.12 * Math.max(...points.flatMap(({ expected, measured }) => [expected, measured]));
  const at = ({ expected, measured }: Timed): [number, number] => [expected, measured];
  const labelled = points.filter(({ named }) => named);
  const axis = { min: 0, max: most };
  const labels = labelsBelow(labelled, at, axis, axis, size);
  const digits = (v: number) => String(Number(v.toPrecision(3)));
  return {
    grid: FRONTIER,
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
      {
        ...quiet,
        type: 'scatter',
        name: 'operating points',
        color: colour('accent'),
        data: points.map((point) => ({
          value: at(point),
          name: point.name,
          symbolSize: point.named ? 9 : 5,
          label: { show: point.named, ...labels[labelled.indexOf(point)] },
        })),
        label: { ...plainLabel, position: 'bottom', formatter: '{b}' },
      },
    ],
  };
}

/** What each policy keeps, by average cost: the best and the next by name, the others to compare with. */
export function policyCurves(
  { costs: [from, to], policies }: PolicyComparison,
  target: string,
): EChartsOption {
  const values = policies.flatMap(({ curve }) => curve);
  const steps = policies[0]!.curve.length - 1;
  const cost = (i: number) => 100 * (from + ((to - from) * i) / steps);
  const looks = [
    { color: colour('accent'), lineStyle: { width: 2.5 }, z: 4 },
    { color: colour('exit1'), lineStyle: { width: 2, type: 'dashed' as const }, z: 3 },
  ];
  const other = { color: colour('full'), lineStyle: { width: 1 } };
  const series = policies.map(({ policy, curve }, i) => ({
    ...quiet,
    type: 'line' as const,
    name: looks[i] ? policy : 'the others',
    showSymbol: false,
    data: curve.map((value, at) => [cost(at), 100 * value]),
    ...(looks[i] ?? other),
  }));
  return {
    grid: FRONTIER,
    legend: { ...LEGEND, data: [...new Set(series.map(({ name }) => name))] },
    xAxis: {
      type: 'value',
      ...named('average cost, % of the original’s MACs', 32),
      min: cost(0),
      max: cost(steps),
      axisLabel: { showMinLabel: false, showMaxLabel: false },
    },
    yAxis: {
      type: 'value',
      ...named(`${target}, %`, 44),
      ...niceAxis(100 * Math.min(...values), 100 * Math.max(...values)),
    },
    series,
  };
}

/** Policies by what they keep on average over the costs that were asked for. */
export function policyMeans({ policies }: PolicyComparison, target: string): EChartsOption {
  const values = policies.map(({ mean }) => 100 * mean);
  const least = Math.floor(2 * Math.min(...values) - 0.5) / 2;
  return {
    grid: { left: 104, right: 64, top: 12, bottom: 46 },
    yAxis: { type: 'category', data: policies.map(({ policy }) => policy), inverse: true },
    xAxis: {
      type: 'value',
      ...named(`mean ${target}, %`, 28),
      min: least,
      max: Math.ceil(2 * Math.max(...values)) / 2,
      splitNumber: 4,
    },
    series: [
      {
        ...quiet,
        type: 'scatter',
        symbolSize: 11,
        data: values.map((value, i) => ({
          value: [value, i],
          itemStyle: { color: colour(i === 0 ? 'accent' : 'full') },
        })),
        label: {
          ...plainLabel,
          show: true,
          position: 'right',
          formatter: ({ dataIndex }) => values[dataIndex]!.toFixed(2),
        },
      },
    ],
  };
}

/** Losses in the order of `exits`, with those of all together last. */
export const lossesInOrder = ({ losses }: Training, exits: readonly string[]) =>
  [...exits, 'joint'].flatMap((name) => (losses[name] ? [{ name, values: losses[name] }] : []));

/** Each exit's loss over the steps of training. */
export function trainingCurves(training: Training, exits: readonly string[]): EChartsOption {
  const { steps } = training;
  return {
    grid: { left: 58, right: 24, top: 36, bottom: 50 },
    legend: LEGEND,
    xAxis: {
      type: 'value',
      ...named('step', 30),
      min: 0,
      max: steps.at(-1)!,
      axisLabel: { showMaxLabel: false },
    },
    yAxis: { type: 'value', ...named('loss', 40), min: 0 },
    series: lossesInOrder(training, exits).map(({ name, values }) => {
      const tint = exitColour(Math.max(0, exits.indexOf(name)), exits.length);
      return {
        ...quiet,
        type: 'line' as const,
        name: name === 'joint' ? 'all exits together' : name,
        color: tint,
        showSymbol: false,
        data: values.map((value, i) => [steps[i]!, value]),
        lineStyle: { width: 2 },
      };
    }),
  };
}

const placesOf = (exits: readonly string[]) => [...exits, 'full path'];
