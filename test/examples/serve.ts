/** The example server as a process of its own, with a real early-exit model, and what clients do to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import * as assert from 'uvu/assert';
import { emitPackage } from '../../src/emit/stub.ts';
import { writeOutput } from '../../src/emit/write.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import type { Resize } from '../../src/runtime/place.ts';
import { SAMPLE, sampleExits, samplePoint } from '../emit/sample.ts';
import { tinyResidual } from '../models.ts';
import { prepare } from '../passes/by-hand.ts';

export interface Server {
  readonly url: string;
  readonly port: number;
  readonly process: ChildProcess;
}

/** Pixels a side that the model takes. */
export const SIDE = 8;
export const POINTS = [
  samplePoint('fast', [0.605, 1, 0.7], 0.5),
  samplePoint('balanced', [0.685, 1, 0.8], 0.7),
  samplePoint('exact', [1, 1, 1], 1),
];
const SERVER = fileURLToPath(new URL('../../examples/node-server/server.ts', import.meta.url));

/** Removed at the end, and every server that was launched is ended then. */
export const root = mkdtempSync(join(tmpdir(), 'offramp-node-server-'));
const processes: ChildProcess[] = [];

export function cleanUp(): void {
  for (const child of processes) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
}
process.on('exit', cleanUp);

/** A real lowered model with random weights, and the package that goes with it; what its points measure is made up. `baked`: thresholds in the model. */
export async function writePackage(
  folder: string,
  resize?: Resize,
  baked?: readonly number[],
): Promise<void> {
  const { typed, heads } = await prepare(tinyResidual());
  const model = serializeModel(lowerExits(typed, heads, { policy: 'max-prob', baked }));
  const { resize: _, ...strict } = SAMPLE.preprocessing!;
  const manifest = {
    ...SAMPLE,
    source: { ...SAMPLE.source, file: 'tiny-residual.onnx' },
    classes: 5,
    labels: ['ant', 'bee', 'cat', 'dog', 'eel'],
    inputs: [{ name: 'image', dataType: 'float', dims: ['N', 3, SIDE, SIDE] }],
    outputs: { ...SAMPLE.outputs, scores: 'scores', ...(baked && { thresholds: null }) },
    preprocessing: { ...strict, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], ...(resize && { resize }) },
    exits: sampleExits(3),
    operatingPoints: POINTS,
    defaultPoint: 'fast',
  } as const;
  await writeOutput(
    folder,
    new Map<string, string | Uint8Array>([...emitPackage(manifest), ['model.onnx', model]]),
  );
}

export function png(data: Uint8Array, width: number, height: number): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** A PNG of one colour: a few kilobytes, whatever its size. */
export function plainPng(width: number, height: number): Promise<Buffer> {
  const create = { width, height, channels: 3, background: { r: 9, g: 99, b: 199 } } as const;
  return sharp({ create }).png({ compressionLevel: 9 }).toBuffer();
}

export function launch(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', SERVER, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  processes.push(child);
  return child;
}

/** A server of the package in `folder` on a free port. */
export async function start(folder: string, ...options: string[]): Promise<Server> {
  const child = launch(folder, '--port', '0', ...options);
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (said += chunk));
  await until(() => said.includes('\n') || child.exitCode !== null);
  const url = said.match(/^Listening on (http:\S+)$/m)?.[1];
  if (!url) assert.unreachable(said);
  return { url: url!, port: Number(new URL(url!).port), process: child };
}

export interface Upload {
  readonly upload: ClientRequest;
  readonly response: Promise<IncomingMessage>;
}

/** A request to classify whose picture is still to come but for its `first` bytes. */
export function uploading({ port }: Server, first: Uint8Array, options: RequestOptions = {}): Upload {
  const { headers, agent = new Agent({ keepAlive: true }), ...rest } = options;
  const upload = httpRequest({
    ...rest,
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: '/classify',
    agent,
    headers: { 'Content-Type': 'image/png', ...headers },
  });
  const response = once(upload, 'response').then(([message]) => message as IncomingMessage);
  response.catch(() => {});
  upload.on('error', () => {});
  upload.write(first);
  return { upload, response };
}

/** A request to classify `picture`, over a connection of its own. */
export async function send(
  server: Server,
  picture: Uint8Array,
  options: RequestOptions = {},
): Promise<{ readonly status: number; readonly retryAfter: string | undefined; readonly body: string }> {
  const { upload, response } = uploading(server, picture, { agent: new Agent(), ...options });
  upload.end();
  const message = await response;
  let body = '';
  for await (const chunk of message.setEncoding('utf8')) body += chunk;
  return { status: message.statusCode!, retryAfter: message.headers['retry-after'], body };
}

export async function metric({ url }: Server, name: string): Promise<number> {
  const response = await fetch(`${url}/metrics`);
  const line = (await response.text()).split('\n').find((l) => l.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await holds()); await sleep(10))
    if (Date.now() > deadline) assert.unreachable('waited in vain');
}
