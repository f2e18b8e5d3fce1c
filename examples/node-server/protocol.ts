/**
 * Requests and answers of the Open Inference Protocol (https://github.com/kserve/open-inference-protocol), as JSON or with tensors as
 * bytes behind it (https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html).
 */
import { fromHalf, toHalf } from './half.ts';
import { Refusal } from './limits.ts';
import {
  ARRAYS,
  arrayOf,
  bytesOf,
  type Datatype,
  elements,
  indexOfNotFinite,
  type Numbers,
  type Tensor,
  type Tensors,
} from './tensors.ts';

export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 is an axis of any size; the first one is the batch, where it is -1 for all inputs. */
  readonly shape: readonly number[];
}

/** What requests may ask for. */
export interface Asked {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** That a request may have. */
  readonly maxSamples: number;
}

export interface InferRequest {
  readonly id: string | undefined;
  readonly inputs: Tensors;
  readonly samples: number;
  readonly outputs: readonly WantedOutput[];
}

interface WantedOutput {
  readonly name: string;
  readonly isBinary: boolean;
}

/** A part of a body that is not read yet. */
interface Rest {
  bytes: Buffer;
}

const refuse = (place: string, problem: string): never => {
  throw new Refusal(400, `${place}: ${problem}`);
};

/** `headerLength`: the header Inference-Header-Content-Length. Throws a Refusal that says what is wrong, and where. */
export function readInferRequest(body: Buffer, headerLength: string | undefined, model: Asked): InferRequest {
  const length = headerLength === undefined ? body.length : Number(headerLength);
  if (!/^\d+$/.test(headerLength ?? '0') || length > body.length)
    refuse('Inference-Header-Content-Length', `${headerLength}, where the body has ${body.length} bytes`);
  const { id, parameters, inputs, outputs } = parsed(body.subarray(0, length));
  if (id !== undefined && typeof id !== 'string') refuse('id', 'must be a string');
  const rest = { bytes: body.subarray(length) };
  const tensors = readInputs(inputs, rest, model, length);
  if (rest.bytes.length > 0) refuse('body', `${rest.bytes.length} bytes too many`);
  return {
    id: id as string | undefined,
    inputs: tensors,
    samples: samplesOf(tensors, model),
    outputs: readOutputs(
      outputs,
      objectAt('parameters', parameters ?? {}).binary_data_output === true,
      model,
    ),
  };
}

function parsed(json: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json.toString());
  } catch (error) {
    refuse('body', `no JSON: ${(error as Error).message.slice(0, 100)}`);
  }
  return objectAt('body', value);
}

function objectAt(place: string, value: unknown): Record<string, unknown> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as Record<string, unknown>) : refuse(place, 'must be an object');
}

const listAt = (place: string, value: unknown): unknown[] =>
  Array.isArray(value) ? value : refuse(place, 'must be a list');

/** `jsonLength`: characters of the JSON, which no list in it has more numbers than. */
function readInputs(value: unknown, rest: Rest, { inputs }: Asked, jsonLength: number): Tensors {
  const tensors = new Map<string, Tensor>();
  for (const [n, each] of listAt('inputs', value).entries()) {
    const place = `inputs[${n}]`;
    const given = objectAt(place, each);
    const spec = specNamed(given.name, inputs, place, 'input');
    if (tensors.has(spec.name)) refuse(`${place}.name`, `${spec.name} is there twice`);
    tensors.set(spec.name, readInput(given, spec, rest, place, jsonLength));
  }
  const missing = inputs.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
  if (missing.length > 0) refuse('inputs', `${missing.join(', ')} missing`);
  return tensors;
}

function specNamed(name: unknown, specs: readonly TensorSpec[], place: string, kind: string): TensorSpec {
  const spec = specs.find((each) => each.name === name);
  const there = specs.map((each) => each.name).join(', ');
  return spec ?? refuse(`${place}.name`, `no ${kind} ${shown(name)}; there are ${there}`);
}

function readInput(
  given: Record<string, unknown>,
  spec: TensorSpec,
  rest: Rest,
  place: string,
  jsonLength: number,
): Tensor {
  const { datatype } = spec;
  const shape = readShape(given.shape, spec, `${place}.shape`);
  const isWider = datatype === 'FP16' && given.datatype === 'FP32';
  if (given.datatype !== datatype && !isWider)
    refuse(`${place}.datatype`, `${shown(given.datatype)}, where the model takes ${datatype}`);
  const size = objectAt(`${place}.parameters`, given.parameters ?? {}).binary_data_size;
  const data =
    size === undefined
      ? readNumbers(given.data, datatype, shape, `${place}.data`, jsonLength)
      : readBytes(size, given, isWider, datatype, shape, rest, place);
  const tensor = { datatype, shape, data };
  const bad = indexOfNotFinite(tensor);
  if (bad >= 0)
    refuse(`${place}.data`, `sample ${Math.floor(bad / elements(shape.slice(1)))} holds NaN or an infinity`);
  return tensor;
}

function readShape(value: unknown, spec: TensorSpec, place: string): number[] {
  const shape = listAt(place, value) as number[];
  const fits =
    shape.length === spec.shape.length &&
    shape.every((size, axis) => {
      const wanted = spec.shape[axis]!;
      return wanted === -1 ? Number.isSafeInteger(size) && size > 0 : size === wanted;
    });
  return fits ? shape : refuse(place, `${shown(shape)}, where the model takes ${shown(spec.shape)}`);
}

/** Tensors in the JSON: a flat list, or lists in lists. */
function readNumbers(
  value: unknown,
  datatype: Datatype,
  shape: readonly number[],
  place: string,
  jsonLength: number,
): Numbers {
  const list = listAt(place, value);
  const count = elements(shape);
  // Before room is made for what a shape only claims.
  if (count > jsonLength) refuse(place, `fewer numbers than its shape has, ${count}`);
  const numbers = arrayOf(datatype, count);
  let at = 0;
  const put = (each: unknown, depth: number): void => {
    if (Array.isArray(each)) {
      if (depth >= shape.length) refuse(place, 'lists in lists, more than its shape has axes');
      for (const inner of each) put(inner, depth + 1);
    } else {
      const number = asStored(each, datatype);
      if (number === undefined) refuse(`${place}[${at}]`, `${shown(each)} is no ${datatype}`);
      numbers[at++] = number!;
    }
  };
  put(list, 0);
  return at === count ? numbers : refuse(place, `${at} numbers, where its shape has ${count}`);
}

const RANGES: Partial<Record<Datatype, readonly [least: number, most: number]>> = {
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
  UINT32: [0, 2 ** 32 - 1],
  // JSON's numbers are exact no further.
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  INT64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/** A number of the JSON as an array holds it; undefined where it is none of that type. */
function asStored(value: unknown, datatype: Datatype): number | bigint | undefined {
  if (datatype === 'BOOL') return typeof value === 'boolean' ? Number(value) : undefined;
  if (typeof value !== 'number') return undefined;
  const range = RANGES[datatype];
  if (range) {
    if (!Number.isInteger(value) || value < range[0] || value > range[1]) return undefined;
    return datatype === 'INT64' || datatype === 'UINT64' ? BigInt(value) : value;
  }
  if (datatype === 'FP16') return Math.abs(value) < 65520 ? toHalf(value) : undefined;
  const stored = datatype === 'FP32' ? Math.fround(value) : value;
  return Number.isFinite(stored) ? stored : undefined;
}

/** Tensors behind the JSON, little-endian as every machine that Node runs on. `isWider`: they are FP32 and become FP16. */
function readBytes(
  size: unknown,
  given: Record<string, unknown>,
  isWider: boolean,
  datatype: Datatype,
  shape: readonly number[],
  rest: Rest,
  place: string,
): Numbers {
  const sizePlace = `${place}.parameters.binary_data_size`;
  const expected = bytesOf(isWider ? 'FP32' : datatype, shape);
  if (given.data !== undefined) refuse(`${place}.data`, 'there beside binary_data_size');
  if (size !== expected) refuse(sizePlace, `${shown(size)} bytes, where its shape has ${expected}`);
  if (expected > rest.bytes.length) refuse(sizePlace, `${expected} bytes, where the body has ${rest.bytes.length} left`);
  const { buffer, byteOffset } = rest.bytes;
  // A copy, since arrays of larger numbers may not begin anywhere.
  const bytes = (buffer as ArrayBuffer).slice(byteOffset, byteOffset + expected);
  rest.bytes = rest.bytes.subarray(expected);
  if (isWider) return Uint16Array.from(new Float32Array(bytes), toHalf);
  const data = new ARRAYS[datatype](bytes);
  if (datatype === 'BOOL' && data.some((byte) => byte > 1)) refuse(`${place}.data`, 'a byte is neither 0 nor 1');
  return data;
} // biome-ignore format: one line

/** Of all inputs alike. */
function samplesOf(tensors: Tensors, { inputs, maxSamples }: Asked): number {
  const counts = inputs
    .filter(({ shape }) => shape[0] === -1)
    .map(({ name }) => ({ name, samples: tensors.get(name)!.shape[0]! }));
  const [{ name, samples } = { name: '', samples: 1 }] = counts;
  for (const other of counts)
    if (other.samples !== samples)
      refuse('inputs', `${samples} samples of ${name}, but ${other.samples} of ${other.name}`);
  if (samples > maxSamples)
    throw new Refusal(413, `inputs: ${samples} samples; a request may have ${maxSamples} at most`);
  return samples;
}

function readOutputs(value: unknown, areBinary: boolean, { outputs }: Asked): WantedOutput[] {
  const wanted = value === undefined ? [] : listAt('outputs', value);
  if (wanted.length === 0) return outputs.map(({ name }) => ({ name, isBinary: areBinary }));
  const names = new Set<string>();
  return wanted.map((each, n) => {
    const place = `outputs[${n}]`;
    const given = objectAt(place, each);
    const { name } = specNamed(given.name, outputs, place, 'output');
    if (names.has(name)) refuse(`${place}.name`, `${name} is there twice`);
    names.add(name);
    const parameters = objectAt(`${place}.parameters`, given.parameters ?? {});
    for (const extension of ['classification', 'shared_memory_region'])
      if (extension in parameters) refuse(`${place}.parameters`, `${extension} is not supported`);
    return { name, isBinary: (parameters.binary_data ?? areBinary) === true };
  });
}

/** At most so much of what somebody sent. */
const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 100);

export interface InferResponse {
  readonly type: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** `tensors`: those that `request` asks for, and maybe others. */
export function writeInferResponse(
  model: string,
  { id, outputs }: InferRequest,
  tensors: Tensors,
): InferResponse {
  const chunks: Buffer[] = [];
  const described = outputs.map(({ name, isBinary }) => {
    const tensor = tensors.get(name)!;
    const { datatype, shape, data } = tensor;
    if (!isBinary) return { name, shape, ...inJson(tensor) };
    chunks.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return { name, shape, datatype, parameters: { binary_data_size: data.byteLength } };
  });
  const header = Buffer.from(
    JSON.stringify({
      model_name: model,
      model_version: '1',
      ...(id !== undefined && { id }),
      outputs: described,
    }),
  );
  if (chunks.length === 0) return { type: 'application/json', body: header, headers: {} };
  return {
    type: 'application/octet-stream',
    body: Buffer.concat([header, ...chunks]),
    headers: { 'Inference-Header-Content-Length': String(header.length) },
  };
}

/** JSON has no FP16, so those are FP32 there, and no NaN and no infinity, which are null. */
function inJson({ datatype, data }: Tensor): { datatype: Datatype; data: readonly (number | boolean)[] } {
  const numbers = Array.from<number | bigint, number>(data as Float32Array, Number);
  if (datatype === 'FP16') return { datatype: 'FP32', data: numbers.map(fromHalf) };
  return { datatype, data: datatype === 'BOOL' ? numbers.map(Boolean) : numbers };
}
