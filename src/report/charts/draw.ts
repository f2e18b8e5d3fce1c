/** How charts are drawn: by Apache ECharts into SVG text without a browser, loaded when the first is drawn. And how all of them look. */
import type { EChartsOption } from 'echarts';
import { escapeHtml } from '../html.ts';
import { colour } from '../palette.ts';

/** Draws `chart`; `id` must be the document's own, `label` says what is seen. The element scales, its letters with it. */
export type Draw = (chart: Chart, size: Size, id: string, label: string) => string;

/** What ECharts draws, and what is put on top of it. */
export type Chart = EChartsOption & {
  /** Later ones lie on earlier ones. */
  readonly tips?: readonly Tip[];
  /** Whether the axis of x begins elsewhere than at 0, where a reader may take lengths for shares: it is broken near its beginning. */
  readonly cut?: boolean;
};

/** A place that tells its values to a mouse that rests there, without a script: in units of the axes, on an axis of names by row. */
export interface Tip {
  readonly says: string;
  /** A value, or from one to another. */
  readonly x: number | readonly [from: number, to: number];
  /** From top to bottom where it is left out. */
  readonly y?: number | readonly [from: number, to: number];
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export async function openCharts(): Promise<Draw> {
  const { init, setPlatformAPI } = await import('./echarts.ts');
  setPlatformAPI({ measureText });
  return ({ tips = [], cut, ...option }, size, id, label) => {
    const chart = init(null, THEME, { renderer: 'svg', ssr: true, ...size });
    try {
      chart.setOption(harmless({ animation: false, ...option, grid: { ...option.grid, ...FIXED } }));
      const drawn = cleaned(chart.renderToSVGString(), id, label);
      const pixel: ToPixel = (axis, value) => chart.convertToPixel({ [`${axis}AxisIndex`]: 0 }, value);
      const plot = plotIn(option, size);
      const top = `${cut ? axisBreak(plot) : ''}${tips.map((tip) => area(tip, pixel, plot)).join('\n')}`;
      return drawn.replace(/<\/svg>$/, `${top}</svg>`);
    } finally {
      chart.dispose();
    }
  };
}

/** Margins are kept, whatever hangs over them: what is placed by hand would no longer be where its axes are. */
const FIXED = { outerBoundsMode: 'none' } as const;

type ToPixel = (axis: 'x' | 'y', value: number) => number;

interface Plot {
  readonly left: number;
  readonly top: number;
  readonly bottom: number;
}

/** Where the axes of `option` are, in pixels: its margins are numbers. */
function plotIn({ grid }: EChartsOption, { height }: Size): Plot {
  const { left, top, bottom } = grid as typeof MARGINS;
  return { left, top, bottom: height - bottom };
}

/** Of a place that is a point; and the least of one that is a stretch. */
const REACH = { point: 16, stretch: 4 };

/** A place that a mouse finds, with its text. */
function area({ says, x, y }: Tip, pixel: ToPixel, plot: Plot): string {
  const [left, right] = ends('x', x);
  const [top, bottom] = y === undefined ? [plot.top, plot.bottom] : ends('y', y);
  const isPoint = typeof x === 'number' && typeof y === 'number';
  const corners = isPoint ? ` rx="${REACH.point / 2}"` : '';
  return `<rect class="tip" x="${tenths(left)}" y="${tenths(top)}" width="${tenths(right - left)}" height="${tenths(bottom - top)}"${corners} fill="transparent"><title>${escapeHtml(says)}</title></rect>`;

  function ends(axis: 'x' | 'y', value: NonNullable<Tip['y']>): [number, number] {
    const [from, to] = (typeof value === 'number' ? [value, value] : value).map((v) => pixel(axis, v)) as [
      number,
      number,
    ];
    const least = typeof value === 'number' ? REACH.point : REACH.stretch;
    const middle = (from + to) / 2;
    const half = Math.max(least, Math.abs(to - from)) / 2;
    return [middle - half, middle + half];
  }
}

const tenths = (value: number) => Number(value.toFixed(1));

/** Two strokes through the axis of x, and nothing between them. */
function axisBreak({ left, bottom }: Plot): string {
  const slash = (x: number) => `M${x - 2.5} ${bottom + 5}L${x + 2.5} ${bottom - 5}`;
  const [first, second] = [left + 9, left + 14];
  return `<g class="cut"><path d="M${first} ${bottom}L${second} ${bottom}" stroke="${colour('paper')}" stroke-width="3"/><path d="${slash(first)}${slash(second)}" stroke="${colour('muted')}" fill="none"/></g>`;
}

/**
 * `value` in which no text is a name that every object has. ECharts keeps texts as keys of plain objects: one called `__proto__` (a class may
 * be) would change the prototype of all objects of the process. A space of no width makes it another name; `cleaned` takes it away again.
 */
function harmless<T>(value: T): T {
  const safe = (one: unknown): unknown => {
    if (typeof one === 'string') return one in Object.prototype ? `${one}${NO_WIDTH}` : one;
    if (typeof one === 'function') return (...args: unknown[]) => safe(one(...args));
    if (Array.isArray(one)) return one.map(safe);
    if (typeof one !== 'object' || one === null || Object.getPrototypeOf(one) !== Object.prototype)
      return one;
    return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, safe(inner)]));
  };
  return safe(value) as T;
}

const NO_WIDTH = '\u200b';

/** Widths are not known here: those of a wide font, so that labels keep clear of each other in any. */
export function measureText(text: string, font?: string): { width: number } {
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
    .replaceAll(NO_WIDTH, '')
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

/** Readable across lines: letters have an edge of paper. */
export const plainLabel = {
  color: colour('ink'),
  textBorderColor: colour('paper'),
  textBorderWidth: 3,
  fontSize: FONT,
} as const;
export const quiet = { silent: true } as const;

/** Room for axes, their names and a legend. */
export const MARGINS = { left: 62, right: 34, top: 40, bottom: 52 };

export const LEGEND = { top: 4, icon: 'roundRect', itemWidth: 14, itemHeight: 8, itemGap: 18 };

/** Height of the legend of `names` with its margins, in pixels: they fill as many lines as a drawing of this width makes them. */
export function legendHeight(names: readonly string[], width: number): number {
  let [lines, used] = [1, 0];
  for (const name of names) {
    const own = LEGEND.itemWidth + LEGEND.itemGap + 5 + measureText(name).width;
    if (used > 0 && used + own > width - 10) [lines, used] = [lines + 1, 0];
    used += own;
  }
  return 18 + LEGEND_LINE * (lines - 1);
}

/** With the gap to the next. */
const LEGEND_LINE = 30;

/** Points of percent that an axis shows at least, where all points are one. */
const LEAST_SPAN = 0.5;

/** Ends of an axis in percent from `least` to `most`, and its step: 1, 2 or 5 times a power of ten, `parts` or fewer of them between the two. */
export function niceAxis(
  least: number,
  most: number,
  parts = 5,
): { min: number; max: number; interval: number } {
  const rough = Math.max(most - least, LEAST_SPAN) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const interval = power * ([1, 2, 5, 10].find((n) => n * power >= rough) ?? 10);
  const whole = (value: number) => Number(value.toPrecision(12));
  const min = Math.floor(least / interval);
  const max = Math.max(Math.ceil(most / interval), min + 1);
  return { min: whole(min * interval), max: whole(max * interval), interval: whole(interval) };
}

/** Of an axis of costs in percent that begins at `from`. */
export const costName = (from: number) =>
  from > 0
    ? `cost, % of the original’s MACs, from ${Number(from.toPrecision(3))} on`
    : 'average cost, % of the original’s MACs';

/** A name in the middle of its axis, clear of the figures. */
export const named = (name: string, nameGap: number) => ({ name, nameLocation: 'middle' as const, nameGap });
