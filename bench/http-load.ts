/**
 * Clients that ask a server for answers, each its next question when its turn comes and the last is answered; prints how long answers took. A process of its own, so
 * that a client's work delays no other client's clock. For split-throughput.ts.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string | number>>;
  /** Of requests, one after the other, in base64. */
  readonly bodies: readonly string[];
  readonly clients: number;
  /** Requests a second, of all clients together; without it, each asks as soon as it is answered. */
  readonly rate?: number;
  readonly seconds: number;
}

export interface Loaded {
  /** Requests that were answered with 200 in the measured time, a second. */
  readonly perSecond: number;
  /** Milliseconds from when a request was due to its answer: one that its client could not send in time has waited, too. */
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly failed: number;
}

/** Seconds that are not measured, at the beginning. */
const WARM_UP = 1;

process.once('message', async (load: Load) => {
  process.send!(await run(load));
  process.disconnect();
});

async function run({ url, headers, bodies, clients, rate, seconds }: Load): Promise<Loaded> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const contents = bodies.map((body) => Buffer.from(body, 'base64'));
  const times: number[] = [];
  let failed = 0;
  let next = 0;
  const start = performance.now();
  const end = start + 1000 * (WARM_UP + seconds);
  const every = rate ? (1000 * clients) / rate : 0;
  const ask = (body: Buffer) =>
    new Promise<boolean>((resolve) => {
      const options = { method: 'POST', agent, headers: { ...headers, 'Content-Length': body.length } };
      request(url, options, (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode === 200));
        response.once('error', () => resolve(false));
      })
        .once('error', () => resolve(false))
        .end(body);
    });
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (
        let due = start + (every * client) / clients;
        due < end;
        due = rate ? due + every : performance.now()
      ) {
        const early = due - performance.now();
        if (early > 0) await sleep(early);
        if (performance.now() > end) return;
        const isAnswered = await ask(contents[next++ % contents.length]!);
        if (due < start + 1000 * WARM_UP) continue;
        if (isAnswered) times.push(performance.now() - due);
        else failed++;
      }
    }),
  );
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * times.length)] ?? Number.NaN;
  return {
    perSecond: times.length / seconds,
    mean: times.reduce((sum, time) => sum + time, 0) / times.length,
    p50: at(0.5),
    p95: at(0.95),
    failed,
  };
}
