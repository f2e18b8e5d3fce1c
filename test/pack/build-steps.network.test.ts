/** docs/build-steps.md, followed to the letter in empty projects, with what npm has today; Node says what the pages should show. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createServer } from 'vite';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import { compile } from '../../src/commands/compile.ts';
import { openChromium, openPage } from '../browser/chromium.ts';
import { type Served, serve } from '../browser/serve.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

interface Answer {
  readonly label: string;
  readonly probability: number;
  readonly exitId: string;
}

/** A section of the page: commands that install, files by name, and commands that build. */
interface Recipe {
  readonly installs: readonly string[];
  readonly files: ReadonlyMap<string, string>;
  readonly builds: readonly string[];
}

const DOCS = readFileSync(fileURLToPath(new URL('../../docs/build-steps.md', import.meta.url)), 'utf8');
/** Of pictures. */
const SIDE = 8;
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const test = suite('build steps: docs/build-steps.md');
const browser = await openChromium();
const inBrowser = browser ? test : test.skip;
const tiny = tinyProject('build-steps');
const folder = mkdtempSync(join(tmpdir(), 'offramp-build-steps-'));
/** The project that follows a recipe; what is installed stays for the next one. */
const app = join(folder, 'app');
let expected: readonly Answer[];

test.after(async () => {
  await browser?.close();
  tiny.remove();
  rmSync(folder, { recursive: true, force: true });
});

inBrowser('the page’s commands install the compiled package and the bundlers', async () => {
  writeFileSync(tiny.at('labels.txt'), 'cat\ndog\nfox\nowl\nyak\n');
  await tiny.writeSamples({ train: 96, calibration: 64, test: 32 });
  await compile({
    ...tiny.compileOptions('out', { epochs: 2, budgets: [0.6], at: 'budget-0.6' }),
    name: 'pets',
    labels: tiny.at('labels.txt'),
  });
  cpSync(tiny.at('out'), join(folder, 'out'), { recursive: true });
  expected = await placePictures();
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  const installs = ['The page', 'Vite', 'webpack', 'esbuild'].flatMap((name) => recipe(name).installs);
  assert.is(installs.length, 5);
  for (const command of installs) shell(command);
});

for (const name of ['Vite', 'webpack', 'esbuild'])
  inBrowser(`${name}: the built page gives Node’s answers`, async () => {
    follow('The page', name);
    assert.equal(await answersShown(await built()), expected);
    assert.equal(await answersShown(await built(ISOLATED)), expected, 'on an isolated page');
  });

inBrowser('Vite: its development server does too', async () => {
  writeFiles('The page', 'Vite');
  const server = await createServer({ root: app, logLevel: 'warn', server: { host: '127.0.0.1', port: 0 } });
  await server.listen();
  const served = { url: server.resolvedUrls!.local[0]!, close: () => server.close() };
  assert.equal(await answersShown(served), expected);
});

for (const name of ['Vite', 'webpack', 'esbuild'])
  inBrowser(`${name}: in a Web Worker`, async () => {
    writeFiles('The page', name, 'In a Web Worker');
    build(name === 'esbuild' ? 'In a Web Worker' : name);
    assert.equal(await answersShown(await built()), expected);
  });

inBrowser('several threads, on an isolated page', async () => {
  follow('The page', 'Several threads');
  assert.equal(await answersShown(await built(ISOLATED)), expected);
});

inBrowser('without the recipe, load says what is missing and what to do', async () => {
  writeFiles('The page');
  shell('npx esbuild main.js --bundle --format=esm --outdir=dist');
  shell('cp index.html public/* dist/');
  const page = await errorThrown();
  assert.match(page, /^there is no model at http:.*\/model\.onnx: a page \(HTML\) comes from there/);
  assert.match(page, 'load(ort, { url })');

  // No top-level await outside ES modules.
  writeFileSync(join(app, 'main.js'), "import { loadPets } from './load.js';\nloadPets();\n");
  shell('npx esbuild main.js --bundle --format=iife --outdir=dist --log-level=error');
  assert.match(await errorThrown(), /^Pets does not know where its model\.onnx is/);
});

test.run();

function follow(...sections: readonly string[]): void {
  writeFiles(...sections);
  build(sections.at(-1)!);
}

/** In an empty project but for what is installed, the files of sections; a later section's take the place of an earlier one's. */
function writeFiles(...sections: readonly string[]): void {
  const stays = ['node_modules', 'package.json', 'package-lock.json', '.npmrc', 'public'];
  for (const name of readdirSync(app))
    if (!stays.includes(name)) rmSync(join(app, name), { recursive: true });
  for (const name of sections)
    for (const [file, text] of recipe(name).files) writeFileSync(join(app, file), text);
}

const build = (section: string) => recipe(section).builds.forEach(shell);

/** What docs/build-steps.md says below the heading `name`. */
function recipe(name: string): Recipe {
  const text = DOCS.split(/^## /m).find((section) => section.startsWith(`${name}\n`));
  assert.ok(text, name);
  const files = [...text.matchAll(/^`([\w.]+)`:\n\n```\w+\n([\s\S]*?\n)```$/gm)];
  const commands = [...text.matchAll(/^```sh\n([\s\S]*?)\n```$/gm)].flatMap(([, lines]) =>
    lines!.split('\n'),
  );
  return {
    installs: commands.filter((line) => line.startsWith('npm ')),
    files: new Map(files.map(([, file, content]) => [file!, content!])),
    builds: commands.filter((line) => !line.startsWith('npm ')),
  };
}

/** Writes two pictures that leave at different exits; returns what Node says about them. */
async function placePictures(): Promise<readonly Answer[]> {
  const { Pets: model } = (await import(pathToFileURL(join(folder, 'out/index.js')).href)) as typeof Pets;
  const pets = await model.load(ort);
  const { pixels } = await tinySamples(tiny.model, 40, 3);
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  const answered = await Promise.all(
    Array.from({ length: 40 }, async (_, n) => {
      const data = pixels.subarray(n * 3 * SIDE ** 2, (n + 1) * 3 * SIDE ** 2);
      const [{ label, probability, exitId }] = await pets.classify({ data, width: SIDE, height: SIDE });
      const png = await sharp(data, { raw }).png().toBuffer();
      return { png, answer: { label, probability, exitId } };
    }),
  );
  await pets.release();
  const first = answered[0]!;
  const second = answered.find(({ answer }) => answer.exitId !== first.answer.exitId);
  assert.ok(second, 'two that leave at different exits');
  mkdirSync(join(app, 'public'), { recursive: true });
  writeFileSync(join(app, 'public/first.png'), first.png);
  writeFileSync(join(app, 'public/second.png'), second.png);
  return [first, second].map(({ answer }) => rounded(answer));
}

/** Node and the browser add float32 in another order. */
const rounded = ({ label, probability, exitId }: Answer): Answer => ({
  label,
  probability: Number(probability.toFixed(4)),
  exitId,
});

const built = (headers: Record<string, string> = {}): Promise<Served> =>
  serve({ root: app, configFile: false, logLevel: 'warn', preview: { headers } });

/** What the page shows; ends what serves it. */
async function answersShown(served: Served): Promise<readonly Answer[]> {
  const { page, complaints } = await openPage(browser!, served.url);
  try {
    await Promise.race([page.locator('li').nth(1).waitFor(), page.waitForEvent('pageerror')]);
    assert.equal(complaints, []);
    const lines = await page.locator('li').allTextContents();
    return lines.map((line) => {
      const [label, probability, exitId] = line.split(' ') as [string, string, string];
      return rounded({ label, probability: Number(probability), exitId });
    });
  } finally {
    await page.close();
    await served.close();
  }
}

/** The error that the built page throws. */
async function errorThrown(): Promise<string> {
  const served = await built();
  const page = await browser!.newPage();
  const thrown = page.waitForEvent('pageerror');
  await page.goto(served.url);
  const { message } = await thrown;
  await page.close();
  await served.close();
  return message;
}

function shell(command: string): void {
  const env = {
    ...process.env,
    npm_config_prefer_offline: 'true',
    npm_config_loglevel: 'error',
    ONNXRUNTIME_NODE_INSTALL: 'skip',
  };
  const { status, stdout, stderr } = spawnSync(command, { cwd: app, env, shell: true, encoding: 'utf8' });
  if (status !== 0) assert.unreachable(`${command}\n${stdout}\n${stderr}`);
}
