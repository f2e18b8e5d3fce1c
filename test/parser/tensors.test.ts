/** Every way in which a TensorProto can hold its elements, and the ways in which it can lie about them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toNumbers } from '../../src/graph/tensor.ts';
import { DATA_TYPES, type Tensor } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { bytesOf, codeOf, contains, float32, int, len, message, model, packed } from './proto.ts';

const test = suite('parser: tensors');

const FLOAT = 1;

const fileOf = (...fields: Uint8Array[]) => model(len(5, len(8, 't'), ...fields));
const tensorOf = (...fields: Uint8Array[]): Tensor => parseModel(fileOf(...fields)).graph.initializers[0]!;
const type = (name: (typeof DATA_TYPES)[number]) => int(2, DATA_TYPES.indexOf(name));

const stored: readonly [what: string, fields: Uint8Array[], bytes: Uint8Array][] = [
  ['raw_data', [type('int16'), int(1, 2), len(9, Uint8Array.of(1, 0, 255, 255))], bytesOf(Int16Array.of(1, -1))],
  ['packed dims', [type('uint8'), packed(1, 2, 1), len(9, Uint8Array.of(1, 2))], Uint8Array.of(1, 2)],
  ['packed float_data', [type('float'), int(1, 2), len(4, bytesOf(Float32Array.of(1, 2)))], bytesOf(Float32Array.of(1, 2))],
  ['unpacked float_data', [type('float'), int(1, 2), float32(4, 1), float32(4, 2)], bytesOf(Float32Array.of(1, 2))],
  ['double_data', [type('double'), len(10, bytesOf(Float64Array.of(3)))], bytesOf(Float64Array.of(3))],
  ['complex64 in float_data', [type('complex64'), len(4, bytesOf(Float32Array.of(1, 2)))], bytesOf(Float32Array.of(1, 2))],
  ['int32_data', [type('int32'), int(1, 2), packed(5, -1, 300)], bytesOf(Int32Array.of(-1, 300))],
  ['unpacked int32_data', [type('int32'), int(1, 2), int(5, -1), int(5, 300)], bytesOf(Int32Array.of(-1, 300))],
  ['int64_data', [type('int64'), int(1, 3), packed(7, -1, 2n ** 63n - 1n, 2n ** 40n)], bytesOf(BigInt64Array.of(-1n, 2n ** 63n - 1n, 2n ** 40n))],
  ['uint64_data', [type('uint64'), packed(11, 2n ** 64n - 1n)], bytesOf(BigUint64Array.of(2n ** 64n - 1n))],
  ['uint32 in uint64_data', [type('uint32'), packed(11, 2 ** 32 - 1)], bytesOf(Uint32Array.of(2 ** 32 - 1))],
  ['float16 in int32_data', [type('float16'), packed(5, 0x3c00)], Uint8Array.of(0, 0x3c)],
  ['bfloat16 in int32_data', [type('bfloat16'), packed(5, 0x3f80)], Uint8Array.of(0x80, 0x3f)],
  ['int8 in int32_data', [type('int8'), int(1, 2), packed(5, -2, 3)], Uint8Array.of(254, 3)],
  ['bool in int32_data', [type('bool'), int(1, 2), packed(5, 1, 0)], Uint8Array.of(1, 0)],
  ['int4 in int32_data', [type('int4'), int(1, 3), packed(5, 0x21, 0x0f)], Uint8Array.of(0x21, 0x0f)],
  ['no elements', [type('float'), int(1, 0), int(1, 5)], new Uint8Array(0)],
]; // biome-ignore format: a table

for (const [what, fields, bytes] of stored) {
  test(`${what} becomes little-endian bytes, and raw_data when encoded anew`, () => {
    const file = fileOf(...fields);
    const parsed = parseModel(file);
    const tensor = parsed.graph.initializers[0]!;
    assert.equal([...tensor.bytes], [...bytes]);
    const edited = { ...parsed, graph: { ...parsed.graph, initializers: [{ ...tensor }] } };
    assert.equal([...parseModel(serializeModel(edited)).graph.initializers[0]!.bytes], [...bytes]);
  });
}

test('strings are kept as bytes', () => {
  const tensor = tensorOf(type('string'), int(1, 2), len(6, 'a'), len(6, Uint8Array.of(255)));
  assert.equal(
    tensor.strings!.map((s) => [...s]),
    [[97], [255]],
  );
});

test('elements read back as numbers', () => {
  assert.equal(toNumbers(tensorOf(type('int64'), int(1, 2), packed(7, -5, 6))), [-5, 6]);
});

test('external data are followed, not read; their other entries survive an edit', () => {
  const entry = (key: string, text: string) => len(13, len(1, key), len(2, text));
  const entries = message(
    entry('location', 'w.bin'),
    entry('offset', '8'),
    entry('length', '4'),
    entry('checksum', 'ff'),
  );
  const parsed = parseModel(fileOf(int(2, FLOAT), entries, int(14, 1)));
  const tensor = parsed.graph.initializers[0]!;
  assert.equal({ ...tensor.external }, { location: 'w.bin', offset: 8, length: 4 });
  assert.is(tensor.bytes.length, 0);
  const edited = { ...parsed, graph: { ...parsed.graph, initializers: [{ ...tensor, name: 'u' }] } };
  assert.ok(contains(serializeModel(edited), entries));
});

const lies: readonly [what: string, ...fields: Uint8Array[]][] = [
  ['too few bytes', int(2, FLOAT), int(1, 3), len(9, new Uint8Array(8))],
  ['too many bytes', int(2, FLOAT), int(1, 1), len(9, new Uint8Array(8))],
  ['half an element', int(2, FLOAT), int(1, 1), len(4, new Uint8Array(3))],
  ['no bytes', int(2, FLOAT), int(1, 3)],
  ['a negative dim', int(2, FLOAT), int(1, -1), len(9, new Uint8Array(4))],
  ['two negative dims', int(2, FLOAT), int(1, -1), int(1, -1), len(9, new Uint8Array(4))],
  ['an overflowing product', int(2, FLOAT), int(1, 2 ** 32), int(1, 2 ** 32), len(9, new Uint8Array(0))],
  ['too few strings', type('string'), int(1, 3), len(6, 'a')],
  ['external data without a location', int(2, FLOAT), int(14, 1)],
  ['a negative offset', int(2, FLOAT), len(13, len(1, 'location'), len(2, 'w')), len(13, len(1, 'offset'), len(2, '-1')), int(14, 1)],
]; // biome-ignore format: a table

for (const [what, ...fields] of lies) {
  test(`${what}: refused, naming the tensor`, () => {
    assert.throws(
      () => tensorOf(...fields),
      (error: { code?: string; message: string }) =>
        error.code === 'malformed-tensor' && error.message.startsWith('tensor t'),
    );
  });
}

test('an unfinished varint is refused', () => {
  assert.is(
    codeOf(() => tensorOf(type('int64'), int(1, 1), len(7, Uint8Array.of(0x80)))),
    'malformed-file',
  );
});

test.run();
