/** A minute of load on a split whose server is killed and started again three times. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { drawSamples, SIDE } from '../../examples/demo/shapes.ts';
import type { Pets } from '../../golden/stub-split/index.ts';
import { type Picture, picturesOf } from '../browser/split-project/answers.ts';
import { demoPackage, splitDemo } from '../browser/subjects.ts';
import { cleanUp, start, until } from './serve.ts';

const test = suite('examples: the server of a split is killed');
const scratch = mkdtempSync(join(tmpdir(), 'offramp-split-killed-'));
const SECONDS = 60;
const KILLS = 3;
const CLIENTS = 6;
const PICTURES = 100;
const AT = 'accurate';
/** Exits of the client. */
const CUT = 2;

interface Answer {
  readonly label: string;
  readonly exit: number;
  readonly where: string;
  readonly scores: Float32Array;
}

interface Call {
  /** Of its pictures. */
  readonly numbers: readonly number[];
  readonly began: number;
  readonly ended: number;
  readonly answers: readonly Answer[];
}

test.after(() => {
  cleanUp();
  rmSync(scratch, { recursive: true, force: true });
});

test(`killed ${KILLS} times in ${SECONDS} seconds of load: every call is answered once, with its own answers, and says by whom`, async () => {
  const whole = await import(pathToFileURL(join(await demoPackage(), 'index.js')).href);
  const { client, server: folder } = await splitDemo('exit_2', join(scratch, 'split'));
  const split = await import(pathToFileURL(join(client, 'index.js')).href);
  const pictures = picturesOf(drawSamples(PICTURES, 31).pixels, SIDE);
  const alone = await whole.default.load(ort);
  const expected: readonly Answer[] = await alone.classify(pictures, { at: AT });
  /** What the client says by itself. */
  const inStead: readonly Answer[] = await alone.classify(pictures, {
    thresholds: [1, Number.NEGATIVE_INFINITY],
  });
  await alone.release();

  const options = ['--threads', '1', '--client-share', '1'];
  let server = await start(folder, ...options);
  const models: Pets[] = await Promise.all(
    Array.from({ length: CLIENTS }, () => split.default.load(ort, { server: server.url, maxInFlight: 2 })),
  );
  const begin = performance.now();
  const now = () => (performance.now() - begin) / 1000;
  let made = 0;
  const calls: Call[] = [];
  const load = models.map(async (model, c) => {
    for (let n = 0; now() < SECONDS; n++) {
      const numbers = Array.from({ length: 1 + ((c + n) % 7) }, (_, i) => (13 * c + 7 * n + i) % PICTURES);
      const began = now();
      made++;
      const answers = (await model.classify(
        numbers.map((i): Picture => pictures[i]!),
        { at: AT as never },
      )) as unknown as readonly Answer[];
      calls.push({ numbers, began, ended: now(), answers });
      await sleep(5);
    }
  });

  /** When the server was not there. */
  const gaps: { from: number; to: number }[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    await until(() => now() > (SECONDS * kill) / (KILLS + 1) - 5);
    const { port } = server;
    server.process.kill('SIGKILL');
    const from = now();
    await sleep(3000);
    server = await start(folder, '--port', String(port), ...options);
    gaps.push({ from, to: now() });
  }
  await Promise.all(load);

  assert.is(calls.length, made, 'no call is lost, none is answered twice');
  const counts: Record<string, number> = {};
  for (const { numbers, answers, began, ended } of calls) {
    assert.is(answers.length, numbers.length);
    // 2 s of patience, and a busy machine.
    assert.ok(ended - began < 10, `a call took ${ended - began} s`);
    for (const [i, { label, exit, where, scores }] of answers.entries()) {
      counts[where] = (counts[where] ?? 0) + 1;
      const isOurs = where === 'client' || where === 'server';
      assert.ok(isOurs || where === 'client, server unreachable', where);
      const wanted = (isOurs ? expected : inStead)[numbers[i]!]!;
      assert.is(label, wanted.label);
      assert.is(exit, wanted.exit);
      assert.is(where === 'client', expected[numbers[i]!]!.exit < CUT);
      for (const [k, score] of scores.entries()) assert.ok(Math.abs(score - wanted.scores[k]!) < 1e-4);
    }
  }
  const by = (where: string, from: number, to: number) =>
    calls.some(
      ({ began, ended, answers }) =>
        began >= from && ended <= to && answers.some((answer) => answer.where === where),
    );
  const edges = [...gaps.map(({ to }) => to), SECONDS];
  for (const [i, { from, to }] of gaps.entries()) {
    assert.ok(by('client, server unreachable', from, to), `kill ${i + 1} was noticed`);
    assert.ok(by('client', from, to), 'what stays goes on meanwhile');
    assert.ok(by('server', to, edges[i + 1] ?? SECONDS), `after kill ${i + 1} the server is asked again`);
  }
  const asked = models.reduce((sum, { statistics }) => sum + statistics.asked, 0);
  const unanswered = models.reduce((sum, { statistics }) => sum + statistics.unanswered, 0);
  assert.is(asked, (counts.server ?? 0) + (counts['client, server unreachable'] ?? 0));
  assert.is(unanswered, counts['client, server unreachable']);
  console.log(`\n    ${calls.length} calls: ${JSON.stringify(counts)}`);
  for (const model of models) await model.release();
});

test.run();
