/** Students through whole compiles: grown, placed in front, written beside the model, found again. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { planCompile } from '../../src/commands/plan.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { commandOf } from '../../src/report/reproduction.ts';
import { runCli } from '../cli-in-process.ts';
import { npy } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyProject, withoutTraining } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('compile: students');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('student');
const GROWN = { student: [0.9], studentFamily: 'separable', studentEpochs: 3, keepAll: true } as const;

test.before(() => writeSamples({ train: 400, calibration: 150, test: 100 }));
test.after(remove);

/** Nothing is said of heads. */
const grown = (out: string, more: Partial<CompileOptions> = {}): CompileOptions => ({
  ...withoutTraining(compileOptions(out)),
  train: at('train.npz'),
  ...GROWN,
  ...more,
});

test('stands in front of the original, and its file beside the model', async () => {
  await compile(grown('out'));
  const { networks, exits, training, data } = manifestIn(at('out'));
  const [student, original] = networks!;
  assert.equal([student!.id, original!.id], ['student_1', 'original']);
  assert.ok(student!.relativeCost <= 0.9 && student!.relativeCost > 0.4, `${student!.relativeCost}`);
  const { family, training: how } = student!.grown!;
  assert.equal([family, how!.epochs, how!.stoppedAt], ['separable', 3, undefined]);
  assert.is(how!.steps.at(-1), 3 * Math.floor(data.train!.samples / how!.batch));
  assert.equal(
    exits.map(({ head, network }) => [head, network]),
    [['end', 0]],
  );
  assert.is(training, undefined, 'no head was trained');
  assert.ok(data.train && data.validation);
  const bytes = readFileSync(at('out/student_1.onnx'));
  assert.is(createHash('sha256').update(bytes).digest('hex'), student!.sha256);

  const { planar } = await tinySamples(model, 20, 7);
  const image = new Tensor('float32', planar, [20, 3, 8, 8]);
  const open = new Tensor('float32', Float32Array.of(-1), [1]);
  const emitted = await withSession(at('out/model.onnx'), { threads: 1 }, (s) =>
    s.run({ image, thresholds: open }),
  );
  const alone = await withSession(bytes, { threads: 1 }, (s) => s.run({ image }));
  const scores = emitted.scores!.data as Float32Array;
  (alone.logits!.data as Float32Array).forEach((v, i) => {
    assert.ok(Math.abs(v - scores[i]!) < 1e-5, `${v} ${scores[i]}`);
  });
});

test('the same again, from the cache and without one, is the same to the byte', async () => {
  for (const cache of ['cache', 'cache-2']) {
    await compile(grown('again', { cache: at(cache), force: true }));
    assertSamePackage(at('again'), at('out'));
  }
});

test('calibrate finds the student in the package', async () => {
  const data = { calibration: at('calibration.npz'), test: at('test.npz'), cache: at('cache') };
  await calibrate(
    { folder: at('again'), model, ...data, threads: 1, report: false, timing: false, budgets: [0.8] },
    {},
  );
  const { networks, operatingPoints } = manifestIn(at('again'));
  assert.equal(networks![0], manifestIn(at('out')).networks![0]);
  assert.ok(operatingPoints.some(({ name }) => name === 'budget-0.8'));
  assert.ok(existsSync(at('again/student_1.onnx')));
});

test('a student that is as good by itself is said to be, in terminal and report, with its training', async () => {
  await writeSamples({ more: 200 });
  const data = ['--calibration', at('calibration.npz'), '--test', at('more.npz'), '--cache', at('cache')];
  const told = await runCli(at('.'), [
    'calibrate',
    'out',
    '--model',
    model,
    ...data,
    '--out',
    'told',
    '--no-timing',
  ]);
  assert.is(told.status, 0, told.stderr);
  // With random weights the original has one answer to everything, and so has its student: 0 ± 1.96/202 · √1.
  const [student, original] = manifestIn(at('told')).networks!;
  assert.is(student!.accuracy, original!.accuracy);
  const accuracy = `${(100 * original!.accuracy!).toFixed(2)} %`;
  const said = `student_1.onnx is right on ${accuracy} of 200 test samples, the original on ${accuracy}: this small network by itself is as good on your data (±0.00 points, 95 % interval −0.97 to +0.97). It costs`;
  const report = readFileSync(at('told/report.html'), 'utf8');
  for (const text of [told.stderr, report]) assert.match(text, said);
  const { losses, accuracies } = student!.grown!.training!;
  assert.match(report, `aria-label="Training loss: student_1.onnx ${losses[0]} to ${losses.at(-1)}."`);
  assert.ok(accuracies.length > 0);
  assert.match(report, 'aria-label="Accuracy in percent: student_1.onnx ');
  assert.not.match(report, 'Heads: down is better');
});

test('a limit is recorded as the step at which it cut, and that step gives the same', async () => {
  await compile(grown('cut', { steps: 4, cache: at('cache-3') }));
  const { training } = manifestIn(at('cut')).networks![0]!.grown!;
  assert.is(training!.stoppedAt, 4);
  await compile(grown('cut-again', { steps: 4, cache: at('cache-4') }));
  assertSamePackage(at('cut-again'), at('cut'));
});

test('with an exit of its own inside, which answers in the chain as it did in training', async () => {
  const inside = {
    studentExits: 2,
    studentLoss: 'eenet-v2',
    cache: at('cache'),
  } as const;
  await compile(grown('inside', inside));
  const { networks, exits } = manifestIn(at('inside'));
  assert.equal(
    exits.map(({ head, network }) => [head, network]),
    [
      ['pool', 0],
      ['end', 0],
    ],
  );
  const { grown: how } = networks![0]!;
  assert.equal([how!.exits, how!.training!.exitLoss], [2, 'eenet-v2']);
  assert.ok(exits[0]!.relativeCost < exits[1]!.relativeCost);
  assert.ok(existsSync(at('inside/heads.onnx')));
  const data = { calibration: at('calibration.npz'), test: at('test.npz'), cache: at('cache') };
  const again = { folder: at('inside'), model, ...data, threads: 1, report: false, timing: false };
  await calibrate({ ...again, budgets: [0.7] }, {});
  assert.equal(manifestIn(at('inside')).exits, exits);
  const none = { ...inside, studentExits: 9 };
  await rejectsWith('no-inner-exit', () => compile(grown('none', none)));
});

test('heads that are asked for stand behind it', async () => {
  await compile(grown('heads', { taps: ['block2'], epochs: 1, batch: 64 }));
  const { exits, training } = manifestIn(at('heads'));
  assert.equal(
    exits.map(({ head, network }) => [head, network]),
    [
      ['end', 0],
      ['strided', 1],
    ],
  );
  assert.is(training!.epochs, 1);
});

test('a student that diverges twice is left out, and what else there is goes on', async () => {
  const { planar, labels } = await tinySamples(model, 400, 3);
  const huge = planar.map((v) => (v - 0.5) * 6e38);
  const arrays = {
    'x.npy': npy('<f4', [400, 3, 8, 8], new Uint8Array(huge.buffer)),
    'y.npy': npy('<i4', [400], new Uint8Array(labels.buffer)),
  };
  writeFileSync(at('huge.npz'), zipSync(arrays));
  const said: string[] = [];
  const events = {
    onNote: ({ code, message }: { code: string; message: string }) => said.push(`${code}: ${message}`),
  };
  await compile(grown('huge', { train: at('huge.npz'), taps: ['block2'], epochs: 1, batch: 64 }), events);
  assert.match(
    said.find((note) => note.startsWith('training-diverged'))!,
    /student_1 is left out.*`effort: 'low'`/,
  );
  const { networks, exits } = manifestIn(at('huge'));
  assert.is(networks, undefined, 'one network');
  assert.equal(
    exits.map(({ head }) => head),
    ['strided'],
  );
  assert.not(existsSync(at('huge/student_1.onnx')));
  await rejectsWith('training-diverged', () => compile(grown('none', { train: at('huge.npz') })));
});

test('a student or a head that no named point opens is left out, with a note, and asked for again by the report', async () => {
  const said: string[] = [];
  const onNote = ({ code, message }: { code: string; message: string }) => said.push(`${code}: ${message}`);
  const asked = { keepAll: false, budgets: [0.8], taps: ['block1'], epochs: 1 };
  await compile(grown('useless-head', asked), { onNote });
  const manifest = manifestIn(at('useless-head'));
  assert.match(said.find((note) => note.startsWith('exit-left-out'))!, /block1 of tiny-net\.onnx/);
  assert.equal(manifest.exits.map(({ head }) => head), ['end']); // biome-ignore format: short
  const { exits, losses } = manifest.training!;
  assert.equal([exits, losses], [[{ tap: 'block1', head: 'strided' }], {}]);
  assert.match(commandOf(manifest), /--taps block1/);
  const [student] = manifest.networks!;
  const other = { file: 'student_2.onnx', sha256: student!.sha256, relativeCost: 0.95 };
  const leftOut = [{ ...other, grown: { ...student!.grown!, share: 0.95 } }];
  assert.match(commandOf({ ...manifest, leftOut }), /--student 0\.9,0\.95/);
});

test('a sample that is no number is named, for students and for heads, as it is counted in its file', async () => {
  const { planar, labels } = await tinySamples(model, 400, 3);
  planar[192 * 123 + 7] = Number.NaN;
  const arrays = {
    'x.npy': npy('<f4', [400, 3, 8, 8], new Uint8Array(planar.buffer)),
    'y.npy': npy('<i4', [400], new Uint8Array(labels.buffer)),
  };
  writeFileSync(at('nan.npz'), zipSync(arrays));
  const train = { train: at('nan.npz') };
  for (const options of [grown('nan', train), { ...compileOptions('nan'), ...train, epochs: 1 }]) {
    const error = await rejectsWith('not-finite', () => compile(options));
    assert.match(error.message, /^sample 123 of .*nan\.npz/);
  }
});

test('what is too small for a student gets heads, and is told so; what was asked for is refused', async () => {
  const said: string[] = [];
  const byDefault = {
    ...withoutTraining(compileOptions('default')),
    train: at('train.npz'),
    taps: undefined,
  };
  const events = {
    onNote: ({ code, message }: { code: string; message: string }) => said.push(`${code}: ${message}`),
  };
  await planCompile(byDefault, events);
  assert.match(said.find((note) => note.startsWith('no-student'))!, /0\.2 M MACs/);
  said.length = 0;
  const asked = { student: [0.85, 0.9], studentFamily: 'separable', studentEpochs: 7 } as const;
  const { growth } = await planCompile({ ...byDefault, ...asked }, events);
  assert.equal(growth, { epochs: 7, steps: 7 * 3, batch: 128 });
  assert.match(
    said.find((note) => note.startsWith('students-alike'))!,
    /Only one is grown: of the 2 students of 0\.85, 0\.9/,
  );
  await rejectsWith('student-too-large', () => compile(grown('none', { student: [0.01] })));
  await rejectsWith('training-data-missing', () => compile(grown('none', { train: undefined })));
  assert.not(existsSync(at('none')));
});

test.run();
