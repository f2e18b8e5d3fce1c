/** What was fitted: which policy, and how heads learned. */
import type { PolicyComparison, Training } from '../../emit/manifest.ts';
import { percent } from '../numbers.ts';
import { colour, exitColour } from '../palette.ts';
import {
  type Chart,
  costName,
  LEGEND,
  legendHeight,
  MARGINS,
  named,
  niceAxis,
  plainLabel,
  quiet,
  type Size,
  type Tip,
} from './draw.ts';

/** What each policy keeps, by average cost: the best and the next by name, the others to compare with. */
export function policyCurves({ costs: [from, to], policies }: PolicyComparison, target: string): Chart {
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
  const costs = Array.from({ length: steps + 1 }, (_, i) => cost(i));
  const best = policies.slice(0, looks.length);
  return {
    tips: stretches(costs).map((x, i) => ({
      says: `${percent(costs[i]! / 100)} of the cost: ${best.map(({ policy, curve }) => `${policy} ${percent(curve[i]!, 2)}`).join(', ')}`,
      x,
    })),
    cut: costs[0]! > 0,
    grid: MARGINS,
    legend: { ...LEGEND, data: [...new Set(series.map(({ name }) => name))] },
    xAxis: {
      type: 'value',
      ...named(costName(cost(0)), 32),
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
export function policyMeans({ policies }: PolicyComparison, target: string): Chart {
  const values = policies.map(({ mean }) => 100 * mean);
  const axis = niceAxis(Math.min(...values), Math.max(...values));
  return {
    tips: policies.map(({ policy, mean }, row) => ({
      says: `${policy}: ${percent(mean, 2)}`,
      x: 100 * mean,
      y: row,
    })),
    cut: axis.min > 0,
    grid: { left: 104, right: 64, top: 12, bottom: 46 },
    yAxis: { type: 'category', data: policies.map(({ policy }) => policy), inverse: true },
    xAxis: {
      type: 'value',
      ...named(`mean ${target}, %`, 28),
      ...axis,
    },
    series: [
      {
        ...quiet,
        type: 'scatter',
        symbolSize: 11,
        data: values.map((value, i) => ({
          value: [value, i],
          itemStyle: { color: colour(i === 0 ? 'accent' : 'full'), opacity: 1 },
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

/** Stretches of an axis around `values`, which rise: each goes half the way to the next. */
const stretches = (values: readonly number[]): [number, number][] =>
  values.map((value, i) => [(value + (values[i - 1] ?? value)) / 2, (value + (values[i + 1] ?? value)) / 2]);

/** What training did to a number, by step. */
export interface Curve {
  readonly name: string;
  readonly tint: string;
  readonly points: readonly (readonly [step: number, value: number])[];
}

/** Each exit's loss in the order of `exits`, that of all together last. */
export const headCurves = ({ steps, losses }: Training, exits: readonly string[]): Curve[] =>
  [...exits, 'joint'].flatMap((id) => {
    const values = losses[id];
    if (!values) return [];
    return [
      {
        name: id === 'joint' ? 'all exits together' : id,
        tint: exitColour(Math.max(0, exits.indexOf(id)), exits.length),
        points: values.map((value, i) => [steps[i]!, value] as const),
      },
    ];
  });

/** Places along the steps that tell their values: more would be too narrow for a mouse. */
const MOST_TIPS = 60;

/** What every curve is at a step, or was last since the tip before. */
function curveTips(curves: readonly Curve[]): Tip[] {
  const steps = [...new Set(curves.flatMap(({ points }) => points.map(([step]) => step)))].sort(
    (a, b) => a - b,
  );
  const each = Math.ceil(steps.length / MOST_TIPS);
  const told = steps.filter((_, i) => i % each === 0);
  return stretches(told).map((x, i) => {
    const values = curves.flatMap(({ name, points }) => {
      const last = points.findLast(([step]) => step <= told[i]! && step > (told[i - 1] ?? -1));
      return last ? [`${name} ${Number(last[1].toPrecision(4))}`] : [];
    });
    return { says: `step ${told[i]}: ${values.join(', ')}`, x };
  });
}

/** Curves of few points show each of them. */
const FEW = 12;

/** `curves` over the steps of training. A loss is drawn from 0 on; an `accuracy` is given in percent. */
export function trainingCurves(
  curves: readonly Curve[],
  measure: 'loss' | 'accuracy',
  { width }: Size,
): Chart {
  const all = curves.flatMap(({ points }) => points);
  const values = all.map(([, value]) => value);
  const heights =
    measure === 'loss'
      ? { ...named('loss', 40), min: 0 }
      : { ...named('accuracy, %', 40), ...niceAxis(Math.min(...values), Math.max(...values)) };
  return {
    tips: curveTips(curves),
    grid: {
      left: 58,
      right: 24,
      top:
        18 +
        legendHeight(
          curves.map(({ name }) => name),
          width,
        ),
      bottom: 50,
    },
    legend: LEGEND,
    xAxis: {
      type: 'value',
      ...named('step', 30),
      min: 0,
      max: Math.max(...all.map(([step]) => step)),
      axisLabel: { showMaxLabel: false },
    },
    yAxis: { type: 'value', ...heights },
    series: curves.map(({ name, tint, points }) => ({
      ...quiet,
      type: 'line' as const,
      name,
      color: tint,
      showSymbol: points.length <= FEW,
      symbol: 'circle',
      symbolSize: 5,
      data: points.map(([step, value]) => [step, value]),
      itemStyle: { color: tint },
      lineStyle: { width: 2, color: tint },
    })),
  };
}
