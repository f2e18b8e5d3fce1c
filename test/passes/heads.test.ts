import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import type { Graph } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { HEAD_KINDS } from '../../src/passes/exits.ts';
import { buildHead, headMacs } from '../../src/passes/heads.ts';
import { splitStem } from '../../src/train/stem.ts';
import { hasCode } from '../expect.ts';

const test = suite('passes: heads');
/** Dims and the axis of their channels. */
const TAPS: readonly (readonly [readonly number[], number])[] = [
  [[16, 32, 32], 0],
  [[24, 7, 5], 0],
  [[7, 5, 24], 2],
  [[40], 0],
  [[6, 12], 1],
  [[6, 40], 0],
  [[6, 40, 1], 0],
  [[4, 3, 10, 6], 0],
  [[3, 10, 6, 4], 3],
];

for (const kind of HEAD_KINDS) {
  for (const [dims, channelAxis] of TAPS) {
    const isTokens = dims.length === 2 && channelAxis === 1;
    if (kind === 'token' && !isTokens) continue;
    const place = `[${dims}], channels at ${channelAxis},`;
    test(`${kind} on ${place} makes scores and a confidence in [0, 1], under opsets 12 to 22`, async () => {
      const graph = buildHead(kind, dims, 7, { seed: 3, channelAxis });
      checkGraph(graph);
      const size = dims.reduce((a, d) => a * d, 2);
      const features = new Tensor(
        'float32',
        Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
        [2, ...dims],
      );
      const results: number[][] = [];
      for (const opset of [12, 17, 22]) {
        await withSession(makeModel(graph, opset), { threads: 1 }, async (session) => {
          const { logits, confidence } = await session.run({ features });
          assert.equal(logits!.dims, [2, 7]);
          assert.equal(confidence!.dims, [2]);
          for (const c of confidence!.data as Float32Array) assert.ok(c > 0 && c < 1);
          results.push([...(logits!.data as Float32Array)]);
        });
      }
      assert.equal(results[0], results[1]);
      assert.equal(results[0], results[2]);
    });
  }
}

test('costs: n·9·C²·HW for the family of PTEENet, a sixteenth or so for strided', () => {
  const [c, side] = [16, 32];
  const conv = 9 * c * c * side * side;
  const ends = 11 * c;
  assert.is(headMacs(buildHead('conv', [c, side, side], 10, { seed: 1 })), conv + ends);
  assert.is(headMacs(buildHead('conv2', [c, side, side], 10, { seed: 1 })), 2 * conv + ends);
  assert.is(headMacs(buildHead('conv3', [c, side, side], 10, { seed: 1 })), 3 * conv + ends);
  assert.is(headMacs(buildHead('pool', [c, side, side], 10, { seed: 1 })), ends);
  const strided = 9 * (16 * 32 * 256 + 32 * 64 * 64 + 64 * 64 * 16 + 64 * 96 * 16) + 11 * 96;
  assert.is(headMacs(buildHead('strided', [c, side, side], 10, { seed: 1 })), strided);
  assert.ok(headMacs(buildHead('strided', [256, 56, 56], 1000, { seed: 1, width: 0.5 })) < 0.03 * 4.1e9);
});

test('residual heads: blocks where maps are at most 16×16, at least one, channels to 64', () => {
  const macs = (kind: 'residual' | 'residual2', dims: number[]) =>
    headMacs(buildHead(kind, dims, 10, { seed: 1 })) - 11 * 64;
  const [middle, late] = [2 * 9 * 32 * 32 * 256, 2 * 9 * 64 * 64 * 64];
  const halvings = 9 * (16 * 32 * 256 + 32 * 64 * 64);
  assert.is(macs('residual', [16, 32, 32]), halvings + middle + late);
  assert.is(macs('residual2', [16, 32, 32]), halvings + 2 * (middle + late));
  assert.is(macs('residual', [64, 8, 8]), late);
  assert.is(
    macs('residual', [96, 56, 56]),
    9 * (96 * 64 * 28 ** 2 + 64 * 64 * (14 ** 2 + 7 ** 2)) + 2 * 9 * 64 * 64 * (14 ** 2 + 7 ** 2),
  );
});

test('the same seed gives the same bytes, another seed others', () => {
  const head = (seed: number) => buildHead('strided', [8, 8, 8], 4, { seed });
  assert.equal(head(1), head(1));
  assert.not.equal(head(1).initializers, head(2).initializers);
});

test('weights follow He: variance 2 / fan-in', () => {
  const { initializers } = buildHead('strided', [64, 16, 16], 10, { seed: 1 });
  const { bytes } = initializers.find((t) => t.name === 'conv1/weight')!;
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const variance = values.reduce((sum, v) => sum + v * v, 0) / values.length;
  assert.ok(Math.abs(variance / (2 / 576) - 1) < 0.03, `${variance}`);
});

test('taps of five axes and more, or none, are refused, and token heads where there are no tokens', () => {
  for (const dims of [[], [2, 3, 4, 5, 6], [0, 4, 4]])
    assert.throws(() => buildHead('strided', dims, 4, { seed: 1 }), hasCode('cannot-head'));
  assert.throws(() => buildHead('token', [8, 4, 4], 4, { seed: 1 }), hasCode('cannot-head'));
  assert.throws(() => buildHead('token', [8, 40], 4, { seed: 1, channelAxis: 0 }), hasCode('cannot-head'));
});

const random = (dims: readonly number[], seed = 1) =>
  new Tensor(
    'float32',
    Float32Array.from({ length: dims.reduce((a, d) => a * d, 1) }, (_, i) => Math.sin(seed + 3 * i)),
    dims,
  );
const logitsOf = (graph: Graph, features: Tensor) =>
  withSession(makeModel(graph), { threads: 1 }, async (session) => [
    ...((await session.run({ features })).logits!.data as Float32Array),
  ]);

test('channels last is channels first, turned', async () => {
  const [c, h, w] = [6, 5, 7];
  const first = random([2, c, h, w]);
  const from = first.data as Float32Array;
  const last = Float32Array.from(from, (_, i) => {
    const [n, y, x, k] = [
      Math.floor(i / (h * w * c)),
      Math.floor(i / (w * c)) % h,
      Math.floor(i / c) % w,
      i % c,
    ];
    return from[((n * c + k) * h + y) * w + x]!;
  });
  const turned = new Tensor('float32', last, [2, h, w, c]);
  for (const kind of ['strided', 'residual', 'pool'] as const)
    assert.equal(
      await logitsOf(buildHead(kind, [h, w, c], 4, { seed: 1, channelAxis: 2 }), turned),
      await logitsOf(buildHead(kind, [c, h, w], 4, { seed: 1 }), first),
    );
});

test('a signal is a map of one row: the kernel does not reach beyond it', () => {
  const signal = buildHead('strided', [8, 64], 4, { seed: 1, channelAxis: 0 });
  const kernels = signal.initializers.filter((t) => t.name.startsWith('conv')).map((t) => t.dims.slice(2));
  assert.ok(kernels.length > 3);
  for (const kernel of kernels) assert.equal(kernel, [1, 3]);
  const column = buildHead('strided', [8, 64, 1], 4, { seed: 1 });
  assert.is(headMacs(column), headMacs(signal));
});

test('a token head reads the first token and the mean of all, and its stem is both', async () => {
  const head = buildHead('token', [5, 3], 2, { seed: 1, dropout: 0 });
  const { stem, body, dims } = splitStem(head);
  assert.equal(dims, [3, 2]);
  checkGraph(stem!);
  checkGraph(body);
  const tokens = random([1, 5, 3]);
  const at = (l: number, d: number) => (tokens.data as Float32Array)[3 * l + d]!;
  const pooled = await withSession(makeModel(stem!), { threads: 1 }, async (s) =>
    s.run({ features: tokens }),
  );
  const found = Object.values(pooled)[0] as Tensor;
  [0, 1, 2].forEach((d) => {
    const mean = [0, 1, 2, 3, 4].reduce((sum, l) => sum + at(l, d), 0) / 5;
    assert.is((found.data as Float32Array)[2 * d], at(0, d));
    assert.ok(Math.abs((found.data as Float32Array)[2 * d + 1]! - mean) < 1e-6);
  });
  assert.equal(await logitsOf(body, found), await logitsOf(head, tokens));
});

test('a head that starts with pooling splits, others do not', async () => {
  const head = buildHead('pool', [5, 6, 6], 3, { seed: 1 });
  const { stem, body, dims } = splitStem(head);
  assert.equal(dims, [5, 1, 1]);
  checkGraph(stem!);
  checkGraph(body);
  const features = new Tensor(
    'float32',
    Float32Array.from({ length: 180 }, (_, i) => Math.cos(i)),
    [1, 5, 6, 6],
  );
  const run = (graph: typeof head, input: Tensor) =>
    withSession(makeModel(graph), { threads: 1 }, async (s) => s.run({ features: input }));
  const pooled = Object.values(await run(stem!, features))[0] as Tensor;
  assert.equal((await run(body, pooled)).logits!.data, (await run(head, features)).logits!.data);
  assert.equal(splitStem(buildHead('conv', [6, 9], 3, { seed: 1 })).dims, [9, 1]);
  const strided = buildHead('strided', [5, 6, 6], 3, { seed: 1 });
  assert.is(splitStem(strided).stem, undefined);
  assert.is(splitStem(strided).body, strided);
});

test.run();
