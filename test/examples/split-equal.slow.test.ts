/** A split in Node: the client here, the rest in a process of its own, against the whole package. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSamples, SIDE } from '../../examples/demo/shapes.ts';
import { answersTo, picturesOf } from '../browser/split-project/answers.ts';
import { demoPackage, splitDemo } from '../browser/subjects.ts';
import { type Compared, compareAnswers, fiveOf, summed } from './same-answers.ts';
import { cleanUp, start } from './serve.ts';

const test = suite('examples: client and server of a split');
const scratch = mkdtempSync(join(tmpdir(), 'offramp-split-equal-'));
const SAMPLES = 1000;
/** Not the seeds that the demo's data is drawn with. */
const SEED = 77;
const BATCHES = [1, 7, 64];

test.after(() => {
  cleanUp();
  rmSync(scratch, { recursive: true, force: true });
});

for (const [i, after] of ['exit_1', 'exit_2'].entries())
  test(`cut behind ${after}, ${SAMPLES} pictures leave where they do in the whole package, with its scores`, async () => {
    const whole = await import(pathToFileURL(join(await demoPackage(), 'index.js')).href);
    const { client, server: folder } = await splitDemo(after, join(scratch, after));
    const split = await import(pathToFileURL(join(client, 'index.js')).href);
    const server = await start(folder, '--client-share', '1');
    const asking = await split.default.load(ort, { server: server.url, timeoutMs: 120_000 });
    const alone = await whole.default.load(ort);
    const pictures = picturesOf(drawSamples(SAMPLES, SEED).pixels, SIDE);
    const compared: Compared[] = [];
    for (const [name, { thresholds }] of fiveOf<{ thresholds: number[] }>(whole.operatingPoints))
      for (const batch of BATCHES) {
        const expected = await answersTo(alone, pictures, name, batch);
        const given = await answersTo(asking, pictures, name, batch);
        compared.push(compareAnswers(given, expected, thresholds, i + 1, `${name}, batches of ${batch}`));
      }
    console.log(`\n    ${summed(compared)}`);
    assert.is(compared.length, 15);
    assert.ok(
      compared.some(({ asked }) => asked > 0 && asked < SAMPLES),
      'some stay, some are asked for',
    );
    // Inside a network ONNX Runtime lays the rest out otherwise, and so adds in another order.
    if (after === 'exit_2') for (const { bitwise } of compared) assert.is(bitwise, SAMPLES);
    await asking.release();
    await alone.release();
    server.process.kill('SIGKILL');
  });

test.run();
