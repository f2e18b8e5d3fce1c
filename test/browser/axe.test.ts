/** Whether all can use them: axe-core on examples/browser and on the report of what `npm run demo` wrote, light and dark, wide and narrow. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openChromium, openPage } from './chromium.ts';
import { buildAndServe } from './serve.ts';
import { demoPackage, ROOT, splitDemo } from './subjects.ts';

const test = suite('browser: axe');
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await openChromium();
const outDir = mkdtempSync(join(tmpdir(), 'offramp-axe-'));
const inBrowser = browser ? test : test.skip;

test.after(async () => {
  await browser?.close();
  rmSync(outDir, { recursive: true, force: true });
});

/** What is serious or critical, one line an element. */
async function grave(page: Page): Promise<string[]> {
  // Not as a script of the page: the report's policy allows none.
  await page.evaluate(AXE);
  const found: string[] = [];
  for (const width of [1280, 400])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      const { violations, passes } = (await page.evaluate('axe.run()')) as AxeResults;
      assert.ok(passes.length > 3, 'axe looked at the page');
      for (const { id, impact, help, nodes } of violations)
        if (impact === 'serious' || impact === 'critical')
          for (const { target } of nodes) found.push(`${width}, ${colorScheme}: ${id} at ${target}: ${help}`);
    }
  return found;
}

inBrowser('axe finds faults where there are some', async () => {
  const page = await browser!.newPage();
  await page.setContent('<title>Bad</title><img src="data:,"><p style="color:#ccc;background:#fff">pale</p>');
  const rules = new Set((await grave(page)).map((line) => line.split(' ')[2]));
  assert.ok(rules.has('image-alt') && rules.has('color-contrast'), [...rules].join());
});

inBrowser('nothing serious on examples/browser, with pictures, a wrong answer among them', async () => {
  await demoPackage();
  delete process.env.OFFRAMP_PACKAGE;
  const served = await buildAndServe({
    root: join(ROOT, 'examples/browser'),
    build: { outDir, emptyOutDir: false },
  });
  const { page } = await openPage(browser!, served.url);
  await page.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });
  await page.getByRole('slider').press('Home');
  await page.locator('#cards[aria-busy=false] .wrong').first().waitFor();
  assert.equal(await grave(page), []);
  await served.close();
});

inBrowser('nothing serious on it with the client of a split whose server is not there', async () => {
  const { client } = await splitDemo('exit_2', join(outDir, 'split'));
  process.env.OFFRAMP_PACKAGE = client;
  const served = await buildAndServe({
    root: join(ROOT, 'examples/browser'),
    build: { outDir: join(outDir, 'of-split'), emptyOutDir: false },
  });
  delete process.env.OFFRAMP_PACKAGE;
  // Port 9 is of a service that nobody runs; browsers refuse it.
  const { page } = await openPage(browser!, `${served.url}?server=http://127.0.0.1:9`);
  await page.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });
  await page.getByRole('slider').press('End');
  await page.locator('#cards[aria-busy=false] .wrong').first().waitFor();
  await page.locator('#refusal:not(:empty)').waitFor();
  assert.equal(await grave(page), []);
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 900 });
    assert.is(await page.evaluate('document.documentElement.scrollWidth'), width);
  }
  await served.close();
});

inBrowser('nothing serious on report.html', async () => {
  const { page } = await openPage(browser!, pathToFileURL(join(await demoPackage(), 'report.html')).href);
  assert.equal(await grave(page), []);
});

test.run();
