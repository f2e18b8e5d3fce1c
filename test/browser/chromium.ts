/** The browser that these tests drive, and what went wrong on its pages. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** A busy machine may take its time; nothing is measured here. */
const TIMEOUT_MS = 3 * 60_000;
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/**
 * Chromium without a window: the one that CHROMIUM_PATH or CHROME_PATH names, or Debian's, or Chrome. Where there is none,
 * undefined, said loudly; but an error where CI is set. `args` are Chromium's own.
 */
export async function openChromium(args: readonly string[] = []): Promise<Browser | undefined> {
  const executablePath = findChromium();
  if (executablePath) return chromium.launch({ executablePath, args: [...args], timeout: TIMEOUT_MS });
  const problem = 'no Chromium found: apt-get install chromium, or name one in CHROMIUM_PATH';
  if (process.env.CI) throw new Error(problem);
  console.error(`\n*** SKIPPED, nothing was tested in a browser: ${problem} ***\n`);
  return undefined;
}

function findChromium(): string | undefined {
  const named = process.env.CHROMIUM_PATH || process.env.CHROME_PATH;
  if (named) return named;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface WatchedPage {
  readonly page: Page;
  /** Errors, of the console or uncaught, and requests to anywhere but `url`. Grows. */
  readonly complaints: readonly string[];
}

export async function openPage(browser: Browser | BrowserContext, url: string): Promise<WatchedPage> {
  const page = await browser.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url()))
      complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}
