/**
 * What the generated package adds to a bare `session.run` at batch 1: the same session, the same three outputs, run in
 * turns in one process. Untrained heads: timing is the same.
 *
 *   npx tsx bench/stub.ts [model.onnx]     THREADS=1 PASSES=50
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import type * as Sample from '../golden/stub-image-labels/index.ts';
import { inferenceForm } from '../src/autodiff/training-form.ts';
import type { Manifest, OperatingPoint } from '../src/emit/manifest.ts';
import { emitPackage } from '../src/emit/stub.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { serializeModel } from '../src/parser/index.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { lowerExits } from '../src/passes/lower-exits.ts';
import { runPasses } from '../src/passes/pass.ts';
import { markdown } from './markdown.ts';

const [model = '../shared/data/models/resnet20.onnx'] = process.argv.slice(2);
const threads = Number(process.env.THREADS ?? 1);
const passes = Number(process.env.PASSES ?? 50);
const WARMUP = 50;
const SAMPLES = 20;

const { source, typed, plan } = await inspectFile({ model });
const heads = attachExits(plan, { kind: 'strided', seed: 1 }).map((head) => ({
  ...head,
  graph: runPasses(head.graph, [inferenceForm]),
}));
const [name] = typed.sampleInputs as [string];
const dims = typed.facts.get(name)!.dims.slice(1) as [number, number, number];
const [, height, width] = dims;

const folder = mkdtempSync(join(tmpdir(), 'offramp-bench-stub-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'model.onnx'), serializeModel(lowerExits(typed, heads, { policy: 'max-prob' })));
for (const [file, text] of emitPackage(manifest())) writeFileSync(join(folder, file), text);
const { Pets }: typeof Sample = await import(pathToFileURL(join(folder, 'index.js')).href);

let session!: ort.InferenceSession;
const create = async (...args: Parameters<typeof ort.InferenceSession.create>) => {
  session = await ort.InferenceSession.create(...args);
  return session;
};
const net = await Pets.load({ ...ort, InferenceSession: { create } as typeof ort.InferenceSession });

const rows = [['point', 'run', 'tensor', 'ratio', 'array', 'ratio', 'picture', 'ratio']];
for (const at of ['fast', 'exact'] as const) rows.push(await benchmark(at));
console.log(`# The generated package against a bare run

Made by \`npx tsx bench/stub.ts\`: ${basename(model)}, batch 1, ${threads} ${threads === 1 ? 'thread' : 'threads'}, the least of ${passes} passes for each of ${SAMPLES} samples, medians; the same session, the same
three outputs, in turns. A bare run has its tensors made beforehand; a picture is preprocessed, which a bare run is not.

${markdown(rows)}`);
await net.release();

/** `fast` leaves every sample at the first exit, `exact` none. */
async function benchmark(at: 'fast' | 'exact'): Promise<string[]> {
  const pictures = Array.from({ length: SAMPLES }, (_, i) => ({
    data: Uint8ClampedArray.from({ length: 4 * width * height }, (_, j) => (i * 31 + j * 7) & 255),
    width,
    height,
  }));
  const arrays = pictures.map(() => Float32Array.from({ length: 3 * width * height }, (_, j) => Math.sin(j)));
  const tensors = arrays.map((data) => new ort.Tensor('float32', data, [1, ...dims]));
  const { thresholds } = net.operatingPoints[at];
  const limits = new ort.Tensor('float32', Float32Array.from(thresholds), [thresholds.length]);
  const outputs = [typed.output, 'exit_index', 'exit_confidence'];
  const candidates = [
    (i: number) => session.run({ [name]: tensors[i]!, thresholds: limits }, outputs),
    (i: number) => net.classify(tensors[i]!, { at }),
    (i: number) => net.classify(arrays[i]!, { at }),
    (i: number) => net.classify(pictures[i]!, { at }),
  ];
  for (const run of candidates) for (let i = 0; i < WARMUP; i++) await run(i % SAMPLES);
  const least = candidates.map(() => new Float64Array(SAMPLES).fill(Number.POSITIVE_INFINITY));
  for (let pass = 0; pass < passes; pass++) {
    for (let i = 0; i < SAMPLES; i++) {
      for (let turn = 0; turn < candidates.length; turn++) {
        const which = (pass + i + turn) % candidates.length;
        const started = performance.now();
        await candidates[which]!(i);
        least[which]![i] = Math.min(least[which]![i]!, performance.now() - started);
      }
    }
  }
  const [bare, ...stub] = least.map((times) => times.sort()[SAMPLES >> 1]!);
  return [at, bare!.toFixed(4), ...stub.flatMap((ms) => [ms.toFixed(4), (ms / bare!).toFixed(3)])];
}

/** As compile would write it, with figures that nobody measured. */
function manifest(): Manifest {
  const point = (point: string, threshold: number): OperatingPoint => ({
    name: point,
    policy: 'max-prob',
    thresholds: heads.map(() => threshold),
    accuracy: 1,
    agreement: 1,
    relativeCost: 1,
    latencyMsP50: null,
    exitShares: [...heads.map(() => 0), 1],
  });
  return {
    schemaVersion: 1,
    version: 'bench',
    source: { file: 'pets.onnx', sha256: source.sha256, opset: 0, producer: '' },
    seed: 1,
    recipe: 'none',
    policy: 'max-prob',
    calibration: { target: 'accuracy', budgets: [], maxAccuracyDrops: [] },
    classes: typed.classes,
    labels: Array.from({ length: typed.classes }, (_, i) => `class ${i}`),
    inputs: [{ name, dataType: 'float', dims: ['N', ...dims] }],
    outputs: {
      scores: typed.output,
      exitIndex: 'exit_index',
      exitConfidence: 'exit_confidence',
      thresholds: 'thresholds',
    },
    activation: typed.activation,
    batch: 'dynamic',
    preprocessing: {
      scale: 255,
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
      layout: 'NCHW',
      channels: 'rgb',
    },
    exits: heads.map(({ exit, kind, macs }) => ({
      id: exit.id,
      tap: exit.tap.value,
      head: kind,
      prefixMacs: exit.prefixMacs,
      headMacs: macs,
      costMacs: exit.prefixMacs + macs,
      relativeCost: (exit.prefixMacs + macs) / plan.totalMacs,
    })),
    baseline: { accuracy: 1, macs: plan.totalMacs, latencyMsP50: null },
    operatingPoints: [point('fast', -1), point('exact', 1)],
    defaultPoint: 'exact',
    measuredOn: 'test',
    latency: null,
    data: {},
    sessionOptions: { provider: 'cpu', threads, spinning: false, optimization: 'all' },
    environment: { node: process.version, onnxruntime: '1.30.0', platform: 'bench' },
  };
}
