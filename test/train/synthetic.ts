/** A task, a backbone and its exits, small enough for seconds: images [3, 8, 8] of four classes, two taps. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dataset, View } from '../../src/data/index.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { Random } from '../../src/graph/random.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { ExitPlan, Fact, HeadKind, Tap, TypedModel } from '../../src/passes/exits.ts';

export const CLASSES = 4;
const DIMS = [3, 8, 8];
const PIXELS = 192;

const normals = (random: Random, n: number, scale: number) =>
  Float32Array.from({ length: n }, () => scale * random.gaussian());

/** A grating of its own direction for each class: [CLASSES, 3, 8, 8]. */
const prototypes = Float32Array.from({ length: CLASSES * PIXELS }, (_, i) => {
  const angle = (Math.PI * Math.floor(i / PIXELS)) / CLASSES;
  const along = (i % 8) * Math.cos(angle) + (Math.floor(i / 8) % 8) * Math.sin(angle);
  return Math.sin(1.6 * along + (Math.floor(i / 64) % 3));
});

/** The class's grating in noise. Reads what the pipeline reads of a dataset; `reads` counts the samples. */
export function syntheticData(size: number, seed = 1): Dataset & { reads: number } {
  const random = new Random(seed, 'synthetic');
  const labels = Int32Array.from({ length: size }, () => random.integer(0, CLASSES));
  const pixels = normals(random, size * PIXELS, 0.6);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i]! += 0.5 * prototypes[labels[Math.floor(i / PIXELS)]! * PIXELS + (i % PIXELS)]!;
  }
  const dataset = {
    path: 'synthetic',
    size,
    labels,
    classNames: undefined,
    hash: `synthetic ${size} ${seed}`,
    skipped: [],
    inputs: [{ name: 'image', dims: DIMS, dataType: 'float' }],
    preprocessing: { scale: 1, mean: [0], std: [1], layout: 'NCHW', channels: 'any' },
    isImage: true,
    recordDims: DIMS,
    recordType: 'float',
    reads: 0,
    readRecords: () => Promise.reject(new Error('not here')),
    async read(indices: ArrayLike<number>, views?: View | readonly View[]) {
      dataset.reads += indices.length;
      const out = new Float32Array(indices.length * PIXELS);
      for (let n = 0; n < indices.length; n++) {
        const view = Array.isArray(views) ? (views as View[])[n]! : (views as View | undefined);
        for (let p = 0; p < PIXELS; p++) {
          const x = p % 8;
          out[n * PIXELS + p] = pixels[indices[n]! * PIXELS + p - x + (view?.mirror ? 7 - x : x)]!;
        }
      }
      return out;
    },
    close: () => Promise.resolve(),
  };
  return dataset as Dataset & { reads: number };
}

/** Two convolutions to tap, and logits straight from the pixels: right nine times in ten and better. */
export function syntheticModel(): TypedModel {
  const b = new GraphBuilder();
  const random = new Random(2, 'backbone');
  const weight = (name: string, dims: readonly number[], scale: number) =>
    b.initializer(
      floatTensor(
        name,
        dims,
        normals(
          random,
          dims.reduce((a, d) => a * d, 1),
          scale,
        ),
      ),
    );
  const image = b.input('image', 'float', ['N', ...DIMS]);
  const conv = (from: string, w: string, stride: number, as: string) =>
    b.op('Relu', [b.op('Conv', [from, w], { pads: [1, 1, 1, 1], strides: [stride, stride] })], {}, as);
  conv(image, weight('w1', [8, 3, 3, 3], 0.2), 1, 'tap1');
  conv('tap1', weight('w2', [16, 8, 3, 3], 0.15), 2, 'tap2');
  const flat = b.op('Flatten', [image], { axis: 1 });
  b.initializer(
    floatTensor(
      'w3',
      [CLASSES, PIXELS],
      prototypes.map((v) => 0.3 * v),
    ),
  );
  b.op('Gemm', [flat, 'w3'], { transB: 1 }, 'logits');
  b.output('logits', 'float', ['N', CLASSES]);
  const fact = (...dims: number[]): Fact => ({ dataType: 'float', dims: [1, ...dims], batchAxis: 0 });
  const facts = new Map([
    ['image', fact(...DIMS)],
    ['tap1', fact(8, 8, 8)],
    ['tap2', fact(16, 4, 4)],
    ['logits', fact(CLASSES)],
  ]);
  const names = { sampleInputs: ['image'], output: 'logits', logits: 'logits' };
  return {
    model: makeModel(b.build('backbone')),
    facts,
    ...names,
    classes: CLASSES,
    activation: 'none',
    batch: 'dynamic',
  };
}

export function syntheticPlan(totalMacs = 1e7): ExitPlan {
  const tap = (value: string, dims: number[], prefixMacs: number): Tap => ({
    value,
    dims,
    channelAxis: 0,
    prefixMacs,
    relativeCost: prefixMacs / totalMacs,
    live: [value],
    liveBytes: 4 * dims.reduce((a, d) => a * d, 1),
    tapBytes: 4 * dims.reduce((a, d) => a * d, 1),
  });
  const taps = [tap('tap1', [8, 8, 8], 0.2 * totalMacs), tap('tap2', [16, 4, 4], 0.5 * totalMacs)];
  const exits = taps.map((t, i) => ({ id: `exit_${i + 1}`, network: 0, tap: t, prefixMacs: t.prefixMacs }));
  return { typed: syntheticModel(), taps, rejected: [], exits, totalMacs, notCounted: {} };
}

export const syntheticHeads = (kind: HeadKind = 'strided', seed = 7) =>
  attachExits(syntheticPlan(), { kind, seed, maxShare: 0.02 });

export const temporaryFolder = () => mkdtempSync(join(tmpdir(), 'offramp-train-'));
