import { chromium } from 'playwright-core';
const [url, out] = process.argv.slice(2);
const b = await chromium.launch({ executablePath: '/usr/bin/chromium' });
for (const [w, scheme] of [[1280,'light'],[400,'dark']] as const) {
  const p = await b.newPage({ viewport: { width: w, height: 900 }, colorScheme: scheme });
  p.on('console', m => console.log(m.text()));
  p.on('pageerror', m => console.log(m));
  await p.goto(url);
  await p.locator('#cards[aria-busy=false]').waitFor({ state: 'attached' });
  await p.screenshot({ path: `${out}-${w}.png`, fullPage: true });
}
await b.close();
