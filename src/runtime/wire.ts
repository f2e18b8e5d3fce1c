/** Tensors over HTTP as the Open Inference Protocol (version 2) has them: in JSON, or as bytes behind it (its binary tensor data extension). */
import type * as Ort from 'onnxruntime-common';
import { fromFloat16 } from './tensors.ts';

/** Who answered a sample. */
export type AnsweredWhere = 'client' | 'server' | 'client, server unreachable' | 'client, server refused';

/** Why the server did not answer: thrown with `offline: 'throw'`. */
export class NotAnswered extends Error {
  readonly where: Exclude<AnsweredWhere, 'client' | 'server'>;
  /** Milliseconds after which asking again may help; undefined where it does not. */
  readonly againMs: number | undefined;

  constructor(where: Exclude<AnsweredWhere, 'client' | 'server'>, problem: string, againMs?: number) {
    super(problem);
    this.name = 'NotAnswered';
    this.where = where;
    this.againMs = againMs;
  }
}

/** The server has not even been asked. */
export class NotAsked extends NotAnswered {
  constructor(problem: string) {
    super('client, server unreachable', problem);
  }
}

/** Rows that travel: `dims` are those of one row. */
export interface SentRows {
  readonly name: string;
  readonly type: Ort.Tensor.Type;
  readonly dims: readonly number[];
  readonly data: Ort.Tensor.DataType;
}

export interface WireRequest {
  readonly body: ArrayBuffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is asked of a served model, and what its answer has to be. */
export interface WireQuestion {
  readonly served: string;
  readonly rows: number;
  /** Its outputs: class scores, exit taken, the policy's score. */
  readonly outputs: readonly [scores: string, exitIndex: string, exitConfidence: string];
  readonly scoresType: 'float32' | 'float16';
  /** Scores of a row. */
  readonly each: number;
  /** Exits that it may answer at, from the first to the last. */
  readonly exits: readonly [first: number, last: number];
}

/** What the server says of one row. */
export interface RowAnswer {
  readonly scores: Float32Array;
  readonly exit: number;
  readonly confidence: number;
}

/** The header that says how many bytes of a body are JSON. */
export const JSON_LENGTH = 'Inference-Header-Content-Length';

/** The protocol's name of a tensor type. */
export function wireTypeOf(type: Ort.Tensor.Type): string {
  if (type === 'string') return 'BYTES';
  return type.startsWith('float') ? `FP${type.slice(5)}` : type.toUpperCase();
}

/** `asked` for `rows`; without the extension float16 goes as FP32, since JSON servers refuse FP16. Throws `NotAnswered`. */
export function encodeRequest(
  asked: WireQuestion,
  rows: readonly SentRows[],
  isBinary: boolean,
): WireRequest {
  const shapeOf = ({ dims }: SentRows) => [asked.rows, ...dims];
  if (!isBinary) {
    const inputs = rows.map((one) => {
      const datatype = one.type === 'float16' ? 'FP32' : wireTypeOf(one.type);
      // Not by JSON.stringify, which knows no 64-bit integers.
      return `{"name":${JSON.stringify(one.name)},"shape":[${shapeOf(one)}],"datatype":"${datatype}","data":[${numbersOf(one)}]}`;
    });
    const outputs = JSON.stringify(asked.outputs.map((name) => ({ name })));
    const body = new TextEncoder().encode(`{"inputs":[${inputs}],"outputs":${outputs}}`);
    return { body: inOneBuffer([body]), headers: { 'Content-Type': 'application/json' } };
  }
  const pieces = rows.map(({ data }) => littleEndian(data));
  const head = new TextEncoder().encode(
    JSON.stringify({
      inputs: rows.map((one, i) => ({
        name: one.name,
        shape: shapeOf(one),
        datatype: wireTypeOf(one.type),
        parameters: { binary_data_size: pieces[i]!.length },
      })),
      outputs: asked.outputs.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
  );
  return {
    body: inOneBuffer([head, ...pieces]),
    headers: { 'Content-Type': 'application/octet-stream', [JSON_LENGTH]: String(head.length) },
  };
}

/** Elements as JSON has them, separated by commas. */
function numbersOf({ name, type, data }: SentRows): string {
  if (type === 'string') return (data as string[]).map((text) => JSON.stringify(text)).join();
  if (type === 'bool') return Array.from(data as Uint8Array, (bit) => bit !== 0).join();
  if (!type.startsWith('float')) return (data as Uint8Array).join();
  const numbers = type === 'float16' ? fromFloat16(data as Uint16Array) : (data as Float32Array);
  if (numbers.every(Number.isFinite)) return numbers.join();
  throw new NotAnswered(
    'client, server refused',
    `"${name}" has an element that is not finite: JSON has no word for it, and the server takes no binary tensors`,
  );
}

/** As ONNX Runtime's platforms have them in memory; texts each with its length in front. */
function littleEndian(data: Ort.Tensor.DataType): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const pieces = (data as string[]).flatMap((text) => {
    const bytes = new TextEncoder().encode(text);
    return [new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes];
  });
  return new Uint8Array(inOneBuffer(pieces));
}

export function inOneBuffer(pieces: readonly Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all.buffer;
}

/** Most bytes that an answer to `asked` may have, in JSON at its longest. */
export const mostBytes = ({ rows, each }: Pick<WireQuestion, 'rows' | 'each'>): number =>
  65_536 + 40 * rows * (each + 2);

interface WireOutput {
  readonly name?: unknown;
  readonly datatype?: unknown;
  readonly shape?: unknown;
  readonly data?: unknown;
  readonly parameters?: { readonly binary_data_size?: unknown } | null;
  /** What its `binary_data_size` stands for. */
  bytes?: Uint8Array;
}

/**
 * The answer to `asked`, row by row. `jsonLength` is what `JSON_LENGTH` says of `body`; null where it says nothing, and all of it is JSON.
 * Throws `NotAnswered` that names what is wrong: no JSON, another model's answer, a missing output, another type or shape, NaN, an exit that is none.
 */
export function decodeAnswer(asked: WireQuestion, body: Uint8Array, jsonLength: string | null): RowAnswer[] {
  const { rows, each, outputs, scoresType, exits } = asked;
  const named = outputsOf(asked, body, jsonLength);
  const scores = floatsOf(named, outputs[0], scoresType, rows, rows * each);
  const confidences = floatsOf(named, outputs[2], 'float32', rows, rows);
  const taken = integersOf(named, outputs[1], rows);
  return taken.map((exit, n) => {
    const own = scores.slice(n * each, (n + 1) * each);
    const confidence = confidences[n]!;
    // -Infinity beside others is a class that the model rules out.
    if (!Number.isFinite(own.reduce((largest, score) => Math.max(largest, score))))
      throw nonsense(`output "${outputs[0]}": the scores of sample ${n} say nothing`);
    if (Number.isNaN(confidence)) throw nonsense(`output "${outputs[2]}": sample ${n} is NaN`);
    if (!Number.isInteger(exit) || exit < exits[0] || exit > exits[1])
      throw nonsense(`output "${outputs[1]}": ${exits[0]} to ${exits[1]} expected, sample ${n} has ${exit}`);
    return { scores: own, exit, confidence };
  });
}

/** What `outputs` of the answer says, by name. */
function outputsOf(
  { served, outputs }: WireQuestion,
  body: Uint8Array,
  jsonLength: string | null,
): ReadonlyMap<unknown, WireOutput> {
  const length = jsonLength === null ? body.length : Number(jsonLength);
  if (!(Number.isInteger(length) && length > 0 && length <= body.length))
    throw nonsense(`${JSON_LENGTH} is ${jsonLength}, of a body of ${body.length} bytes`);
  const answer = parsed(body.subarray(0, length), jsonLength) as {
    readonly model_name?: unknown;
    readonly outputs?: unknown;
  } | null;
  const model = answer?.model_name;
  if (model !== undefined && model !== served) throw nonsense(`it is that of "${model}", not of "${served}"`);
  if (!Array.isArray(answer?.outputs)) throw nonsense('it has no outputs');
  const named = new Map<unknown, WireOutput>();
  let at = length;
  for (const output of answer.outputs as readonly (WireOutput | null)[]) {
    if (typeof output !== 'object' || output === null) throw nonsense('one of its outputs is no object');
    if (named.has(output.name)) throw nonsense(`output "${output.name}" is there twice`);
    const size = output.parameters?.binary_data_size;
    if (size !== undefined) {
      if (!(Number.isInteger(size) && (size as number) >= 0 && at + (size as number) <= body.length))
        throw nonsense(`output "${output.name}": ${size} bytes of ${body.length - at} that are left`);
      output.bytes = body.subarray(at, at + (size as number));
      at += size as number;
    }
    named.set(output.name, output);
  }
  if (at !== body.length) throw nonsense(`${body.length - at} bytes of it belong to no output`);
  const missing = outputs.find((name) => !named.has(name));
  if (missing !== undefined) throw nonsense(`it has no output "${missing}"`);
  return named;
}

function parsed(bytes: Uint8Array, jsonLength: string | null): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    const unseen =
      jsonLength === null && bytes[0] === 0x7b
        ? `; bytes may follow it, but ${JSON_LENGTH} is missing: a browser sees it only where the server names it in Access-Control-Expose-Headers`
        : '';
    throw nonsense(`it is not JSON${unseen}`);
  }
}

/** `count` floats of `rows` rows. */
function floatsOf(
  named: ReadonlyMap<unknown, WireOutput>,
  name: string,
  type: 'float32' | 'float16',
  rows: number,
  count: number,
): Float32Array {
  const output = named.get(name)!;
  // A server that speaks JSON alone has no FP16.
  const isHalf = type === 'float16' && !(output.datatype === 'FP32' && !output.bytes);
  checkType(output, isHalf ? 'FP16' : 'FP32', rows, count);
  if (!output.bytes) return Float32Array.from(listOf(output, count));
  const bytes = bytesFor(output, count * (isHalf ? 2 : 4));
  return isHalf ? fromFloat16(new Uint16Array(bytes)) : new Float32Array(bytes);
}

function integersOf(named: ReadonlyMap<unknown, WireOutput>, name: string, rows: number): number[] {
  const output = named.get(name)!;
  checkType(output, 'INT64', rows, rows);
  return output.bytes
    ? Array.from(new BigInt64Array(bytesFor(output, 8 * rows)), Number)
    : listOf(output, rows);
}

function checkType({ name, datatype, shape }: WireOutput, type: string, rows: number, count: number): void {
  const isShape =
    Array.isArray(shape) && shape[0] === rows && shape.reduce((product, dim) => product * dim, 1) === count;
  if (datatype === type && isShape) return;
  const wanted = count === rows ? `[${rows}]` : `[${rows}, ${count / rows}]`;
  const found = Array.isArray(shape) ? `[${shape.join(', ')}]` : 'no shape';
  throw nonsense(`output "${name}": ${type} ${wanted} expected, got ${datatype} ${found}`);
}

/** A copy, which begins where any type may. */
function bytesFor({ name, bytes }: WireOutput, size: number): ArrayBuffer {
  if (bytes!.length !== size)
    throw nonsense(`output "${name}": ${size} bytes expected, got ${bytes!.length}`);
  return new Uint8Array(bytes!).buffer;
}

/** The protocol allows nested lists too. */
function listOf({ name, data }: WireOutput, count: number): number[] {
  const list: unknown[] = Array.isArray(data) ? data.flat(Number.POSITIVE_INFINITY) : [];
  if (list.length !== count || !list.every((value) => typeof value === 'number'))
    throw nonsense(`output "${name}": ${count} numbers expected`);
  return list as number[];
}

function nonsense(problem: string): NotAnswered {
  return new NotAnswered('client, server refused', `the server's answer makes no sense: ${problem}`);
}
