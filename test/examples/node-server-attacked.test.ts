/** The example server on bad days: pictures that are bombs, clients that never finish, a stop in the middle of a rush. */
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pixels } from '../data/fixtures.ts';
import {
  cleanUp,
  metric,
  plainPng,
  png,
  root,
  type Server,
  SIDE,
  send,
  start,
  until,
  uploading,
  writePackage,
} from './serve.ts';

const test = suite('examples: node-server, attacked');
const folder = join(root, 'resizes');
/** Only Linux and Windows let a client choose among the addresses of the machine without any setup. */
const STRANGER = process.platform === 'darwin' ? undefined : '127.0.0.2';
/** Pixels a side of a picture that is large and may be. */
const LARGE = 4000;
let small: Buffer;
let large: Buffer;
let server: Server;

test.before(async () => {
  await writePackage(folder, 'stretch');
  small = await png(pixels(SIDE * SIDE * 3, 1), SIDE, SIDE);
  large = await plainPng(LARGE, LARGE);
  server = await start(folder);
});
test.after(cleanUp);

test('pictures of too many pixels are refused before they are decoded', async () => {
  const bomb = await plainPng(5790, 5790);
  assert.ok(bomb.length < 2 ** 17, `${bomb.length} bytes`);
  const refused = await send(server, bomb);
  assert.is(refused.status, 413);
  assert.match(refused.body, /16777216 pixels at most; this one has 5790 x 5790/);
  for (const [width, height] of [[1, 20_000], [20_000, 1]] as const) {
    const { status, body } = await send(server, await plainPng(width, height));
    assert.is(status, 413);
    assert.match(body, `16384 pixels a side at most; this one has ${width} x ${height}`);
  } // biome-ignore format: one line
  assert.is((await send(server, small)).status, 200);
});

test('while a large picture is decoded and resized, others are answered', async () => {
  /** The longest that others wait, as a share of the time that the picture takes. */
  async function longestWait(): Promise<number> {
    let isDone = false;
    const began = performance.now();
    const answer = send(server, large).finally(() => (isDone = true));
    let longest = 0;
    for (let last = performance.now(); !isDone; last = performance.now()) {
      await (await fetch(`${server.url}/health`)).text();
      longest = Math.max(longest, performance.now() - last);
    }
    assert.is((await answer).status, 200);
    return longest / (performance.now() - began);
  }
  // On a busy machine anybody waits now and then.
  const waits: number[] = [];
  while (waits.length < 5 && !waits.some((share) => share < 1 / 3)) waits.push(await longestWait());
  assert.ok(waits.some((share) => share < 1 / 3), waits.join());
}); // biome-ignore format: one line

test('of many large pictures few are taken, and a small one waits for none of them', async () => {
  const order: string[] = [];
  const [, ...bombs] = await Promise.all([
    (async () => {
      await until(async () => (await metric(server, 'offramp_open_requests')) > 3);
      assert.is((await send(server, small)).status, 200);
      order.push('small');
    })(),
    ...Array.from({ length: 12 }, async () => {
      const answer = await send(server, large);
      if (answer.status === 200) order.push('large');
      return answer;
    }),
  ]);
  const answers = bombs as Awaited<ReturnType<typeof send>>[];
  assert.equal(answers.map(({ status }) => status).sort(), [...Array(4).fill(200), ...Array(8).fill(429)]);
  assert.ok(order.indexOf('small') < order.lastIndexOf('large'), order.join());
  for (const { status, retryAfter } of answers) if (status === 429) assert.is(retryAfter, '1');
});

test('without a share for each client, the large pictures too many are refused with 503', async () => {
  const shared = await start(folder, '--client-share', '1', '--max-pixels', '2250000');
  const bomb = await plainPng(1500, 1500);
  const answers = await Promise.all(Array.from({ length: 12 }, () => send(shared, bomb)));
  assert.equal(answers.map(({ status }) => status).sort(), [...Array(8).fill(200), ...Array(4).fill(503)]);
  for (const { status, retryAfter } of answers) if (status === 503) assert.is(retryAfter, '1');
  assert.is((await send(shared, large)).status, 413);
  shared.process.kill('SIGKILL');
});

test('requests that never get finished keep nobody out', async () => {
  const halves = Array.from({ length: 128 }, () => uploading(server, small.subarray(0, 10)));
  await until(async () => (await metric(server, 'offramp_arriving_requests')) === 128);
  assert.is((await send(server, small)).status, 200);
  for (const { upload } of halves) upload.destroy();
  await until(async () => (await metric(server, 'offramp_arriving_requests')) === 0);
});

test('a picture that takes too long to arrive is refused, and its connection closed', async () => {
  const hasty = await start(folder, '--body-timeout-ms', '300');
  const { response } = uploading(hasty, small.subarray(0, 10));
  const refused = await response;
  assert.is(refused.statusCode, 408);
  assert.is(refused.headers.connection, 'close');
  const { socket } = refused;
  refused.resume();
  await until(() => socket.destroyed);
  assert.is(await metric(hasty, 'offramp_arriving_requests'), 0);
  assert.is((await send(hasty, small)).status, 200);
  hasty.process.kill('SIGKILL');
});

test('one client holds at most its share of the queue', async () => {
  if (!STRANGER) return;
  // Only a full batch runs here.
  const full = await start(folder, '--max-batch', '8', '--max-wait-ms', '60000', '--max-queue', '8');
  const greedy = Array.from({ length: 4 }, () => send(full, small, { localAddress: STRANGER }));
  await until(async () => (await metric(full, 'offramp_waiting_samples')) === 4);
  const refused = await send(full, small, { localAddress: STRANGER });
  assert.is(refused.status, 429);
  assert.is(refused.retryAfter, '1');
  const others = Array.from({ length: 4 }, () => send(full, small));
  for (const answer of [...greedy, ...others]) assert.is((await answer).status, 200);
  full.process.kill('SIGKILL');
});

test('one client holds at most its share of the connections', async () => {
  if (!STRANGER) return;
  const sockets = Array.from({ length: 600 }, () =>
    connect({ port: server.port, host: '127.0.0.1', localAddress: STRANGER }).on('error', () => {}),
  );
  const isOpen = (socket: Socket) => !socket.closed;
  await until(() => sockets.filter(isOpen).length === 512);
  assert.is((await send(server, small)).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('HEAD is answered as GET, without a body', async () => {
  const asked = await fetch(`${server.url}/health`);
  const { length } = await asked.text();
  const head = await fetch(`${server.url}/health`, { method: 'HEAD' });
  assert.is(head.status, 200);
  assert.is(Number(head.headers.get('Content-Length')), length);
  assert.is(await head.text(), '');
  assert.is((await fetch(`${server.url}/metrics`, { method: 'HEAD' })).status, 200);
  const refused = await fetch(`${server.url}/classify`, { method: 'HEAD' });
  assert.is(refused.status, 405);
  assert.is(refused.headers.get('Allow'), 'POST');
});

test('SIGTERM resets nobody who was connected: also those in the listen backlog are answered', async () => {
  const busy = await start(folder, '--max-queue', '512', '--client-share', '1');
  assert.is((await send(busy, small)).status, 200);
  // A process that stands still accepts nobody, as one whose event loop is blocked.
  busy.process.kill('SIGSTOP');
  const asks = Array.from({ length: 200 }, () => connect(busy.port, '127.0.0.1'));
  await Promise.all(asks.map((socket) => once(socket, 'connect')));
  const head = `POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: ${small.length}\r\n\r\n`;
  const answers = asks.map(async (socket) => {
    socket.write(head);
    socket.write(small);
    let said = '';
    for await (const chunk of socket.setEncoding('utf8')) said += chunk;
    return said.slice(0, said.indexOf('\r\n'));
  });
  const exit = once(busy.process, 'exit');
  busy.process.kill('SIGTERM');
  busy.process.kill('SIGCONT');
  const outcomes = await Promise.allSettled(answers);
  const said = outcomes.map((o) => (o.status === 'fulfilled' ? o.value : String(o.reason)));
  assert.equal(new Set(said), new Set(['HTTP/1.1 200 OK']));
  assert.equal(await exit, [0, null]);
});

test('a picture that is half there when the server stops is waited for, not for ever', async () => {
  const { response } = uploading(server, small.subarray(0, 10));
  await until(async () => (await metric(server, 'offramp_arriving_requests')) === 1);
  const exit = once(server.process, 'exit');
  server.process.kill('SIGTERM');
  assert.is((await response).statusCode, 408);
  assert.equal(await exit, [0, null]);
  const [error] = await once(get(server.url, { agent: new Agent() }), 'error');
  assert.is(error.code, 'ECONNREFUSED');
});

test.run();
