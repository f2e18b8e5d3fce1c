import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { type EvaluateOptions, evaluate } from '../../src/commands/evaluate.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { checkEmitted, readPackage } from '../../src/emit/read-package.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { putImage } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { noise, tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject, withoutTraining } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('evaluate');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('evaluate', { epochs: 1, views: 1 });
const COUNT = 120;
const POINT = 'budget-0.6';

test.before(async () => {
  await writeSamples({ train: 200, calibration: 150, test: COUNT, other: 50 });
  await compile(compileOptions('out', { budgets: [0.6] }));
});
test.after(remove);

const evaluated = (more: Partial<EvaluateOptions> = {}) =>
  evaluate({ folder: at('out'), test: at('test.npz'), cache: at('cache'), threads: 1, ...more });

/** Classes and exits of the emitted model at `thresholds`, one sample a run. */
function answersOf(pixels: Float32Array, thresholds: readonly number[]) {
  return withSession(at('out/model.onnx'), { threads: 1 }, async (session) => {
    const answers: { readonly answer: number; readonly exit: number }[] = [];
    for (let n = 0; n < COUNT; n++) {
      const { scores, exit_index } = await session.run({
        image: new Tensor('float32', pixels.slice(n * 192, (n + 1) * 192), [1, 3, 8, 8]),
        thresholds: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]),
      });
      const row = Array.from(scores!.data as Float32Array);
      answers.push({ answer: row.indexOf(Math.max(...row)), exit: Number(exit_index!.data[0]) });
    }
    return answers;
  });
}

test('accuracy, agreement, cost and shares are those counted by hand, in whatever batches', async () => {
  const manifest = manifestIn(at('out'));
  const { planar, labels } = await tinySamples(model, COUNT, COUNT + 'test'.length);
  const { thresholds } = manifest.operatingPoints.find(({ name }) => name === POINT)!;
  const early = await answersOf(planar, thresholds);
  const original = await answersOf(
    planar,
    thresholds.map(() => 1),
  );
  const shareOf = (holds: (i: number) => boolean) => [...early.keys()].filter(holds).length / COUNT;
  const costs = early.map(({ exit }) => {
    const heads = manifest.exits.filter((_, k) => k <= exit && thresholds[k]! < 1);
    const way = manifest.exits[exit]?.prefixMacs ?? manifest.baseline.macs;
    return heads.reduce((sum, { headMacs }) => sum + headMacs, way) / manifest.baseline.macs;
  });
  for (const batch of [1, 50]) {
    const { measured, sameData, largestDifference } = await evaluated({ at: [POINT], batch });
    const [point, ...rest] = measured.operatingPoints;
    assert.equal([point!.name, rest.length, sameData], [POINT, 0, true]);
    assert.is(
      point!.accuracy,
      shareOf((i) => early[i]!.answer === labels[i]),
    );
    assert.is(
      point!.agreement,
      shareOf((i) => early[i]!.answer === original[i]!.answer),
    );
    assert.is(
      measured.baseline.accuracy,
      shareOf((i) => original[i]!.answer === labels[i]),
    );
    assert.equal(
      point!.exitShares,
      [0, 1, 2, 3].map((k) => shareOf((i) => early[i]!.exit === k)),
    );
    assert.ok(point!.exitShares[3]! < 1, 'the point is fast enough to differ from the original');
    assert.ok(Math.abs(point!.relativeCost - costs.reduce((a, b) => a + b, 0) / COUNT) < 1e-9);
    assert.ok(largestDifference < 1e-9, `${largestDifference}`);
  }
});

test('the largest difference from the manifest is found, of accuracy and of shares', async () => {
  cpSync(at('out'), at('wrong'), { recursive: true });
  const manifest: Manifest = JSON.parse(readFileSync(at('wrong/manifest.json'), 'utf8'));
  const operatingPoints = manifest.operatingPoints.map((point) => {
    const [first, ...others] = point.exitShares;
    return point.name === POINT
      ? { ...point, accuracy: point.accuracy - 0.25, exitShares: [first! + 0.125, ...others] }
      : point;
  });
  writeFileSync(at('wrong/manifest.json'), JSON.stringify({ ...manifest, operatingPoints }));
  const { largestDifference, movedShare } = await evaluated({ folder: at('wrong') });
  assert.ok(Math.abs(largestDifference - 0.25) < 1e-9, `${largestDifference}`);
  assert.ok(Math.abs(movedShare - 0.125) < 1e-9, `${movedShare}`);
});

test('other samples are known as such, and without labels the original is always right', async () => {
  const other = await evaluated({ test: at('other.npz'), at: [POINT] });
  assert.is(other.sameData, false);
  const notes: string[] = [];
  const call = { folder: at('out'), test: at('test.npz'), cache: at('cache'), labels: 'none' as const };
  const { measured } = await evaluate(call, { onNote: (note) => notes.push(note.message) });
  assert.is(measured.baseline.accuracy, 1);
  for (const { accuracy, agreement } of measured.operatingPoints) assert.is(accuracy, agreement);
  assert.match(notes.join(), /^Nothing is labelled/);
});

/** `model` with another last layer: it mostly answers as that does. */
function writeNear(path: string): void {
  const near = tinyResidual({ seed: 4 });
  const { initializers } = near.graph;
  const changed = initializers.map((tensor) => {
    if (tensor.name !== 'fc.weight') return tensor;
    const values = new Float32Array(tensor.bytes.slice().buffer);
    const moved = noise(values.length, 77);
    return floatTensor(tensor.name, tensor.dims, values.map((v, i) => v + 1.75 * moved[i]!));
  }); // biome-ignore format: short
  writeFileSync(path, serializeModel({ ...near, graph: { ...near.graph, initializers: changed } }));
}

test('a network of a chain alone is as right as its own file', async () => {
  writeNear(at('near.onnx'));
  const options = { first: [at('near.onnx')], keepAll: true, policy: 'max-prob', budgets: [1.2] } as const;
  await compile(withoutTraining(compileOptions('chain', options)));
  const { planar, labels } = await tinySamples(model, COUNT, COUNT + 'test'.length);
  const answers = await withSession(at('near.onnx'), { threads: 1 }, async (session) => {
    const image = new Tensor('float32', planar, [COUNT, 3, 8, 8]);
    const scores = Array.from((await session.run({ image })).scores!.data as Float32Array);
    return Array.from({ length: COUNT }, (_, n) => {
      const row = scores.slice(5 * n, 5 * n + 5);
      return row.indexOf(Math.max(...row));
    });
  });
  const right = answers.filter((answer, n) => answer === labels[n]).length / COUNT;
  const { measured, promised, largestDifference } = await evaluated({ folder: at('chain') });
  assert.equal(
    [measured, promised].map(({ networks }) => networks!.map(({ accuracy }) => accuracy)),
    [
      [right, measured.baseline.accuracy],
      [right, measured.baseline.accuracy],
    ],
  );
  assert.ok(right < measured.baseline.accuracy!, 'it is another network');
  assert.ok(largestDifference < 1e-9, `${largestDifference}`);
});

test('a remedy that only compile has says so; others are as they are', async () => {
  const pictures = at('pictures');
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    await putImage(join(pictures, name, '1.png'), new Uint8Array(9 * 9 * 3), [9, 9, 3]);
  const elsewhere = ' That is said when the model is compiled: compile it again.';
  const size = await rejectsWith('wrong-image-size', () => evaluated({ test: pictures, labels: 'none' }));
  assert.is(size.hint, `Say how to fit it: \`resize: 'stretch'\`, 'cover' or 'contain'.${elsewhere}`);
  const again = await rejectsWith('wrong-image-size', () =>
    calibrate({ folder: at('out'), model, calibration: pictures, labels: 'none', cache: at('cache') }),
  );
  assert.is(again.hint, size.hint);
  const compiled = await rejectsWith('wrong-image-size', () =>
    compile(compileOptions('never', { train: pictures, labels: 'none' })),
  );
  assert.not.match(compiled.hint, elsewhere);
  const own = await rejectsWith('unreadable-image', () =>
    evaluated({ test: writeNothing(at('unreadable')), labels: 'none' }),
  );
  assert.not.match(own.hint, elsewhere, '`skipBad` is of evaluate too');
});

/** Five class folders of one file each that is no picture. */
function writeNothing(folder: string): string {
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, '1.png'), 'no picture');
  }
  return folder;
}

test('a point that does not exist is refused, and a model that is not the one of the manifest', async () => {
  await rejectsWith('unknown-operating-point', () => evaluated({ at: ['warp'] }));
  cpSync(at('out'), at('damaged'), { recursive: true });
  writeFileSync(at('damaged/model.onnx'), readFileSync(model));
  await rejectsWith('package-damaged', () => evaluated({ folder: at('damaged') }));
  const manifest = await readPackage(at('out'));
  writeFileSync(at('out/tokenizer.json'), '{}');
  const withTokenizer = (sha256: string) =>
    checkEmitted(at('out'), { ...manifest, tokenizer: { sha256 } }, {});
  await withTokenizer(createHash('sha256').update('{}').digest('hex'));
  const error = await rejectsWith('package-damaged', () => withTokenizer('00'.repeat(32)));
  assert.match(error.message, 'tokenizer.json is not the one');
});

test.run();
