/** How generated packages read the scores output, by what it has been through. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emitPackage } from '../../src/emit/stub.ts';
import { writeOutput } from '../../src/emit/write.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { serializeModel } from '../../src/parser/index.ts';
import type { Activation } from '../../src/passes/exits.ts';
import { SAMPLE } from './sample.ts';

const test = suite('emit: stub scores');
const root = mkdtempSync(join(tmpdir(), 'offramp-scores-'));
test.after(() => rmSync(root, { recursive: true, force: true }));

/** A model with the interface of a compiled one whose scores, `width` a sample, are its input. */
function echo(width: number): Uint8Array {
  const b = new GraphBuilder();
  b.op('Identity', [b.input('x', 'float', ['N', width])], {}, 'scores');
  const first = b.op('ReduceMax', ['x'], { axes: [1], keepdims: 0 }, 'exit_confidence');
  const none = b.op('Mul', [b.op('Sum', [b.input('thresholds', 'float', [2])]), b.float(0)]);
  const zero = b.op('Mul', [b.op('Add', [first, b.op('ReduceSum', [none], { keepdims: 0 })]), b.float(0)]);
  b.op('Cast', [zero], { to: 7 }, 'exit_index');
  b.output('scores', 'float', ['N', width]);
  b.output('exit_index', 'int64', ['N']);
  b.output('exit_confidence', 'float', ['N']);
  return serializeModel(makeModel(b.build('echo')));
}

/** What the package says to `rows`: class and probability of each. */
async function answers(activation: Activation, rows: readonly (readonly number[])[]) {
  const width = rows[0]!.length;
  const { preprocessing: _, labels: __, ...rest } = SAMPLE;
  const manifest = {
    ...rest,
    activation,
    classes: Math.max(2, width),
    inputs: [{ name: 'x', dataType: 'float' as const, dims: ['N' as const, width] }],
    outputs: { ...SAMPLE.outputs, scores: 'scores' },
    preprocessing: null,
    source: { ...SAMPLE.source, file: 'echo.onnx' },
  };
  const folder = join(root, activation);
  await writeOutput(
    folder,
    new Map<string, string | Uint8Array>([...emitPackage(manifest), ['model.onnx', echo(width)]]),
  );
  const { Echo } = await import(pathToFileURL(join(folder, 'index.js')).href);
  const model = await Echo.load(ort);
  const results: { index: number; probability: number; scores: Float32Array }[] = await model.classify(
    Float32Array.from(rows.flat()),
  );
  await model.release();
  for (const [i, { scores }] of results.entries())
    assert.equal([...scores], [...Float32Array.from(rows[i]!)]);
  return results.map(({ index, probability }) => [index, Number(probability.toFixed(4))]);
}

test('one probability of class 1', async () => {
  assert.equal(await answers('sigmoid', [[0.75], [0.25], [0.5]]), [[1, 0.75], [0, 0.75], [0, 0.5]]);
}); // biome-ignore format: pairs

test('one logit of class 1', async () => {
  assert.equal(await answers('logit', [[Math.log(3)], [-Math.log(3)], [0]]), [[1, 0.75], [0, 0.75], [0, 0.5]]);
}); // biome-ignore format: pairs

test('multiples of probabilities', async () => {
  assert.equal(await answers('scaled-softmax', [[10, 70, 20], [255, 0, 0]]), [[1, 0.7], [0, 1]]);
}); // biome-ignore format: pairs

test.run();
