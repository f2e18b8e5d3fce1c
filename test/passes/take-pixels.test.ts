import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { toHalf } from '../../src/graph/tensor.ts';
import type { DataType, Model } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { lowerPart } from '../../src/passes/lower-part.ts';
import { takePixels } from '../../src/passes/take-pixels.ts';
import { tablesOf } from '../../src/runtime/pictures.ts';
import { tinyResidual } from '../models.ts';
import { COUNT, midway, prepare, SAMPLE } from './by-hand.ts';
import { withParts } from './parts-by-hand.ts';

const test = suite('take-pixels');

const tables = tablesOf({
  width: 8,
  height: 8,
  channels: 'rgb',
  layout: 'NCHW',
  scale: 255,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  resize: null,
});

/** Gives what it is fed. */
function plain(dataType: DataType, dims: readonly (number | 'N')[], opset = 17): Model {
  const b = new GraphBuilder();
  b.op('Identity', [b.input('image', dataType, dims)], {}, 'numbers');
  b.output('numbers', dataType, dims);
  return makeModel(b.build('plain'), opset);
}

const run = async (model: Model, pixels: Uint8Array, dims: readonly number[]) =>
  withSession(model, {}, async (session) => {
    const { numbers } = await session.run({ image: new Tensor('uint8', pixels, [...dims]) });
    assert.equal(numbers!.dims, dims);
    return numbers!;
  });

const bitsOf = (numbers: Float32Array) => [...new Uint32Array(numbers.slice().buffer)];

test('every pixel of every channel has its number, bit for bit, wherever the channels are', async () => {
  const all = (c: number) => Uint8Array.from({ length: 256 }, (_, i) => (i * 7 + c) % 256);
  const byChannel = [all(0), all(1), all(2)];
  const first = Uint8Array.from(byChannel.flatMap((channel) => [...channel]));
  const last = Uint8Array.from({ length: 768 }, (_, i) => byChannel[i % 3]![Math.floor(i / 3)]!);
  for (const opset of [11, 17, 22]) {
    const planar = takePixels(plain('float', ['N', 3, 16, 16], opset), 'image', tables, 'NCHW');
    checkGraph(planar.graph);
    const expected = Float32Array.from(first, (pixel, i) => tables[Math.floor(i / 256)]![pixel]!);
    assert.equal(bitsOf(floatsOf(await run(planar, first, [1, 3, 16, 16]))), bitsOf(expected));

    const mixed = takePixels(plain('float', ['N', 16, 16, 3], opset), 'image', tables, 'NHWC');
    const inTurn = Float32Array.from(last, (pixel, i) => tables[i % 3]![pixel]!);
    assert.equal(bitsOf(floatsOf(await run(mixed, last, [1, 16, 16, 3]))), bitsOf(inTurn));
  }
});

test('one channel, or tables that are alike: the pixel is the place in the table', async () => {
  const pixels = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const [dims, shape] of [
    [
      ['N', 1, 16, 16],
      [1, 1, 16, 16],
    ],
    [
      ['N', 16, 16],
      [1, 16, 16],
    ],
    [
      ['N', 16],
      [16, 16],
    ],
  ] as const) {
    const model = takePixels(plain('float', dims), 'image', [tables[1]!], 'NCHW');
    assert.equal(
      model.graph.nodes.map(({ opType }) => opType),
      ['Cast', 'Gather', 'Identity'],
    );
    assert.equal(bitsOf(floatsOf(await run(model, pixels, shape))), bitsOf(tables[1]!));
  }
  const grey = takePixels(
    plain('float', ['N', 3, 16, 16]),
    'image',
    [tables[0]!, tables[0]!, tables[0]!],
    'NCHW',
  );
  assert.is(grey.graph.initializers[0]!.dims[0], 256);
});

test('an input in float16 gets those numbers rounded, as they are fed', async () => {
  const model = takePixels(plain('float16', ['N', 1, 16, 16]), 'image', [tables[2]!], 'NCHW');
  const found = await run(
    model,
    Uint8Array.from({ length: 256 }, (_, i) => i),
    [1, 1, 16, 16],
  );
  const { buffer, byteOffset } = found.data as Uint16Array;
  assert.equal([...new Uint16Array(buffer, byteOffset, 256)], [...toHalf(tables[2]!)]);
});

test('a model that takes pixels is left as it is; whole numbers that are no pixels are refused', () => {
  const same = [Float32Array.from({ length: 256 }, (_, i) => i)];
  const bytes = plain('uint8', ['N', 3, 8, 8]);
  assert.is(takePixels(bytes, 'image', same, 'NCHW'), bytes);
  assert.throws(
    () => takePixels(plain('int32', ['N', 3, 8, 8]), 'image', tables, 'NCHW'),
    (error: unknown) => error instanceof OfframpError && error.code === 'cannot-split',
  );
});

test('the rest of a chain reads the input in branches, and answers pixels as it does their numbers', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const options = { policy: 'max-prob' } as const;
  const whole = lowerPart([{ typed, heads }], { from: 0 }, options);
  const pixels = Uint8Array.from({ length: COUNT * SAMPLE }, (_, i) => (i * 31 + (i >> 5)) % 256);
  const numbers = Float32Array.from(pixels, (pixel, i) => tables[Math.floor(i / 64) % 3]![pixel]!);
  const model = takePixels(whole.model, 'image', tables, 'NCHW');
  checkGraph(model.graph);
  const of = { exits: 3 };
  await withParts([whole], of, (ask) =>
    withParts([{ ...whole, model }], of, async (askPixels) => {
      const dims = [COUNT, 3, 8, 8];
      const closed = await ask({ image: new Tensor('float32', numbers, dims) }, [-1, 1, 1]);
      const thresholds = [midway(Float32Array.from(closed.confidences), 0.5), 0.4, 0.4];
      const expected = await ask({ image: new Tensor('float32', numbers, dims) }, thresholds);
      assert.ok(new Set(expected.exits).size > 1);
      assert.equal(await askPixels({ image: new Tensor('uint8', pixels, dims) }, thresholds), expected);
    }),
  );
});

test.run();
