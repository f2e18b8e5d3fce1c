import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ThresholdOptions } from '../../src/calibrate/goals.ts';
import { type CalibrateOptions, calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { printManifest } from '../../src/emit/manifest-json.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { branchyNet, tinyResidual } from '../models.ts';
import { assertSamePackage, manifestIn as manifestAt, timelessFiles } from '../timeless.ts';
import { onAllThreads, tinyProject, withoutTraining } from '../tiny-project.ts';

const test = suite('calibrate a compiled model');
const { folder, model, at, writeSamples, compileOptions, remove } = tinyProject('calibrate', {
  epochs: 2,
  seed: 3,
});

test.before(async () => {
  await writeSamples({ train: 600, calibration: 300, other: 210, test: 60, 'large-test': 300 });
  await compile(compileOptions('compiled', { budgets: [0.8] }));
});

test.after(remove);

/** Recalibrates a copy of `from`, called `name`, in place. */
const again = async (name: string, more: Partial<CalibrateOptions> = {}, from = 'compiled') => {
  cpSync(at(from), at(name), { recursive: true });
  const data = { calibration: at('calibration.npz'), test: at('test.npz') };
  return await calibrate({
    folder: at(name),
    model,
    cache: at('cache'),
    report: false,
    timing: false,
    ...data,
    ...more,
  });
};

const manifestIn = (name: string) => manifestAt(at(name));
const assertSame = (name: string, expected: string) => assertSamePackage(at(name), at(expected));

test('another budget gives what compile would have written for it, byte for byte', async () => {
  const asked = { budgets: [0.6], maxAccuracyDrops: [0.02], report: true };
  await compile(compileOptions('wanted', asked));
  const { shown } = await again('budget', asked);
  assertSame('budget', 'wanted');
  assert.ok(shown.some((point) => point.name === 'budget-0.6'));
});

test('that auto is not asked again, and thresholds get its samples too, is said', async () => {
  const manifest = manifestIn('compiled');
  const { calibration } = manifest.data;
  const curve = { policy: 'max-prob' as const, mean: 0.9, curve: [0.9, 0.9] };
  const byAuto = {
    ...manifest,
    policyComparison: { costs: [0.5, 1] as const, policies: [curve] },
    data: { ...manifest.data, calibration: { ...calibration!, samples: 200, from: 'rest of calibration' } },
  };
  cpSync(at('compiled'), at('by-auto'), { recursive: true });
  writeFileSync(at('by-auto/manifest.json'), printManifest(byAuto));
  const notesOf = async (name: string, from: string, more: Partial<CalibrateOptions> = {}) => {
    const codes = new Map<string, string>();
    cpSync(at(from), at(name), { recursive: true });
    const data = { calibration: at('calibration.npz'), test: at('test.npz'), cache: at('cache') };
    const quick = { folder: at(name), model, report: false, timing: false };
    await calibrate(
      { ...quick, ...data, ...more },
      { onNote: ({ code, message }) => codes.set(code, message) },
    );
    return codes;
  };
  const said = await notesOf('by-auto-again', 'by-auto');
  assert.match(
    said.get('auto-not-asked-again')!,
    /stays max-prob.* all 300 calibration samples.* it was 200\./,
  );
  const code = 'auto-not-asked-again';
  assert.not((await notesOf('by-auto-asked', 'by-auto', { policy: 'max-prob' })).has(code));
  assert.not((await notesOf('by-name', 'compiled')).has(code));
});

test('so do policies that learn, that read the confidence layer, and baked thresholds, when the same data are cut again', async () => {
  const cases: ThresholdOptions[] = [
    { policy: 'gain' },
    { policy: 'confidence', thresholds: 'baked', at: 'fast' },
    { policy: 'entropy', target: 'agreement', maxAccuracyDrops: [0.05], confidence: 0.9 },
  ];
  for (const [i, goals] of cases.entries()) {
    await compile(compileOptions(`wanted-${i}`, goals));
    await again(`policy-${i}`, { ...goals, train: at('train.npz'), budgets: [] });
    assertSame(`policy-${i}`, `wanted-${i}`);
    if (i === 0) {
      const { parameters, data } = manifestIn('policy-0').policyFit!;
      assert.ok(parameters.weight!.length > 0);
      assert.equal(data, manifestIn('wanted-0').data.validation);
    }
  }
});

test('splits that were cut off the training data are cut again', async () => {
  const { calibration: _, test: __, ...alone } = onAllThreads(compileOptions('alone'));
  await compile(alone);
  cpSync(at('alone'), at('alone-again'), { recursive: true });
  const asked = { folder: at('alone-again'), model, train: at('train.npz'), cache: at('cache') };
  await calibrate({ ...asked, report: false, timing: false });
  assertSame('alone-again', 'alone');
});

test('options left out stay as they were, and nothing is predicted twice', async () => {
  const phases = new Set<string>();
  cpSync(at('compiled'), at('as-it-was'), { recursive: true });
  await calibrate(
    {
      folder: at('as-it-was'),
      report: false,
      timing: false,
      model,
      calibration: at('calibration.npz'),
      test: at('test.npz'),
      cache: at('cache'),
    },
    { onProgress: ({ phase }) => void phases.add(phase) },
  );
  assertSame('as-it-was', 'compiled');
  assert.equal([...phases], ['verifying']);
});

test('predictions that are damaged in the cache, or gone from it, are made again', async () => {
  const predictions = at('cache/judged');
  const known = readdirSync(predictions);
  for (const name of known) truncateSync(join(predictions, name), 100);
  await again('damaged');
  assertSame('damaged', 'compiled');
  for (const name of known) {
    const bytes = readFileSync(join(predictions, name));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(join(predictions, name), bytes);
  }
  await again('flipped');
  assertSame('flipped', 'compiled');
  rmSync(predictions, { recursive: true });
  await again('gone');
  assertSame('gone', 'compiled');
});

test('other data move the thresholds, are recorded in the manifest, and evaluate agrees', async () => {
  const moved = { calibration: at('other.npz'), test: at('large-test.npz'), policy: 'gain' } as const;
  const { manifest } = await again('data', moved);
  const before = manifestIn('compiled');
  assert.is(manifest.policy, 'gain');
  assert.is(manifest.data.calibration!.samples, 140);
  assert.equal(manifest.policyFit!.data.samples, 70);
  assert.is(manifest.policyFit!.data.from, 'split of calibration');
  assert.equal(manifest.data.train, before.data.train);
  assert.equal(manifest.data.validation, before.data.validation, 'what the confidence layers were fitted on');
  assert.ok(manifest.operatingPoints.some((point) => point.name === 'budget-0.8'));
  const { sameData, largestDifference, movedShare } = await evaluate({
    folder: at('data'),
    test: at('large-test.npz'),
    cache: at('cache'),
    batch: 7,
  });
  assert.ok(sameData && Math.max(largestDifference, movedShare) <= 1 / 300 + 1e-9);
  const { manifest: validated } = await again('validated', {
    validation: at('other.npz'),
    policy: 'gain',
  });
  assert.is(validated.policyFit!.data.samples, 210);
  assert.is(validated.data.calibration!.samples, 300);
});

test('a new folder can be written, and one that is not empty is refused', async () => {
  const before = timelessFiles(at('compiled'));
  const options = {
    folder: at('compiled'),
    model,
    calibration: at('calibration.npz'),
    cache: at('cache'),
    out: at('new'),
    report: false,
    timing: false,
  };
  await calibrate({ ...options, budgets: [0.7] });
  assert.equal(timelessFiles(at('compiled')), before);
  assert.equal(manifestIn('new').calibration.budgets, [0.7]);
  assert.is(manifestIn('new').measuredOn, 'calibration');
  await rejectsWith('output-not-empty', () => calibrate(options));
  await calibrate({ ...options, force: true });
  assert.equal(manifestIn('new').calibration.budgets, [0.8]);
});

test('a model with exits of its own, and none of its heads kept', async () => {
  const own = at('branchy.onnx');
  writeFileSync(own, serializeModel(branchyNet()));
  const rest = withoutTraining(compileOptions('own', { model: own }));
  const given = { ...rest, exitOutputs: ['exit1', 'exit2', 'logits'] };
  await compile({ ...given, policy: 'ensemble' });
  assert.not.ok(readdirSync(at('own')).includes('heads.onnx'));
  for (const policy of ['max-prob', 'gain'] as const) {
    await compile({ ...given, out: at(`own-${policy}`), policy, budgets: [0.7] });
    await again(`own-again-${policy}`, { model: own, policy, budgets: [0.7] }, 'own');
    assertSame(`own-again-${policy}`, `own-${policy}`);
  }
  await rejectsWith('no-confidence-heads', () =>
    again('own-confidence', { model: own, policy: 'confidence' }, 'own'),
  );
});

test('sizes given to compile are found in the manifest', async () => {
  const symbolic = at('symbolic.onnx');
  const { graph, ...rest } = tinyResidual({ seed: 4 });
  const inputs = graph.inputs.map((value) => ({
    ...value,
    type: { ...value.type!, dims: ['N', 3, 'height', undefined] },
  }));
  writeFileSync(symbolic, serializeModel({ ...rest, graph: { ...graph, inputs } }));
  const told = { model: symbolic, dims: { height: 8, 'image.3': 8 } };
  await compile(compileOptions('symbolic', told));
  await again('symbolic-again', { model: symbolic }, 'symbolic');
  assertSame('symbolic-again', 'symbolic');
});

test('heads.onnx is a model of all heads, by the names of their taps, and is not packed', async () => {
  const bytes = readFileSync(at('compiled/heads.onnx'));
  const { graph } = parseModel(bytes);
  assert.equal(
    graph.inputs.map((value) => value.name),
    ['stem', 'block1', 'block2'],
  );
  await withSession(bytes, {}, async (session) => {
    const feeds = Object.fromEntries(
      graph.inputs.map(({ name, type }) => {
        const dims = [2, ...(type!.dims!.slice(1) as number[])];
        return [name, new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b)).fill(0.5), dims)];
      }),
    );
    const outputs = await session.run(feeds);
    assert.equal(outputs['exit_2/logits']!.dims, [2, 5]);
    assert.equal(outputs['exit_3/confidence']!.dims, [2]);
  });
  const { files } = JSON.parse(readFileSync(at('compiled/package.json'), 'utf8')) as { files: string[] };
  assert.equal(files, [
    'index.ts',
    'index.js',
    'index.d.ts',
    'index.cjs',
    'index.d.cts',
    'model.onnx',
    'manifest.json',
  ]);
});

test('bad input is refused with a code, and whatever fails leaves the folder as it was', async () => {
  const wrong = at('wrong.onnx');
  writeFileSync(wrong, serializeModel(tinyResidual({ seed: 5 })));
  const cases: [string, Partial<CalibrateOptions>][] = [
    ['other-model', { model: wrong }],
    ['unreadable-model', { model: at('absent.onnx') }],
    ['budget-unreachable', { budgets: [0.01] }],
    ['budget-unreachable', { budgetsMs: [1e-6] }],
    ['accuracy-unreachable', { minAccuracies: [0.9999] }],
    ['unknown-operating-point', { at: 'fastest' }],
    ['bad-option', { confidence: 0.95 }],
  ];
  for (const [code, more] of cases) {
    await rejectsWith(code, () => again('refused', more));
    assertSame('refused', 'compiled');
  }
  const { calibration: _, ...nothing } = compileOptions('refused');
  await rejectsWith('calibration-data-missing', () =>
    calibrate({ folder: at('refused'), model, cache: nothing.cache! }),
  );
  await rejectsWith('not-a-package', () =>
    calibrate({ folder, model, calibration: at('calibration.npz'), cache: at('cache') }),
  );

  const controller = new AbortController();
  const onProgress = ({ phase }: { phase: string }) => {
    if (phase === 'verifying') controller.abort();
  };
  await calibrate(
    {
      folder: at('refused'),
      model,
      calibration: at('calibration.npz'),
      cache: at('cache'),
      budgets: [0.55],
    },
    { signal: controller.signal, onProgress },
  ).then(
    () => assert.unreachable(),
    (error) => assert.is(error.name, 'AbortError'),
  );
  assertSame('refused', 'compiled');

  const file = at('refused/heads.onnx');
  const options = {
    folder: at('refused'),
    model,
    calibration: at('calibration.npz'),
    cache: at('cache'),
  };
  const refusal = () => rejectsWith('unusable-heads', () => calibrate(options));
  const whole = readFileSync(file);
  const { sha256 } = manifestIn('refused').heads!;
  assert.is(createHash('sha256').update(whole).digest('hex'), sha256);
  const moved = Uint8Array.from(whole);
  const weights = moved.lastIndexOf(0x3c);
  moved[weights] = 0x3d;
  writeFileSync(file, moved);
  assert.match((await refusal()).message, sha256);

  // As manifests were before they told the hash.
  const { heads: __, ...old } = manifestIn('refused');
  writeFileSync(at('refused/manifest.json'), printManifest(old));
  writeFileSync(file, whole.subarray(0, 1000));
  assert.match((await refusal()).message, /is damaged/);
  cpSync(model, file);
  assert.match((await refusal()).message, /manifest\.json/);
  rmSync(file);
  assert.match((await refusal()).hint, 'compile the model again');
  writeFileSync(file, whole);
  await calibrate({ ...options, out: at('from-old'), report: false, timing: false });
  assert.is(manifestIn('from-old').heads!.sha256, sha256);
});

test.run();
