/** examples/browser, built for what `npm run demo` wrote, in Chromium; Node says what it should show. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawnSamples, type Sample } from '../../examples/browser/samples.ts';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import { manifestIn } from '../timeless.ts';
import { openChromium, openPage } from './chromium.ts';
import { type Answer, type Answers, assertSameAnswers } from './compare.ts';
import { buildAndServe, type Served } from './serve.ts';
import { demoPackage, ROOT } from './subjects.ts';

type Shown = Answer & { readonly cost: number };

const test = suite('browser: examples/browser');
const browser = await openChromium();
const outDir = mkdtempSync(join(tmpdir(), 'offramp-page-'));
const inBrowser = browser ? test : test.skip;
let served: Served;
let page: Page;
let complaints: readonly string[];
let samples: Sample[];
let folder: string;
let points: typeof Pets.operatingPoints;
/** What Node says about the samples. */
let expected: Answers;

test.after(async () => {
  await browser?.close();
  await served?.close();
  rmSync(outDir, { recursive: true, force: true });
});

inBrowser('it is built, opens with the drawn pictures, and fetches nothing from elsewhere', async () => {
  folder = await demoPackage();
  samples = await drawnSamples();
  const compiled = await import(pathToFileURL(join(folder, 'index.js')).href);
  points = compiled.operatingPoints;
  expected = await answersOfNode(await compiled.Base.load(ort));
  delete process.env.OFFRAMP_PACKAGE;
  served = await buildAndServe({
    root: join(ROOT, 'examples/browser'),
    build: { outDir, emptyOutDir: false },
  });
  ({ page, complaints } = await openPage(browser!, served.url));
  await settled();
  assert.equal(complaints, []);
  const names = await page
    .getByRole('listitem')
    .getByRole('img')
    .evaluateAll((all) => all.map((image) => image.alt));
  assert.equal(
    names,
    samples.map(({ name }) => name),
  );
  assert.is(await page.locator('#point-name').textContent(), 'balanced');
});

inBrowser(
  'at every point of the slider, pictures get the answers of Node and the summary is their mean',
  async () => {
    const slider = page.getByRole('slider');
    await slider.press('Home');
    const shown: Record<string, Shown[]> = {};
    for (const [name, { accuracy }] of Object.entries(points)) {
      await settled();
      assert.is(await page.locator('#point-name').textContent(), name);
      assert.is(await slider.getAttribute('aria-valuetext'), name);
      assertPrints(await page.locator('#point-figures').textContent(), accuracy);
      const cards = await answersShown();
      shown[name] = cards;
      const saved = 1 - cards.reduce((sum, { cost }) => sum + cost, 0) / cards.length;
      const summary = page.getByRole('status');
      assert.ok(Math.abs(Number(await summary.locator('data').getAttribute('value')) - saved) < 1e-12);
      assertPrints(await summary.textContent(), saved);
      await slider.press('ArrowRight');
    }
    console.log(`\n    ${assertSameAnswers(shown, expected, points)}`);

    const exact = shown.exact!;
    const atTheEnd = manifestIn(folder).exits.length;
    assert.ok(exact.every(({ exit, cost }) => exit === atTheEnd && cost === 1));
    const parted = Object.values(shown).filter((cards) => new Set(cards.map(({ exit }) => exit)).size > 1);
    assert.ok(parted.length > 0, 'somewhere an easy picture leaves before a hard one');
    for (const cards of parted) {
      const [first, ...others] = [...cards].sort((a, b) => a.exit - b.exit);
      assert.ok(first!.cost < others.at(-1)!.cost, 'and costs less');
    }
  },
);

inBrowser('pictures come by file chooser and by drop, of any size; what is none is told', async () => {
  await page.getByRole('button', { name: 'Remove all' }).click();
  await settled();
  assert.is(await page.getByRole('listitem').count(), 0);
  assert.match((await page.getByRole('status').textContent())!, 'Choose pictures');

  await page.getByRole('slider').press('End');
  const [{ name, png }] = samples as [Sample];
  const large = await sharp(png).resize(96, 160, { kernel: 'nearest', fit: 'fill' }).jpeg().toBuffer();
  await page.getByLabel('Choose pictures').setInputFiles([
    { name, mimeType: 'image/png', buffer: png },
    { name: 'large.jpg', mimeType: 'image/jpeg', buffer: large },
    { name: 'letter.png', mimeType: 'image/png', buffer: Buffer.from('Dear all') },
  ]);
  await page.getByRole('listitem').nth(1).waitFor();
  await settled();
  assert.match((await page.getByRole('alert').textContent())!, /: letter\.png$/);

  const dropped = await page.evaluateHandle(`
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array([${[...png]}])], 'dropped.png', { type: 'image/png' }));
    transfer;
  `);
  await page.dispatchEvent('body', 'drop', { dataTransfer: dropped });
  await page.getByRole('img', { name: 'dropped.png' }).waitFor();
  await settled();
  assert.is(await page.getByRole('alert').textContent(), '');
  const [chosen, , again] = await answersShown();
  assert.equal(again, chosen, 'the same picture twice');
  assertSameAnswers({ exact: [chosen!] }, { exact: [expected.exact![0]!] }, { exact: points.exact });
  assert.equal(complaints, []);
});

inBrowser('it is light or dark as the reader wishes', async () => {
  const grounds: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    grounds.push(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'));
  }
  assert.is.not(grounds[0], grounds[1]);
});

test.run();

/** Until the page shows what it was asked for last. */
const settled = () => page.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });

/** `text` begins with `share` in percent, to a tenth. */
function assertPrints(text: string | null, share: number): void {
  assert.match(text!, /^-?\d+\.\d% /);
  assert.ok(Math.abs(Number.parseFloat(text!) - 100 * share) < 0.0501, `"${text}" says ${share}`);
}

/** What the page shows: figures as they are, not as they are printed. */
function answersShown(): Promise<Shown[]> {
  // No function inside may have a name: tsx would have it call a helper that the page does not have.
  return page.getByRole('listitem').evaluateAll((cards) =>
    cards.map((card) => ({
      label: card.querySelector('.label').textContent,
      exit: Number(card.querySelector('.exit').value),
      probability: Number(card.querySelector('.probability').value),
      confidence: Number(card.querySelector('.confidence').value),
      cost: Number(card.querySelector('.cost').value),
    })),
  );
}

async function answersOfNode(model: Pets.Pets): Promise<Answers> {
  const pictures = await Promise.all(
    samples.map(async ({ png }) => {
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      return { data, width: info.width, height: info.height };
    }),
  );
  const answers: Record<string, Answer[]> = {};
  for (const at of Object.keys(model.operatingPoints) as Pets.OperatingPointName[]) {
    const results = await model.classify(pictures, { at });
    answers[at] = results.map(({ label, index, ...answer }) => ({
      ...answer,
      label: label ?? `class ${index}`,
    }));
  }
  await model.release();
  return answers;
}
