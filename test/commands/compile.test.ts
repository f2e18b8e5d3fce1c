import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import type { Compiled } from '../../src/commands/steps/describe-and-write.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { POLICY_NAMES } from '../../src/policies/index.ts';
import { rejectsWith } from '../expect.ts';
import { branchyNet, tinyResidual } from '../models.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { onAllThreads, tinyProject, withoutTraining, writeWithExternalData } from '../tiny-project.ts';

const test = suite('compile');
const {
  folder,
  model,
  at,
  writeSamples,
  compileOptions: options,
  remove,
} = tinyProject('compile', { epochs: 3 });

/** Heads train side by side. */
const threaded = (out: string, more: Partial<CompileOptions> = {}) =>
  onAllThreads(options(out, { seed: 3, budgets: [0.7], maxAccuracyDrops: [0.02], ...more }));
/** For heads that need not be good. */
const quick = { epochs: 1, views: 1 };
let first: Compiled;

test.before(async () => {
  await writeSamples({ train: 600, calibration: 300, test: 300 });
  first = await compile(threaded('out', { report: true, timing: true }));
});

test.after(remove);

const evaluated = (out: string, batch?: number) =>
  evaluate({ folder: at(out), test: at('test.npz'), cache: at('cache'), ...(batch && { batch }) });

test('a model, its manifest and its package come out, and evaluate agrees', async () => {
  const { manifest, shown } = first;
  const files = readdirSync(at('out')).sort();
  assert.equal(files, [
    'README.md',
    'heads.onnx',
    'index.cjs',
    'index.d.cts',
    'index.d.ts',
    'index.js',
    'index.ts',
    'manifest.json',
    'model.onnx',
    'package.json',
    'report.html',
  ]);
  assert.equal(manifestIn(at('out')), manifest);
  assert.is(manifest.measuredOn, 'test');
  assert.is(manifest.data.test!.samples, 300);
  assert.is(manifest.exits.length, 3);
  for (const name of ['fast', 'balanced', 'accurate', 'exact', 'budget-0.7', 'drop-0.02'])
    assert.ok(
      shown.some((p) => p.name === name),
      name,
    );
  const exact = manifest.operatingPoints.find((p) => p.name === 'exact')!;
  assert.is(exact.agreement, 1);
  assert.is(exact.relativeCost, 1);
  assert.ok(manifest.operatingPoints[0]!.relativeCost < 1, 'something is saved');

  const { sameData, largestDifference, movedShare } = await evaluated('out', 7);
  assert.ok(sameData);
  assert.ok(
    Math.max(largestDifference, movedShare) <= 1 / 300 + 1e-9,
    `evaluate differs by ${largestDifference}`,
  );
});

test('the original is in the emitted model untouched, and its provenance beside it', async () => {
  const emitted = parseModel(readFileSync(at('out/model.onnx')));
  const original = parseModel(readFileSync(model));
  const all = new Map<string, Uint8Array>();
  const collect = (graph: typeof emitted.graph) => {
    for (const t of graph.initializers) all.set(t.name, t.bytes);
    for (const node of graph.nodes)
      for (const a of Object.values(node.attributes)) if (a.type === 'GRAPH') collect(a.value);
  };
  collect(emitted.graph);
  for (const t of original.graph.initializers) assert.equal(all.get(t.name), t.bytes, t.name);
  assert.equal(
    emitted.graph.inputs.map((v) => v.name),
    ['image', 'thresholds'],
  );
  assert.equal(
    emitted.graph.outputs.map((v) => v.name),
    ['scores', 'exit_index', 'exit_confidence'],
  );
  assert.ok(emitted.metadataProps.some((p) => p.key === 'offramp.source.sha256'));
});

test('the same seed gives the same bytes, another seed others', async () => {
  await compile(threaded('again', { cache: at('cache2'), report: true, timing: true }));
  assertSamePackage(at('again'), at('out'));
  for (const seed of [3, 4]) await compile(options(`seed-${seed}`, { ...quick, seed }));
  const [made, other] = [3, 4].map((seed) => readFileSync(at(`seed-${seed}/model.onnx`)));
  assert.not.ok(made!.equals(other!));
});

test('baked thresholds, the confidence policy, and a seed recipe', async () => {
  const { manifest } = await compile(
    options('baked', {
      thresholds: 'baked',
      policy: 'confidence',
      at: 'fast',
      recipe: 'pteenet-v2',
      lambda: 0.5,
      head: 'conv',
    }),
  );
  assert.is(manifest.outputs.thresholds, null);
  assert.is(manifest.policy, 'confidence');
  assert.ok(manifest.data.validation!.from);
  const result = await evaluated('baked');
  assert.equal(
    result.measured.operatingPoints.map((p) => p.name),
    ['fast'],
  );
});

test('auto compares policies and keeps the comparison; budgets of time and floors get their points', async () => {
  const asked = {
    policy: 'auto',
    budgetsMs: [1000],
    minAccuracies: [0.3],
    at: 'budget-1000ms',
    timing: true,
  } as const;
  const { manifest } = await compile(options('auto', asked));
  const { costs, policies } = manifest.policyComparison!;
  assert.ok(costs[0] < costs[1] && costs[1] === 1);
  assert.is(manifest.policy, policies[0]!.policy);
  assert.ok(
    policies.length >= POLICY_NAMES.length - 1,
    'all but class-margin, which lacks samples of class 0',
  );
  assert.equal([manifest.calibration.budgetsMs, manifest.calibration.minAccuracies], [[1000], [0.3]]);
  const point = (name: string) => manifest.operatingPoints.find((p) => p.name === name)!;
  assert.ok(point('budget-1000ms').relativeCost >= point('accuracy-0.3').relativeCost);
  assert.ok(point('exact').latencyMsMean! > 0 && manifest.baseline.latencyMsMean! > 0);
  await rejectsWith('bad-option', () => compile(options('slow', { minAccuracies: [92] })));
});

test('with training data alone the other splits are cut off it', async () => {
  const { test: _, calibration: __, ...only } = options('split', quick);
  const { manifest } = await compile(only);
  const { train, calibration, test, validation } = manifest.data;
  assert.is(train!.samples + validation!.samples + calibration!.samples + test!.samples, 600);
  assert.match(test!.from!, 'split of train');
});

test('a promised drop is certified on samples that the search has not seen, and refused where these are too few', async () => {
  const promised = { confidence: 0.9, maxAccuracyDrops: [0.05] };
  const { manifest } = await compile(options('promise', promised));
  const point = manifest.operatingPoints.find((p) => p.name === 'drop-0.05')!;
  const { limit, confidence, samples, risk, pValue, upperBound } = point.guarantee!;
  assert.equal([limit, confidence, samples, risk], [0.05, 0.9, 150, 'drop']);
  assert.ok(pValue <= 0.1 && upperBound <= 0.05);
  assert.ok(manifest.operatingPoints.every((p) => p.name === 'drop-0.05' || !p.guarantee));
  const refused = (code: string, more: Partial<CompileOptions>) =>
    rejectsWith(code, () => compile(options('no-promise', more)));
  const error = await refused('too-few-for-guarantee', { confidence: 0.95, maxAccuracyDrops: [0.01] });
  assert.match(error.message, /299/);
  await refused('bad-option', { confidence: 0.95 });
  await refused('bad-option', { confidence: 95, maxAccuracyDrops: [0.01] });
});

test('a model with exits of its own is calibrated and lowered, nothing is trained', async () => {
  const own = at('branchy.onnx');
  writeFileSync(own, serializeModel(branchyNet()));
  const rest = withoutTraining(options('given', { model: own }));
  const given = { ...rest, exitOutputs: ['exit1', 'exit2', 'logits'], verify: 'all' as const };
  for (const policy of ['max-prob', 'ensemble', 'patience'] as const) {
    const { manifest } = await compile({ ...given, policy, force: true });
    assert.is(manifest.recipe, 'none');
    assert.is(manifest.policy, policy);
    assert.is(manifest.data.train, undefined);
    assert.is(manifest.exits.length, 2);
    assert.ok(manifest.exits.every((exit) => exit.head === 'given' && exit.headMacs > 0));
    const exact = manifest.operatingPoints.find((p) => p.name === 'exact')!;
    assert.is(exact.agreement, 1);
    const { sameData, movedShare } = await evaluated('given', 7);
    assert.ok(sameData && movedShare <= 1 / 300 + 1e-9, `${movedShare} moved`);
  }
  await rejectsWith('no-confidence-heads', () => compile({ ...given, policy: 'confidence', force: true }));
  await rejectsWith('training-data-missing', () => compile({ ...rest, model, out: at('none') }));
});

test('a fixed batch compiles to the single-sample form', async () => {
  const fixed = at('fixed.onnx');
  writeFileSync(fixed, serializeModel(tinyResidual({ seed: 4, batch: 1 })));
  const { manifest } = await compile(options('fixed', { ...quick, model: fixed }));
  assert.is(manifest.batch, 'fixed');
  const result = await evaluated('fixed');
  assert.ok(result.largestDifference <= 1 / 300 + 1e-9);
});

test('external data stay external and travel along', async () => {
  mkdirSync(at('external-model'));
  const path = at('external-model/tiny-net.onnx');
  writeWithExternalData(tinyResidual({ seed: 4 }), path);
  const { manifest } = await compile(options('external', { ...quick, model: path }));
  assert.ok(readdirSync(at('external')).includes('weights.bin'));
  const { files } = JSON.parse(readFileSync(at('external/package.json'), 'utf8'));
  assert.ok(files.includes('weights.bin') && !files.includes('heads.onnx'));
  const result = await evaluated('external');
  assert.ok(result.largestDifference <= 1 / 300 + 1e-9);
  assert.is(manifest.baseline.macs, result.promised.baseline.macs);
});

test('bad input is refused with a code and leaves nothing behind', async () => {
  const cases: [string, Partial<CompileOptions>][] = [
    ['budget-unreachable', { budgets: [0.01] }],
    ['unknown-operating-point', { at: 'fastest' }],
    ['unknown-tap', { taps: ['nowhere'] }],
    ['bad-labels', { labels: at('absent.txt') }],
    ['not-an-onnx-file', { model: at('train.npz') }],
    ['class-without-samples', { policy: 'class-margin' }],
  ];
  for (const [code, more] of cases) {
    await rejectsWith(code, () => compile(options('refused', more)));
    assert.not.ok(
      readdirSync(folder).some((name) => name.includes('refused')),
      code,
    );
  }
  cpSync(at('out'), at('full'), { recursive: true });
  await rejectsWith('output-not-empty', () => compile(options('full')));
  await compile(options('full', { ...quick, force: true }));
});

test('an interrupted run stops at once, writes nothing, and the next one goes on from its cache', async () => {
  const controller = new AbortController();
  const cache = at('cache3');
  const onProgress = ({ phase }: { phase: string }) => {
    if (phase === 'training') controller.abort();
  };
  await compile(threaded('stopped', { cache }), { signal: controller.signal, onProgress }).then(
    () => assert.unreachable(),
    (error) => assert.is(error.name, 'AbortError'),
  );
  assert.not.ok(readdirSync(folder).some((name) => name.includes('stopped')));
  const phases = new Map<string, number>();
  await compile(options('stopped', { ...quick, cache }), {
    onProgress: ({ phase }) => void phases.set(phase, (phases.get(phase) ?? 0) + 1),
  });
  assert.is(phases.has('decoding train'), false, 'decoded records are found again');
});

test.run();
