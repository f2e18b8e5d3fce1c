/**
 * An inference server on top of a package that `npx onnx-offramp compile` wrote, or of the server's folder that `split` wrote; README.md
 * beside this file shows it at work.
 *
 *   npx tsx examples/node-server/server.ts out/ --port 8080
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type AppOptions, createApp } from './app.ts';
import { type Governor, type Model, openPackage, takesPictures } from './compiled-package.ts';
import { Decoders } from './decoders.ts';
import { Quota } from './limits.ts';
import { openSplit, openWhole, readSplit } from './repository.ts';
import { Sessions } from './sessions.ts';

const USAGE = `\
server.ts <folder> [options]

  <folder>                 of a compiled package, or the server's of a split

  --port <n>               8080 by default; 0 takes a free one
  --host <address>         127.0.0.1 by default
  --max-batch <n>          samples that run together at most; 16 by default
  --max-wait-ms <n>        that a sample waits for others at most; 3 by default
  --max-queue <n>          samples that may wait for their answer at a time; 128 by default
  --workers <n>            runs at a time, each with a copy of the models; 1 by default
  --threads <n>            of a run; by default its share of all cores
  --max-pixels <n>         that a picture may have; 16777216 by default
  --decoders <n>           threads that decode and resize; 2 by default
  --body-timeout-ms <n>    that a picture, or tensors, may be on their way; 10000 by default
  --client-share <s>       of all that is limited, what one address may hold; 0.5 by default; 1 behind a proxy
  --allow-origin <origin>  of pages that may ask from a browser, such as https://example.org; * for all; may be repeated
  --target-latency-ms <n>  lets a governor choose the operating point where a request asks for none
  --fastest <point>        cheapest operating point that the governor may choose`;

/** Milliseconds that a client may take for the head of a request, and for one whose body nobody reads. */
const HEAD_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 1024;
/** Milliseconds that open requests have once the server is told to stop. */
const SHUTDOWN_MS = 10_000;
/** Of those, what pictures have that are on their way, and connections that have not asked for anything yet. */
const LAST_BODIES_MS = 5_000;
const SILENT_MS = 500;
/** Milliseconds that the server goes on accepting at most, where connections never cease to come. */
const LAST_CONNECTIONS_MS = 1_000;
/** Turns of the event loop. Each accepts one connection, if one is waiting. */
const QUIET_TURNS = 3;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

try {
  await main();
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  console.error(code === 'EADDRINUSE' ? `${message}: --port takes another` : message);
  process.exit(1);
}

async function main(): Promise<void> {
  const { folder, flags } = readArguments();
  // Without, a package's own options count.
  const sessions = new Sessions(
    flags.workers,
    flags.threads === undefined ? {} : { intraOpNumThreads: flags.threads },
  );
  const opened = await openFolder(folder, sessions, flags);
  const app = createApp({ ...flags, ...opened });

  const open = new Set<ServerResponse>();
  let isStopping = false;
  const timeouts = {
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer(timeouts, (request, response) => {
    open.add(response);
    response.once('close', () => open.delete(response));
    if (isStopping) response.setHeader('Connection', 'close');
    void app.handle(request, response);
  });
  const connections = new Quota('connections', MAX_CONNECTIONS, flags.clientShare);
  let connected = 0;
  server.on('connection', (socket) => {
    connected++;
    const client = socket.remoteAddress ?? '';
    try {
      connections.take(client);
    } catch {
      return socket.destroy();
    }
    return socket.once('close', () => connections.giveBack(client));
  });
  server.listen(flags.port, flags.host);
  await once(server, 'listening');

  /** Resolves when nobody waits to be accepted: closing would reset those who do. */
  async function allAccepted(): Promise<void> {
    const end = performance.now() + LAST_CONNECTIONS_MS;
    for (let quiet = 0; quiet < QUIET_TURNS && performance.now() < end; ) {
      const before = connected;
      await turn();
      quiet = connected === before ? quiet + 1 : 0;
    }
  }

  /** Answers what has arrived, then lets go of everything that keeps the process alive. */
  async function stop(): Promise<void> {
    isStopping = true;
    for (const response of open) if (!response.headersSent) response.setHeader('Connection', 'close');
    await allAccepted();
    const closed = new Promise((resolve) => server.close(resolve));
    app.hurry(LAST_BODIES_MS);
    // What a client sent right after it was accepted is not read yet.
    await Promise.race([closed, sleep(SILENT_MS)]);
    for (const response of open) await once(response, 'close');
    // Connections that never asked for anything do not count as idle and would stay.
    server.closeAllConnections();
    await sessions.close();
  }
  function onSignal(): void {
    // Without listeners the next signal has its usual effect: it ends the process at once.
    for (const signal of SIGNALS) process.off(signal, onSignal);
    setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
    void stop();
  }
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Whoever waits for this line may send a signal right after it.
  console.log(
    [
      `Listening on http://${flags.host}:${(server.address() as AddressInfo).port}`,
      ...opened.models.map(({ name, points }) => `  /v2/models/${name}: ${points.join(', ')}`),
    ].join('\n'),
  );
}

function governorOf(model: Model, { targetLatencyMs, fastest }: Flags): Governor | undefined {
  if (targetLatencyMs === undefined) return undefined;
  if (!model.governor) throw new Error('this model has its thresholds baked in: nothing to govern');
  return model.governor({ targetLatencyMs, ...(fastest !== undefined && { fastest }) });
}

/** Throws an Error that says what is wrong with `folder`. */
async function openFolder(folder: string, sessions: Sessions, flags: Flags): Promise<Pick<AppOptions, 'pictures' | 'models'>> {
  const split = readSplit(folder);
  if (split) return { pictures: undefined, models: await openSplit(folder, split, sessions) };
  const { compiled, model, module } = await openPackage(folder, sessions.runtime);
  const models = await openWhole(folder, compiled, sessions);
  if (!takesPictures(compiled)) return { pictures: undefined, models };
  const decoders = await Decoders.open(module, flags);
  return { pictures: { compiled, model, decoders, governor: governorOf(model, flags) }, models };
} // biome-ignore format: one line

/** Threads of a run, where so many runs share the cores; undefined where one has them all. */
function threadsBeside(workers: number): number | undefined {
  return workers === 1 ? undefined : Math.max(1, Math.floor(availableParallelism() / workers));
}

/** As in `USAGE`. */
interface Flags {
  readonly port: number;
  readonly host: string;
  readonly maxBatch: number;
  readonly maxWaitMs: number;
  readonly maxQueue: number;
  readonly workers: number;
  readonly threads: number | undefined;
  readonly maxPixels: number;
  readonly decoders: number;
  readonly bodyTimeoutMs: number;
  readonly clientShare: number;
  readonly allowOrigin: readonly string[];
  readonly targetLatencyMs: number | undefined;
  readonly fastest: string | undefined;
}

/** Throws an Error that says what is wrong with the command line. */
function readArguments(): { folder: string; flags: Flags } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      'max-batch': { type: 'string', default: '16' },
      'max-wait-ms': { type: 'string', default: '3' },
      'max-queue': { type: 'string', default: '128' },
      workers: { type: 'string', default: '1' },
      threads: { type: 'string' },
      'max-pixels': { type: 'string', default: String(2 ** 24) },
      decoders: { type: 'string', default: '2' },
      'body-timeout-ms': { type: 'string', default: '10000' },
      'client-share': { type: 'string', default: '0.5' },
      'allow-origin': { type: 'string', multiple: true, default: [] },
      'target-latency-ms': { type: 'string' },
      fastest: { type: 'string' },
    },
  });
  const [folder] = positionals;
  if (folder === undefined || positionals.length > 1) throw new Error(USAGE);
  const numberOf = (
    name: Exclude<keyof typeof values, 'host' | 'fastest' | 'allow-origin'>,
    least: number,
    most = Infinity,
  ) => {
    const value = Number(values[name]);
    if (value >= least && value <= most) return value;
    const range = most === Infinity ? `from ${least} on` : `from ${least} to ${most}`;
    throw new Error(`--${name} takes a number ${range}, not ${values[name]}`);
  };
  const workers = numberOf('workers', 1);
  const flags = {
    port: numberOf('port', 0),
    host: values.host!,
    maxBatch: numberOf('max-batch', 1),
    maxWaitMs: numberOf('max-wait-ms', 0),
    maxQueue: numberOf('max-queue', 1),
    workers,
    threads: values.threads === undefined ? threadsBeside(workers) : numberOf('threads', 1),
    maxPixels: numberOf('max-pixels', 1),
    decoders: numberOf('decoders', 1),
    bodyTimeoutMs: numberOf('body-timeout-ms', 1),
    clientShare: numberOf('client-share', 0, 1),
    allowOrigin: values['allow-origin']!,
    targetLatencyMs: values['target-latency-ms'] === undefined ? undefined : numberOf('target-latency-ms', 0),
    fastest: values.fastest,
  };
  return { folder, flags };
}
