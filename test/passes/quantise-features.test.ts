import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { fromHalf, toHalf } from '../../src/graph/tensor.ts';
import type { DataType } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { type LoweredPart, lowerPart, type PartTensor } from '../../src/passes/lower-part.ts';
import { channelScales, type FeatureForm, quantiseFeatures } from '../../src/passes/quantise-features.ts';
import { noise, tinyResidual } from '../models.ts';
import { COUNT, midway, prepare, samples } from './by-hand.ts';
import { withParts } from './parts-by-hand.ts';

const test = suite('quantise-features');

const CHANNELS = 4;
const DIMS = ['N', CHANNELS, 2, 2] as const;
const values = noise(3 * CHANNELS * 4, 7).map((v, i) => v * 10 ** (Math.floor(i / 4) % CHANNELS));

/** A part that gives `map` as it reads it, and one that takes it. */
function pair(dataType: DataType = 'float', opset = 17): [LoweredPart, LoweredPart] {
  const tensor: PartTensor = { name: 'map', dataType, dims: DIMS, role: 'feature', channelAxis: 1 };
  const part = (from: string, to: string) => {
    const b = new GraphBuilder();
    b.op('Identity', [b.input(from, dataType, DIMS)], {}, to);
    b.output(to, dataType, DIMS);
    return makeModel(b.build('part'), opset);
  };
  return [
    { model: part('x', 'map'), takes: [], gives: [tensor] },
    { model: part('map', 'y'), takes: [tensor], gives: [] },
  ];
}

/** What travels of `values`, and what the second part makes of it. */
async function travel([front, rest]: readonly [LoweredPart, LoweredPart], of = values) {
  for (const { model } of [front, rest]) checkGraph(model.graph);
  const x = new Tensor('float32', of, [3, CHANNELS, 2, 2]);
  const { map } = await withSession(front.model, {}, (session) => session.run({ x }));
  const { y } = await withSession(rest.model, {}, (session) => session.run({ map: map! }));
  return { sent: map!, y: floatsOf(y!) };
}

const both = (parts: readonly LoweredPart[], form: FeatureForm) =>
  parts.map((part) => quantiseFeatures(part, new Map([['map', form]]))) as [LoweredPart, LoweredPart];

const roundEven = (v: number) => {
  const down = Math.floor(v);
  if (v - down !== 0.5) return Math.round(v);
  return down % 2 === 0 ? down : down + 1;
};

test('8 bits: the nearest multiple of the scale of its channel, and that number again', async () => {
  const scales = channelScales(values, [3, CHANNELS, 2, 2], 1);
  for (const opset of [11, 13, 22]) {
    const parts = both(pair('float', opset), { bits: 8, scales });
    assert.equal([parts[0].gives[0]!.dataType, parts[1].takes[0]!.dataType], ['int8', 'int8']);
    const { sent, y } = await travel(parts);
    const expected = Int8Array.from(values, (v, i) => {
      const steps = roundEven(Math.fround(v / scales[Math.floor(i / 4) % CHANNELS]!));
      return Math.max(-127, Math.min(127, steps));
    });
    assert.equal([...(sent.data as Int8Array)], [...expected]);
    const back = Float32Array.from(expected, (q, i) => q * scales[Math.floor(i / 4) % CHANNELS]!);
    assert.equal([...y], [...back]);
    for (const [i, v] of values.entries())
      assert.ok(Math.abs(v - y[i]!) <= 0.5001 * scales[Math.floor(i / 4) % CHANNELS]!);
  }
});

test('8 bits: halves go to the even one, and what is too large is cut off', async () => {
  const odd = values.map(
    (_, i) => [0.5, 1.5, -2.5, 1e9, -1e9, 126.6, 127.4, Number.POSITIVE_INFINITY][i % 8]!,
  );
  const { sent } = await travel(both(pair(), { bits: 8, scales: new Float32Array(CHANNELS).fill(1) }), odd);
  assert.equal([...(sent.data as Int8Array).slice(0, 8)], [0, 2, -2, 127, -127, 127, 127, 127]);
});

test('16 bits: the nearest float16', async () => {
  const { sent, y } = await travel(both(pair(), { bits: 16 }));
  assert.is(sent.type, 'float16');
  assert.equal([...y], [...toHalf(values)].map(fromHalf));
});

test('what is float16 already, or not a float, stays; a part without such features is the same', () => {
  const scales = new Float32Array(CHANNELS).fill(1);
  for (const [dataType, form] of [
    ['float16', { bits: 16 }],
    ['int64', { bits: 16 }],
    ['bool', { bits: 8, scales }],
  ] as const)
    for (const part of pair(dataType)) assert.is(quantiseFeatures(part, new Map([['map', form]])), part);
  const [front] = pair();
  assert.is(quantiseFeatures(front, new Map([['another', { bits: 16 }]])), front);
  assert.is(both(pair('float16'), { bits: 8, scales })[0].gives[0]!.dataType, 'int8');
});

test('8 bits need opset 11', () => {
  const scales = new Float32Array(CHANNELS).fill(1);
  assert.throws(
    () => both(pair('float', 10), { bits: 8, scales }),
    (error: unknown) => error instanceof OfframpError && error.code === 'opset-too-old',
  );
});

test('scales: the largest of a channel is 127, or the largest of those that are kept; 1 where all is 0', () => {
  const data = Float32Array.of(1, -2, 0, 0, 3, 4, 0, Number.NaN);
  assert.equal([...channelScales(data, [2, 2, 2], 1)], [...Float32Array.of(4 / 127, 1)]);
  assert.equal([...channelScales(data, [2, 2, 2], 1, 0.75)], [...Float32Array.of(3 / 127, 1)]);
  assert.equal([...channelScales(data, [2, 2, 2], 2)], [...Float32Array.of(3 / 127, 4 / 127)]);
  assert.equal([...channelScales(Float32Array.of(1e-44, 1), [1, 2], 1)], [...Float32Array.of(1, 1 / 127)]);
});

test('parts of a classifier with rounded features: those that leave in front are the same, the others nearly', async () => {
  const { typed, heads } = await prepare(tinyResidual());
  const options = { policy: 'max-prob', final: 0.25 } as const;
  const parts = [{ from: 0, to: 2 }, { from: 2 }].map((part) => lowerPart([{ typed, heads }], part, options));
  const tap = heads[1]!.exit.tap.value;
  const of = { exits: 3 };
  const image = new Tensor('float32', samples, [COUNT, 3, 8, 8]);
  const sure = await withParts(parts, of, (ask) => ask({ image }, [-1, 1, 1]));
  const thresholds = [midway(Float32Array.from(sure.confidences), 0.5), 1, 1];
  const expected = await withParts(parts, of, (ask) => ask({ image }, thresholds));
  const features = await withSession(parts[0]!.model, {}, (session) =>
    session.run({ image, thresholds: new Tensor('float32', Float32Array.of(1, 1, 1), [3]) }),
  );
  const scales = channelScales(floatsOf(features[tap]!), features[tap]!.dims, 1);
  for (const [form, most] of [
    [{ bits: 16 }, 2e-3],
    [{ bits: 8, scales }, 5e-2],
  ] as const) {
    const rounded = parts.map((part) => quantiseFeatures(part, new Map([[tap, form]])));
    const found = await withParts(rounded, of, (ask) => ask({ image }, thresholds));
    assert.equal(found.exits, expected.exits);
    const largest = Math.max(...expected.scores.map(Math.abs));
    const gaps = expected.exits.map((_, i) =>
      Math.max(
        ...[0, 1, 2, 3, 4].map((c) => Math.abs(found.scores[5 * i + c]! - expected.scores[5 * i + c]!)),
      ),
    );
    assert.ok(gaps.every((gap, i) => (expected.exits[i]! < 2 ? gap === 0 : gap <= most * largest)));
    assert.ok(
      gaps.some((gap) => gap > 0),
      'some travel',
    );
  }
});

test.run();
