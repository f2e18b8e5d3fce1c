/** Compiled chains opened again: by calibrate with other goals, networks and orders, and by export triton. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CalibrateOptions, calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { exportTriton } from '../../src/commands/export-triton.ts';
import { printManifest } from '../../src/emit/manifest-json.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyChain } from '../tiny-chain.ts';
import { writeWithExternalData } from '../tiny-project.ts';

const test = suite('compile a chain: again and elsewhere');
const project = await tinyChain('chain-slow');
const { at, model, small, middle, chainOptions, writeSamples, remove } = project;
const budgets = [0.6, 0.8];

test.before(async () => {
  await writeSamples({ train: 300, calibration: 300, test: 100 });
  await compile(chainOptions('chain', { budgets, keepAll: true, first: [small, middle] }));
});
test.after(remove);

/** Recalibrates a copy of `from`, called `name`, in place. */
async function again(name: string, more: Partial<CalibrateOptions> = {}, from = 'chain') {
  rmSync(at(name), { recursive: true, force: true });
  cpSync(at(from), at(name), { recursive: true });
  const data = { calibration: at('calibration.npz'), test: at('test.npz') };
  const quick = { cache: at('cache'), report: false, timing: false, threads: 1 };
  return await calibrate({ folder: at(name), model, ...data, ...quick, ...more });
}

test('calibrate gives the same bytes after networks were left out, with other goals, and with thresholds built in', async () => {
  const options = { first: [small, middle], budgets: [0.5] };
  await compile(chainOptions('left-out', options));
  const { networks, leftOut } = manifestIn(at('left-out'));
  assert.is(networks!.length, 2);
  assert.equal(leftOut!.map(({ file }) => file), ['middle.onnx']); // biome-ignore format: short
  await again('left-out-again', {}, 'left-out');
  assertSamePackage(at('left-out-again'), at('left-out'));
  const baked = { thresholds: 'baked', at: 'budget-0.7', budgets: [0.7] } as const;
  await compile(chainOptions('wanted', { ...baked, keepAll: true, first: [small, middle] }));
  await again('baked', baked);
  assertSamePackage(at('baked'), at('wanted'));
  const { promised, largestDifference } = await evaluate({
    folder: at('baked'),
    test: at('test.npz'),
    cache: at('cache'),
  });
  assert.is(promised.outputs.thresholds, null);
  assert.ok(largestDifference < 1e-12);
});

test('a compiled package in front keeps its exits, and calibrate finds it by its folder', async () => {
  const own = {
    ...project.compileOptions('own'),
    model: middle,
    taps: ['stem', 'block1'],
    epochs: 1,
    views: 1,
  };
  await compile(own);
  const options = { first: [at('own')], budgets, keepAll: true };
  await compile(chainOptions('with-package', options));
  const { exits, networks } = manifestIn(at('with-package'));
  assert.equal(exits.map(({ head }) => head === 'end'), [false, false, true]); // biome-ignore format: short
  assert.is(networks![0]!.package, true);
  await again('package-again', { first: [at('own')] }, 'with-package');
  assertSamePackage(at('package-again'), at('with-package'));
});

test('classes in another order are put right by names, and calibrate does so too', async () => {
  const order = [3, 0, 4, 1, 2];
  const { graph, ...rest } = parseModel(readFileSync(small));
  const moved = graph.initializers.map((tensor) => {
    if (!tensor.name.startsWith('fc.')) return tensor;
    const size = tensor.bytes.byteLength / 5;
    const rows = order.map((own) => tensor.bytes.slice(own * size, (own + 1) * size));
    return { ...tensor, bytes: new Uint8Array(Buffer.concat(rows)) };
  });
  writeFileSync(at('moved.onnx'), serializeModel({ ...rest, graph: { ...graph, initializers: moved } }));
  const names = ['ant', 'bee', 'cat', 'dog', 'emu'];
  writeFileSync(at('names.txt'), names.join('\n'));
  writeFileSync(at('moved.txt'), order.map((own) => names[own]).join('\n'));
  const labels = at('names.txt');
  await compile(chainOptions('plain', { budgets, labels }));
  await compile(
    chainOptions('moved', { budgets, labels, first: [{ model: at('moved.onnx'), labels: at('moved.txt') }] }),
  );
  const [plain, reordered] = [manifestIn(at('plain')), manifestIn(at('moved'))];
  assert.equal(reordered.networks![0]!.classOrder, [1, 3, 4, 0, 2]);
  assert.equal(reordered.operatingPoints, plain.operatingPoints);
  await again('moved-again', {}, 'moved');
  assertSamePackage(at('moved-again'), at('moved'));
});

test('export triton builds a point of the chain in, with external data of several networks', async () => {
  mkdirSync(at('big'));
  mkdirSync(at('big/first'));
  const bytesOf = (path: string) => parseModel(readFileSync(path));
  writeWithExternalData(bytesOf(model), at('big/net.onnx'));
  writeWithExternalData(bytesOf(middle), at('big/first/middle.onnx'));
  const first = [at('big/first/middle.onnx')];
  await compile(chainOptions('external', { model: at('big/net.onnx'), first, budgets: [0.8] }));
  const repository = at('repository');
  const asked = {
    folder: at('external'),
    repository,
    model: at('big/net.onnx'),
    at: 'budget-0.8',
    name: 'net',
  };
  await rejectsWith('network-missing', () => exportTriton(asked));
  const exported = await exportTriton({ ...asked, first });
  assert.is(exported.at, 'budget-0.8');
  assert.equal(readdirSync(at('repository/net/1/model.onnx')).sort(), [
    'first_1.weights.bin',
    'model.onnx',
    'weights.bin',
  ]);
});

test('a policy that an older version fitted is told, not lowered', async () => {
  await compile(chainOptions('ensemble', { policy: 'ensemble', budgets, keepAll: true }));
  const manifest = manifestIn(at('ensemble'));
  const { rho, bias } = manifest.policyFit!.parameters;
  const policyFit = { ...manifest.policyFit!, parameters: { weight: rho!, bias: bias! } };
  writeFileSync(at('ensemble/manifest.json'), printManifest({ ...manifest, policyFit }));
  const asked = { folder: at('ensemble'), repository: at('old'), model, at: 'budget-0.8' };
  await rejectsWith('policy-outdated', () => exportTriton(asked));
  await again('ensemble-again', {}, 'ensemble');
  assert.equal(manifestIn(at('ensemble-again')).policyFit!.parameters.rho, rho);
});

test.run();
