/** Exits: who leaves there, how sure they are, and whether that can be believed. */
import type { ReportFacts, ScoreFacts } from '../facts.ts';
import { count, percent } from '../numbers.ts';
import { colour, exitColour } from '../palette.ts';
import type { Reliability } from '../statistics.ts';
import { type Chart, LEGEND, legendHeight, named, plainLabel, quiet, type Size, type Tip } from './draw.ts';

/** How many samples leave at each exit of the chosen point, right and wrong. */
export function leavingAtExits(facts: ReportFacts): Chart {
  const places = placesIn(facts);
  const leaving = places.map(({ k }) => facts.leaving[k]!);
  return {
    tips: places.flatMap(({ name }, row) => {
      const { right, wrong } = leaving[row]!;
      const tips: Tip[] = [];
      if (right > 0) tips.push({ says: `${name}: ${count(right)} right`, x: [0, right], y: row });
      if (wrong > 0) tips.push({ says: `${name}: ${count(wrong)} wrong`, x: [right, right + wrong], y: row });
      return tips;
    }),
    grid: { left: 76, right: 60, top: 36, bottom: 44 },
    legend: LEGEND,
    yAxis: { type: 'category', data: places.map(({ name }) => name), inverse: true },
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
export function leavingAtPoints(facts: ReportFacts, { width }: Size): Chart {
  const rows = facts.points.filter(({ named }) => named);
  const places = placesIn(facts);
  return {
    tips: rows.flatMap((point, row) => {
      let from = 0;
      return places.flatMap(({ name, k }): Tip[] => {
        const share = point.exitShares[k]!;
        const to = from + 100 * share;
        const tip: Tip = { says: `${point.name}: ${percent(share)} at ${name}`, x: [from, to], y: row };
        from = to;
        return share > 0 ? [tip] : [];
      });
    }),
    grid: {
      left: 100,
      right: 24,
      top:
        18 +
        legendHeight(
          places.map(({ name }) => name),
          width,
        ),
      bottom: 44,
    },
    legend: LEGEND,
    yAxis: {
      type: 'category',
      data: rows.map(({ name }) => name),
      inverse: true,
      axisLabel: { width: 90, overflow: 'truncate' },
    },
    xAxis: { type: 'value', ...named('share of samples, %', 28), max: 100 },
    series: places.map(({ name, k }) => ({
      ...quiet,
      type: 'bar' as const,
      name,
      stack: 'all',
      barMaxWidth: 26,
      color: exitColour(k, facts.manifest.exits.length),
      data: rows.map(({ exitShares }) => 100 * exitShares[k]!),
    })),
  };
}

/** Exits that are compared, with their numbers, and the last answer. */
function placesIn({ manifest: { exits, networks }, used }: ReportFacts): { name: string; k: number }[] {
  const places = exits.flatMap(({ id }, k) => (used[k] ? [{ name: id, k }] : []));
  return [...places, { name: networks ? 'original' : 'full path', k: exits.length }];
}

/** One exit's scores: of samples it answers right upwards, wrong downwards, to one scale: square roots, or few would not be seen beside thousands. */
export function scoreHistogram({ edges, right, wrong, thresholds }: ScoreFacts): Chart {
  const kinds = [
    { name: 'right', counts: right, sign: 1 },
    { name: 'wrong', counts: wrong, sign: -1 },
  ] as const;
  const [first, last] = [edges[0]!, edges.at(-1)!];
  const inside = thresholds.map(({ point, at }) => ({ point, at, x: Math.min(last, Math.max(first, at)) }));
  const [up, down] = [right, wrong].map((counts) => 1.05 * Math.sqrt(Math.max(1, ...counts))) as [
    number,
    number,
  ];
  const score = (value: number) => Number(value.toPrecision(3));
  return {
    tips: right.map((n, b) => ({
      says: `score ${score(edges[b]!)} to ${score(edges[b + 1]!)}: ${count(n)} right, ${count(wrong[b]!)} wrong`,
      x: [edges[b]!, edges[b + 1]!],
    })),
    grid: { left: 56, right: 16, top: 30 + 15 * Math.max(1, inside.length), bottom: 46 },
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
      min: -down,
      max: up,
      splitNumber: 6,
      minInterval: 1,
      axisLabel: {
        formatter: (v: number) => count(Math.round(v ** 2)),
        showMinLabel: false,
        showMaxLabel: false,
      },
    },
    series: [
      ...kinds.map(({ name, counts, sign }) => ({
        ...quiet,
        type: 'custom' as const,
        name,
        color: colour(name),
        data: counts.map((n, b) => [edges[b]!, edges[b + 1]!, sign * Math.sqrt(n)]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (
          _: unknown,
          api: { value(i: number): number | string; coord(at: number[]): number[] },
        ) => {
          const [from, to, height] = [0, 1, 2].map((i) => Number(api.value(i))) as [number, number, number];
          const [left, tip] = api.coord([from, height]) as [number, number];
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
export function reliabilityDiagram({ bins }: Reliability, tint: string): Chart {
  const axis = { type: 'value' as const, min: 0, max: 100, interval: 25 };
  return {
    tips: bins.map(({ confidence, accuracy, low, high, samples }) => ({
      says: `said ${percent(confidence)}, seen ${percent(accuracy)} of ${count(samples)} samples (95 % interval ${percent(low)} to ${percent(high)})`,
      x: 100 * confidence,
      y: 100 * accuracy,
    })),
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
