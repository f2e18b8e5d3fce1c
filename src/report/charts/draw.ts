/** How charts are drawn: by Apache ECharts into SVG text without a browser, loaded when the first is drawn. And how all of them look. */
import type { EChartsOption } from 'echarts';
import { escapeHtml } from '../html.ts';
import { colour } from '../palette.ts';

/** Draws `option`; `id` must be the document's own, `label` says what is seen. The element scales, its letters with it. */
export type Draw = (option: EChartsOption, size: Size, id: string, label: string) => string;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export async function openCharts(): Promise<Draw> {
  const { init, setPlatformAPI } = await import('./echarts.ts');
  setPlatformAPI({ measureText });
  return (option, size, id, label) => {
    const chart = init(null, THEME, { renderer: 'svg', ssr: true, ...size });
    try {
      chart.setOption(harmless({ animation: false, ...option }));
      return cleaned(chart.renderToSVGString(), id, label);
    } finally {
      chart.dispose();
    }
  };
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
export const named = (name: string, nameGap: number) => ({ name, nameLocation: 'middle' as const, nameGap });
