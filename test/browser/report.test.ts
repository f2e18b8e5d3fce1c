/** out/report.html of what `npm run demo` wrote, opened from the disk in Chromium; pictures of it stay in out/report-shots/. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isNamed } from '../../src/calibrate/index.ts';
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
  const { exits, networks, training, policyComparison, operatingPoints, defaultPoint } = manifestIn(folder);
  const students = networks?.some(({ grown }) => grown?.training);
  const compared = operatingPoints.filter(({ name }) => isNamed(name) || name === defaultPoint);
  const used = exits.filter((_, k) => compared.some(({ thresholds }) => thresholds[k]! < 1)).length;
  // Trade-off, model, two of leaving, latency; a histogram an exit that is used, and reliability of those and the original.
  const always = 5 + used + used + 1;
  assert.is(shown.length, always + (policyComparison ? 2 : 0) + (students ? 2 : 0) + (training ? 1 : 0));
  assert.ok(shown.every(({ shapes }) => shapes > 10));
  assert.ok((await page.locator('img').count()) > 10, 'examples');
  const loaded = 'async () => (await Promise.all([...document.images].map((i) => i.decode()))).length';
  assert.ok(((await page.evaluate(`(${loaded})()`)) as number) > 10);
  assert.ok(statSync(join(folder, 'report.html')).size < 1.5e6);
});

for (const [name, width] of [
  ['wide', 1280],
  ['desktop', 1100],
  ['phone', 400],
] as const)
  for (const colorScheme of ['light', 'dark'] as const)
    inBrowser(
      `${name}, ${colorScheme}: charts are on show, nothing overlaps, nothing is cut off`,
      async () => {
        await page.setViewportSize({ width, height: 900 });
        await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true");
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

/** Where the middle of `selector` is, once it is in view. */
const middleOf = async (selector: string) => {
  const element = page.locator(selector).first();
  await element.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await element.boundingBox())!;
  return { x: x + width / 2, y: y + height / 2 };
};

inBrowser('a mouse that rests on a point, a bar or a line finds its values', async () => {
  await page.setViewportSize({ width: 1100, height: 900 });
  // Points that lie on one another leave a part of each to be found.
  const { found, hidden } = (await page.evaluate(`(() => {
    const told = [...document.querySelectorAll('.tip')].filter((tip) => tip.getBoundingClientRect().width > 0).map((tip) => {
      tip.scrollIntoView({ block: 'center' });
      const { x, y, width, height } = tip.getBoundingClientRect();
      const shares = [0.5, 0.1, 0.3, 0.7, 0.9];
      const isFound = shares.some((a) => shares.some((b) => document.elementFromPoint(x + a * width, y + b * height) === tip));
      return { text: tip.querySelector('title').textContent, isFound };
    });
    return { found: told.filter(({ isFound }) => isFound).map(({ text }) => text), hidden: told.filter(({ isFound }) => !isFound).map(({ text }) => text) };
  })()`)) as { found: string[]; hidden: string[] };
  assert.ok(found.length > 100, `${found.length} places`);
  assert.equal(hidden, []);
  const { operatingPoints } = manifestIn(folder);
  for (const { name } of operatingPoints.filter(({ name }) => isNamed(name)))
    assert.ok(
      found.some((text) => text.includes(`${name}: accuracy `)),
      name,
    );
  for (const text of ['score ', 'said ', 'step ', 'exit_1: '])
    assert.ok(
      found.some((told) => told.startsWith(text)),
      text,
    );
  const { x, y } = await middleOf('.wide .tip');
  await page.mouse.move(x, y);
  assert.is.not(await page.evaluate("getComputedStyle(document.querySelector('.tip:hover')).stroke"), 'none');
});

inBrowser('a button copies what stands below it', async () => {
  const block = page.locator('details.use[open] .code').first();
  const text = (await block.locator('pre').textContent())!;
  await block.locator('button').click();
  await page.getByRole('button', { name: 'Copied: ' }).waitFor();
  await page.evaluate(
    "document.body.append(Object.assign(document.createElement('textarea'), { id: 'paste' }))",
  );
  await page.locator('#paste').focus();
  await page.keyboard.press('Control+V');
  assert.is(await page.locator('#paste').inputValue(), text);
  await page.evaluate("document.querySelector('#paste').remove()");
  assert.equal(complaints, []);
});

inBrowser('without scripts there is no button, and texts can be selected', async () => {
  const still = await browser!.newPage({ javaScriptEnabled: false });
  await still.goto(pathToFileURL(join(folder, 'report.html')).href);
  assert.is(await still.locator('button').count(), 0);
  await still.locator('details.use[open] pre').first().click({ clickCount: 3 });
  assert.match(await still.evaluate('getSelection().toString()'), 'model.classify(');
  await still.close();
});

inBrowser(
  'contents lead to each part, beside the page where there is room and in no one’s way where not',
  async () => {
    const place = (): Promise<{ position: string; right: number; page: number; height: number }> =>
      page.evaluate(`(() => {
      const nav = document.querySelector('.contents');
      const { right, height } = nav.getBoundingClientRect();
      return { position: getComputedStyle(nav).position, right, page: document.querySelector('main section').getBoundingClientRect().left, height };
    })()`);
    await page.setViewportSize({ width: 1280, height: 900 });
    const beside = await place();
    assert.is(beside.position, 'sticky');
    assert.ok(beside.right <= beside.page);
    await page.setViewportSize({ width: 400, height: 900 });
    const above = await place();
    assert.is(above.position, 'static');
    assert.ok(above.height < 260, `${above.height} pixels`);
    for (const link of await page.locator('.contents a').all()) {
      await link.click();
      const top = (await page.evaluate(
        `document.querySelector('${await link.getAttribute('href')}').getBoundingClientRect().top`,
      )) as number;
      assert.ok(top >= -1 && top < 900, `${top}`);
    }
  },
);

inBrowser('what is wider than a phone scrolls by keyboard in its own box', async () => {
  await page.setViewportSize({ width: 400, height: 900 });
  for (const selector of ['pre', '.scroll']) {
    const wide = page.locator(`${selector}`).first();
    await wide.focus();
    await page.keyboard.press('ArrowRight');
    const moved = async () => ((await page.evaluate('document.activeElement.scrollLeft')) as number) > 0;
    for (let tries = 0; tries < 50 && !(await moved()); tries++) await page.waitForTimeout(50);
    assert.ok(await moved(), selector);
  }
});

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
