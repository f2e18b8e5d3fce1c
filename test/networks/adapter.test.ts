import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, type PreprocessingOptions } from '../../src/data/index.ts';
import { elementCount } from '../../src/graph/tensor.ts';
import { adapterFor, describeAdapter, type Reader } from '../../src/networks/adapter.ts';
import { cache, freshFolder, pixels, putImage } from '../data/fixtures.ts';
import { hasCode } from '../expect.ts';
import { firstRows, largestGap, ofInputs, outputsOf, readerOf } from './readers.ts';

const test = suite('networks: adapter');

const IMAGENET: PreprocessingOptions = { preset: 'imagenet' };
const COUNT = 5;

/** Pictures of `height` x `width`, smooth like photographs, with a little noise. */
async function pictureFolder(height: number, width: number, channels: 1 | 3 = 3): Promise<string> {
  const folder = freshFolder();
  const noise = pixels(COUNT * height * width * channels, 9);
  for (let k = 0; k < COUNT; k++) {
    const at = k * height * width * channels;
    const picture = noise.subarray(at, at + height * width * channels).map((v, i) => {
      const [c, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / channels / width)];
      return 128 + 90 * Math.sin((x + k) / 5 + c) * Math.cos((y * (k + 1)) / 9) + v / 8 - 16;
    });
    await putImage(join(folder, 'k', `${k}.png`), picture, [height, width, channels]);
  }
  return folder;
}

/** What the adapter makes of what `original` reads at `path`, and what `network` itself reads there. */
async function bothWays(original: Reader, network: Reader, path: string, n = COUNT, opset = 17) {
  const rowsOf = async (reader: Reader) => firstRows(await openDataset(path, { ...reader, cache }), n);
  const graph = adapterFor(original, network);
  const [output] = await outputsOf(graph, original.inputs, await rowsOf(original), n, opset);
  assert.equal(output!.dims, [n, ...network.inputs[0]!.dims]);
  return {
    ops: graph.nodes.map((node) => node.opType).join(' '),
    output: output!,
    truth: await rowsOf(network),
  };
}

const plain = await pictureFolder(32, 32);

for (const [what, original, network, ops, told] of [
  [
    'mean and std',
    readerOf([3, 32, 32], IMAGENET),
    readerOf([3, 32, 32], { preset: 'cifar10' }),
    'Mul Add',
    ['mean and std'],
  ],
  ['only the scale', readerOf([3, 32, 32], { preset: 'unit' }), readerOf([3, 32, 32]), 'Mul', ['scale']],
  [
    'only the mean',
    readerOf([3, 32, 32]),
    readerOf([3, 32, 32], { mean: [104, 117, 123] }),
    'Add',
    ['mean and std'],
  ],
  ['layout', readerOf([3, 32, 32]), readerOf([32, 32, 3]), 'Transpose', ['NHWC']],
  [
    'layout, the other way',
    readerOf([32, 32, 3], IMAGENET),
    readerOf([3, 32, 32], IMAGENET),
    'Transpose',
    ['NCHW'],
  ],
  [
    'bgr',
    readerOf([3, 32, 32], IMAGENET),
    readerOf([3, 32, 32], { ...IMAGENET, channels: 'bgr' }),
    'Gather',
    ['bgr'],
  ],
  [
    'all at once',
    readerOf([32, 32, 3], { preset: 'cifar10', channels: 'bgr' }),
    readerOf([3, 32, 32], IMAGENET, 'float16'),
    'Gather Mul Add Transpose Cast',
    ['rgb', 'mean and std', 'NCHW', 'float16'],
  ],
  [
    'float16',
    readerOf([3, 32, 32], IMAGENET, 'float16'),
    readerOf([3, 32, 32], { preset: 'unit' }),
    'Cast Mul Add',
    ['mean and std'],
  ],
  [
    'uint8',
    readerOf([3, 32, 32], IMAGENET),
    readerOf([32, 32, 3], {}, 'uint8'),
    'Mul Add Transpose Round Clip Cast',
    ['mean and std', 'NHWC', 'uint8'],
  ],
  [
    'of uint8',
    readerOf([3, 32, 32], {}, 'uint8'),
    readerOf([3, 32, 32], IMAGENET),
    'Cast Mul Add',
    ['mean and std'],
  ],
  [
    'uint8 as int32',
    readerOf([3, 32, 32], {}, 'uint8'),
    readerOf([3, 32, 32], {}, 'int32'),
    'Cast',
    ['int32'],
  ],
] as const)
  test(`${what}: as the network's own preprocessing has it`, async () => {
    for (const n of [1, COUNT]) {
      const { output, truth, ...found } = await bothWays(original, network, plain, n);
      assert.is(found.ops, ops);
      const { dataType } = network.inputs[0]!;
      const exact = dataType === 'uint8' || dataType === 'int32';
      const half = [original, network].some((r) => r.inputs[0]!.dataType === 'float16');
      // The largest value is 4, where the half of a float16's last place is .002.
      const most = exact ? 0 : half ? 0.0021 : network.preprocessing.scale === 1 ? 2e-6 * 255 : 2e-6;
      assert.ok(largestGap(output.values, truth) <= most, `${largestGap(output.values, truth)}`);
      assert.is(output.type, { float: 'float32' }[dataType as 'float'] ?? dataType);
    }
    assert.equal(describeAdapter(original, network), told);
  });

test('the same, written in two ways, takes no node', () => {
  const original = readerOf([3, 32, 32], {
    scale: 255,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  });
  const mean = [0.485, 0.456, 0.406].map((v) => v * 255);
  const network = readerOf(
    [3, 32, 32],
    { mean, std: [0.229, 0.224, 0.225].map((v) => v * 255) },
    'float',
    'y',
  );
  const graph = adapterFor(original, network);
  assert.equal(graph.nodes, []);
  assert.equal([graph.inputs[0]!.name, graph.outputs[0]!.name], ['x', 'x']);
  assert.equal(describeAdapter(original, network), []);
});

test('gray of colour, and colour of gray', async () => {
  for (const order of [{}, { channels: 'bgr' }] as const) {
    const colour = readerOf([3, 32, 32], { ...IMAGENET, ...order });
    const gray = readerOf([28 + 4, 32, 1], { preset: 'mnist' });
    const made = await bothWays(colour, gray, plain);
    assert.is(made.ops, 'Conv Mul Add Reshape');
    // The decoder rounds gray to whole numbers.
    assert.ok(largestGap(made.output.values, made.truth) * 255 * 0.3081 <= 0.51);
    assert.equal(describeAdapter(colour, gray), ['gray', 'mean and std', 'NHWC']);
  }
  const path = await pictureFolder(32, 32, 1);
  const repeated = await bothWays(
    readerOf([32, 32], { preset: 'mnist' }),
    readerOf([3, 32, 32], IMAGENET),
    path,
  );
  assert.is(repeated.ops, 'Reshape Concat Mul Add');
  assert.ok(largestGap(repeated.output.values, repeated.truth) <= 2e-6);
});

test('flat, with an axis for one channel, and without', async () => {
  const path = await pictureFolder(28, 28, 1);
  const dims = [[1, 28, 28], [28, 28, 1], [28, 28], [784]];
  for (const from of dims)
    for (const to of dims) {
      const { output, truth, ops } = await bothWays(
        readerOf(from, { preset: 'mnist' }),
        readerOf(to, { preset: 'unit' }),
        path,
      );
      assert.ok(largestGap(output.values, truth) <= 2e-6);
      assert.is(ops, `${from}` === `${to}` ? 'Mul Add' : 'Mul Add Reshape');
    }
});

const SIZES: (readonly [readonly [number, number], readonly [number, number]])[] = [
  [[32, 32], [24, 24]],
  [[32, 32], [48, 40]],
  [[40, 24], [24, 32]],
  [[48, 32], [48, 20]],
]; // biome-ignore format: a table

for (const [from, to] of SIZES)
  for (const resize of ['stretch', 'cover', 'contain'] as const)
    test(`${from} → ${to}, ${resize}: within 1 of 255 of Pillow`, async () => {
      const path = await pictureFolder(...from);
      const original = readerOf([3, ...from], IMAGENET);
      const scaled = { scale: 255, mean: [0.4, 0.5, 0.6], std: [0.25], resize };
      for (const network of [
        readerOf([3, ...to], scaled),
        readerOf([...to, 3], { ...scaled, channels: 'bgr' }),
      ]) {
        const { output, truth } = await bothWays(original, network, path, COUNT, 11);
        // Pillow rounds by half a pixel's value twice.
        assert.ok(largestGap(output.values, truth) * 255 * 0.25 <= 1.0001);
        const sum = output.values.reduce((total, v, i) => total + Math.abs(v - truth[i]!), 0);
        assert.ok((sum / truth.length) * 255 * 0.25 < 0.4);
        const told = describeAdapter(original, network);
        assert.ok(told.includes(`${from.join('×')} → ${to.join('×')}`), `${told}`);
      }
    });

test('a uint8 of another size: within one of Pillow, and never beyond its range', async () => {
  const original = readerOf([3, 32, 32], IMAGENET);
  const network = readerOf([20, 20, 3], { resize: 'stretch' }, 'uint8');
  const { output, truth, ops } = await bothWays(original, network, plain);
  assert.is(ops, 'MatMul MatMul Mul Add Transpose Round Clip Cast');
  assert.ok(largestGap(output.values, truth) <= 1);
  const extreme = new Float32Array(3 * 32 * 32).map((_, i) => (i % 2 ? 1e6 : -1e6));
  const [clipped] = await outputsOf(
    adapterFor(original, readerOf([32, 32, 3], {}, 'uint8')),
    original.inputs,
    extreme,
    1,
  );
  assert.equal([...new Set(clipped!.values)].sort(), [0, 255]);
});

test('several inputs find each other by name, then by place', async () => {
  const input = (name: string, ...dims: number[]) => ({ name, dims, dataType: 'float' as const });
  const original = ofInputs([input('a', 2), input('b', 3), input('c', 3)]);
  const rows = Float32Array.from({ length: 16 }, (_, i) => i);
  const named = adapterFor(original, ofInputs([input('c', 3), input('a', 2)]));
  assert.equal(
    named.outputs.map((v) => v.name),
    ['c', 'a'],
  );
  assert.equal(
    named.inputs.map((v) => v.name),
    ['a', 'c'],
  );
  assert.throws(
    () => adapterFor(original, ofInputs([input('q', 4), input('a', 2)])),
    hasCode('first-input-missing'),
  );
  const graph = adapterFor(original, ofInputs([input('p', 2), input('q', 3), input('r', 3)]));
  const outputs = await outputsOf(graph, original.inputs, rows, 2);
  assert.equal(
    outputs.map(({ values }) => [...values]),
    [
      [0, 1, 8, 9],
      [2, 3, 4, 10, 11, 12],
      [5, 6, 7, 13, 14, 15],
    ],
  );
});

test('refuses what cannot be made', () => {
  const refuses = (original: Reader, network: Reader, code: string, ...words: string[]) => {
    for (const run of [() => adapterFor(original, network), () => describeAdapter(original, network)]) {
      assert.throws(run, hasCode(code));
      assert.throws(run, (e: Error) => words.every((word) => e.message.includes(word)));
    }
  };
  const picture = readerOf([3, 32, 32]);
  refuses(
    picture,
    readerOf([12], {}, 'float', 'features'),
    'first-input-unlike',
    'features float [12]',
    'x float [3, 32, 32]',
  );
  refuses(readerOf([6, 8, 8]), readerOf([3, 8, 8]), 'first-input-unlike');
  refuses(picture, readerOf([3, 32, 32], {}, 'bool'), 'first-input-unlike');
  const input = (name: string) => ({ name, dims: [4], dataType: 'float' as const });
  refuses(
    ofInputs([input('a')]),
    ofInputs([input('a'), input('b')]),
    'first-input-missing',
    'b float [4]',
    'a float [4]',
  );
});

test('numbers in other dims are the same numbers', async () => {
  const dims = [[1960], [49, 40], [1, 1960]] as const;
  const rows = Float32Array.from(pixels(2 * 1960), Number);
  for (const from of dims)
    for (const to of dims) {
      const original = readerOf(from, { scale: 2, mean: [3] });
      const [output] = await outputsOf(adapterFor(original, readerOf(to)), original.inputs, rows, 2);
      assert.equal(output!.dims, [2, ...to]);
      assert.is(elementCount(output!.dims), 3920);
      assert.ok(
        largestGap(
          output!.values,
          rows.map((v) => (v + 3) * 2),
        ) <= 1e-4,
      );
    }
});

test.run();
