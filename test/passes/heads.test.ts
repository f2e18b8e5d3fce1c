import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { Tensor, withSession } from '../../src/ort.ts';
import { HEAD_KINDS } from '../../src/passes/exits.ts';
import { buildHead, headMacs } from '../../src/passes/heads.ts';
import { splitStem } from '../../src/train/stem.ts';

const test = suite('passes: heads');
const TAPS = [[16, 32, 32], [24, 7, 5], [40], [6, 12]];

for (const kind of HEAD_KINDS) {
  for (const dims of TAPS) {
    test(`${kind} on [${dims}] makes scores and a confidence in [0, 1], under opsets 12 to 22`, async () => {
      const graph = buildHead(kind, dims, 7, { seed: 3 });
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

test('costs: n·9·C²·HW for the seed family, a sixteenth or so for strided', () => {
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

test('taps of four axes and more, or none, are refused', () => {
  for (const dims of [[], [2, 3, 4, 5], [0, 4, 4]]) {
    try {
      buildHead('strided', dims, 4, { seed: 1 });
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code: string }).code, 'cannot-head');
    }
  }
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
