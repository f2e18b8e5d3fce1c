/** What every section of the report is made of. */
import type { LatencyProtocol } from '../emit/manifest.ts';
import type { Draw, Size } from './charts/draw.ts';
import { type Html, html } from './html.ts';

export type Chart = Parameters<Draw>[0];

/** Draws into the page. */
export interface Pen {
  chart(option: Chart, label: string, size?: Size): Html;
  twice(option: (size: Size) => Chart, label: string, wide?: Size): Html;
}

/** Of one of two drawings beside each other. */
export const HALF: Size = { width: 440, height: 310 };

/** A drawing under its title and how to read it; `means`: what it says here. */
export const figure = (title: string, reading: string | Html, drawing: Html, means?: string | Html): Html =>
  html`<figure><figcaption><h3>${title}</h3><p>${reading}</p></figcaption>${drawing}${means && html`<p class="means">${means}</p>`}</figure>`;

/** Timed runs of each sample; three where an older manifest does not say. */
export const passesOf = ({ passes = 3 }: LatencyProtocol) => passes;

/** Milliseconds, or a dash where nothing was measured. */
export const ms = (value: number | undefined) =>
  value === undefined ? '–' : `${value.toFixed(value < 10 ? 2 : 1)} ms`;
