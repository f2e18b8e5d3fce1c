/** What the server answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BatcherOptions, Turns } from './batcher.ts';
import { Bodies, type BodyOptions } from './bodies.ts';
import { Classifier, type PictureModel } from './classify.ts';
import { CrossOrigin } from './cross-origin.ts';
import { inferRoutes } from './infer.ts';
import { Quota, Refusal } from './limits.ts';
import { type Load, partsMetrics, type Responses, serverMetrics } from './metrics.ts';
import type { ModelSpec } from './repository.ts';
import { json, type Reply, type Route, replyTo } from './routes.ts';
import { ClientHasLeft, ServedModel } from './served-model.ts';

export interface AppOptions extends Required<BatcherOptions>, BodyOptions {
  /** For /classify. */
  readonly pictures: PictureModel | undefined;
  /** For /v2. */
  readonly models: readonly ModelSpec[];
  /** Samples that may be there and without an answer at a time; more are turned away. One client may hold its share. */
  readonly maxQueue: number;
  /** Origins of pages that may ask. */
  readonly allowOrigin: readonly string[];
}

export interface App {
  /** Answers every request, whatever happens. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** From now on no request waits for others, and bodies that are still on their way have `bodyMs` to get here. */
  hurry(bodyMs: number): void;
}

export function createApp(options: AppOptions): App {
  const places = new Quota('samples at a time', options.maxQueue, options.clientShare);
  const bodies = new Bodies(options);
  const crossOrigin = new CrossOrigin(options.allowOrigin);
  // What is formed before its turn is a smaller batch, so no more than each worker has, and one that is there when the first of them ends.
  const turns = new Turns(options.workers + 1);
  const classifier = options.pictures && new Classifier(options.pictures, options, turns);
  const models = options.models.map(
    (spec) => new ServedModel(spec, { ...options, maxSamples: places.each }, turns),
  );
  const responses: Record<number, number> = {};

  const load = (): Load => ({
    arriving: bodies.count,
    open: places.taken,
    waiting: models.reduce((sum, model) => sum + model.waiting, classifier?.waiting ?? 0),
  });
  const routes: Route[] = [
    ...(classifier ? [classifier.route(places, bodies)] : []),
    { path: '/health', method: 'GET', reply: () => json({ status: 'ok' }) },
    { path: '/metrics', method: 'GET', reply: () => metricsOf(classifier, models, load(), responses) },
    ...inferRoutes({ models, places, bodies }),
  ];

  return {
    async handle(request, response) {
      const send = (status: number, { type, body, headers }: Reply) => {
        responses[status] = (responses[status] ?? 0) + 1;
        const length = Buffer.byteLength(body);
        const own = { 'Content-Type': type, 'Content-Length': length, ...crossOrigin.headers(request) };
        response.writeHead(status, { ...own, ...headers }).end(body);
        // A client that is still sending would not read the answer, so what it sends is thrown away.
        request.resume();
      };
      try {
        send(200, crossOrigin.preflight(request) ?? (await replyTo(routes, request)));
      } catch (error) {
        const hasLeft = request.socket.destroyed || error instanceof ClientHasLeft;
        if (error instanceof Refusal)
          send(error.status, { ...json({ error: error.message }), headers: error.headers });
        else if (!hasLeft) {
          console.error(error);
          send(500, json({ error: 'internal error' }));
        }
      }
    },
    hurry(bodyMs) {
      bodies.hurry(bodyMs);
      classifier?.hurry();
      for (const model of models) model.hurry();
    },
  };
}

function metricsOf(classifier: Classifier | undefined, models: readonly ServedModel[], load: Load, responses: Responses): Reply {
  const parts = models.flatMap(({ metrics }) => metrics);
  const body = (classifier?.metrics.text() ?? '') + partsMetrics(parts) + serverMetrics(load, responses);
  return { type: 'text/plain; version=0.0.4', body };
} // biome-ignore format: one line
