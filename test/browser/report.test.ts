/** out/report.html of what `npm run demo` wrote, opened from the disk in Chromium; pictures of it stay in out/report-shots/. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manifestIn } from '../timeless.ts';
import { openChromium, openPage } from './chromium.ts';
import { demoPackage, ROOT } from './subjects.ts';

const test = suite('browser: report');
const SHOTS = join(ROOT, 'out/report-shots');
const browser = await openChromium();
const inBrowser = browser ? test : test.skip;
let page: Page;
let complaints: readonly string[];
let folder: string;

test.before(async () => {
  if (!browser) return;
  folder = await demoPackage();
  mkdirSync(SHOTS, { recursive: true });
  ({ page, complaints } = await openPage(browser, pathToFileURL(join(folder, 'report.html')).href));
});

test.after(async () => {
  await browser?.close();
});

/** Every drawing that is on show: its size, how many shapes it has, and texts that stick out or lie on one another. */
const drawings = (): Promise<{ label: string; width: number; shapes: number; clashes: string[] }[]> =>
  page.evaluate(`[...document.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0).map((svg) => {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((t) => ({ text: t.textContent, box: t.getBoundingClientRect(), turned: /matrix\\(0/.test(t.getAttribute('transform') ?? '') }));
    const clashes = [];
    for (const [i, a] of texts.entries()) {
      if (a.box.left < box.left - 1 || a.box.right > box.right + 1 || a.box.top < box.top - 1 || a.box.bottom > box.bottom + 1) clashes.push(a.text + ' sticks out');
      for (const b of texts.slice(i + 1))
        if (Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left) > 2 && Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top) > 4) clashes.push(a.text + ' on ' + b.text);
    }
    return { label: svg.getAttribute('aria-label'), width: box.width, shapes: svg.querySelectorAll('path, rect, circle, polygon, line').length, clashes };
  })`);

inBrowser('it opens from the disk without a complaint or a request, with every chart', async () => {
  assert.equal(complaints, []);
  const shown = await drawings();
  const { exits, networks, training, policyComparison } = manifestIn(folder);
  const students = networks?.some(({ grown }) => grown?.training);
  // Trade-off, model, two of leaving, latency; a histogram an exit, and reliability of those and the original.
  const always = 5 + exits.length + exits.length + 1;
  assert.is(shown.length, always + (policyComparison ? 2 : 0) + (students ? 2 : 0) + (training ? 1 : 0));
  assert.ok(shown.every(({ shapes }) => shapes > 10));
  assert.ok((await page.locator('img').count()) > 10, 'examples');
  const loaded = 'async () => (await Promise.all([...document.images].map((i) => i.decode()))).length';
  assert.ok(((await page.evaluate(`(${loaded})()`)) as number) > 10);
  assert.ok(statSync(join(folder, 'report.html')).size < 1.5e6);
});

for (const [name, width] of [
  ['desktop', 1100],
  ['phone', 400],
] as const)
  for (const colorScheme of ['light', 'dark'] as const)
    inBrowser(
      `${name}, ${colorScheme}: charts are on show, nothing overlaps, nothing is cut off`,
      async () => {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme, media: 'screen' });
        for (const { label, clashes, width } of await drawings()) {
          assert.ok(width > 200, label);
          assert.equal(clashes, [], label);
        }
        assert.is(
          await page.evaluate('document.documentElement.scrollWidth'),
          width,
          'no sideways scrolling',
        );
        await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`), fullPage: true });
      },
    );

inBrowser('light and dark differ in ground and ink, and charts follow', async () => {
  const looks: string[][] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, media: 'screen' });
    looks.push(
      await page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]",
      ),
    );
  }
  for (const part of [0, 1]) assert.is.not(looks[0]![part], looks[1]![part]);
});

inBrowser('on paper it is light, with every chart', async () => {
  await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
  assert.is(
    await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'),
    'rgb(255, 255, 255)',
  );
  assert.ok((await drawings()).every(({ width }) => width > 200));
  const pdf = await page.pdf({ path: join(SHOTS, 'report.pdf'), format: 'A4' });
  assert.ok(pdf.length > 50_000);
  assert.equal(complaints, []);
});

test.run();
