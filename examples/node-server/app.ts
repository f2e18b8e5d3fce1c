/** What the server answers: routes, their checks, and the batches that requests share. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Batcher, type BatcherOptions } from './batcher.ts';
import type { CompiledPackage, Elements, Governor, Model, Result } from './compiled-package.ts';
import type { Decoders } from './decoders.ts';
import { Quota, Refusal } from './limits.ts';
import { type Load, Metrics } from './metrics.ts';

export interface AppOptions extends BatcherOptions {
  readonly compiled: CompiledPackage;
  readonly model: Model;
  readonly decoders: Decoders;
  /** Chooses the operating point of requests that ask for none. */
  readonly governor?: Governor | undefined;
  /** Pictures that may be there and without an answer at a time; more are turned away. */
  readonly maxQueue: number;
  /** Of those, and of the memory for pictures on their way, what one client may hold. */
  readonly clientShare: number;
  /** Milliseconds that a picture may be on its way. */
  readonly bodyTimeoutMs: number;
}

export interface App {
  /** Answers every request, whatever happens. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** From now on no request waits for others, and pictures that are still on their way have `bodyMs` to get here. */
  hurry(bodyMs: number): void;
}

interface Reply {
  readonly type: string;
  readonly body: string;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly reply: (request: IncomingMessage, query: URLSearchParams) => Reply | Promise<Reply>;
}

const MAX_BODY_BYTES = 8 * 2 ** 20;
/** Of all pictures together that are on their way or without an answer. */
const MAX_BODIES_BYTES = 256 * 2 ** 20;
const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];

export function createApp(options: AppOptions): App {
  const { compiled, model, decoders, governor, maxQueue, clientShare } = options;
  const metrics = new Metrics();
  const places = new Quota('requests at a time', maxQueue, clientShare);
  const bodies = new Bodies(options);

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
  const load = (): Load => ({
    arriving: bodies.count,
    open: places.taken,
    waiting: allBatchers.reduce((sum, batcher) => sum + batcher.waiting, 0),
  });

  async function classify(request: IncomingMessage, query: URLSearchParams): Promise<Reply> {
    const at = query.get('at');
    const batcher = at === null ? unasked : batchers.get(at);
    if (!batcher) throw new Refusal(400, `no operating point "${at}"; there are ${points.join(', ')}`);
    const [type] = (request.headers['content-type'] ?? '').split(';');
    if (!PICTURE_TYPES.includes(type!.trim().toLowerCase()))
      throw new Refusal(415, `content-type must be one of ${PICTURE_TYPES.join(', ')}`);
    const client = request.socket.remoteAddress ?? '';
    return bodies.with(request, client, async (body) => {
      // Only now, so that nobody who sends slowly holds a place.
      places.take(client);
      try {
        const picture = await decoders.decode(body, client, () => !request.socket.destroyed);
        const { result, batchSize, waitedMs } = await batcher.submit(picture);
        metrics.samples++;
        metrics.waitedSeconds += waitedMs / 1000;
        const { index, label = String(index), probability, exitId: exit, confidence, relativeCost } = result;
        return json({ label, probability, exit, confidence, relativeCost, batchSize });
      } finally {
        places.giveBack(client);
      }
    });
  }

  const routes = new Map<string | undefined, Route>([
    ['/classify', { method: 'POST', reply: classify }],
    ['/health', { method: 'GET', reply: () => json({ status: 'ok' }) }],
    ['/metrics', { method: 'GET', reply: () => text(metrics.text(compiled, model, load(), governor)) }],
  ]);

  function replyTo(request: IncomingMessage): Reply | Promise<Reply> {
    const [path, query] = request.url!.split('?');
    const route = routes.get(path);
    if (!route) throw new Refusal(404, `no ${path}; there are ${[...routes.keys()].join(', ')}`);
    const { method, reply } = route;
    // Node leaves the body of an answer to HEAD out by itself.
    const allowed = method === 'GET' ? ['GET', 'HEAD'] : [method];
    if (!allowed.includes(request.method!))
      throw new Refusal(405, `${path} takes ${allowed.join(' and ')}`, { Allow: allowed.join(', ') });
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
        const hasLeft = request.socket.destroyed;
        if (error instanceof Refusal) send(error.status, json({ error: error.message }), error.headers);
        else if (!hasLeft) {
          console.error(error);
          send(500, json({ error: 'internal error' }));
        }
      }
    },
    hurry(bodyMs) {
      bodies.hurry(bodyMs);
      for (const batcher of allBatchers) batcher.hurry();
    },
  };
}

const json = (value: object): Reply => ({ type: 'application/json', body: `${JSON.stringify(value)}\n` });
const text = (body: string): Reply => ({ type: 'text/plain; version=0.0.4', body });

/** Reads the bodies of requests, so that none takes more time or memory than it may. */
class Bodies {
  readonly #timeoutMs: number;
  readonly #memory: Quota;
  /** Ends the reading of a body, one of each that is on its way. */
  readonly #ends = new Set<() => void>();

  constructor({ bodyTimeoutMs, clientShare }: AppOptions) {
    this.#timeoutMs = bodyTimeoutMs;
    this.#memory = new Quota('bytes at a time', MAX_BODIES_BYTES, clientShare);
  }

  /** On their way. */
  get count(): number {
    return this.#ends.size;
  }

  /** Those on their way have `ms` left. */
  hurry(ms: number): void {
    for (const end of this.#ends) setTimeout(end, ms).unref();
  }

  /** What `use` makes of the body of `request`. Rejects with a Refusal when the body is too large, too late, or too much beside others. */
  async with<T>(request: IncomingMessage, client: string, use: (body: Buffer) => Promise<T>): Promise<T> {
    const tooLarge = new Refusal(413, `a picture may have ${MAX_BODY_BYTES} bytes at most`);
    if (Number(request.headers['content-length']) > MAX_BODY_BYTES) throw tooLarge;
    let size = 0;
    let isOver = false;
    const collect = async () => {
      const chunks: Buffer[] = [];
      // A plain `for await` would close the connection when it is left early, and nobody would read why.
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        if (isOver) break;
        if (size + chunk.length > MAX_BODY_BYTES) throw tooLarge;
        this.#memory.take(client, chunk.length);
        size += chunk.length;
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    };
    try {
      return await use(await this.#inTime(collect()));
    } finally {
      isOver = true;
      this.#memory.giveBack(client, size);
    }
  }

  async #inTime(body: Promise<Buffer>): Promise<Buffer> {
    let end = () => {};
    const late = new Promise<never>((_, reject) => {
      end = () => reject(new Refusal(408, 'the picture took too long to arrive', { Connection: 'close' }));
    });
    const timer = setTimeout(end, this.#timeoutMs);
    this.#ends.add(end);
    try {
      return await Promise.race([body, late]);
    } finally {
      clearTimeout(timer);
      this.#ends.delete(end);
    }
  }
}

/** Samples as one input. */
function concatenated(samples: readonly Elements[]): Elements {
  const [first] = samples as [Elements];
  const all = new (first.constructor as new (length: number) => Elements)(first.length * samples.length);
  for (const [n, sample] of samples.entries()) all.set(sample, n * sample.length);
  return all;
}
