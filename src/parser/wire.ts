/** Protobuf's wire format: a message cut into fields that are views on its bytes, and chunks joined back into one. */
import protobuf from 'protobufjs/minimal.js';
import { OfframpError, tooManyFields } from '../errors/index.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const LEN = 2;
export const FIXED32 = 5;

/** One field of a message. */
export class Field {
  constructor(
    private readonly message: Uint8Array,
    readonly number: number,
    readonly wire: number,
    private readonly start: number,
    private readonly payloadStart: number,
    private readonly end: number,
  ) {}

  /** Tag and payload. */
  get raw(): Uint8Array {
    return this.message.subarray(this.start, this.end);
  }

  /** What follows the tag (and the length, where there is one). */
  get payload(): Uint8Array {
    return this.message.subarray(this.payloadStart, this.end);
  }
}

/** Bytes that are no message. `before`: the fields in front of the bad one, of which `number` and `wire` may be known. */
export class WireError extends Error {
  constructor(
    readonly reason: 'truncated' | 'malformed',
    readonly before: readonly Field[],
    readonly number = 0,
    readonly wire = -1,
  ) {
    super(reason === 'truncated' ? 'a field reaches beyond the end' : 'not a protobuf message');
  }
}

/**
 * How many fields one file may have. Two bytes can be a field and every field becomes an object or more, so that without a
 * limit the smallest file could fill the memory. The largest model we know has 42,000.
 */
const MAX_FIELDS = 2 ** 20;
let fieldsLeft = Number.POSITIVE_INFINITY;

/** Runs `parse` on one file; `too-many-fields` when it reads more than MAX_FIELDS fields and packed varints in all. */
export function withFieldLimit<T>(parse: () => T): T {
  fieldsLeft = MAX_FIELDS;
  try {
    return parse();
  } finally {
    fieldsLeft = Number.POSITIVE_INFINITY;
  }
}

function countFields(count: number): void {
  fieldsLeft -= count;
  if (fieldsLeft < 0) throw tooManyFields(MAX_FIELDS);
}

/** Cuts `bytes` into fields; nothing is copied. Throws WireError. */
export function readFields(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  const reader = new protobuf.Reader(bytes);
  let number = 0;
  let wire = -1;
  try {
    while (reader.pos < reader.len) {
      countFields(1);
      const start = reader.pos;
      const tag = reader.uint32();
      number = tag >>> 3;
      wire = tag & 7;
      if (number === 0) throw new WireError('malformed', fields, number, wire);
      const length = wire === LEN ? reader.uint32() : 0;
      const payloadStart = reader.pos;
      if (wire === LEN) reader.skip(length);
      else if (wire === VARINT) reader.skip();
      else if (wire === FIXED64) reader.skip(8);
      else if (wire === FIXED32) reader.skip(4);
      else throw new WireError('malformed', fields, number, wire);
      fields.push(new Field(bytes, number, wire, start, payloadStart, reader.pos));
    }
  } catch (error) {
    if (error instanceof WireError || error instanceof OfframpError) throw error;
    throw new WireError(error instanceof RangeError ? 'truncated' : 'malformed', fields, number, wire);
  }
  return fields;
}

/** Which fields of a message are modelled; numbers by how they lie on the wire. */
export interface Schema {
  /** Plain fields, decoded together by onnx-proto: number → wire types it may have. */
  readonly plain: Readonly<Record<number, readonly number[]>>;
  /** Fields handled one by one: number → wire types it may have. */
  readonly apart: Readonly<Record<number, readonly number[]>>;
}

/** A message cut up along a schema. */
export interface Parts {
  /** The plain fields as one small message. */
  readonly plain: Uint8Array;
  /** The fields with `number`, of those handled one by one. */
  readonly apart: (number: number) => readonly Field[];
  /** Fields that are not in the schema, or have another wire type there. */
  readonly unknownFields: Uint8Array | undefined;
  /** Numbers of the known fields that are present. */
  readonly present: ReadonlySet<number>;
}

export function cutMessage(bytes: Uint8Array, schema: Schema): Parts {
  return sortFields(readFields(bytes), schema);
}

export function sortFields(fields: readonly Field[], schema: Schema): Parts {
  const plain: Uint8Array[] = [];
  const apart = new Map<number, Field[]>();
  const unknown: Uint8Array[] = [];
  const present = new Set<number>();
  for (const field of fields) {
    const wires = schema.plain[field.number];
    if (wires?.includes(field.wire)) {
      plain.push(field.raw);
      if (field.wire === LEN && wires.includes(VARINT)) countFields(countVarints(field.payload));
    } else if (schema.apart[field.number]?.includes(field.wire)) {
      const list = apart.get(field.number);
      if (list) list.push(field);
      else apart.set(field.number, [field]);
    } else {
      unknown.push(field.raw);
      continue;
    }
    present.add(field.number);
  }
  return {
    plain: joinBytes(plain),
    apart: (number) => apart.get(number) ?? [],
    unknownFields: unknown.length ? joinBytes(unknown) : undefined,
    present,
  };
}

/** The concatenation of `parts`: a view when they are already adjacent in memory, else a copy. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const first = parts[0];
  if (!first) return new Uint8Array(0);
  let length = 0;
  let adjacent = true;
  for (const part of parts) {
    adjacent &&= part.buffer === first.buffer && part.byteOffset === first.byteOffset + length;
    length += part.byteLength;
  }
  if (adjacent) return new Uint8Array(first.buffer, first.byteOffset, length);
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}

function countVarints(payload: Uint8Array): number {
  let count = 0;
  for (const byte of payload) if (byte < 128) count++;
  return count;
}

/** The varints in `payloads` (one each, or many packed) as little-endian integers of `size` bytes. Throws WireError. */
export function unpackVarints(payloads: readonly Uint8Array[], size: number): Uint8Array {
  const count = payloads.reduce((sum, payload) => sum + countVarints(payload), 0);
  const bytes = new Uint8Array(count * size);
  let to = 0;
  for (const payload of payloads) {
    for (let at = 0; at < payload.length; ) {
      let low = 0;
      let high = 0;
      let byte = 128;
      for (let shift = 0; byte > 127; shift += 7) {
        if (shift > 63 || at === payload.length) throw new WireError('malformed', []);
        byte = payload[at++]!;
        if (shift < 32) low |= (byte & 127) << shift;
        if (shift === 28) high |= (byte & 127) >> 4;
        if (shift > 32) high |= (byte & 127) << (shift - 32);
      }
      for (let i = 0; i < size; i++) bytes[to++] = i < 4 ? low >> (8 * i) : high >> (8 * (i - 4));
    }
  }
  return bytes;
}

/** A message being written: chunks that are copied once, when the outermost message is joined. */
export class Chunks {
  readonly parts: Uint8Array[] = [];
  length = 0;

  /** Appends whole fields. */
  append(fields: Uint8Array | undefined): this {
    if (fields?.byteLength) {
      this.parts.push(fields);
      this.length += fields.byteLength;
    }
    return this;
  }

  /** Appends field `number` with a message, a string or bytes as its payload. */
  field(number: number, payload: Uint8Array | Chunks): this {
    const length = payload.length;
    this.append(Uint8Array.from([...varint((number << 3) | LEN), ...varint(length)]));
    if (payload instanceof Uint8Array) return this.append(payload);
    for (const part of payload.parts) this.append(part);
    return this;
  }

  /** The bytes; in new memory unless there is only one chunk. */
  join(): Uint8Array {
    return joinBytes(this.parts);
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return bytes;
}
