/** A split in Chromium: the client there, the rest in a process of its own, against the whole package in Chromium. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSamples, SIDE } from '../../examples/demo/shapes.ts';
import { type Compared, compareAnswers, fiveOf, type Said, summed } from '../examples/same-answers.ts';
import { cleanUp, start } from '../examples/serve.ts';
import { openChromium } from './chromium.ts';
import { buildAndServe } from './serve.ts';
import { demoPackage, splitDemo } from './subjects.ts';

const test = suite('browser: a split and its server');
const browser = await openChromium();
const scratch = mkdtempSync(join(tmpdir(), 'offramp-split-'));
const inBrowser = browser ? test : test.skip;
const SAMPLES = 1000;
/** Not the seeds that the demo's data is drawn with. */
const SEED = 77;
const BATCHES = [1, 7, 64];

test.after(async () => {
  await browser?.close();
  cleanUp();
  rmSync(scratch, { recursive: true, force: true });
});

// Cut inside the student, so that features, pixels and the policy's state travel, and behind it, where no features do.
for (const [i, after] of ['exit_1', 'exit_2'].entries())
  inBrowser(
    `cut behind ${after}, ${SAMPLES} pictures leave where they do in the whole package, with its scores`,
    async () => {
      const whole = await demoPackage();
      const { operatingPoints } = await import(pathToFileURL(join(whole, 'index.js')).href);
      const home = join(scratch, after);
      const { client, server: folder } = await splitDemo(after, join(home, 'split'));
      const publicDir = join(home, 'public');
      mkdirSync(publicDir);
      writeFileSync(join(publicDir, 'pixels.bin'), drawSamples(SAMPLES, SEED).pixels);
      const served = await buildAndServe({
        root: fileURLToPath(new URL('split-project', import.meta.url)),
        configFile: false,
        publicDir,
        resolve: { alias: { client: join(client, 'index.js'), whole: join(whole, 'index.js') } },
        build: { outDir: join(home, 'dist'), emptyOutDir: false },
      });
      const server = await start(folder, '--client-share', '1', '--allow-origin', new URL(served.url).origin);
      const page = await browser!.newPage();
      await page.goto(`${served.url}?side=${SIDE}&server=${server.url}`);
      const ask = (who: string, at: string, batch: number) =>
        page.evaluate(`ask('${who}', '${at}', ${batch})`) as Promise<Said[]>;
      const compared: Compared[] = [];
      for (const [name, { thresholds }] of fiveOf<{ thresholds: number[] }>(operatingPoints)) {
        const expected = await ask('whole', name, 64);
        for (const batch of BATCHES) {
          const given = await ask('client', name, batch);
          compared.push(compareAnswers(given, expected, thresholds, i + 1, `${name}, batches of ${batch}`));
        }
      }
      assert.is(compared.length, 15);
      assert.ok(
        compared.some(({ asked }) => asked > 0 && asked < SAMPLES),
        'some stay, some are asked for',
      );
      console.log(`\n    ${summed(compared)}`);
      server.process.kill('SIGKILL');
      await page.close();
      await served.close();
    },
  );

test.run();
