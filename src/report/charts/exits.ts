/** Exits: who leaves there, how sure they are, and whether that can be believed. */
import type { EChartsOption } from 'echarts';
import type { Manifest } from '../../emit/manifest.ts';
import type { ReportFacts, ScoreFacts } from '../facts.ts';
import { percent } from '../numbers.ts';
import { colour, exitColour } from '../palette.ts';
import type { Reliability } from '../statistics.ts';
import { LEGEND, named, plainLabel, quiet } from './draw.ts';

/** How many samples leave at each exit of the chosen point, right and wrong. */
export function leavingAtExits({ manifest, leaving }: ReportFacts): EChartsOption {
  const names = placesOf(manifest);
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
  const places = placesOf(manifest);
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

const placesOf = ({ exits, networks }: Manifest) => [
  ...exits.map(({ id }) => id),
  networks ? 'original' : 'full path',
];

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
          // By default values are rounded to two digits, and those that come to lie outside the axis are left out.
          precision: -1,
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
