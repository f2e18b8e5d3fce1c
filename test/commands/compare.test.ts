import { cpSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { makeNode } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { branchyNet, tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples, writeTinySamples } from '../tiny-samples.ts';

const test = suite('compare');
const { folder, model, at, writeSamples, compileOptions, remove } = tinyProject('compare', { epochs: 1 });
const COUNT = 200;
const common = { test: at('test.npz'), cache: at('cache'), threads: 1 };

/** Of whose seed the answers are of three classes. */
const seed = 34;

test.before(async () => {
  writeFileSync(model, serializeModel(tinyResidual({ seed })));
  await writeSamples({ train: 300, calibration: 200, test: COUNT });
  await compile(compileOptions('out', { budgets: [0.6] }));
});
test.after(remove);

/** Classes and exits (one sample a run) of the compiled model at `thresholds`, of the plain one without. */
function answersByHand(file: string, pixels: Float32Array, thresholds?: readonly number[]) {
  return withSession(file, {}, async (session) => {
    const answers: { answer: number; exit: number }[] = [];
    for (let n = 0; n < COUNT; n++) {
      const image = new Tensor('float32', pixels.slice(n * 192, (n + 1) * 192), [1, 3, 8, 8]);
      const closing = thresholds && {
        thresholds: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]),
      };
      const { scores, exit_index } = await session.run({ image, ...closing });
      const row = Array.from(scores!.data as Float32Array);
      answers.push({ answer: row.indexOf(Math.max(...row)), exit: Number(exit_index?.data[0] ?? 0) });
    }
    return answers;
  });
}

test('a compiled and a plain model, as counted by hand', async () => {
  const manifest = manifestIn(at('out'));
  const point = manifest.operatingPoints.find(({ name }) => name === 'budget-0.6')!;
  const { planar, labels } = await tinySamples(model, COUNT, COUNT + 'test'.length);
  const early = await answersByHand(at('out/model.onnx'), planar, point.thresholds);
  const plain = await answersByHand(model, planar);
  const count = (holds: (i: number) => boolean) => [...labels.keys()].filter(holds).length;
  const earlyRight = (i: number) => early[i]!.answer === labels[i];
  const plainRight = (i: number) => plain[i]!.answer === labels[i];

  const result = await compare({ a: at('out'), b: model, at: ['budget-0.6'], ...common });
  const { a, b, accuracy } = result;
  assert.is(result.samples, COUNT);
  assert.equal([a.point, b.point], ['budget-0.6', null]);
  assert.is(a.accuracy, count(earlyRight) / COUNT);
  assert.is(b.accuracy, count(plainRight) / COUNT);
  assert.is(result.agreement, count((i) => early[i]!.answer === plain[i]!.answer) / COUNT);
  assert.is(
    accuracy!.onlyA,
    count((i) => earlyRight(i) && !plainRight(i)),
  );
  assert.is(
    accuracy!.onlyB,
    count((i) => !earlyRight(i) && plainRight(i)),
  );
  assert.ok(accuracy!.onlyA + accuracy!.onlyB > 0, 'the point is fast enough to differ');
  assert.is(accuracy!.difference, (accuracy!.onlyB - accuracy!.onlyA) / COUNT);
  assert.ok(accuracy!.interval[0] < accuracy!.difference && accuracy!.difference < accuracy!.interval[1]);

  const macs = early.map(({ exit }) => {
    const { prefixMacs } = manifest.exits[exit] ?? { prefixMacs: manifest.baseline.macs };
    const met = manifest.exits.filter((_, k) => k <= exit && point.thresholds[k]! < 1);
    return met.reduce((sum, { headMacs }) => sum + headMacs, prefixMacs);
  });
  const mean = macs.reduce((sum, m) => sum + m, 0) / COUNT;
  assert.ok(Math.abs(a.macs / mean - 1) < 1e-9, `${a.macs} is not ${mean}`);
  assert.equal([b.macs, b.relativeCost, b.exitShares], [manifest.baseline.macs, 1, []]);
  assert.ok(Math.abs(result.macsRatio - manifest.baseline.macs / mean) < 1e-9);
  assert.equal(
    a.exitShares,
    [0, 1, 2, 3].map((k) => early.filter(({ exit }) => exit === k).length / COUNT),
  );
  assert.ok(a.latencyMsP50 > 0 && result.latencyRatio === b.latencyMsP50 / a.latencyMsP50);
});

test('samples that are there three times are no more evidence than once', async () => {
  await writeTinySamples(model, at('thrice.npz'), COUNT, COUNT + 'test'.length, 3);
  const notes: string[] = [];
  const sides = { a: at('out'), b: model, at: ['budget-0.6'] };
  const thrice = await compare(
    { ...sides, ...common, test: at('thrice.npz') },
    { onNote: (n) => notes.push(n.message) },
  );
  const once = await compare({ ...sides, ...common });
  assert.is(thrice.samples, COUNT);
  assert.equal(thrice.accuracy, once.accuracy);
  assert.match(notes.join(), `${2 * COUNT} of ${3 * COUNT} samples are exact copies`);
});

test('two points of one model: exact is the plain one', async () => {
  const { a, b, agreement, accuracy } = await compare({
    a: at('out'),
    b: at('out'),
    at: ['exact', 'budget-0.6'],
    ...common,
  });
  assert.equal([a.point, b.point, a.relativeCost], ['exact', 'budget-0.6', 1]);
  assert.ok(b.relativeCost < 1 && agreement < 1);
  const plain = await compare({ a: at('out'), b: model, at: ['exact'], ...common });
  assert.equal([plain.agreement, plain.accuracy!.pValue], [1, 1]);
  assert.is(plain.a.accuracy, a.accuracy);
  assert.is(accuracy!.onlyA - accuracy!.onlyB, Math.round((a.accuracy! - b.accuracy!) * COUNT));
});

test('each model has its own preprocessing', async () => {
  // The same network behind a division that the other has in its preprocessing.
  const { graph, ...rest } = tinyResidual({ seed });
  const scale = floatTensor('pixels.scale', [], [255]);
  const raw = {
    ...graph,
    inputs: graph.inputs.map((input) => ({ ...input, name: 'pixels' })),
    initializers: [...graph.initializers, scale],
    nodes: [makeNode('Div', ['pixels', 'pixels.scale'], ['image']), ...graph.nodes],
  };
  writeFileSync(at('raw.onnx'), serializeModel({ ...rest, graph: raw }));
  const options = { a: at('out'), b: at('raw.onnx'), at: ['exact'], ...common };
  const own = await compare({ ...options, preset: 'none' });
  assert.is(own.agreement, 1);
  assert.equal(own.a.accuracy, own.b.accuracy);
  const taken = await compare(options);
  assert.ok(taken.agreement < 1, 'what is not said is as in the package');
});

test('without labels there is agreement, and no accuracy', async () => {
  const { a, b, accuracy, agreement } = await compare({ a: at('out'), b: model, labels: 'none', ...common });
  assert.equal([a.accuracy, b.accuracy, accuracy], [null, null, null]);
  assert.ok(agreement > 0.5 && agreement <= 1);
  assert.is(
    (await compare({ a: at('out'), b: model, ...common, at: ['exact'], test: 'random:16' })).agreement,
    1,
  );
});

test('what cannot be compared is refused', async () => {
  const with7 = branchyNet();
  writeFileSync(at('other.onnx'), serializeModel(with7));
  cpSync(at('out'), at('renamed'), { recursive: true });
  const manifest = manifestIn(at('renamed'));
  const named = (labels: string[]) => JSON.stringify({ ...manifest, labels });
  cpSync(at('out'), at('named'), { recursive: true });
  writeFileSync(at('named/manifest.json'), named(['a', 'b', 'c', 'd', 'e']));
  writeFileSync(at('renamed/manifest.json'), named(['a', 'b', 'd', 'c', 'e']));
  const error = await rejectsWith('not-comparable', () =>
    compare({ a: at('named'), b: at('renamed'), ...common }),
  );
  assert.match(error.message, /class 2 is c in one and d in the other/);
  const byItself = { a: at('out'), b: at('out/model.onnx'), ...common };
  await rejectsWith('not-comparable', () => compare(byItself));
  await rejectsWith('unknown-operating-point', () =>
    compare({ a: at('out'), b: model, at: ['warp'], ...common }),
  );
  await rejectsWith('not-a-package', () => compare({ a: folder, b: model, ...common }));
  await rejectsWith('unreadable-model', () => compare({ a: at('out'), b: at('absent.onnx'), ...common }));
});

test('npx onnx-offramp compare prints both, and JSON on request', async () => {
  const words = ['compare', 'out', model, '--test', 'test.npz', '--cache', 'cache', '--quiet'];
  const text = await runCli(folder, [...words, '--at', 'exact']);
  assert.is(text.status, 0, text.stderr);
  assert.match(text.stdout, /A +out +exact .*\nB +.*tiny-net\.onnx +– /);
  assert.match(text.stdout, /Both give 100\.00 % of 200 samples the same class/);
  assert.match(text.stdout, /no significant difference \(p = 1\.0000, McNemar's exact test\)/);
  assert.match(text.stdout, /of its median time/);
  const json = await runCli(folder, [...words, '--json']);
  const { a, accuracy } = JSON.parse(json.stdout);
  assert.is(a.point, manifestIn(at('out')).defaultPoint);
  assert.is(accuracy.samples, COUNT);
});

test('a model that only guesses is warned of, by its name', async () => {
  const other = at('other.onnx');
  writeFileSync(other, serializeModel(tinyResidual({ seed: 5 })));
  const notes: string[] = [];
  const onNote = ({ code, message }: { code: string; message: string }) => notes.push(`${code} ${message}`);
  await compare({ a: model, b: other, preset: 'unit', ...common }, { onNote });
  const guessing = notes.filter((note) => note.startsWith('original-guesses'));
  assert.is(guessing.length, 1);
  assert.match(guessing[0]!, /other\.onnx is right on \d+ of 200 samples/);
});

test.run();
