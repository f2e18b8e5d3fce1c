/** The routes of the Open Inference Protocol, under /v2. */
import type { Bodies, Expected } from './bodies.ts';
import { type Quota, Refusal } from './limits.ts';
import { readInferRequest, type TensorSpec, writeInferResponse } from './protocol.ts';
import { json, type Route } from './routes.ts';
import type { ServedModel } from './served-model.ts';
import { bytesOf, type Datatype, elements } from './tensors.ts';

export interface InferOptions {
  readonly models: readonly ServedModel[];
  /** A place for each sample without an answer. */
  readonly places: Quota;
  readonly bodies: Bodies;
}

const SERVER = { name: 'onnx-offramp example server', version: '1', extensions: ['binary_tensor_data'] };
/** Of all models: a served model never changes, a new one has a new name. */
const VERSION = '1';

export function inferRoutes({ models, places, bodies }: InferOptions): readonly Route[] {
  const find = (name: string, version = VERSION): ServedModel => {
    const model = models.find((each) => each.name === name);
    if (!model) throw new Refusal(404, unknown(name, models.map((each) => each.name))); // biome-ignore format: one line
    if (version !== VERSION) throw new Refusal(404, `${name} has no version ${version}; there is ${VERSION}`);
    return model;
  };

  const infer: Route['reply'] = (request, _, { model: name, version }) => {
    const model = find(name!, version);
    const headerLength = request.headers['inference-header-content-length'] as string | undefined;
    const encoding = request.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw new Refusal(415, `content-encoding ${encoding} is not supported`);
    const client = request.socket.remoteAddress ?? '';
    return bodies.with(request, client, expected(model, headerLength !== undefined), async (body) => {
      const asked = readInferRequest(body, headerLength, model);
      places.take(client, asked.samples);
      try {
        return writeInferResponse(model.name, asked, await model.infer(asked.inputs, request));
      } finally {
        places.giveBack(client, asked.samples);
      }
    });
  };

  const ofModel = (path: string): Route[] => [
    { path, method: 'GET', reply: (_, __, { model, version }) => metadata(find(model!, version)) },
    { path: `${path}/ready`, method: 'GET', reply: (_, __, { model, version }) => json({ name: find(model!, version).name, ready: true }) },
    { path: `${path}/infer`, method: 'POST', reply: infer },
  ]; // biome-ignore format: a table
  return [
    { path: '/v2', method: 'GET', reply: () => json(SERVER) },
    { path: '/v2/health/live', method: 'GET', reply: () => json({ live: true }) },
    // Whoever can ask finds it ready: it listens once all models are open, and no longer when it stops.
    { path: '/v2/health/ready', method: 'GET', reply: () => json({ ready: true }) },
    ...ofModel('/v2/models/{model}'),
    ...ofModel('/v2/models/{model}/versions/{version}'),
  ];
}

const metadata = ({ name, inputs, outputs }: ServedModel) =>
  json({ name, versions: [VERSION], platform: 'onnx_onnxv1', inputs, outputs });

/** `split` ends a name with twelve digits of its model's hash. */
const HASHED = /_[0-9a-f]{12}$/;

function unknown(name: string, names: readonly string[]): string {
  const why = HASHED.test(name)
    ? '. The last twelve digits are of the model itself: this client and this server come from different splits'
    : '';
  return `no model ${JSON.stringify(name.slice(0, 200))}; there are ${names.join(', ')}${why}`;
}

/** Bytes for names, shapes and whatever else is no number. */
const HEADER_BYTES = 2 ** 16;
/** Of a request that has more than one sample. JSON is read in one go, and nobody is answered meanwhile. */
const MOST_BYTES = { json: 8 * 2 ** 20, binary: 64 * 2 ** 20 } as const;
/** Characters that a number takes in JSON at most, with what stands between two. */
const CHARACTERS: Readonly<Record<Datatype, number>> = {
  BOOL: 7,
  UINT8: 5,
  UINT16: 7,
  UINT32: 12,
  UINT64: 22,
  INT8: 6,
  INT16: 8,
  INT32: 13,
  INT64: 22,
  FP16: 26,
  FP32: 26,
  FP64: 26,
};

/** What the inputs of so many samples take. */
function expected({ name, inputs, maxSamples }: ServedModel, isBinary: boolean): Expected {
  const kind = isBinary ? 'binary' : 'json';
  const sizeOf = ({ datatype, shape }: TensorSpec) => {
    const own = shape.map((size) => (size === -1 ? 1 : size));
    if (!isBinary) return elements(own) * CHARACTERS[datatype];
    // Instead of FP16 there may be FP32.
    return bytesOf(datatype === 'FP16' ? 'FP32' : datatype, own);
  };
  const sample = inputs.reduce((sum, input) => sum + sizeOf(input), 0);
  const bytes = HEADER_BYTES + Math.max(sample, Math.min(maxSamples * sample, MOST_BYTES[kind]));
  return { what: `a request for ${name}${isBinary ? '' : ' in JSON'}`, bytes };
}
