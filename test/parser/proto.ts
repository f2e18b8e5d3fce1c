/** Protobuf messages written by hand, byte by byte: what the parser is tested on must not come from its own encoder. */

const varint = (value: bigint): number[] => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
};

/** A varint field. */
export const int = (number: number, value: number | bigint): Uint8Array =>
  Uint8Array.from([...varint(BigInt(number << 3)), ...varint(BigInt(value))]);

/** A field of strings, messages or bytes, concatenated. */
export const len = (number: number, ...parts: (string | Uint8Array)[]): Uint8Array => {
  const payload = message(...parts.map((p) => (typeof p === 'string' ? Buffer.from(p) : p)));
  return message(
    Uint8Array.from([...varint(BigInt((number << 3) | 2)), ...varint(BigInt(payload.length))]),
    payload,
  );
};

/** A packed field of varints. */
export const packed = (number: number, ...values: (number | bigint)[]): Uint8Array =>
  len(number, Uint8Array.from(values.flatMap((v) => varint(BigInt(v)))));

/** A fixed32 field. */
export const float32 = (number: number, value: number): Uint8Array =>
  message(Uint8Array.from(varint(BigInt((number << 3) | 5))), bytesOf(Float32Array.of(value)));

export const message = (...fields: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(fields));

export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export const value = (name: string): Uint8Array => message(len(1, name), len(2, len(1, int(1, 1), len(2))));

/** A model of opset 17 whose graph `g` has `fields`. */
export const model = (...fields: Uint8Array[]): Uint8Array =>
  message(int(1, 8), len(7, len(2, 'g'), ...fields), len(8, len(1, ''), int(2, 17)));

export const node = (
  opType: string,
  inputs: string[],
  outputs: string[],
  ...more: Uint8Array[]
): Uint8Array =>
  message(...inputs.map((n) => len(1, n)), ...outputs.map((n) => len(2, n)), len(4, opType), ...more);

/** x → Identity → y. */
export const smallest = model(
  len(1, node('Identity', ['x'], ['y'])),
  len(11, value('x')),
  len(12, value('y')),
);

/** The OfframpError code `fn` throws; '' when it throws none. */
export function codeOf(fn: () => unknown): string {
  try {
    fn();
    return '';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

export const contains = (bytes: Uint8Array, part: Uint8Array): boolean =>
  Buffer.from(bytes).includes(Buffer.from(part));
