/** POST /classify: a picture in, a label out. */
import { Batcher, type BatcherOptions, type Turns } from './batcher.ts';
import type { Bodies } from './bodies.ts';
import type { CompiledPackage, Elements, Governor, Model, Result } from './compiled-package.ts';
import type { Decoders } from './decoders.ts';
import { type Quota, Refusal } from './limits.ts';
import { ClassifyMetrics } from './metrics.ts';
import { json, type Reply, type Route } from './routes.ts';

/** A compiled package that takes pictures. */
export interface PictureModel {
  readonly compiled: CompiledPackage;
  readonly model: Model;
  readonly decoders: Decoders;
  /** Chooses the operating point of requests that ask for none. */
  readonly governor?: Governor | undefined;
}

const MAX_BODY = { what: 'a picture', bytes: 8 * 2 ** 20 };
const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'];

export class Classifier {
  readonly metrics: ClassifyMetrics;
  readonly #decoders: Decoders;
  /** Of requests that name no operating point. */
  readonly #unasked: Batcher<Elements, Result>;
  /** Thresholds belong to a run, so each operating point has batches of its own. */
  readonly #batchers: ReadonlyMap<string, Batcher<Elements, Result>>;

  constructor({ compiled, model, decoders, governor }: PictureModel, options: BatcherOptions, turns: Turns) {
    this.metrics = new ClassifyMetrics(compiled, model, governor);
    this.#decoders = decoders;
    const takesBatches = Object.values(compiled.inputs).every(({ dims }) => dims.includes('N'));
    const batching = { ...options, maxBatch: takesBatches ? options.maxBatch : 1 };
    const batcherOf = (classify: (input: Elements) => Promise<readonly Result[]>) =>
      new Batcher((pictures: readonly Elements[]) => {
        this.metrics.runs++;
        return classify(concatenated(pictures));
      }, batching, turns); // biome-ignore format: as it is read
    this.#unasked = batcherOf((input) => (governor ?? model).classify(input));
    const points = Object.keys(compiled.operatingPoints);
    this.#batchers = new Map(points.map((at) => [at, batcherOf((input) => model.classify(input, { at }))]));
  }

  /** Pictures that wait for a run. */
  get waiting(): number {
    return this.#all().reduce((sum, batcher) => sum + batcher.waiting, 0);
  }

  /** From now on nobody waits for company. */
  hurry(): void {
    for (const batcher of this.#all()) batcher.hurry();
  }

  route(places: Quota, bodies: Bodies): Route {
    const reply: Route['reply'] = (request, query) => {
      const batcher = this.#batcherFor(query.get('at'));
      const [type] = (request.headers['content-type'] ?? '').split(';');
      if (!PICTURE_TYPES.includes(type!.trim().toLowerCase()))
        throw new Refusal(415, `content-type must be one of ${PICTURE_TYPES.join(', ')}`);
      const client = request.socket.remoteAddress ?? '';
      return bodies.with(request, client, MAX_BODY, async (body) => {
        // Only now, so that nobody who sends slowly holds a place.
        places.take(client);
        try {
          const picture = await this.#decoders.decode(body, client, () => !request.socket.destroyed);
          return await this.#classified(batcher, picture);
        } finally {
          places.giveBack(client);
        }
      });
    };
    return { path: '/classify', method: 'POST', reply };
  }

  async #classified(batcher: Batcher<Elements, Result>, picture: Elements): Promise<Reply> {
    const { result, batchSize, waitedMs } = await batcher.submit(picture);
    this.metrics.samples++;
    this.metrics.waitedSeconds += waitedMs / 1000;
    const { index, label = String(index), probability, exitId: exit, confidence, relativeCost } = result;
    return json({ label, probability, exit, confidence, relativeCost, batchSize });
  }

  #batcherFor(at: string | null): Batcher<Elements, Result> {
    const batcher = at === null ? this.#unasked : this.#batchers.get(at);
    if (batcher) return batcher;
    throw new Refusal(400, `no operating point "${at}"; there are ${[...this.#batchers.keys()].join(', ')}`);
  }

  #all(): Batcher<Elements, Result>[] {
    return [this.#unasked, ...this.#batchers.values()];
  }
}

/** Samples as one input. */
function concatenated(samples: readonly Elements[]): Elements {
  const [first] = samples as [Elements];
  const all = new (first.constructor as new (length: number) => Elements)(first.length * samples.length);
  for (const [n, sample] of samples.entries()) all.set(sample, n * sample.length);
  return all;
}
