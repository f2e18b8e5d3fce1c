/** The example server under clients that mean no good, and a supervisor that stops it at any moment. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import type { Random } from '../../src/graph/random.ts';
import { pixels } from '../data/fixtures.ts';
import { infer, requestOf } from '../examples/infer.ts';
import {
  plainPng,
  png,
  root,
  type Server,
  SIDE,
  send,
  start,
  uploading,
  writePackage,
} from '../examples/serve.ts';
import { noise } from '../models.ts';
import type { Outcome, Trial } from './trial.ts';

/** Where the machine has only one address, attackers share it with everybody. */
const STRANGER = process.platform === 'darwin' ? '127.0.0.1' : '127.0.0.2';
/** Milliseconds. */
const PATIENCE = 30_000;
/** Bytes that the server's process may ever have held. */
const MOST_MEMORY = 2 ** 30;

export const SERVER_TRIALS: readonly Trial[] = [
  { name: 'server: slow clients', times: 10, share: 1, open: () => withServer(slowClients) },
  { name: 'server: bombs', times: 10, share: 1, open: () => withServer(bombs) },
  { name: 'server: tensors that lie', times: 10, share: 1, open: () => withServer(lies) },
  { name: 'server: restarts', times: 5, share: 1, open: restarts },
];

type Attack = (server: Server, small: Buffer, random: Random) => Promise<string[]>;

/** Runs `attack` on one server again and again; afterwards it still has to answer. */
async function withServer(attack: Attack) {
  const { folder, small } = await prepared();
  const server = await start(folder, '--body-timeout-ms', '2000');
  return {
    async attempt(random: Random): Promise<Outcome> {
      const faults = await attack(server, small, random);
      const status = await statusOf(server, small);
      if (status !== 200) faults.push(`afterwards a good picture got ${status}`);
      if (server.process.exitCode !== null) faults.push(`it ended with ${server.process.exitCode}`);
      const memory = peakMemory(server);
      if (memory > MOST_MEMORY) faults.push(`it held ${(memory / 2 ** 20).toFixed()} MiB`);
      return { tries: 1, faults, lost: 0 };
    },
    async close() {
      server.process.kill('SIGKILL');
    },
  };
}

let isWritten: Promise<void> | undefined;

async function prepared(): Promise<{ folder: string; small: Buffer }> {
  const folder = join(root, 'attacked');
  isWritten ??= writePackage(folder, 'cover');
  await isWritten;
  return { folder, small: await png(pixels(SIDE * SIDE * 3, 1), SIDE, SIDE) };
}

/** The status of the answer, or why there is none. */
function statusOf(server: Server, picture: Uint8Array, options = {}): Promise<number | string> {
  const answer = send(server, picture, options).then(
    ({ status }) => status,
    (error: Error) => error.message,
  );
  return Promise.race([answer, sleep(PATIENCE, 'no answer', { ref: false })]);
}

/** Requests that stop anywhere: in the head, in the body, before the first byte. Meanwhile others ask. */
async function slowClients(server: Server, small: Buffer, random: Random): Promise<string[]> {
  const head = `POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: ${small.length}\r\n\r\n`;
  const whole = Buffer.concat([Buffer.from(head), small]);
  const sockets = Array.from({ length: random.integer(1, 700) }, () => {
    const socket = connect({ port: server.port, host: '127.0.0.1', localAddress: STRANGER });
    socket.on('error', () => {});
    socket.write(whole.subarray(0, random.integer(0, whole.length)));
    return socket;
  });
  const uploads = Array.from({ length: random.integer(1, 200) }, () =>
    uploading(server, small.subarray(0, random.integer(1, small.length)), { localAddress: STRANGER }),
  );
  await sleep(random.integer(0, 500));
  const statuses = await Promise.all(Array.from({ length: 8 }, () => statusOf(server, small)));
  for (const socket of sockets) socket.destroy();
  for (const { upload } of uploads) upload.destroy();
  return statuses.filter((status) => status !== 200).map((status) => `beside slow clients a good picture got ${status}`);
} // biome-ignore format: one line

/** Pictures that are too large, damaged, or none. Small good ones come in between, from elsewhere. */
async function bombs(server: Server, small: Buffer, random: Random): Promise<string[]> {
  const faults: string[] = [];
  const asks = Array.from({ length: random.integer(4, 24) }, async () => {
    const { name, body, allowed } = await bomb(small, random);
    const status = await statusOf(server, body, { localAddress: STRANGER });
    if (![...allowed, 429, 503].includes(status as number)) faults.push(`${name} got ${status}`);
  });
  const others = Array.from({ length: 8 }, async () => {
    await sleep(random.integer(0, 1000));
    const status = await statusOf(server, small);
    if (status !== 200) faults.push(`beside bombs a good picture got ${status}`);
  });
  await Promise.all([...asks, ...others]);
  return faults;
}

async function bomb(small: Buffer, random: Random) {
  const side = random.integer(1000, 4096);
  switch (random.integer(0, 7)) {
    case 0:
      return { name: 'a picture of 5790 x 5790', body: await plainPng(5790, 5790), allowed: [413] };
    case 1:
      return { name: 'a long picture', body: await plainPng(1, random.integer(16_385, 100_000)), allowed: [413] };
    case 2:
      return { name: `a picture of ${side} x ${side}`, body: await plainPng(side, side), allowed: [200] };
    case 3: {
      const body = await sharp(await plainPng(side, side)).jpeg({ progressive: true }).toBuffer();
      return { name: `a progressive JPEG of ${side} x ${side}`, body, allowed: [200] };
    }
    case 4: {
      const body = Buffer.from(small);
      body[random.integer(0, body.length)]! ^= 1 << random.integer(0, 8);
      return { name: 'a picture with a flipped bit', body, allowed: [200, 400, 413] };
    }
    case 5:
      return { name: 'half a picture', body: small.subarray(0, random.integer(1, small.length)), allowed: [200, 400] };
    default:
      return { name: 'noise', body: Buffer.from(pixels(random.integer(1, 10_000), random.uint32())), allowed: [400] };
  }
} // biome-ignore format: a table

/** Requests under /v2 whose bytes, lengths and shapes do not fit together. Good ones come in between. */
async function lies(server: Server, _: Buffer, random: Random): Promise<string[]> {
  const faults: string[] = [];
  const statusOf = async (request: ReturnType<typeof requestOf>) => {
    const answer = infer(server.url, 'tiny-residual', request, AbortSignal.timeout(PATIENCE));
    return answer.then(
      ({ status }) => status,
      (error: Error) => error.message,
    );
  };
  const image = (count: number) => [
    {
      name: 'image',
      datatype: 'FP32',
      shape: [count, 3, SIDE, SIDE],
      bytes: noise(count * 3 * SIDE * SIDE, random.uint32()),
    },
  ];
  const asks = Array.from({ length: random.integer(4, 24) }, async () => {
    const status = await statusOf(lie(requestOf(image(random.integer(1, 5))), random));
    if (![200, 400, 413, 429].includes(status as number)) faults.push(`tensors that lie got ${status}`);
  });
  const others = Array.from({ length: 8 }, async () => {
    await sleep(random.integer(0, 200));
    const status = await statusOf(requestOf(image(1)));
    if (status !== 200 && status !== 429) faults.push(`beside tensors that lie good ones got ${status}`);
  });
  await Promise.all([...asks, ...others]);
  return faults;
}

/** `request` with one thing that is not true. */
function lie({ headers, body }: ReturnType<typeof requestOf>, random: Random): ReturnType<typeof requestOf> {
  const bytes = Buffer.from(body);
  const length = 'Inference-Header-Content-Length';
  switch (random.integer(0, 5)) {
    case 0:
      bytes[random.integer(0, bytes.length)]! ^= 1 << random.integer(0, 8);
      return { headers, body: bytes };
    case 1:
      return { headers, body: bytes.subarray(0, random.integer(0, bytes.length)) };
    case 2:
      return { headers, body: Buffer.concat([bytes, Buffer.from(pixels(random.integer(1, 100_000), random.uint32()))]) };
    case 3:
      return { headers: { ...headers, [length]: String(random.integer(0, 2 * bytes.length)) }, body: bytes };
    default: {
      // A digit of the JSON: of a shape, mostly, or of the bytes that there are.
      const digits = [...bytes.subarray(0, Number(headers[length])).entries()].filter(([, byte]) => byte >= 0x30 && byte <= 0x39);
      const [at] = digits[random.integer(0, digits.length)]!;
      bytes[at] = 0x30 + random.integer(0, 10);
      return { headers, body: bytes };
    }
  }
} // biome-ignore format: one line

/** A server that is stopped while clients come: whoever had connected before gets an answer. */
async function restarts() {
  const { folder, small } = await prepared();
  return {
    async attempt(random: Random): Promise<Outcome> {
      const server = await start(folder, '--client-share', '1');
      const exit = once(server.process, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
      const faults: string[] = [];
      let lost = 0;
      let isStopped = false;
      const client = async () => {
        while (!isStopped) {
          const before = { connected: false };
          const status = await ask(server.port, small, () => {
            before.connected = !isStopped;
          });
          if (![200, 503].includes(status as number) && before.connected) {
            faults.push(`a client that had connected before the stop got ${status}`);
            lost++;
          }
          await sleep(random.integer(0, 5));
        }
      };
      const clients = Array.from({ length: random.integer(1, 60) }, client);
      await sleep(random.integer(50, 1000));
      // Standing still for a moment fills its backlog.
      server.process.kill('SIGSTOP');
      await sleep(random.integer(0, 200));
      isStopped = true;
      server.process.kill('SIGTERM');
      server.process.kill('SIGCONT');
      await Promise.all(clients);
      const ended = await Promise.race([exit, sleep(PATIENCE, undefined, { ref: false })]);
      if (ended?.[0] !== 0) faults.push(`it ended with ${ended?.join(' ') ?? 'nothing'}`);
      server.process.kill('SIGKILL');
      return { tries: 1, faults, lost };
    },
    close: async () => {},
  };
}

/** The status of a request over a connection of its own, or why there is no answer. */
async function ask(port: number, picture: Buffer, onConnect: () => void): Promise<number | string> {
  const socket = connect(port, '127.0.0.1', onConnect).setTimeout(PATIENCE, () => socket.destroy(new Error('no answer')));
  const head = `POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\nContent-Length: ${picture.length}\r\n\r\n`;
  socket.write(head);
  socket.write(picture);
  try {
    let said = '';
    for await (const chunk of socket.setEncoding('utf8')) said += chunk;
    return Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? Number.NaN);
  } catch (error) {
    return (error as Error).message;
  }
} // biome-ignore format: one line

/** Bytes; 0 where the system does not say. */
function peakMemory({ process: { pid } }: Server): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 2 ** 10;
  } catch {
    return 0;
  }
}
