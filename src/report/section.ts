/** What every section of the report is made of. */
import type { LatencyProtocol } from '../emit/manifest.ts';
import type { Chart, Size } from './charts/draw.ts';
import { Html, html } from './html.ts';

/** A part of the page, which the table of contents leads to. */
export interface Section {
  /** Of its heading. */
  readonly id: string;
  readonly title: string;
  readonly content: Html;
  /** Whether clocks measured what it says. */
  readonly clock?: true;
}

export const drawSection = ({ id, title, content, clock }: Section): Html =>
  html`<section${clock && new Html(' data-clock')}>
<h2 id="${id}">${title}</h2>
${content}
</section>`;

/** Links to `sections`. */
export const contents = (sections: readonly Section[]): Html =>
  html`<nav class="contents" aria-label="Contents"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>`;

/** Draws into the page. */
export interface Pen {
  chart(chart: Chart, label: string, size?: Size): Html;
  twice(chart: (size: Size) => Chart, label: string, wide?: Size): Html;
}

/** Of one of two drawings beside each other. */
export const HALF: Size = { width: 440, height: 310 };

/** A drawing under its title and how to read it; `means`: what it says here. */
export const figure = (title: string, reading: string | Html, drawing: Html, means?: string | Html): Html =>
  html`<figure><figcaption><h3>${title}</h3><p>${reading}</p></figcaption>${drawing}${means && html`<p class="means">${means}</p>`}</figure>`;

/** Timed runs of each sample; three where an older manifest does not say. */
export const passesOf = ({ passes = 3 }: LatencyProtocol) => passes;
