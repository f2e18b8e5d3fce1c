/** What the server answers: routes, their checks, and the batches that requests share. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import sharp from 'sharp';
import { Batcher, type BatcherOptions } from './batcher.ts';
import type { CompiledPackage, Elements, Governor, Model, Result } from './compiled-package.ts';
import { Metrics } from './metrics.ts';

export interface AppOptions extends BatcherOptions {
  readonly compiled: CompiledPackage;
  readonly model: Model;
  /** Chooses the operating point of requests that ask for none. */
  readonly governor?: Governor | undefined;
  /** Requests to classify that may be open at a time; more are turned away. */
  readonly maxQueue: number;
}

export interface App {
  /** Answers every request, whatever happens. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** From now on no request waits for others. */
  hurry(): void;
}

interface Reply {
  readonly type: string;
  readonly body: string;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly reply: (request: IncomingMessage, query: URLSearchParams) => Reply | Promise<Reply>;
}

/** Why a request is not done, for its client to read. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

const MAX_BODY_BYTES = 8 * 2 ** 20;
/** A few kilobytes of PNG can hold gigabytes of pixels. */
const MAX_PIXELS = 2 ** 25;
const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];

// A content type is only a claim: no other decoder of sharp's, SVG's for one, ever sees a body.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'],
});

export function createApp(options: AppOptions): App {
  const { compiled, model, governor, maxQueue } = options;
  const metrics = new Metrics();

  const batcherOf = (classify: (input: Elements) => Promise<readonly Result[]>) =>
    new Batcher((pictures: readonly Elements[]) => {
      metrics.runs++;
      return classify(concatenated(pictures));
    }, options);
  // Thresholds belong to a run, so each operating point has batches of its own. Their runs take turns inside the model.
  const unasked = batcherOf((input) => (governor ?? model).classify(input));
  const points = Object.keys(compiled.operatingPoints);
  const batchers = new Map(points.map((at) => [at, batcherOf((input) => model.classify(input, { at }))]));
  const allBatchers = [unasked, ...batchers.values()];
  const waiting = () => allBatchers.reduce((sum, batcher) => sum + batcher.waiting, 0);

  async function classify(request: IncomingMessage, query: URLSearchParams): Promise<Reply> {
    const at = query.get('at');
    const batcher = at === null ? unasked : batchers.get(at);
    if (!batcher) throw new Refusal(400, `no operating point "${at}"; there are ${points.join(', ')}`);
    const [type] = (request.headers['content-type'] ?? '').split(';');
    if (!PICTURE_TYPES.includes(type!.trim().toLowerCase()))
      throw new Refusal(415, `content-type must be one of ${PICTURE_TYPES.join(', ')}`);
    if (metrics.open >= maxQueue)
      throw new Refusal(503, 'too many requests are waiting', { 'Retry-After': '1' });
    metrics.open++;
    try {
      const picture = await pictureOf(await bodyOf(request), compiled);
      const { result, batchSize, waitedMs } = await batcher.submit(picture);
      metrics.samples++;
      metrics.waitedSeconds += waitedMs / 1000;
      const { index, label = String(index), probability, exitId: exit, confidence, relativeCost } = result;
      return json({ label, probability, exit, confidence, relativeCost, batchSize });
    } finally {
      metrics.open--;
    }
  }

  const routes = new Map<string | undefined, Route>([
    ['/classify', { method: 'POST', reply: classify }],
    ['/health', { method: 'GET', reply: () => json({ status: 'ok' }) }],
    ['/metrics', { method: 'GET', reply: () => text(metrics.text(compiled, model, waiting(), governor)) }],
  ]);

  function replyTo(request: IncomingMessage): Reply | Promise<Reply> {
    const [path, query] = request.url!.split('?');
    const route = routes.get(path);
    if (!route) throw new Refusal(404, `no ${path}; there are ${[...routes.keys()].join(', ')}`);
    const { method, reply } = route;
    if (request.method !== method) throw new Refusal(405, `${path} takes ${method}`, { Allow: method });
    return reply(request, new URLSearchParams(query));
  }

  return {
    async handle(request, response) {
      const send = (status: number, { type, body }: Reply, headers = {}) => {
        metrics.responses[status] = (metrics.responses[status] ?? 0) + 1;
        const length = Buffer.byteLength(body);
        response.writeHead(status, { 'Content-Type': type, 'Content-Length': length, ...headers }).end(body);
        // A client that is still sending would not read the answer, so what it sends is thrown away.
        request.resume();
      };
      try {
        send(200, await replyTo(request));
      } catch (error) {
        const hasLeft = request.destroyed && !request.complete;
        if (error instanceof Refusal) send(error.status, json({ error: error.message }), error.headers);
        else if (!hasLeft) {
          console.error(error);
          send(500, json({ error: 'internal error' }));
        }
      }
    },
    hurry() {
      for (const batcher of allBatchers) batcher.hurry();
    },
  };
}

const json = (value: object): Reply => ({ type: 'application/json', body: `${JSON.stringify(value)}\n` });
const text = (body: string): Reply => ({ type: 'text/plain; version=0.0.4', body });

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new Refusal(413, `a picture may have ${MAX_BODY_BYTES} bytes at most`);
  if (Number(request.headers['content-length']) > MAX_BODY_BYTES) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  // A plain `for await` would close the connection when it is left early, and nobody would read why.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * The picture in `body` as the model's input, decoded as the compiler decodes. Preprocessed here and not by `classify`,
 * so that a picture of the wrong size is one client's error and not its whole batch's.
 */
async function pictureOf(body: Buffer, { preprocess }: CompiledPackage): Promise<Elements> {
  try {
    const { data, info } = await sharp(body, { ignoreIcc: true, limitInputPixels: MAX_PIXELS })
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return preprocess({ data, width: info.width, height: info.height });
  } catch (error) {
    throw new Refusal(400, `bad picture: ${(error as Error).message}`);
  }
}

/** Samples as one input. */
function concatenated(samples: readonly Elements[]): Elements {
  const [first] = samples as [Elements];
  const all = new (first.constructor as new (length: number) => Elements)(first.length * samples.length);
  for (const [n, sample] of samples.entries()) all.set(sample, n * sample.length);
  return all;
}
