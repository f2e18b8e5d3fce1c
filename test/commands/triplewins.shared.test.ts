/** A real export with three exits: its one output is a sequence of their scores. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { withSession } from '../../src/ort/session.ts';
import { parseModel } from '../../src/parser/index.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { runEmitted } from '../../src/predict/run-emitted.ts';
import { runCli } from '../cli-in-process.ts';
import { freshFolder, openFor } from '../data/fixtures.ts';
import { sharedData } from '../shared.ts';
import { manifestIn } from '../timeless.ts';

const test = suite('triplewins, three exits in a sequence');
const folder = freshFolder();
test.after(() => rmSync(folder, { recursive: true, force: true }));
const model = sharedData('models', 'triplewins_mnist_exits.onnx');
const images = sharedData('mnist', 't10k-images-idx3-ubyte.gz');
const cache = join(folder, 'cache');
const out = join(folder, 'out');

test('compiled by the name of the sequence, its exits are right as often as they are by themselves', async () => {
  const words = ['compile', model, '--exit-outputs', 'exit', '--scale', '255', '--no-timing'];
  const data = ['--calibration', images, '--budget', '0.11'];
  const { status, stderr, stdout } = await runCli(folder, [
    ...words,
    ...data,
    '--cache',
    cache,
    '--out',
    out,
  ]);
  assert.is(status, 0, stderr);
  assert.match(stderr + stdout, /60 lies inside the model.*in place of exit/);
  const manifest = manifestIn(out);
  assert.equal(manifest.source.exitOutputs, ['exit[0]', 'exit[1]', 'exit[2]']);
  assert.is(manifest.outputs.scores, '60');
  assert.equal(
    manifest.exits.map(({ tap }) => tap),
    ['30', '43'],
  );
  assert.is(manifest.baseline.accuracy, 0.9777);
  assert.is(manifest.operatingPoints.find(({ name }) => name === 'exact')!.accuracy, 0.9777);
  const { graph } = parseModel(readFileSync(join(out, 'model.onnx')));
  assert.equal(
    graph.outputs.map(({ name }) => name),
    ['60', 'exit_index', 'exit_confidence'],
  );
});

test('each exit by itself is right as often as in the file', async () => {
  const spec = { name: 'input', dims: [1, 28, 28], dataType: 'float' } as const;
  const dataset = await openFor(images, [spec], { classes: 10 }, { scale: 255 });
  const emitted = parseModel(readFileSync(join(out, 'model.onnx')));
  await withSession(emitted, { threads: 1 }, async (session) => {
    for (const [thresholds, right] of [
      [[-1, 1], 9493],
      [[1, -1], 9717],
    ] as const) {
      const run = { session, dataset, output: '60', thresholds, batch: 1 };
      const { scores } = await runEmitted(run);
      const answers = argMaxRows(scores, dataset.size);
      assert.is(answers.filter((answer, i) => answer === dataset.labels[i]).length, right);
    }
  });
  await dataset.close();
});

test('calibrated anew: the elements are found again by their places', async () => {
  const before = manifestIn(out);
  await calibrate({ folder: out, model, calibration: images, cache, timing: false });
  assert.equal(manifestIn(out).operatingPoints, before.operatingPoints);
});

test.run();
