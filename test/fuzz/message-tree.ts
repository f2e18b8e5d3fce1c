/** An ONNX file as a tree of protobuf messages that can be changed at will and written again, right or wrong. */
import { LEN, readFields, VARINT } from '../../src/parser/wire.ts';

/** Which fields of which messages are messages. */
const FIELDS = {
  Model: { 7: 'Graph', 8: 'Opset', 14: 'Entry', 25: 'Function' },
  Graph: { 1: 'Node', 5: 'Tensor', 11: 'Value', 12: 'Value', 13: 'Value', 15: 'Sparse' },
  Node: { 5: 'Attribute' },
  Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 22: 'Sparse', 23: 'Sparse' },
  Tensor: { 13: 'Entry' },
  Sparse: { 1: 'Tensor', 2: 'Tensor' },
  Value: { 2: 'Type' },
  Type: { 1: 'TensorType', 4: 'Sequence' },
  Sequence: { 1: 'Type' },
  TensorType: { 2: 'Shape' },
  Shape: { 1: 'Dim' },
  Function: { 7: 'Node', 9: 'Opset', 11: 'Attribute' },
  Dim: {},
  Opset: {},
  Entry: {},
} as const satisfies Record<string, Record<number, string>>;

export type Kind = keyof typeof FIELDS;

export interface Message {
  readonly kind: Kind;
  readonly fields: Field[];
}

export interface Field {
  number: number;
  wire: number;
  /** What follows the tag, and the length where there is one. */
  content: Message | Uint8Array;
  /** Added to the length that is written, without a byte more or less behind it. */
  lie?: bigint;
}

export function readTree(bytes: Uint8Array, kind: Kind = 'Model'): Message {
  const kinds: Readonly<Record<number, Kind>> = FIELDS[kind];
  const fields = readFields(bytes).map(({ number, wire, payload }): Field => {
    const inner = wire === LEN ? kinds[number] : undefined;
    return { number, wire, content: inner ? readTree(payload, inner) : payload };
  });
  return { kind, fields };
}

export const writeTree = (message: Message): Uint8Array => Uint8Array.from(write(message));

function write(message: Message): Buffer {
  const parts: Uint8Array[] = [];
  for (const { number, wire, content, lie = 0n } of message.fields) {
    const payload = content instanceof Uint8Array ? content : write(content);
    parts.push(varint(BigInt(number) * 8n + BigInt(wire)));
    if (wire === LEN) parts.push(varint(BigInt(payload.length) + lie));
    parts.push(payload);
  }
  return Buffer.concat(parts);
}

/** The messages in `message`, itself included. */
export function messagesIn(message: Message, into: Message[] = []): Message[] {
  into.push(message);
  for (const { content } of message.fields) if (!(content instanceof Uint8Array)) messagesIn(content, into);
  return into;
}

export const varint = (value: bigint): Uint8Array => {
  if (value >= 0n && value < 128n) return Uint8Array.of(Number(value));
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
};

export const number = (field: number, value: bigint): Field => ({
  number: field,
  wire: VARINT,
  content: varint(value),
});

export const text = (field: number, value: string): Field => ({
  number: field,
  wire: LEN,
  content: Uint8Array.from(Buffer.from(value)),
});

export const nested = (field: number, kind: Kind, ...fields: Field[]): Field => ({
  number: field,
  wire: LEN,
  content: { kind, fields },
});
