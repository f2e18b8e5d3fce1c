/** The example server as its users meet it: a process of its own, HTTP, a real early-exit model. */
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLASSES } from '../../examples/demo/shapes.ts';
import { Batcher, Turns } from '../../examples/node-server/batcher.ts';
import { pixels } from '../data/fixtures.ts';
import {
  cleanUp,
  launch,
  metric,
  POINTS,
  png,
  root,
  type Server,
  SIDE,
  start,
  until,
  uploading,
  writePackage,
} from './serve.ts';

interface Answer {
  readonly label: string;
  readonly probability: number;
  readonly exit: string;
  readonly confidence: number;
  readonly relativeCost: number;
  readonly batchSize: number;
}

const test = suite('examples: node-server');
const MAX_BODY_BYTES = 8 * 2 ** 20;
/** Pictures of rising contrast. */
const PICTURES = Array.from({ length: 24 }, (_, n) => ({
  data: pixels(SIDE * SIDE * 3, n + 1).map((value) => 128 + ((value - 128) * ((n % 8) + 1)) / 8),
  width: SIDE,
  height: SIDE,
}));

const folder = join(root, 'package');
let pngs: Buffer[] = [];
/** What the package itself says about each picture, by operating point. */
const expected: Record<string, Omit<Answer, 'batchSize'>[]> = {};
let patient: Server;
let governed: Server;

test.before(async () => {
  await writePackage(folder);
  pngs = await Promise.all(PICTURES.map((picture) => png(picture.data, SIDE, SIDE)));
  [patient, governed] = await Promise.all([
    // Only a full batch runs here, or one that is hurried: what shares a run does not depend on the clock.
    start(folder, '--max-batch', '8', '--max-wait-ms', '60000', '--max-queue', '17', '--client-share', '1'),
    start(folder, '--target-latency-ms', '0.000001', '--fastest', 'balanced'),
  ]);
  const { TinyResidual } = await import(pathToFileURL(join(folder, 'index.js')).href);
  const model = await TinyResidual.load(ort);
  for (const { name } of POINTS) {
    const results: (Answer & { exitId: string })[] = await model.classify(PICTURES, { at: name });
    expected[name] = results.map(({ label, probability, exitId, confidence, relativeCost }) => {
      return { label, probability, exit: exitId, confidence, relativeCost };
    });
  }
  await model.release();
});

test.after(cleanUp);

test('concurrent requests share runs, each operating point its own, and get the answers of `classify`', async () => {
  const asks = [...pngs.slice(0, 16).keys()].map((n) => [n, n % 2 ? 'exact' : 'fast'] as const);
  const answers = await Promise.all(asks.map(([n, at]) => classified(patient, n, at)));
  for (const [i, [n, at]] of asks.entries()) expectAnswer(answers[i]!, n, at);
  assert.equal(new Set(answers.map(({ batchSize }) => batchSize)), new Set([8]));
  assert.is(await metric(patient, 'offramp_runs_total'), 2);
  const exits = answers.map(({ exit }) => exit);
  assert.ok(
    new Set(exits.filter((_, i) => i % 2 === 0)).size > 1,
    'samples leave one batch at different exits',
  );
  assert.is(
    await metric(patient, 'offramp_samples_total{exit="full"}'),
    exits.filter((exit) => exit === 'full').length,
  );
});

test('who asks for no operating point gets the default one', async () => {
  const answers = await Promise.all([...pngs.slice(16).keys()].map((n) => classified(patient, 16 + n)));
  for (const [i, answer] of answers.entries()) expectAnswer(answer, 16 + i, 'fast');
  assert.ok(expected.fast!.slice(16).some(({ exit }, i) => exit !== expected.balanced![16 + i]!.exit));
});

test('a lone request does not wait for others for long', async () => {
  const answer = await classified(governed, 3, 'exact');
  expectAnswer(answer, 3, 'exact');
  assert.is(answer.batchSize, 1);
});

test('the answer that README shows has the fields of one, and the class of the picture it is asked about', async () => {
  const readme = readFileSync(new URL('../../examples/node-server/README.md', import.meta.url), 'utf8');
  const shown = JSON.parse(/```json\n(.*)\n```/.exec(readme)![1]!) as Answer;
  assert.equal(Object.keys(shown), Object.keys(await classified(governed, 3, 'exact')));
  const [, picture] = /pictures\/(\w+)\.png localhost:8080\/classify\n/.exec(readme)!;
  assert.is(shown.label, picture);
  assert.ok((CLASSES as readonly string[]).includes(shown.label));
});

test('a governor chooses for those who do not', async () => {
  for (const n of pngs.keys()) expectAnswer(await classified(governed, n), n, 'balanced');
  assert.is(await metric(governed, 'offramp_governor_point{at="balanced"}'), 1);
  assert.is(await metric(governed, 'offramp_governor_point{at="exact"}'), 0);
});

test('every bad request is answered with what is wrong with it', async () => {
  const post = (path: string, body: Uint8Array | string, type = 'image/png') =>
    fetch(governed.url + path, { method: 'POST', headers: { 'Content-Type': type }, body });
  const small = await png(pixels(3 * 4 * 5), 5, 4);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"/>`;
  const cases: [status: number, said: RegExp, Promise<Response>][] = [
    [400, /no operating point "slow"; there are fast, balanced, exact/, post('/classify?at=slow', pngs[0]!)],
    [400, /bad picture: /, post('/classify', 'no picture')],
    [400, /bad picture: /, post('/classify', pngs[0]!.subarray(0, 100))],
    [400, /bad picture: /, post('/classify', '')],
    [400, /bad picture: /, post('/classify', svg)],
    [400, /bad picture: .*8 x 8 pixels expected, got 5 x 4/, post('/classify', small)],
    [404, /no \/classif; there are \/classify, \/health, \/metrics/, post('/classif', pngs[0]!)],
    [405, /\/classify takes POST/, fetch(`${governed.url}/classify`)],
    [405, /\/health takes GET and HEAD/, post('/health', '')],
    [413, /8388608 bytes at most/, post('/classify', new Uint8Array(MAX_BODY_BYTES + 1))],
    [415, /image\/png, image\/jpeg, image\/webp/, post('/classify', svg, 'image/svg+xml')],
  ]; // biome-ignore format: a table
  for (const [status, said, response] of cases) {
    const { error } = (await (await response).json()) as { error: string };
    assert.is((await response).status, status, error);
    assert.match(error, said);
  }
  assert.is((await cases[7]![2]).headers.get('Allow'), 'POST');
  assert.is(await metric(governed, 'http_responses_total{status="413"}'), 1);
  assert.equal(await (await fetch(`${governed.url}/health`)).json(), { status: 'ok' });
});

test('JPEG and WebP are images too', async () => {
  for (const type of ['jpeg', 'webp'] as const) {
    const body = await sharp(pngs[0]!).toFormat(type, { quality: 100 }).toBuffer();
    const headers = { 'Content-Type': `image/${type}; charset=binary` };
    const response = await fetch(`${governed.url}/classify`, { method: 'POST', headers, body });
    assert.is(response.status, 200);
  }
});

test('an image declared too large is refused before it is sent', async () => {
  const { upload, response } = uploadingFirst(governed, { headers: { 'Content-Length': 2 ** 40 } });
  assert.is((await response).statusCode, 413);
  upload.destroy();
});

test('an image that turns out too large is refused, and its connection stays usable', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { upload, response } = uploadingFirst(governed, { agent });
  upload.end(new Uint8Array(2 * MAX_BODY_BYTES));
  const refused = await response;
  const { localPort } = refused.socket;
  assert.is(refused.statusCode, 413);
  refused.resume();
  const next = uploadingFirst(governed, { agent });
  next.upload.end(pngs[0]!.subarray(10));
  assert.is((await next.response).statusCode, 200);
  assert.is((await next.response).socket.localPort, localPort);
  agent.destroy();
});

test('a client that leaves gives its place back', async () => {
  const { upload } = uploadingFirst(governed);
  await until(async () => (await metric(governed, 'offramp_arriving_requests')) === 1);
  upload.destroy();
  await until(async () => (await metric(governed, 'offramp_arriving_requests')) === 0);
  expectAnswer(await classified(governed, 0, 'fast'), 0, 'fast');
});

test('a full queue turns requests away; SIGTERM answers all that wait, also the one still being sent', async () => {
  const asks = [...Array(17).keys()].map((n) => [n, ['fast', 'balanced', 'exact'][n % 3]!] as const);
  const waiting = Promise.all(asks.map(([n, at]) => classified(patient, n, at)));
  const { upload, response } = uploadingFirst(patient);
  await until(async () => (await metric(patient, 'offramp_arriving_requests')) === 1);
  await until(async () => (await metric(patient, 'offramp_open_requests')) === 17);
  // A picture that is still being decoded would run later than those of its operating point that wait already.
  await until(async () => (await metric(patient, 'offramp_waiting_samples')) === 17);

  const refused = await post(patient, 0);
  assert.is(refused.status, 503);
  assert.is(refused.headers.get('Retry-After'), '1');
  assert.match(await refused.text(), 'too many samples');

  // It asks for nothing, and must not hold anybody up.
  const silent = connect(patient.port, '127.0.0.1');
  await once(silent, 'connect');
  const exit = once(patient.process, 'exit');
  patient.process.kill('SIGTERM');
  const answers = await waiting;
  for (const [i, [n, at]] of asks.entries()) expectAnswer(answers[i]!, n, at);
  assert.equal(answers.map(({ batchSize }) => batchSize).sort(), [...Array(5).fill(5), ...Array(12).fill(6)]);

  const [late] = await once(connect(patient.port, '127.0.0.1'), 'error');
  assert.is(late.code, 'ECONNREFUSED');
  upload.end(pngs[0]!.subarray(10));
  assert.is((await response).statusCode, 200);
  assert.is((await response).headers.connection, 'close');
  assert.equal(await exit, [0, null]);
});

test('a second signal ends it at once', async () => {
  uploadingFirst(governed);
  await until(async () => (await metric(governed, 'offramp_arriving_requests')) === 1);
  const exit = once(governed.process, 'exit');
  governed.process.kill('SIGINT');
  await until(() => fetch(`${governed.url}/health`).then(() => false, () => true)); // biome-ignore format: one line
  governed.process.kill('SIGTERM');
  assert.equal(await exit, [null, 'SIGTERM']);
});

test('a folder without a package is called one', async () => {
  const child = launch(root);
  let said = '';
  child.stderr!.on('data', (chunk) => {
    said += chunk;
  });
  assert.equal(await once(child, 'close'), [1, null]);
  assert.is(said, `${root} holds no package that \`npx onnx-offramp compile\` wrote\n`);
});

test("a package's own session options count, unless --threads or --workers says otherwise", async () => {
  if (process.platform !== 'linux') return;
  const own = join(root, 'own-options');
  cpSync(folder, own, { recursive: true });
  // tsx would take it in place of index.js.
  rmSync(join(own, 'index.ts'));
  const index = join(own, 'index.js');
  const code = readFileSync(index, 'utf8');
  const threadsWith = async (intraOpNumThreads: number, ...options: string[]) => {
    const given = `sessionOptions = { intraOpNumThreads: ${intraOpNumThreads}, `;
    writeFileSync(index, code.replace('sessionOptions = { ', given));
    const server = await start(own, ...options);
    const threads = readdirSync(`/proc/${server.process.pid}/task`).length;
    server.process.kill('SIGKILL');
    return threads;
  };
  const one = await threadsWith(1);
  // ONNX Runtime starts as many as it is told, less the one that calls it.
  assert.ok((await threadsWith(21)) >= one + 15);
  assert.ok((await threadsWith(21, '--threads', '1')) < one + 5);
  assert.ok((await threadsWith(21, '--workers', '2')) < one + 15);
});

test('a run that fails is the failure of its own batch', async () => {
  const doubled = async (numbers: readonly number[]) => {
    if (numbers.includes(13)) throw new Error('unlucky');
    return numbers.map((n) => 2 * n);
  };
  const batcher = new Batcher(doubled, { maxBatch: 2, maxWaitMs: 60_000 });
  const outcomes = Promise.allSettled([1, 2, 13, 4, 5, 6, 7].map((n) => batcher.submit(n)));
  batcher.hurry();
  assert.equal(
    (await outcomes).map((o) => (o.status === 'fulfilled' ? [o.value.result, o.value.batchSize] : o.reason.message)),
    [[2, 2], [4, 2], 'unlucky', 'unlucky', [10, 2], [12, 2], [14, 1]],
  ); // biome-ignore format: a table
});

test('samples that arrive during a run are the next batch', async () => {
  let finish = () => {};
  const first = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const batcher = new Batcher(
    async (samples: readonly number[]) => {
      if (samples.includes(0)) await first;
      return samples;
    },
    { maxBatch: 3, maxWaitMs: 0 },
  );
  const alone = batcher.submit(0);
  await sleep(5);
  const answers = [1, 2, 3, 4].map((n) => batcher.submit(n));
  finish();
  assert.equal(
    (await Promise.all([alone, ...answers])).map(({ result, batchSize }) => [result, batchSize]),
    [[0, 1], [1, 3], [2, 3], [3, 3], [4, 1]],
  ); // biome-ignore format: a table
});

test('batchers that share turns run one at a time, and a batch grows until its turn', async () => {
  const turns = new Turns();
  let running = 0;
  const ran: string[][] = [];
  const batcherOf = (name: string) =>
    new Batcher(async (samples: readonly number[]) => {
      assert.is(++running, 1);
      await sleep(5);
      running--;
      ran.push(samples.map((n) => `${name}${n}`));
      return samples;
    }, { maxBatch: 3, maxWaitMs: 0 }, turns);
  const [a, b] = [batcherOf('a'), batcherOf('b')];
  await Promise.all([a.submit(1), b.submit(1), a.submit(2), b.submit(2), b.submit(3), b.submit(4), a.submit(3)]);
  assert.equal(ran, [['a1', 'a2', 'a3'], ['b1', 'b2', 'b3'], ['b4']]);
}); // biome-ignore format: as it is read

test('with two workers two batches run at a time; the third is there when the first ends', async () => {
  const running = new Set<number>();
  const seen: number[][] = [];
  const ends = new Map<number, () => void>();
  const batcher = new Batcher(async ([first]: readonly number[]) => {
    running.add(first!);
    seen.push([...running]);
    await new Promise<void>((end) => ends.set(first!, end));
    running.delete(first!);
    return [first!];
  }, { maxBatch: 1, maxWaitMs: 0, workers: 2 });
  const answers = [0, 1, 2].map((n) => batcher.submit(n));
  await sleep(5);
  assert.equal([...ends.keys()], [0, 1]);
  ends.get(1)!();
  assert.is((await answers[1]!).result, 1);
  await sleep(5);
  assert.equal([...ends.keys()], [0, 1, 2]);
  ends.get(0)!();
  ends.get(2)!();
  assert.equal((await Promise.all(answers)).map(({ result }) => result), [0, 1, 2]);
  assert.equal(seen, [[0], [0, 1], [0, 2]]);
}); // biome-ignore format: as it is read

test.run();

function post({ url }: Server, n: number, at?: string): Promise<Response> {
  const query = at === undefined ? '' : `?at=${at}`;
  return fetch(`${url}/classify${query}`, {
    method: 'POST',
    headers: { 'Content-Type': 'image/png' },
    body: pngs[n]!,
  });
}

async function classified(server: Server, n: number, at?: string): Promise<Answer> {
  const response = await post(server, n, at);
  const body = await response.text();
  assert.is(response.status, 200, body);
  return JSON.parse(body) as Answer;
}

const uploadingFirst = (server: Server, options: RequestOptions = {}) =>
  uploading(server, pngs[0]!.subarray(0, 10), options);

/** The answer to picture `n` is the package's own; what shares a run may move the last digits. */
function expectAnswer(answer: Answer, n: number, at: string): void {
  const { label, exit, relativeCost, ...scores } = expected[at]![n]!;
  assert.equal(
    [answer.label, answer.exit, answer.relativeCost],
    [label, exit, relativeCost],
    `picture ${n}, ${at}`,
  );
  for (const name of ['probability', 'confidence'] as const)
    assert.ok(Math.abs(answer[name] - scores[name]) < 1e-5, `picture ${n}, ${at}: ${name}`);
}
