/** Models whose own scores are NaN or infinite are named as such, by the commands that run them. */
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { toFloat32Array } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';

const test = suite('scores that are not finite');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('not-finite', {
  epochs: 1,
  views: 1,
});

/** `model` with every element of a weight, by default the largest, multiplied by `factor`, and the weight's name. */
function spoilt(
  model: Model,
  factor: number,
  named?: string,
): { readonly model: Model; readonly weight: string } {
  const floats = model.graph.initializers.filter(({ dataType }) => dataType === 'float');
  const largest = floats.reduce((a, b) => (b.bytes.length > a.bytes.length ? b : a));
  const weight = named ?? largest.name;
  const initializers = model.graph.initializers.map((tensor) => {
    if (tensor.name !== weight) return tensor;
    const values = toFloat32Array(tensor).map((value) => value * factor);
    return { ...tensor, bytes: new Uint8Array(values.buffer) };
  });
  return { model: { ...model, graph: { ...model.graph, initializers } }, weight };
}

const net = tinyResidual({ seed: 4 });
const nan = spoilt(net, Number.NaN);

test.before(async () => {
  await writeSamples({ train: 200, calibration: 150, test: 100 });
  writeFileSync(at('nan.onnx'), serializeModel(nan.model));
  await compile(compileOptions('out', { budgets: [0.6] }));
});
test.after(remove);

test('inspect notes them, with the weight', async () => {
  const whole = await inspect({ model });
  assert.not.ok(whole.notes.some(({ code }) => code === 'scores-not-finite'));
  writeWithExternalData(nan.model, at('beside.onnx'));
  for (const file of ['nan.onnx', 'beside.onnx']) {
    const { notes } = await inspect({ model: at(file) });
    const note = notes.find(({ code }) => code === 'scores-not-finite');
    assert.match(note?.message ?? '', `${nan.weight} holds NaN`, file);
  }
});

test('compile refuses before it trains, whatever the labels', async () => {
  const infinite = spoilt(net, Number.POSITIVE_INFINITY);
  const huge = spoilt(net, 3e38);
  for (const { model, weight } of [nan, infinite, huge]) {
    const file = at('spoilt.onnx');
    writeFileSync(file, serializeModel(model));
    for (const labels of [{}, { labels: 'none' }]) {
      const phases = new Set<string>();
      const options = compileOptions('never', { model: file, ...labels });
      const error = await rejectsWith('scores-not-finite', () =>
        compile(options, { onProgress: ({ phase }) => phases.add(phase) }),
      );
      assert.match(error.message, /^the original gives NaN or infinite scores for sample \d+ of /);
      assert.is(
        error.message.includes(`${weight} holds`),
        model !== huge.model,
        'a weight only where one is none',
      );
      assert.not.ok(phases.has('training'));
    }
  }
});

test('evaluate and compare refuse them', async () => {
  cpSync(at('out'), at('bad'), { recursive: true });
  const emitted = spoilt(parseModel(readFileSync(at('out/model.onnx'))), Number.NaN, nan.weight);
  const bytes = serializeModel(emitted.model);
  writeFileSync(at('bad/model.onnx'), bytes);
  const manifest = JSON.parse(readFileSync(at('out/manifest.json'), 'utf8'));
  manifest.model.sha256 = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(at('bad/manifest.json'), JSON.stringify(manifest));
  const common = { test: at('test.npz'), cache: at('cache'), threads: 1 };
  const error = await rejectsWith('scores-not-finite', () => evaluate({ folder: at('bad'), ...common }));
  assert.match(error.message, `: ${emitted.weight} holds NaN`);
  await rejectsWith('scores-not-finite', () => compare({ a: at('out'), b: at('nan.onnx'), ...common }));
  await rejectsWith('scores-not-finite', () => compare({ a: at('bad'), b: model, ...common }));
});

test('numbers beyond float32 are refused as preprocessing', async () => {
  for (const one of [
    { mean: [1e39] },
    { rescale: 1e39 },
    { rescale: 1e-46 },
    { scale: 1e-46 },
    { std: [1e-46] },
  ]) {
    const { preset: _, ...options } = compileOptions('never');
    await rejectsWith('bad-preprocessing', () => compile({ ...options, ...one }));
  }
});

test.run();
