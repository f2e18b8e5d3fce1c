/**
 * An HTTP classifier on top of a package that `npx onnx-offramp compile` wrote; README.md beside this file shows it at work.
 *
 *   npx tsx examples/node-server/server.ts out/ --port 8080
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { createApp } from './app.ts';
import { type CompiledPackage, type Governor, type Model, openPackage } from './compiled-package.ts';

const USAGE = `\
server.ts <package> [options]

  --port <n>               8080 by default; 0 takes a free one
  --host <address>         127.0.0.1 by default
  --max-batch <n>          pictures that run together at most; 16 by default
  --max-wait-ms <n>        that a picture waits for others at most; 3 by default
  --max-queue <n>          requests that may be open at a time; 128 by default
  --target-latency-ms <n>  lets a governor choose the operating point where a request asks for none
  --fastest <point>        cheapest operating point that the governor may choose`;

/** Milliseconds that a client may take to send a request. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Milliseconds that open requests have once the server is told to stop. */
const SHUTDOWN_MS = 10_000;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}

async function main(): Promise<void> {
  const { folder, flags } = readArguments();
  const { compiled, model } = await openPackage(folder);
  const app = createApp({
    compiled,
    model,
    governor: governorOf(model, flags),
    maxBatch: takesBatches(compiled) ? flags.maxBatch : 1,
    maxWaitMs: flags.maxWaitMs,
    maxQueue: flags.maxQueue,
  });

  const open = new Set<ServerResponse>();
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    open.add(response);
    response.once('close', () => open.delete(response));
    if (!server.listening) response.setHeader('Connection', 'close');
    void app.handle(request, response);
  });
  server.listen(flags.port, flags.host);
  await once(server, 'listening');

  /** Answers what has arrived, then lets go of everything that keeps the process alive. */
  async function stop(): Promise<void> {
    server.close();
    for (const response of open) if (!response.headersSent) response.setHeader('Connection', 'close');
    app.hurry();
    for (const response of open) await once(response, 'close');
    // Connections that never asked for anything do not count as idle and would stay.
    server.closeAllConnections();
    await model.release();
  }
  function onSignal(): void {
    // Without listeners the next signal has its usual effect: it ends the process at once.
    for (const signal of SIGNALS) process.off(signal, onSignal);
    setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
    void stop();
  }
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Whoever waits for this line may send a signal right after it.
  console.log(`Listening on http://${flags.host}:${(server.address() as AddressInfo).port}`);
}

function governorOf(model: Model, { targetLatencyMs, fastest }: Flags): Governor | undefined {
  if (targetLatencyMs === undefined) return undefined;
  if (!model.governor) throw new Error('this model has its thresholds baked in: nothing to govern');
  return model.governor({ targetLatencyMs, ...(fastest !== undefined && { fastest }) });
}

function takesBatches({ inputs }: CompiledPackage): boolean {
  return Object.values(inputs).every(({ dims }) => dims.includes('N'));
}

interface Flags {
  readonly port: number;
  readonly host: string;
  readonly maxBatch: number;
  readonly maxWaitMs: number;
  readonly maxQueue: number;
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
      'target-latency-ms': { type: 'string' },
      fastest: { type: 'string' },
    },
  });
  const [folder] = positionals;
  if (folder === undefined || positionals.length > 1) throw new Error(USAGE);
  const numberOf = (name: Exclude<keyof typeof values, 'host' | 'fastest'>, least: number) => {
    const value = Number(values[name]);
    if (value >= least) return value;
    throw new Error(`--${name} takes a number from ${least} on, not ${values[name]}`);
  };
  const flags = {
    port: numberOf('port', 0),
    host: values.host!,
    maxBatch: numberOf('max-batch', 1),
    maxWaitMs: numberOf('max-wait-ms', 0),
    maxQueue: numberOf('max-queue', 1),
    targetLatencyMs: values['target-latency-ms'] === undefined ? undefined : numberOf('target-latency-ms', 0),
    fastest: values.fastest,
  };
  return { folder, flags };
}
