/** A network without fixed height and width in front of itself, or of another layout, at a smaller size. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { npy } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { NetBuilder, noise } from '../models.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';

const test = suite('chains: pictures of other sizes');
const folder = mkdtempSync(join(tmpdir(), 'offramp-sizes-'));
const at = (name: string) => join(folder, name);
const SIDE = 16;
const WIDTH = 24;
const COUNT = 200;

/** Convolutions, the average over all places, a layer [5, WIDTH] and its bias. `image` has the dims given behind the batch. */
function convolutional(dims: readonly (number | string)[], layer?: readonly Float32Array[]): Model {
  const b = new NetBuilder(3);
  const input = b.input('image', 'float', ['N', ...dims]);
  const planes = dims[2] === 3 ? b.op('Transpose', [input], { perm: [0, 3, 1, 2] }) : input;
  const last = b.conv(b.conv(planes, 'one', 3, WIDTH), 'two', WIDTH, WIDTH, 2);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [last])], { axis: 1 }, 'pooled');
  const [weight, bias] = layer ?? [noise(5 * WIDTH, 8), new Float32Array(5)];
  const tensors = [floatTensor('fc.weight', [5, WIDTH], weight!), floatTensor('fc.bias', [5], bias!)];
  b.op('Gemm', [pooled, ...tensors.map((t) => b.initializer(t))], { transB: 1 }, 'scores');
  b.output('scores', 'float', ['N', 5]);
  return makeModel(b.build('convolutional'), 17);
}

/** Pictures [COUNT, SIDE, SIDE, 3] of one colour each, with noise. */
const pixels = (() => {
  const grain = noise(COUNT * SIDE * SIDE * 3, 5);
  const colours = noise(COUNT * 3, 6);
  return Uint8Array.from(grain, (v, i) => {
    const [n, c] = [Math.floor(i / (SIDE * SIDE * 3)), i % 3];
    return Math.round(128 + 90 * colours[3 * n + c]! + 20 * v);
  });
})();

/** [COUNT, SIDE, SIDE, 3] as [COUNT, 3, SIDE, SIDE] divided by 255. */
const planar = Float32Array.from(pixels, (_, i) => {
  const [n, c, p] = [Math.floor(i / (SIDE * SIDE * 3)), Math.floor(i / (SIDE * SIDE)) % 3, i % (SIDE * SIDE)];
  return pixels[(n * SIDE * SIDE + p) * 3 + c]! / 255;
});

/** Half as high and wide, as Pillow's BILINEAR: each pixel of four, which weigh 1, 3, 3, 1; those beyond the edge do not count. */
function halved(planes: Float32Array, side: number, stride: number, lines: number): Float32Array {
  const half = side / 2;
  const made = new Float32Array(planes.length / 2);
  for (let line = 0; line < lines; line++)
    for (let i = 0; i < half; i++) {
      const from = Math.floor(line / stride) * side * stride + (line % stride);
      const taps = [1, 3, 3, 1]
        .map((w, j) => [w, 2 * i - 1 + j] as const)
        .filter(([, x]) => x >= 0 && x < side);
      const sum = taps.reduce((total, [w, x]) => total + w * planes[from + x * stride]!, 0);
      made[Math.floor(line / stride) * half * stride + i * stride + (line % stride)] =
        sum / taps.reduce((total, [w]) => total + w, 0);
    }
  return made;
}
const HALF = SIDE / 2;
const small = halved(halved(planar, SIDE, 1, COUNT * 3 * SIDE), SIDE, HALF, COUNT * 3 * HALF);

async function scoresOf(model: string | Uint8Array, image: Float32Array, dims: number[], more = {}) {
  return await withSession(model, {}, async (session) => {
    const found = await session.run({ image: new Tensor('float32', image, dims), ...more });
    return [...(found.scores!.data as Float32Array)];
  });
}
const always = new Tensor('float32', Float32Array.of(-1), [1]);
const never = new Tensor('float32', Float32Array.of(1), [1]);

const options = (out: string, more: Partial<CompileOptions> = {}): CompileOptions => ({
  model: at('free.onnx'),
  calibration: at('data.npz'),
  test: at('data.npz'),
  dims: { height: SIDE, width: SIDE },
  preset: 'unit',
  policy: 'max-prob',
  budgets: [0.6],
  keepAll: true,
  out: at(out),
  cache: at('cache'),
  threads: 1,
  report: false,
  timing: false,
  ...more,
});

test.before(async () => {
  // Scores of mean 0 and deviation 3, so that every class is the answer of some.
  const plain = await scoresOf(serializeModel(convolutional([3, 'height', 'width'])), planar, [
    COUNT,
    3,
    SIDE,
    SIDE,
  ]);
  const layer = [noise(5 * WIDTH, 8), new Float32Array(5)];
  for (let c = 0; c < 5; c++) {
    const column = plain.filter((_, i) => i % 5 === c);
    const mean = column.reduce((sum, v) => sum + v, 0) / COUNT;
    const deviation = Math.sqrt(column.reduce((sum, v) => sum + (v - mean) ** 2, 0) / COUNT);
    for (let i = 0; i < WIDTH; i++) layer[0]![c * WIDTH + i]! *= 3 / deviation;
    layer[1]![c] = (-3 * mean) / deviation;
  }
  for (const [name, dims] of [
    ['free', [3, 'height', 'width']],
    ['last', ['height', 'width', 3]],
    ['fixed', [3, SIDE, SIDE]],
  ] as const)
    writeFileSync(at(`${name}.onnx`), serializeModel(convolutional(dims, layer)));
  const scores = await scoresOf(at('free.onnx'), planar, [COUNT, 3, SIDE, SIDE]);
  const labels = Int32Array.from({ length: COUNT }, (_, n) => {
    const row = scores.slice(5 * n, 5 * n + 5);
    return row.indexOf(Math.max(...row));
  });
  const arrays = {
    'x.npy': npy('|u1', [COUNT, SIDE, SIDE, 3], pixels),
    'y.npy': npy('<i4', [COUNT], new Uint8Array(labels.buffer)),
  };
  writeFileSync(at('data.npz'), zipSync(arrays));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

const closeTo = (found: readonly number[], wanted: readonly number[]) => {
  assert.is(found.length, wanted.length);
  const gaps = found.map((v, i) => Math.abs(v - wanted[i]!));
  assert.ok(Math.max(...gaps) < 2e-3, `${Math.max(...gaps)}`);
};

test('the same file at half the size: its weights are there once, exact and the first exit answer as the file does', async () => {
  await compile(options('same', { first: [{ model: at('free.onnx'), size: HALF }] }));
  const written = at('same/model.onnx');
  const weights = WIDTH * (3 + WIDTH) * 9 * 4;
  const { size } = statSync(written);
  const alone = statSync(at('free.onnx')).size;
  assert.ok(weights > 0.8 * alone && size < alone + 0.5 * weights + 8000, `${size} of ${alone}`);
  const large = parseModel(readFileSync(written)).graph.initializers.filter((t) => t.bytes.length > 4096);
  assert.equal(large.map(({ dims }) => dims), [[WIDTH, WIDTH, 3, 3]]); // biome-ignore format: short
  const dims = [COUNT, 3, SIDE, SIDE];
  const exact = await scoresOf(written, planar, dims, { thresholds: never });
  assert.equal(exact, await scoresOf(at('free.onnx'), planar, dims));
  const early = await scoresOf(written, planar, dims, { thresholds: always });
  closeTo(early, await scoresOf(at('free.onnx'), small, [COUNT, 3, HALF, HALF]));
  const { networks, exits } = manifestIn(at('same'));
  assert.ok(Math.abs(networks![0]!.macs / networks![1]!.macs - 0.26) < 0.02, 'a quarter, and resizing');
  assert.is(exits.length, 1);
  await calibrate({
    ...{ folder: at('same'), model: at('free.onnx'), first: [at('free.onnx')], out: at('again') },
    ...{ calibration: at('data.npz'), test: at('data.npz'), cache: at('cache') },
    ...{ threads: 1, report: false, timing: false },
  });
  assertSamePackage(at('again'), at('same'));
});

test('height and width apart, and of either layout', async () => {
  const adapterOf = async (
    model: string,
    first: NonNullable<CompileOptions['first']>[number],
    dims = { height: SIDE, width: SIDE },
  ) => (await inspect({ model: at(model), first: [first], preset: 'unit', dims })).networks![0]!.adapter;
  assert.equal(await adapterOf('free.onnx', { model: at('free.onnx'), size: [12, 8] }), ['16×16 → 12×8']);
  assert.equal(await adapterOf('last.onnx', at('free.onnx')), ['NCHW']);
  assert.equal(await adapterOf('free.onnx', at('last.onnx')), ['NHWC']);
  assert.equal(await adapterOf('last.onnx', { model: at('free.onnx'), size: [12, 8] }), [
    'NCHW',
    '16×16 → 12×8',
  ]);
  assert.equal(await adapterOf('free.onnx', { model: at('last.onnx'), size: HALF }), ['16×16 → 8×8', 'NHWC']);
});

test('an original whose channels are last, a first network whose channels are first', async () => {
  await compile(
    options('layouts', { model: at('last.onnx'), first: [{ model: at('free.onnx'), size: HALF }] }),
  );
  const interleaved = Float32Array.from(pixels, (v) => v / 255);
  const dims = [COUNT, SIDE, SIDE, 3];
  const written = at('layouts/model.onnx');
  const exact = await scoresOf(written, interleaved, dims, { thresholds: never });
  assert.equal(exact, await scoresOf(at('last.onnx'), interleaved, dims));
  const early = await scoresOf(written, interleaved, dims, { thresholds: always });
  closeTo(early, await scoresOf(at('free.onnx'), small, [COUNT, 3, HALF, HALF]));
});

test('a size that the file fixes is refused with the file and what it has', async () => {
  const asked = { model: at('fixed.onnx'), size: HALF };
  const { message } = await rejectsWith('first-size-fixed', () =>
    compile(options('never', { first: [asked] })),
  );
  assert.match(message, /^fixed\.onnx: .*16/);
});

test.run();
