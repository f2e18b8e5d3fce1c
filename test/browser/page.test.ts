/** examples/browser, built for what `npm run demo` wrote, in Chromium; Node says what it should show. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawnSamples, type Sample } from '../../examples/browser/samples.ts';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import { manifestIn } from '../timeless.ts';
import { openChromium, openPage } from './chromium.ts';
import { type Answer, type Answers, assertSameAnswers } from './compare.ts';
import { buildAndServe, type Served, serveFiles } from './serve.ts';
import { demoPackage, ROOT } from './subjects.ts';
import { type Rgb, writeY4m } from './y4m.ts';

type Shown = Answer & { readonly cost: number; readonly verdict: string };

const test = suite('browser: examples/browser');
const browser = await openChromium();
const scratch = mkdtempSync(join(tmpdir(), 'offramp-page-'));
const outDir = join(scratch, 'dist');
/** As a project's page on a host that has others. */
const SUB_PATH = '/pages/of offramp/';
const inBrowser = browser ? test : test.skip;
let served: Served;
let page: Page;
let complaints: readonly string[];
let samples: Sample[];
let folder: string;
let compiled: { readonly Base: { load(runtime: typeof ort): Promise<Pets.Pets> } };
let points: typeof Pets.operatingPoints;
/** What Node says about the samples. */
let expected: Answers;
let camera: Awaited<ReturnType<typeof filmed>> | undefined;

/** Puts into `drawn` which card showed which answer, in the order in which they were drawn. */
const WRITE_DOWN = `
  window.drawn = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const card = [...document.querySelectorAll('#cards li')].indexOf(target);
      drawn.push({ card, stage: target.dataset.stage, label: target.querySelector('.label').textContent });
    }
  }).observe(document.querySelector('#cards'), { subtree: true, attributeFilter: ['data-stage'] });
`;

/** Counts what is asked of the worker in `questions`, and in `mostAtOnce` how many waited for an answer at most. */
const COUNT_QUESTIONS = `
  window.questions = 0;
  window.mostAtOnce = 0;
  let open = 0;
  window.MessageChannel = class extends MessageChannel {
    constructor() {
      super();
      questions++;
      mostAtOnce = Math.max(mostAtOnce, ++open);
      this.port1.addEventListener('message', () => open--);
    }
  };
`;

test.after(async () => {
  await browser?.close();
  await camera?.camera.close();
  await served?.close();
  rmSync(scratch, { recursive: true, force: true });
});

inBrowser('it is built, opens with the drawn pictures, and fetches nothing from elsewhere', async () => {
  folder = await demoPackage();
  samples = await drawnSamples();
  const generated = await import(pathToFileURL(join(folder, 'index.js')).href);
  compiled = generated;
  points = generated.operatingPoints;
  expected = await answersOfNode(await compiled.Base.load(ort));
  delete process.env.OFFRAMP_PACKAGE;
  delete process.env.OFFRAMP_PICTURES;
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
  for (const ofSplit of ['#split', 'li:first-child .where', 'li:first-child .wait'])
    assert.ok(await page.locator(ofSplit).isHidden(), ofSplit);
  assert.match((await page.locator('#promise').textContent())!, 'Nothing leaves this page.');
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
      const right = expected[name]!.map(({ label }, i) => label === samples[i]!.name);
      assert.equal(
        cards.map(({ verdict }) => verdict.replace(/: .*/, '')),
        right.map((isRight) => (isRight ? '✓ right' : '✗ wrong; true class')),
      );
      assert.match((await summary.textContent())!, `${right.filter(Boolean).length} of 12 answers are right`);
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

inBrowser(
  'the first exit’s answers are drawn at once, all of them, and those of pictures that go on refined',
  async () => {
    const name = Object.keys(points).find((at) => {
      const exits = new Set(expected[at]!.map(({ exit }) => exit));
      return exits.size > 1 && exits.has(firstOpenAt(at));
    })!;
    const first = await firstAnswersOfNode(name);
    const goesOn = expected[name]!.map(({ exit }) => exit > firstOpenAt(name));
    const { page } = await openPage(browser!, served.url);
    await settled(page);
    await page.getByRole('slider').press('End');
    await settled(page);
    await page.evaluate(WRITE_DOWN);
    await page.getByRole('slider').fill(String(Object.keys(points).indexOf(name)));
    await settled(page);
    const drawn = (await page.evaluate('drawn')) as { card: number; stage: string; label: string }[];

    for (const [card, { label }] of expected[name]!.entries()) {
      const stages = drawn.filter((one) => one.card === card).map((one) => `${one.stage} ${one.label}`);
      const early = goesOn[card] ? [`first ${first[card]!.label}`] : [];
      assert.equal(stages, [...early, `final ${label}`], `picture ${card} at ${name}`);
    }
    const seen = new Set<number>();
    const refined = drawn.findIndex(({ card }) => seen.size === seen.add(card).size);
    assert.is(seen.size, 12);
    assert.is(refined, 12, 'no answer is refined before every picture has one');

    const before = await page
      .locator('.before')
      .evaluateAll((all) => all.map((line) => (line.hidden ? '' : line.textContent)));
    assert.equal(
      before,
      first.map(({ label }, i) => (goesOn[i] ? `First answer: ${label}` : '')),
    );
    // An app pays what Node says; the page says what it pays on top.
    const count = goesOn.filter(Boolean).length;
    const more = first.reduce((sum, { cost }, i) => sum + (goesOn[i] ? cost : 0), 0) / 12;
    const price = (await page.locator('#price').textContent())!;
    assert.match(price, `ran ${count} of 12 pictures to their first exit`);
    assertPrints(price.replace(/^.*that is /, ''), more);
    await page.close();
  },
);

inBrowser(
  'where every exit is closed, the first answer is still there first, and `exact` the last word',
  async () => {
    const first = await firstAnswersOfNode('exact');
    const { page } = await openPage(browser!, served.url);
    await settled(page);
    await page.evaluate(WRITE_DOWN);
    await page.getByRole('slider').press('End');
    await settled(page);
    const drawn = (await page.evaluate('drawn')) as { card: number; stage: string; label: string }[];
    assert.equal(
      drawn.map(({ stage, label }) => `${stage} ${label}`),
      [
        ...first.map(({ label }) => `first ${label}`),
        ...expected.exact!.map(({ label }) => `final ${label}`),
      ],
    );
    await page.close();
  },
);

inBrowser('below any path of any host it works, and goes on without it: after a reload too', async () => {
  const host = await serveFiles(outDir, SUB_PATH);
  const context = await browser!.newContext();
  const { page, complaints } = await openPage(context, host.url);
  await settled(page);
  await page.getByText('works without a network').waitFor();
  await host.close();
  await context.setOffline(true);
  await page.reload();
  await settled(page);
  const cards = await answersShown(page);
  assertSameAnswers({ balanced: cards }, { balanced: expected.balanced! }, { balanced: points.balanced });

  const [{ png }] = samples as [Sample];
  await page
    .getByLabel('Choose pictures')
    .setInputFiles([{ name: 'mine.png', mimeType: 'image/png', buffer: png }]);
  await page.getByRole('img', { name: 'mine.png' }).waitFor();
  await settled(page);
  const { verdict, ...mine } = (await answersShown(page)).at(-1)!;
  assert.is(verdict, '', 'whose class nobody knows');
  assert.equal(mine, withoutVerdict(cards[0]!));
  assert.equal(complaints, []);
  await context.close();
});

inBrowser(
  'a later version takes over when the old page is closed, and leaves nothing of the old one',
  async () => {
    const dist = join(scratch, 'versions');
    cpSync(outDir, dist, { recursive: true });
    const host = await serveFiles(dist, SUB_PATH);
    const context = await browser!.newContext();
    const { page } = await openPage(context, host.url);
    await page.getByText('works without a network').waitFor();
    const before = await page.evaluate('caches.keys()');

    replaceIn(join(dist, 'index.html'), /<title>.*?</, '<title>Later<');
    replaceIn(join(dist, 'service-worker.js'), /HASH = ".*?"/, 'HASH = "later"');
    await page.reload();
    assert.is.not(await page.title(), 'Later');
    const isWaiting = 'navigator.serviceWorker.getRegistration().then((it) => it.waiting !== null)';
    while (!(await page.evaluate(isWaiting))) await page.waitForTimeout(50);
    // Another page of the same context, so that the worker lives on without one of its own.
    const other = await context.newPage();
    await page.close();
    await other.waitForTimeout(200);
    await other.goto(host.url);
    await settled(other);
    assert.is(await other.title(), 'Later');
    const after = (await other.evaluate('caches.keys()')) as string[];
    assert.is(after.length, 1);
    assert.is.not(after[0], (before as string[])[0]);
    await context.close();
    await host.close();
  },
);

inBrowser('where the host isolates the page, ONNX Runtime uses threads, with the same answers', async () => {
  const host = await serveFiles(outDir, SUB_PATH, {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  });
  const context = await browser!.newContext({ serviceWorkers: 'block' });
  const page = await context.newPage();
  // As on a machine with many cores.
  await prepended(page, "Object.defineProperty(navigator, 'hardwareConcurrency', { value: 8 });");
  await page.goto(host.url);
  await settled(page);
  assert.ok(await page.evaluate('crossOriginIsolated'));
  assert.is(page.workers().length, 4, 'the page’s own, and three that it started');
  const balanced = await answersShown(page);
  assertSameAnswers({ balanced }, { balanced: expected.balanced! }, { balanced: points.balanced });
  await context.close();
  await host.close();
});

inBrowser('the camera’s pictures get the answers that Node gives them, one at a time', async () => {
  const { shown, camera } = await filmed();
  const context = await camera.newContext({ permissions: ['camera'] });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  // Slow as a large model: what comes meanwhile is to be dropped.
  await prepended(
    page,
    "addEventListener('message', () => { for (const end = performance.now() + 60; performance.now() < end; ); });",
  );
  await page.addInitScript(COUNT_QUESTIONS);
  await page.goto(served.url);
  await settled(page);
  await page.getByRole('button', { name: 'Remove all' }).click();
  await page.getByRole('slider').press('End');
  await settled(page);
  await page.evaluate('mostAtOnce = 0');
  await page.getByRole('button', { name: 'Start camera' }).click();
  for (const { label, probability } of [...shown, ...shown]) {
    const live = page.locator('.live[data-stage=final]').filter({ hasText: String(label) });
    await live.waitFor();
    const printed = Number(await live.locator('.probability').getAttribute('value'));
    assert.ok(Math.abs(printed - probability) < 0.1, `${label}: ${printed}, Node says ${probability}`);
  }
  assert.is(await page.evaluate('mostAtOnce'), 1, 'questions to the model at once');

  await page.getByRole('button', { name: 'Stop camera' }).click();
  assert.is(await page.locator('.live').count(), 0);
  const stopped = await page.evaluate('questions');
  await page.waitForTimeout(500);
  assert.ok(((await page.evaluate('questions')) as number) - (stopped as number) <= 2, 'no picture is taken');
  await page.getByRole('button', { name: 'Start camera' }).click();
  await page.locator('.live[data-stage=final]').waitFor();
  await context.close();
});

inBrowser('a camera that is refused, or is not there, is told in words that help', async () => {
  const { camera } = await filmed();
  for (const [browserOf, message] of [
    [camera, /^The camera was refused\. Allow it/],
    [browser!, /^This device has no camera\.$/],
  ] as const) {
    const { page, complaints } = await openPage(browserOf, served.url);
    await settled(page);
    const button = page.getByRole('button', { name: 'Start camera' });
    await button.click();
    await page.getByRole('alert').filter({ hasText: 'camera' }).waitFor();
    assert.match((await page.getByRole('alert').textContent())!, message);
    assert.ok(await button.isEnabled(), 'to try again');
    assert.is(await page.locator('.live').count(), 0);
    assert.equal(complaints, []);
    await page.close();
  }
});

inBrowser('it opens with pictures of one’s own; long class names fit, on a phone too', async () => {
  const pictures = join(scratch, 'pictures');
  const truths = ['Rhinolophus_hipposideros_and_Rhinolophus_ferrumequinum', samples[0]!.name];
  for (const truth of truths) {
    mkdirSync(join(pictures, truth), { recursive: true });
    writeFileSync(join(pictures, truth, 'a.png'), samples[0]!.png);
  }
  process.env.OFFRAMP_PICTURES = pictures;
  const own = await buildAndServe({
    root: join(ROOT, 'examples/browser'),
    build: { outDir: join(scratch, 'own'), emptyOutDir: false },
  });
  delete process.env.OFFRAMP_PICTURES;
  const { page, complaints } = await openPage(browser!, own.url);
  await settled(page);
  assert.equal(
    (await answersShown(page)).map(({ verdict }) => verdict),
    [`✗ wrong; true class: ${truths[0]}`, '✓ right'],
  );
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 900 });
    assert.is(await page.evaluate('document.documentElement.scrollWidth'), width);
    const sticksOut = await page
      .locator('#cards li *')
      .evaluateAll(
        (all) =>
          all.filter(
            (one) => one.getBoundingClientRect().right > one.closest('li').getBoundingClientRect().right,
          ).length,
      );
    assert.is(sticksOut, 0);
  }
  assert.equal(complaints, []);
  await own.close();
});

inBrowser('what does not load is told', async () => {
  for (const file of ['worker-*.js', '*.onnx', '*.wasm']) {
    const context = await browser!.newContext({ serviceWorkers: 'block' });
    const page = await context.newPage();
    await page.route(`**/assets/${file}`, (route) => route.fulfill({ status: 404 }));
    await page.goto(served.url);
    await page.getByRole('alert').filter({ hasText: 'The model does not load.' }).waitFor();
    assert.ok(await page.getByLabel('Choose pictures').isDisabled());
    await context.close();
  }
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
function settled(on = page): Promise<void> {
  return on.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });
}

/** `text` begins with `share` in percent, to a tenth. */
function assertPrints(text: string | null, share: number): void {
  assert.match(text!, /^-?\d+\.\d% /);
  assert.ok(Math.abs(Number.parseFloat(text!) - 100 * share) < 0.0501, `"${text}" says ${share}`);
}

/** What the page shows: figures as they are, not as they are printed. */
function answersShown(on = page): Promise<Shown[]> {
  // No function inside may have a name: tsx would have it call a helper that the page does not have.
  return on.getByRole('listitem').evaluateAll((cards) =>
    cards.map((card) => ({
      label: card.querySelector('.label').textContent,
      exit: Number(card.querySelector('.exit').value),
      probability: Number(card.querySelector('.probability').value),
      confidence: Number(card.querySelector('.confidence').value),
      cost: Number(card.querySelector('.cost').value),
      verdict: card.querySelector('.verdict').textContent,
    })),
  );
}

async function decoded({ png }: Sample): Promise<Rgb> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

async function answersOfNode(model: Pets.Pets): Promise<Answers> {
  const pictures = await Promise.all(samples.map(decoded));
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

const withoutVerdict = ({ verdict: _, ...rest }: Shown) => rest;

/** Which exit is the first that is open at a point; the first of all where none is. */
const firstOpenAt = (at: string) =>
  Math.max(
    points[at as Pets.OperatingPointName].thresholds.findIndex((threshold) => threshold < 1),
    0,
  );

/** What that exit says about the samples, each made to leave there. */
async function firstAnswersOfNode(at: string): Promise<{ label: string; cost: number }[]> {
  const model = await compiled.Base.load(ort);
  const thresholds = points[at as Pets.OperatingPointName].thresholds.map((threshold, exit) =>
    exit === firstOpenAt(at) ? Number.NEGATIVE_INFINITY : threshold,
  ) as never;
  const results = await model.classify(await Promise.all(samples.map(decoded)), { thresholds });
  await model.release();
  assert.ok(results.every(({ exit }) => exit === firstOpenAt(at)));
  return results.map(({ label, relativeCost }) => ({ label, cost: relativeCost }));
}

/** Has the worker's script begin with `code`. */
async function prepended(page: Page, code: string): Promise<void> {
  await page.route('**/assets/worker-*.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: code + (await response.text()) });
  });
}

/** A browser whose camera shows three of the samples in turn, and what Node says about them at `exact`. */
async function filmed(): Promise<{ camera: Browser; shown: readonly Answer[] }> {
  if (camera) return camera;
  const clear = expected
    .exact!.map((answer, i) => ({ answer, i }))
    .filter(({ answer }) => answer.probability > 0.95);
  const chosen = clear.filter(
    ({ answer }, n) => clear.findIndex((one) => one.answer.label === answer.label) === n,
  );
  const [a, b, c] = chosen as [(typeof chosen)[0], (typeof chosen)[0], (typeof chosen)[0]];
  const film = join(scratch, 'film.y4m');
  writeY4m(film, await Promise.all([a, b, c].map(({ i }) => decoded(samples[i]!))), 20, 8);
  const args = ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${film}`];
  camera = { camera: (await openChromium(args))!, shown: [a, b, c].map(({ answer }) => answer) };
  return camera;
}

function replaceIn(file: string, pattern: RegExp, text: string): void {
  const before = readFileSync(file, 'utf8');
  const after = before.replace(pattern, text);
  assert.is.not(after, before);
  writeFileSync(file, after);
}
