/**
 * A server of the Open Inference Protocol on a real socket that answers by ONNX Runtime, and misbehaves where a test says how. It is written from the
 * protocol's text and shares nothing with src/runtime.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as ort from 'onnxruntime-node';
import { toHalf } from '../../src/graph/tensor.ts';

/** A tensor on the wire. */
export interface Wired {
  name: string;
  datatype: string;
  shape: number[];
  /** Little-endian. */
  bytes: Buffer;
}

/** One inference request as it came. */
export interface Request {
  readonly model: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly inputs: readonly Wired[];
  /** Samples. */
  readonly rows: number;
  readonly body: Buffer;
  readonly isBinary: boolean;
  /** The client has gone before it was answered. */
  readonly isGone: () => boolean;
}

/** An answer that a test may change before it is sent. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  model_name: string;
  outputs: Wired[];
  /** Replaces all that is above. */
  body?: Buffer;
}

/** Called with the right answer to each inference; what it returns is sent, and nothing where it returns nothing. */
export type Mood = (
  request: Request,
  answer: Answer,
  response: ServerResponse,
) => Answer | undefined | Promise<Answer | undefined>;

const SIZES: Readonly<Record<string, number>> = { FP32: 4, FP16: 2, UINT8: 1, INT8: 1, INT64: 8 };
const TYPES = { FP32: 'float32', FP16: 'float16', UINT8: 'uint8', INT8: 'int8', INT64: 'int64' } as const;
const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Allow-Headers': 'Content-Type, Inference-Header-Content-Length',
  'Access-Control-Expose-Headers': 'Inference-Header-Content-Length, Retry-After',
};

export class FakeServer {
  readonly requests: Request[] = [];
  /** Paths of requests that are no inferences. */
  readonly others: string[] = [];
  mood: Mood | undefined;
  /** Of `GET /v2`; undefined for a server that has no such page. */
  metadata: object | string | undefined = { name: 'fake', extensions: ['binary_tensor_data'] };
  /** Whether pages of other origins are told no headers. */
  hidesHeaders = false;
  readonly #models: Readonly<Record<string, Uint8Array>>;
  readonly #sessions = new Map<string, Promise<ort.InferenceSession>>();
  #server: Server | undefined;
  #port = 0;

  constructor(models: Readonly<Record<string, Uint8Array>>) {
    this.#models = models;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** On the port that it had before. */
  async start(): Promise<this> {
    const server = createServer((request, response) => {
      this.#serve(request, response).catch((error) => response.writeHead(500).end(String(error?.stack)));
    });
    this.#server = server;
    await new Promise<void>((listening, fail) => {
      server.once('error', fail).listen(this.#port, '127.0.0.1', listening);
    });
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Takes no connection any more, and drops those that there are. */
  async stop(): Promise<void> {
    const server = this.#server!;
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(CORS))
      if (!(this.hidesHeaders && name.includes('Expose'))) response.setHeader(name, value);
    if (incoming.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const path = incoming.url!;
    const model = path.match(/\/v2\/models\/([^/]+)\/infer/)?.[1];
    if (incoming.method !== 'POST' || model === undefined) {
      this.others.push(`${incoming.method} ${path}`);
      const isPage = /\/v2(\?|$)/.test(path) && this.metadata !== undefined;
      const text = typeof this.metadata === 'string' ? this.metadata : JSON.stringify(this.metadata);
      response.writeHead(isPage ? 200 : 404, { 'Content-Type': 'application/json' }).end(isPage ? text : '');
      return;
    }
    const request = read(model, path, incoming, response, body);
    this.requests.push(request);
    const known = this.#models[model];
    if (!known) {
      response.writeHead(404, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error: `Request for unknown model: '${model}' is not found` }));
      return;
    }
    const right: Answer = { status: 200, headers: {}, model_name: model, outputs: await this.#run(request) };
    const answer = this.mood ? await this.mood(request, right, response) : right;
    if (answer) write(answer, request.isBinary, response);
  }

  async #run({ model, inputs }: Request): Promise<Wired[]> {
    if (!this.#sessions.has(model))
      this.#sessions.set(model, ort.InferenceSession.create(this.#models[model]!, { logSeverityLevel: 3 }));
    const session = await this.#sessions.get(model)!;
    const types = new Map(session.inputMetadata.map((one) => [one.name, 'type' in one ? one.type : '']));
    const feeds = inputs.map((input) => {
      // As servers do whose JSON has no FP16.
      const isHalf = input.datatype === 'FP32' && types.get(input.name) === 'float16';
      return [input.name, tensorOf(isHalf ? halved(input) : input)] as const;
    });
    const outputs = await session.run(Object.fromEntries(feeds));
    return session.outputNames.map((name) => {
      const { type, dims, data } = outputs[name]!;
      const { buffer, byteOffset, byteLength } = data as Float32Array;
      const datatype = Object.keys(TYPES).find((key) => TYPES[key as keyof typeof TYPES] === type)!;
      return {
        name,
        datatype,
        shape: [...dims],
        bytes: Buffer.from(buffer.slice(byteOffset, byteOffset + byteLength)),
      };
    });
  }
}

function halved({ name, shape, bytes }: Wired): Wired {
  const numbers = new Float32Array(new Uint8Array(bytes).buffer);
  return { name, shape, datatype: 'FP16', bytes: Buffer.from(toHalf(numbers).buffer) };
}

function tensorOf({ datatype, shape, bytes }: Wired): ort.Tensor {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const type = TYPES[datatype as keyof typeof TYPES];
  if (type === 'float16') {
    const tensor = new ort.Tensor('float16', new Uint16Array(buffer), shape);
    return Object.defineProperty(tensor, 'data', { value: new Uint16Array(buffer) });
  }
  if (type === 'float32') return new ort.Tensor(type, new Float32Array(buffer), shape);
  if (type === 'int64') return new ort.Tensor(type, new BigInt64Array(buffer), shape);
  return type === 'int8'
    ? new ort.Tensor(type, new Int8Array(buffer), shape)
    : new ort.Tensor('uint8', new Uint8Array(buffer), shape);
}

function read(
  model: string,
  path: string,
  incoming: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): Request {
  const length = incoming.headers['inference-header-content-length'];
  const jsonEnd = length === undefined ? body.length : Number(length);
  const json = JSON.parse(body.subarray(0, jsonEnd).toString()) as {
    inputs: { name: string; datatype: string; shape: number[]; data?: number[]; parameters?: { binary_data_size: number } }[];
  }; // biome-ignore format: one type
  let at = jsonEnd;
  const inputs = json.inputs.map(({ name, datatype, shape, data, parameters }) => {
    const size = parameters?.binary_data_size;
    const bytes = size === undefined ? bytesOf(datatype, data!) : body.subarray(at, at + size);
    at += size ?? 0;
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (bytes.length !== count * SIZES[datatype]!)
      throw new Error(`${name}: ${bytes.length} bytes of [${shape}]`);
    return { name, datatype, shape, bytes };
  });
  if (at !== body.length) throw new Error('bytes are left');
  let isGone = false;
  response.on('close', () => {
    isGone = !response.writableFinished;
  });
  const { headers } = incoming;
  const rows = inputs[0]!.shape[0]!;
  return { model, path, headers, inputs, rows, body, isBinary: length !== undefined, isGone: () => isGone };
}

function bytesOf(datatype: string, data: readonly number[]): Buffer {
  if (datatype === 'FP32') return Buffer.from(Float32Array.from(data).buffer);
  if (datatype === 'UINT8') return Buffer.from(Uint8Array.from(data));
  if (datatype === 'INT8') return Buffer.from(Int8Array.from(data).buffer);
  throw new Error(`${datatype} in JSON`);
}

/** The numbers of an output. */
export function numbersOf({ datatype, bytes }: Wired): number[] {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  if (datatype === 'INT64') return Array.from(new BigInt64Array(buffer), Number);
  if (datatype === 'FP32') return [...new Float32Array(buffer)];
  return Array.from(new Uint16Array(buffer), fromHalf);
}

function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const size = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1024 + (bits & 1023)) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

function write(answer: Answer, isBinary: boolean, response: ServerResponse): void {
  const { status, headers, model_name, outputs, body } = answer;
  if (body) {
    response.writeHead(status, headers).end(body);
    return;
  }
  if (!isBinary) {
    const listed = outputs.map((one) => ({
      name: one.name,
      datatype: one.datatype === 'FP16' ? 'FP32' : one.datatype,
      shape: one.shape,
      data: numbersOf(one),
    }));
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify({ model_name, outputs: listed }));
    return;
  }
  const listed = outputs.map(({ name, datatype, shape, bytes }) => ({
    ...{ name, datatype, shape },
    parameters: { binary_data_size: bytes.length },
  }));
  const head = Buffer.from(JSON.stringify({ model_name, model_version: '1', outputs: listed }));
  response.writeHead(status, {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': head.length,
    ...headers,
  });
  response.end(Buffer.concat([head, ...outputs.map(({ bytes }) => bytes)]));
}
