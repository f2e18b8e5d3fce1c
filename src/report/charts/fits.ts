/** What was fitted: which policy, and how heads learned. */
import type { EChartsOption } from 'echarts';
import type { PolicyComparison, Training } from '../../emit/manifest.ts';
import { colour, exitColour } from '../palette.ts';
import { LEGEND, MARGINS, named, niceAxis, plainLabel, quiet } from './draw.ts';

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
    grid: MARGINS,
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

/** Curves of few points show each of them. */
const FEW = 12;

/** `curves` over the steps of training. A loss is drawn from 0 on; an `accuracy` is given in percent. */
export function trainingCurves(curves: readonly Curve[], measure: 'loss' | 'accuracy'): EChartsOption {
  const all = curves.flatMap(({ points }) => points);
  const values = all.map(([, value]) => value);
  const heights =
    measure === 'loss'
      ? { ...named('loss', 40), min: 0 }
      : { ...named('accuracy, %', 40), ...niceAxis(Math.min(...values), Math.max(...values)) };
  return {
    grid: { left: 58, right: 24, top: 36, bottom: 50 },
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
