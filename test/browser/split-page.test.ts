/** examples/browser with the client of a split, in Chromium, and the example server as a process; the whole package in Node says what it should show. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import type { Browser, BrowserContext, Page, Request } from 'playwright-core';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawnSamples, type Sample } from '../../examples/browser/samples.ts';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import { cleanUp, type Server, start } from '../examples/serve.ts';
import { openChromium } from './chromium.ts';
import { type Answer, assertSameAnswers } from './compare.ts';
import { buildAndServe, type Served } from './serve.ts';
import { demoPackage, ROOT, splitDemo } from './subjects.ts';
import { writeY4m } from './y4m.ts';

type Shown = Answer & { readonly where: string };

const test = suite('browser: examples/browser with the client of a split');
const browser = await openChromium();
const scratch = mkdtempSync(join(tmpdir(), 'offramp-split-page-'));
const inBrowser = browser ? test : test.skip;
/** Exits of the client. */
const CUT = 2;
/** Bytes of a picture, one a pixel and colour. */
const PICTURE = 32 * 32 * 3;
let served: Served;
let server: Server;
let serverFolder: string;
let samples: Sample[];
let whole: Pets.Pets;
let points: Pets.Pets['operatingPoints'];
let camera: Browser | undefined;

test.after(async () => {
  await browser?.close();
  await camera?.close();
  await served?.close();
  await whole?.release();
  cleanUp();
  rmSync(scratch, { recursive: true, force: true });
});

inBrowser('what it is not sure of it asks the server; all answers are those of the whole model', async () => {
  const split = await splitDemo('exit_2', join(scratch, 'split'));
  serverFolder = split.server;
  const { Base } = await import(pathToFileURL(join(await demoPackage(), 'index.js')).href);
  whole = await Base.load(ort);
  points = whole.operatingPoints;
  samples = await drawnSamples();
  process.env.OFFRAMP_PACKAGE = split.client;
  delete process.env.OFFRAMP_PICTURES;
  served = await buildAndServe({
    root: join(ROOT, 'examples/browser'),
    build: { outDir: join(scratch, 'dist'), emptyOutDir: false },
  });
  delete process.env.OFFRAMP_PACKAGE;
  server = await startServer();

  const { page, asked } = await opened(await browser!.newContext());
  const slider = page.getByRole('slider');
  await slider.press('Home');
  const seen = new Set<string>();
  for (const [name, { accuracy }] of Object.entries(points)) {
    await settled(page);
    assert.match((await page.locator('#point-figures').textContent())!, `${(100 * accuracy).toFixed(1)}%`);
    const cards = await answersShown(page);
    await assertWhole(cards, name);
    for (const { where, exit } of cards) assert.is(where, exit < CUT ? 'client' : 'server', name);
    const stayed = cards.filter(({ where }) => where === 'client').length;
    const summary = page.getByRole('status');
    assert.ok(Math.abs(Number(await summary.locator('data').getAttribute('value')) - stayed / 12) < 1e-12);
    assert.match((await summary.textContent())!, `${stayed} of 12 pictures were answered here`);
    for (const { where } of cards) seen.add(where);
    await slider.press('ArrowRight');
  }
  assert.equal(seen, new Set(['client', 'server']));

  // What it says has travelled is what Chromium has sent.
  const inAll = await traffic(page);
  const bytes = asked.reduce((sum, request) => sum + request.postDataBuffer()!.length, 0);
  assert.equal(inAll, {
    ...inAll,
    asked: asked.length,
    stayed: inAll.samples! - asked.length,
    unanswered: 0,
    sent: bytes,
    saved: 1 - bytes / (inAll.samples! * PICTURE),
  });
  assert.ok(inAll.saved! > 0.5);
  await page.context().close();
});

inBrowser('where the network is cut off it goes on from here and says so; then it asks again', async () => {
  const { page, asked } = await opened(await browser!.newContext());
  const cut = page.getByLabel('Cut the network off');
  await page.getByRole('slider').press('End');
  await settled(page);
  await allFrom(page, 'server');
  const before = asked.length;
  // What the server has said is asked for again, and answered here.
  await cut.check();
  await allFrom(page, 'client, server unreachable');
  await assertInStead(page, 'client, server unreachable');
  assert.is(asked.length, before, 'nothing is sent');
  assert.match(
    (await page.getByRole('status').textContent())!,
    /^0\.0% stayed: 0 of 12 .* did not answer for 12,/,
  );
  assert.match((await page.locator('#refusal').textContent())!, /cut off by the switch on this page/);
  assert.is((await traffic(page)).unanswered, 12);

  await cut.uncheck();
  await allFrom(page, 'server');
  await assertWhole(await answersShown(page), 'exact');
  assert.is(await page.locator('#refusal').textContent(), '');
  await page.context().close();
});

inBrowser('a server that dies, and comes back, is noticed', async () => {
  const { page } = await opened(await browser!.newContext());
  server.process.kill('SIGKILL');
  await page.getByRole('slider').press('End');
  await settled(page);
  await assertInStead(page, 'client, server unreachable');
  server = await startServer(server.port);
  await page.getByRole('slider').press('ArrowLeft');
  await settled(page);
  await page.getByRole('slider').press('End');
  await allFrom(page, 'server');
  await assertWhole(await answersShown(page), 'exact');
  await page.context().close();
});

inBrowser(
  'a browser that goes offline and comes back: the page goes on, asks again by itself, and opens without a network',
  async () => {
    const context = await browser!.newContext();
    const { page, asked } = await opened(context);
    await page.getByText('works without a network').waitFor();
    // From now on the service worker is in between.
    await page.reload();
    await settled(page);
    assert.ok(await page.evaluate('navigator.serviceWorker.controller !== null'));
    await context.setOffline(true);
    await page.getByRole('slider').press('End');
    await settled(page);
    await assertInStead(page, 'client, server unreachable');
    await context.setOffline(false);
    await allFrom(page, 'server');
    await assertWhole(await answersShown(page), 'exact');

    await context.setOffline(true);
    await page.reload();
    await settled(page);
    await page.getByRole('slider').press('End');
    await settled(page);
    await assertInStead(page, 'client, server unreachable');
    await context.setOffline(false);
    assert.ok(asked.length >= 12);
    for (const request of asked)
      assert.not((await request.response())?.fromServiceWorker(), 'the service worker lets the server be');
    const kept = (await page.evaluate(
      `caches.keys().then((names) => Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url))))`,
    )) as string[][];
    assert.ok(kept.flat().length > 3);
    for (const url of kept.flat()) assert.ok(url.startsWith(served.url), url);
    await context.close();
  },
);

inBrowser('the server of another split is refused by name; another one is a field away', async () => {
  const other = await splitDemo('exit_1', join(scratch, 'other'));
  const stranger = await start(other.server, '--threads', '1', '--allow-origin', new URL(served.url).origin);
  const { page } = await opened(await browser!.newContext(), stranger.url);
  await page.getByRole('slider').press('End');
  await settled(page);
  await assertInStead(page, 'client, server refused');
  assert.match(
    (await page.locator('#refusal').textContent())!,
    /404: it has no model "base_rest_[0-9a-f]{12}"; client and server are of different splits/,
  );
  const field = page.getByRole('textbox', { name: 'Server' });
  assert.is(await field.inputValue(), stranger.url);
  await field.fill(server.url);
  await page.getByRole('button', { name: 'Use' }).click();
  await page.waitForURL((url) => url.searchParams.get('server') === server.url);
  await settled(page);
  await page.getByRole('slider').press('End');
  await allFrom(page, 'server');
  stranger.process.kill('SIGKILL');
  await page.goto(`${served.url}?server=ftp://nowhere`);
  await page.getByRole('alert').filter({ hasText: 'server: a URL of http or https expected' }).waitFor();
  assert.is(await field.inputValue(), 'ftp://nowhere', 'to be mended');
  await page.context().close();
});

inBrowser('the camera goes on through a cut network, and asks for one picture at a time', async () => {
  const film = join(scratch, 'film.y4m');
  const raw = await Promise.all(samples.slice(0, 3).map(({ png }) => sharp(png).raw().toBuffer()));
  writeY4m(
    film,
    raw.map((data) => ({ data, width: 32, height: 32 })),
    10,
    8,
  );
  const args = ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${film}`];
  camera = (await openChromium(args))!;
  const { page, asked } = await opened(await camera.newContext({ permissions: ['camera'] }));
  await page.getByRole('button', { name: 'Remove all' }).click();
  await page.getByRole('slider').press('End');
  await settled(page);
  let open = 0;
  let most = 0;
  // Far away: what the camera shows meanwhile is to be dropped.
  await page.route('**/infer', async (route) => {
    most = Math.max(most, ++open);
    await sleep(150);
    open--;
    // What has been cut off is no longer there.
    await route.continue().catch(() => {});
  });
  const before = asked.length;
  await page.getByRole('button', { name: 'Start camera' }).click();
  const where = page.locator('.live .where');
  await where.and(page.locator('[value=server]')).waitFor();
  const until = async (count: number) => {
    while (asked.length < before + count) await page.waitForTimeout(20);
  };
  await until(5);
  assert.is(most, 1, 'pictures asked for at once');
  assert.ok(Number(await page.locator('.live .wait').getAttribute('value')) >= 150);

  await page.getByLabel('Cut the network off').check();
  await where.and(page.locator('[value="client, server unreachable"]')).waitFor();
  const { samples: cutAt } = await traffic(page);
  while ((await traffic(page)).samples! < cutAt! + 3) await page.waitForTimeout(20);
  const sofar = asked.length - before;
  await page.getByLabel('Cut the network off').uncheck();
  await where.and(page.locator('[value=server]')).waitFor();
  await until(sofar + 3);
  assert.is(most, 1);
  await page.getByRole('button', { name: 'Stop camera' }).click();
  await page.context().close();
});

test.run();

/** Of the split, for the page; `port` 0 is a free one. */
const startServer = (port = 0): Promise<Server> =>
  start(serverFolder, '--port', String(port), '--threads', '1', '--allow-origin', new URL(served.url).origin);

/** The page, and the requests that it makes to infer. */
async function opened(context: BrowserContext, url = server.url): Promise<{ page: Page; asked: Request[] }> {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const asked: Request[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/infer') && request.method() === 'POST') asked.push(request);
  });
  await page.goto(`${served.url}?server=${url}`);
  await settled(page);
  return { page, asked };
}

const settled = (page: Page) => page.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });

/** Until all twelve cards say so. */
async function allFrom(page: Page, where: string): Promise<void> {
  await page.locator(`li:nth-child(12) .where[value="${where}"]`).waitFor();
  await settled(page);
  assert.equal(new Set((await answersShown(page)).map((card) => card.where)), new Set([where]));
}

function answersShown(page: Page): Promise<Shown[]> {
  return page.getByRole('listitem').evaluateAll((cards) =>
    cards.map((card) => ({
      label: card.querySelector('.label').textContent,
      exit: Number(card.querySelector('.exit').value),
      probability: Number(card.querySelector('.probability').value),
      confidence: Number(card.querySelector('.confidence').value),
      where: card.querySelector('.where').value,
    })),
  );
}

/** What stands in `#traffic`, by class. */
const traffic = (page: Page): Promise<Record<string, number>> =>
  page
    .locator('#traffic data')
    .evaluateAll((all) => Object.fromEntries(all.map((data) => [data.className, Number(data.value)])));

/** Fails unless `cards` are what the whole model says at the point `at`. */
async function assertWhole(cards: readonly Shown[], at: string): Promise<void> {
  const name = at as Pets.OperatingPointName;
  const expected = (await whole.classify(await pixels(), { at: name })) as unknown as readonly Answer[];
  assertSameAnswers({ [at]: cards }, { [at]: expected }, { [at]: points[name] });
}

/** Fails unless all cards are what the last exit of the client says, and say `where`. */
async function assertInStead(page: Page, where: string): Promise<void> {
  const thresholds = [1, Number.NEGATIVE_INFINITY] as never;
  const expected = (await whole.classify(await pixels(), { thresholds })) as unknown as readonly Answer[];
  const cards = await answersShown(page);
  assertSameAnswers({ stead: cards }, { stead: expected }, { stead: { thresholds } });
  assert.equal(new Set(cards.map((card) => card.where)), new Set([where]));
}

const pixels = () =>
  Promise.all(
    samples.map(async ({ png }) => {
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      return { data, width: info.width, height: info.height };
    }),
  );
