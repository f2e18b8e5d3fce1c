/** What tests of chains compile: a small network, two that stand in front of it, labelled samples, and a temporary folder. */
import { writeFileSync } from 'node:fs';
import type { CompileOptions } from '../src/commands/compile.ts';
import { prune } from '../src/graph/prune.ts';
import { floatTensor } from '../src/graph/tensor.ts';
import type { Model } from '../src/graph/types.ts';
import { Tensor, withSession } from '../src/ort/session.ts';
import { serializeModel } from '../src/parser/index.ts';
import { tinyResidual } from './models.ts';
import { tinyProject, withoutTraining } from './tiny-project.ts';
import { tinySamples } from './tiny-samples.ts';

const SEED = 1;
const BEFORE = { block1: 'stem', block3: 'block2' } as const;
type Block = keyof typeof BEFORE;
const SAMPLES = 500;
const [CLASSES, WIDTH] = [5, 16];

/** `tinyResidual` without `skipped`: what read the end of such a block reads its beginning. Block 2 changes the shape and stays. */
function without(skipped: readonly Block[]): Model {
  const model = tinyResidual({ seed: SEED });
  const instead = new Map<string, string>(skipped.map((block) => [block, BEFORE[block]]));
  const nodes = model.graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => instead.get(name) ?? name),
  }));
  return { ...model, graph: prune({ ...model.graph, nodes }) };
}

/** `model` with another last layer, weights [CLASSES, WIDTH + 1] with the bias last. */
function withLayer(model: Model, rows: readonly (readonly number[])[]): Model {
  const layer = new Map([
    [
      'fc.weight',
      floatTensor(
        'fc.weight',
        [CLASSES, WIDTH],
        rows.flatMap((row) => row.slice(0, WIDTH)),
      ),
    ],
    [
      'fc.bias',
      floatTensor(
        'fc.bias',
        [CLASSES],
        rows.map((row) => row[WIDTH]!),
      ),
    ],
  ]);
  const initializers = model.graph.initializers.map((tensor) => layer.get(tensor.name) ?? tensor);
  return { ...model, graph: { ...model.graph, initializers } };
}

/** [SAMPLES][WIDTH + 1]: what the last layer of `model` reads, and a 1. */
async function featuresOf(model: Model, planar: Float32Array): Promise<number[][]> {
  const read = model.graph.nodes.find(({ opType }) => opType === 'Gemm')!.inputs[0]!;
  const outputs = [{ name: read, type: { dataType: 'float' as const, dims: ['N', WIDTH] } }];
  const bytes = serializeModel({ ...model, graph: { ...model.graph, outputs } });
  const values = await withSession(bytes, {}, async (session) => {
    const found = await session.run({ image: new Tensor('float32', planar, [SAMPLES, 3, 8, 8]) });
    return found[read]!.data as Float32Array;
  });
  return Array.from({ length: SAMPLES }, (_, n) => [...values.subarray(n * WIDTH, (n + 1) * WIDTH), 1]);
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);

/** The w that minimises Σ (w · x - y)², by the normal equations and Gauss-Jordan elimination. */
function leastSquares(x: readonly (readonly number[])[], y: readonly number[]): number[] {
  const n = x[0]!.length;
  const column = (j: number) => x.map((row) => row[j]!);
  const a = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => dot(column(i), column(j)) + (i === j ? 1e-6 : 0)),
    dot(column(i), y),
  ]);
  for (let i = 0; i < n; i++) {
    const pivot = a[i]![i]!;
    a[i] = a[i]!.map((v) => v / pivot);
    for (let j = 0; j < n; j++) {
      const factor = a[j]![i]!;
      if (j !== i) a[j] = a[j]!.map((v, k) => v - factor * a[i]![k]!);
    }
  }
  return a.map((row) => row[n]!);
}

/**
 * As `tinyProject`, of a chain. Every score of the original is shifted and scaled to mean 0 and deviation 3, for with random weights one class
 * is always the answer. `small` (0.37 of its MACs) and `middle` (0.69) have a last layer that is fitted to its scores.
 */
export async function tinyChain(name: string, common: Partial<CompileOptions> = {}) {
  const project = tinyProject(name, common);
  const { at, model } = project;
  const plain = without([]);
  writeFileSync(model, serializeModel(plain));
  const { planar } = await tinySamples(model, SAMPLES, 77);
  const features = await featuresOf(plain, planar);
  const rows = Array.from({ length: CLASSES }, (_, c) => {
    const random = Array.from({ length: WIDTH }, (_, i) => Math.sin(3 * c + i * i));
    const scores = features.map((x) => dot(random, x));
    const mean = scores.reduce((sum, v) => sum + v, 0) / SAMPLES;
    const deviation = Math.sqrt(scores.reduce((sum, v) => sum + (v - mean) ** 2, 0) / SAMPLES);
    return [...random, -mean].map((v) => (3 * v) / deviation);
  });
  writeFileSync(model, serializeModel(withLayer(plain, rows)));
  const fitted = async (file: string, skipped: readonly Block[]) => {
    const network = without(skipped);
    const own = await featuresOf(network, planar);
    const layer = rows.map((row) =>
      leastSquares(
        own,
        features.map((x) => dot(row, x)),
      ),
    );
    writeFileSync(at(file), serializeModel(withLayer(network, layer)));
    return at(file);
  };
  return {
    ...project,
    small: await fitted('small.onnx', ['block1', 'block3']),
    middle: await fitted('middle.onnx', ['block3']),
    /** Nothing is trained; `small` is in front unless `more` says otherwise. */
    chainOptions(out: string, more: Partial<CompileOptions> = {}): CompileOptions {
      const options = withoutTraining(project.compileOptions(out));
      return { ...options, first: [at('small.onnx')], policy: 'max-prob', ...more };
    },
  };
}
