/** A binary classifier with one score a sample, all the way: compiled, measured, compared, calibrated again, and called as an app would. */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { zipSync } from 'fflate';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { npy } from '../data/fixtures.ts';
import { tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('compile binary');
const { model, at, compileOptions, remove } = tinyProject('binary', { epochs: 2, taps: ['block1'] });
const COUNT = 200;

/** `p` [N, 1], the Sigmoid of how far the small net's second score is from its median. */
function binaryNet() {
  const five = tinyResidual({ seed: 4 });
  const b = new GraphBuilder('', new Set(five.graph.nodes.flatMap((n) => n.outputs)));
  const column = b.initializer(floatTensor('column', [5, 1], [0, 8, 0, 0, 0]));
  const z = b.op('Gemm', ['scores', column, b.float([-8 * 9.84])], {}, 'z');
  b.output(b.op('Sigmoid', [z], {}, 'p'), 'float', ['N', 1]);
  const { graph } = five;
  const initializers = [...graph.initializers, ...b.initializers];
  return {
    ...five,
    graph: { ...graph, nodes: [...graph.nodes, ...b.nodes], initializers, outputs: b.outputs },
  };
}

/** p of samples [n, 3, 8, 8]. */
async function original(planar: Float32Array): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(at('binary.onnx'));
  const image = new ort.Tensor('float32', planar, [planar.length / 192, 3, 8, 8]);
  return (await session.run({ image })).p!.data as Float32Array;
}

test.before(async () => {
  writeFileSync(at('binary.onnx'), serializeModel(binaryNet()));
  for (const [split, count] of Object.entries({ train: 200, calibration: COUNT, test: COUNT })) {
    const { pixels, planar } = await tinySamples(model, count, count + split.length);
    const p = await original(planar);
    // Every tenth label is wrong.
    const labels = Int32Array.from(p, (v, i) => Number(v > 0.5 !== (i % 10 === 0)));
    const x = npy('|u1', [count, 8, 8, 3], pixels);
    const y = npy('<i4', [count], new Uint8Array(labels.buffer));
    writeFileSync(at(`${split}.npz`), zipSync({ 'x.npy': x, 'y.npy': y }));
  }
  writeFileSync(at('labels.txt'), 'no\nyes\n');
  await compile(
    compileOptions('out', {
      model: at('binary.onnx'),
      budgets: [0.7],
      labels: at('labels.txt'),
      report: true,
    }),
  );
});
test.after(remove);

test('the manifest has two classes, and figures as counted by hand', () => {
  const { classes, labels, activation, outputs, baseline } = manifestIn(at('out'));
  assert.is(classes, 2);
  assert.equal(labels, ['no', 'yes']);
  assert.is(activation, 'sigmoid');
  assert.is(outputs.scores, 'p');
  assert.is(baseline.accuracy, 0.9);
});

test('the emitted model gives probabilities of class 1 at every exit, and with all closed those of the original', async () => {
  const { planar } = await tinySamples(model, COUNT, COUNT + 'test'.length);
  const session = await ort.InferenceSession.create(at('out/model.onnx'));
  const image = new ort.Tensor('float32', planar, [COUNT, 3, 8, 8]);
  const expected = await original(planar);
  const run = async (...thresholds: number[]) =>
    session.run({ image, thresholds: new ort.Tensor('float32', thresholds, [thresholds.length]) });
  const closed = await run(1);
  assert.equal(closed.p!.dims, [COUNT, 1]);
  const whole = closed.p!.data as Float32Array;
  assert.ok(whole.every((p, i) => Math.abs(p - expected[i]!) < 1e-4));
  const early = await run(-1);
  const [p, confidence] = [early.p!.data as Float32Array, early.exit_confidence!.data as Float32Array];
  assert.ok((early.exit_index!.data as BigInt64Array).every((exit) => exit === 0n));
  assert.ok(p.every((v, i) => v >= 0 && v <= 1 && Math.abs(Math.max(v, 1 - v) - confidence[i]!) < 1e-5));
});

test('evaluate, compare and calibrate read one score as two classes', async () => {
  const common = { test: at('test.npz'), cache: at('cache'), threads: 1 };
  const manifest = manifestIn(at('out'));
  const { measured, largestDifference, sameData } = await evaluate({ folder: at('out'), ...common });
  assert.ok(sameData);
  assert.ok(largestDifference < 0.01, `${largestDifference}`);
  assert.is(measured.baseline.accuracy, 0.9);
  const { a, b, agreement, accuracy } = await compare({ a: at('out'), b: at('binary.onnx'), at: ['exact'], ...common });
  assert.equal([a.accuracy, b.accuracy, agreement, accuracy!.difference], [0.9, 0.9, 1, 0]);
  await calibrate({
    folder: at('out'),
    model: at('binary.onnx'),
    calibration: at('calibration.npz'),
    ...common,
    out: at('again'),
  });
  const again = manifestIn(at('again'));
  assert.equal(
    again.operatingPoints.map((point) => point.thresholds),
    manifest.operatingPoints.map((point) => point.thresholds),
  );
}); // biome-ignore format: one call a line

test('the package answers with class, label and probability; scores are the output', async () => {
  const { Binary } = await import(pathToFileURL(at('out/index.js')).href);
  const classifier = await Binary.load(ort);
  const { planar } = await tinySamples(model, 20, 20);
  const expected = await original(planar);
  const results = await classifier.classify(planar, { at: 'exact' });
  assert.is(results.length, 20);
  for (const [i, { index, label, probability, scores }] of results.entries()) {
    const p = expected[i]!;
    assert.is(index, Number(p > 0.5));
    assert.is(label, index ? 'yes' : 'no');
    assert.ok(Math.abs(probability - Math.max(p, 1 - p)) < 1e-4);
    assert.is(scores.length, 1);
    assert.ok(Math.abs(scores[0] - p) < 1e-4);
  }
  await classifier.release();
  assert.match(readFileSync(at('out/index.ts'), 'utf8'), 'Probability of class 1, [1].');
  assert.match(readFileSync(at('out/report.html'), 'utf8'), 'yes');
});

test.run();
