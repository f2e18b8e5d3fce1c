/** A split's server folder made by hand of small parts, what the parts say one after the other, and a client of the Open Inference Protocol. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { Session, Tensor } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { noise } from '../models.ts';

export const CLASSES = 5;
const PIXELS = 3 * 4 * 4;
export const FEATURES = 8;
/** Exits of the chain: one in the first part, one in the second; samples in play, and those of the original, have this index. */
const EXITS = 2;

interface Spec {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

const OUTPUTS = (scores: string): Spec[] => [
  { name: 'scores', datatype: scores, shape: [-1, CLASSES] },
  { name: 'exit_index', datatype: 'INT64', shape: [-1] },
  { name: 'exit_confidence', datatype: 'FP32', shape: [-1] },
];

/** Reads uint8 `pixels` and `policy_state` [N, 2], and gives on what becomes of it; a sample leaves with `exit` above `threshold`. */
function part(seed: number, exit: number, threshold: number, givesOn: boolean): Uint8Array {
  const b = new GraphBuilder();
  const pixels = b.op('Cast', [b.input('pixels', 'uint8', ['N', 3, 4, 4])], { to: 1 });
  const state = b.input('policy_state', 'float', ['N', 2]);
  const weights = b.initializer(floatTensor('weights', [PIXELS, CLASSES], noise(PIXELS * CLASSES, seed)));
  const flat = b.op('Flatten', [b.op('Mul', [pixels, b.float(1 / 128)])], { axis: 1 });
  const mix = b.initializer(floatTensor('mix', [2, CLASSES], noise(2 * CLASSES, seed + 1)));
  const scores = b.op('Add', [b.op('MatMul', [flat, weights]), b.op('MatMul', [state, mix])], {}, 'scores');
  const largest = b.op('ReduceMax', [b.op('Softmax', [scores], { axis: 1 })], { axes: [1], keepdims: 0 }, 'exit_confidence');
  const fires = b.op('Greater', [largest, b.float(threshold)]);
  b.op('Where', [fires, b.int64(exit), b.int64(EXITS)], {}, 'exit_index');
  b.output('scores', 'float', ['N', CLASSES]);
  b.output('exit_index', 'int64', ['N']);
  b.output('exit_confidence', 'float', ['N']);
  if (givesOn) {
    b.op('Add', [b.op('Mul', [state, b.float(0.5)]), b.op('Unsqueeze', [largest, b.int64([1])])], {}, 'policy_state_out');
    b.output('policy_state_out', 'float', ['N', 2]);
  }
  return serializeModel(makeModel(b.build('part'), 13));
} // biome-ignore format: a graph

/** One part that reads float16 `features` of `batch` samples and says its scores in float16. */
function halfPart(batch: 'N' | 2): Uint8Array {
  const b = new GraphBuilder();
  const features = b.op('Cast', [b.input('features', 'float16', [batch, FEATURES])], { to: 1 });
  const weights = b.initializer(floatTensor('weights', [FEATURES, CLASSES], noise(FEATURES * CLASSES, 7)));
  const scores = b.op('MatMul', [features, weights]);
  b.op('Cast', [scores], { to: 10 }, 'scores');
  const largest = b.op('ReduceMax', [scores], { axes: [1], keepdims: 0 }, 'exit_confidence');
  b.op('Where', [b.op('Greater', [largest, b.float(2 ** 20)]), b.int64(0), b.int64(EXITS)], {}, 'exit_index');
  b.output('scores', 'float16', [batch, CLASSES]);
  b.output('exit_index', 'int64', [batch]);
  b.output('exit_confidence', 'float', [batch]);
  return serializeModel(makeModel(b.build('half'), 13));
}

export interface SplitFolder {
  readonly folder: string;
  /** Served names: of a model of two parts, and of one that reads float16. */
  readonly rest: string;
  readonly half: string;
  /** As `half`, but it takes two samples a run, no more and no less. */
  readonly pairs: string;
}

/** Thresholds at which samples of `samplesOf` leave everywhere. */
const THRESHOLDS = [0.9, 0.8];

export function writeSplit(folder: string): SplitFolder {
  const parts = [part(3, 0, THRESHOLDS[0]!, true), part(5, 1, THRESHOLDS[1]!, false)];
  const rest = `tiny_rest_${hashOf(...parts)}`;
  const half = `half_rest_${hashOf(halfPart('N'))}`;
  const pairs = `pairs_rest_${hashOf(halfPart(2))}`;
  mkdirSync(join(folder, rest, 'parts'), { recursive: true });
  for (const [n, bytes] of parts.entries())
    writeFileSync(join(folder, rest, 'parts', `${n + 1}.onnx`), bytes);
  for (const [name, batch] of [[half, 'N'], [pairs, 2]] as const) {
    mkdirSync(join(folder, name, '1'), { recursive: true });
    writeFileSync(join(folder, name, '1', 'model.onnx'), halfPart(batch));
  } // biome-ignore format: one line
  const inputs = ['pixels', 'policy_state'];
  const answers = ['scores', 'exit_index', 'exit_confidence'];
  const models = [
    {
      name: rest,
      points: ['balanced'],
      inputs: [
        { name: 'pixels', datatype: 'UINT8', shape: [-1, 3, 4, 4] },
        { name: 'policy_state', datatype: 'FP32', shape: [-1, 2] },
      ],
      outputs: OUTPUTS('FP32'),
      inPlay: EXITS,
      parts: [
        {
          network: 'first_1',
          file: `${rest}/parts/1.onnx`,
          inputs,
          outputs: [...answers, 'policy_state_out'],
        },
        { network: 'original', file: `${rest}/parts/2.onnx`, inputs, outputs: answers },
      ],
    },
    ...([[half, -1], [pairs, 2]] as const).map(([name, batch]) => ({
      name,
      points: ['balanced'],
      inputs: [{ name: 'features', datatype: 'FP16', shape: [batch, FEATURES] }],
      outputs: OUTPUTS('FP16').map((output) => ({ ...output, shape: [batch, ...output.shape.slice(1)] })),
      inPlay: EXITS,
      parts: [{ network: 'original', file: `${name}/1/model.onnx`, inputs: ['features'], outputs: answers }],
    })), // biome-ignore format: as it is read
  ];
  writeFileSync(
    join(folder, 'manifest.json'),
    JSON.stringify({ schemaVersion: 1, version: '0.1.0', models }),
  );
  return { folder, rest, half, pairs };
}

function hashOf(...files: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const bytes of files) hash.update(bytes);
  return hash.digest('hex').slice(0, 12);
}

/** Of one sample. */
export interface Sample {
  readonly pixels: Uint8Array;
  readonly state: Float32Array;
}

export function samplesOf(count: number, seed = 1): Sample[] {
  return Array.from({ length: count }, (_, n) => {
    const strength = (1 + (n % 8)) / 8;
    return {
      pixels: Uint8Array.from(noise(PIXELS, 100 * seed + n), (v) => 128 * (1 + strength * v)),
      state: noise(2, 1000 * seed + n),
    };
  });
}

export interface Answered {
  readonly scores: Float32Array;
  readonly exit: number;
  readonly confidence: number;
}

/** What the parts of `split.rest` say of each sample alone, the second of those that the first leaves in play. */
export async function byHand({ folder, rest }: SplitFolder, samples: readonly Sample[]): Promise<Answered[]> {
  const sessions = await Promise.all(
    [1, 2].map((n) => Session.open(join(folder, rest, 'parts', `${n}.onnx`))),
  );
  const answers: Answered[] = [];
  for (const { pixels, state } of samples) {
    const feeds = {
      pixels: new Tensor('uint8', pixels, [1, 3, 4, 4]),
      policy_state: new Tensor('float32', state, [1, 2]),
    };
    let out = await sessions[0]!.run(feeds);
    if (Number(out.exit_index!.data[0]) === EXITS)
      out = await sessions[1]!.run({ ...feeds, policy_state: out.policy_state_out! });
    answers.push({
      scores: Float32Array.from(out.scores!.data as Float32Array),
      exit: Number(out.exit_index!.data[0]),
      confidence: Number(out.exit_confidence!.data[0]),
    });
  }
  for (const session of sessions) await session.release();
  return answers;
}

/** A tensor of a request: its numbers as a list, or as bytes behind the JSON. */
export interface Sent {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: unknown;
  readonly bytes?: ArrayBufferView;
}

/** The headers and body of a request, as the binary extension has them where there are bytes. */
export function requestOf(inputs: readonly Sent[], others: object = {}): { headers: Record<string, string>; body: Buffer } {
  const described = inputs.map(({ bytes, ...input }) =>
    bytes ? { ...input, parameters: { binary_data_size: bytes.byteLength } } : input,
  );
  const header = Buffer.from(JSON.stringify({ inputs: described, ...others }));
  const chunks = inputs.flatMap(({ bytes }) =>
    bytes ? [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)] : [],
  );
  if (chunks.length === 0) return { headers: { 'Content-Type': 'application/json' }, body: header };
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': String(header.length),
  };
  return { headers, body: Buffer.concat([header, ...chunks]) };
} // biome-ignore format: one line

/** `samples` as the inputs of `split.rest`. */
export function sentOf(samples: readonly Sample[], isBinary = true): Sent[] {
  const pixels = Uint8Array.from(samples.flatMap((sample) => [...sample.pixels]));
  const state = Float32Array.from(samples.flatMap((sample) => [...sample.state]));
  const count = samples.length;
  const numbers = (values: Uint8Array | Float32Array) =>
    isBinary ? { bytes: values } : { data: [...values] };
  return [
    { name: 'pixels', datatype: 'UINT8', shape: [count, 3, 4, 4], ...numbers(pixels) },
    { name: 'policy_state', datatype: 'FP32', shape: [count, 2], ...numbers(state) },
  ];
}

export interface Received {
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Where it came in JSON. */
  readonly data?: number[];
  /** Where it came as bytes. */
  readonly bytes?: Buffer;
}

/** The JSON of an answer, and its outputs by name. */
export async function outputsOf(response: Response): Promise<{ json: Record<string, unknown>; outputs: Record<string, Received> }> {
  const body = Buffer.from(await response.arrayBuffer());
  const length = response.headers.get('Inference-Header-Content-Length');
  const json = JSON.parse(body.subarray(0, length === null ? body.length : Number(length)).toString());
  let at = Number(length);
  const outputs: Record<string, Received> = {};
  for (const { name, parameters, ...output } of json.outputs ?? []) {
    const size = parameters?.binary_data_size;
    outputs[name] = size === undefined ? output : { ...output, bytes: Buffer.from(body.subarray(at, at + size)) };
    at += size ?? 0;
  }
  return { json, outputs };
} // biome-ignore format: one line

export const infer = (url: string, model: string, { headers, body }: { headers: Record<string, string>; body: Uint8Array | string }, signal?: AbortSignal) =>
  fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', headers, body, ...(signal && { signal }) }); // biome-ignore format: one line

const binary = { parameters: { binary_data_output: true } };

/** The answers for `samples`, over bytes both ways. Rejects where the server refuses. */
export async function answersOf(url: string, model: string, samples: readonly Sample[], signal?: AbortSignal): Promise<Answered[]> {
  const response = await infer(url, model, requestOf(sentOf(samples), binary), signal);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const { outputs } = await outputsOf(response);
  const bytes = (name: string) => Uint8Array.from(outputs[name]!.bytes!).buffer;
  const scores = new Float32Array(bytes('scores'));
  const exits = new BigInt64Array(bytes('exit_index'));
  const confidences = new Float32Array(bytes('exit_confidence'));
  return samples.map((_, n) => ({
    scores: scores.slice(n * CLASSES, (n + 1) * CLASSES),
    exit: Number(exits[n]),
    confidence: confidences[n]!,
  }));
} // biome-ignore format: one line

/** A folder with a model, `slow`, of which a run of 64 samples takes a while. */
export function writeSlow(folder: string): void {
  const b = new GraphBuilder();
  let x = b.input('features', 'float', ['N', 512]);
  const weights = b.initializer(floatTensor('weights', [512, 512], noise(512 * 512, 3)));
  for (let layer = 0; layer < 200; layer++) x = b.op('Tanh', [b.op('MatMul', [x, weights])]);
  b.op('Identity', [x], {}, 'scores');
  b.output('scores', 'float', ['N', 512]);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'slow.onnx'), serializeModel(makeModel(b.build('slow'), 13)));
  const inputs = [{ name: 'features', datatype: 'FP32', shape: [-1, 512] }];
  const outputs = [{ name: 'scores', datatype: 'FP32', shape: [-1, 512] }];
  const parts = [{ network: 'original', file: 'slow.onnx', inputs: ['features'], outputs: ['scores'] }];
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ models: [{ name: 'slow', inputs, outputs, inPlay: 1, parts }] }));
} // biome-ignore format: one line

/** A folder with a model, `words`, which looks two words a sample up in a table of five, and fails at others. */
export function writeWords(folder: string): void {
  const b = new GraphBuilder();
  const table = b.initializer(floatTensor('table', [5, 1], [0, 10, 20, 30, 40]));
  const found = b.op('Gather', [table, b.input('ids', 'int64', ['N', 2])], { axis: 0 });
  b.op('ReduceSum', [found, b.int64([2])], { keepdims: 0 }, 'scores');
  b.output('scores', 'float', ['N', 2]);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'words.onnx'), serializeModel(makeModel(b.build('words'), 13)));
  const inputs = [{ name: 'ids', datatype: 'INT64', shape: [-1, 2] }];
  const outputs = [{ name: 'scores', datatype: 'FP32', shape: [-1, 2] }];
  const parts = [{ network: 'original', file: 'words.onnx', inputs: ['ids'], outputs: ['scores'] }];
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ models: [{ name: 'words', inputs, outputs, inPlay: 1, parts }] }));
} // biome-ignore format: one line
