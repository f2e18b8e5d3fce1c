/** Networks in front of the original, through every command that opens a chain. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CalibrateOptions, calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyChain } from '../tiny-chain.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('compile a chain');
const project = await tinyChain('chain');
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

test('the manifest has every network, and exact answers as the original', async () => {
  const { networks = [], exits } = manifestIn(at('chain'));
  assert.equal(
    networks.map(({ id, file }) => [id, file]),
    [
      ['first_1', 'small.onnx'],
      ['first_2', 'middle.onnx'],
      ['original', 'tiny-net.onnx'],
    ],
  );
  assert.equal(
    exits.map(({ network, head, prefixMacs }) => [network, head, prefixMacs]),
    networks.slice(0, -1).map(({ macs }, n) => [n, 'end', macs]),
  );
  const { planar } = await tinySamples(model, 20, 5);
  const image = new Tensor('float32', planar, [20, 3, 8, 8]);
  const scoresOf = (path: string, more = {}) =>
    withSession(path, {}, async (session) => {
      const { scores } = await session.run({ image, ...more });
      return [...(scores!.data as Float32Array)];
    });
  const thresholds = new Tensor('float32', Float32Array.of(1, 1), [2]);
  assert.equal(await scoresOf(at('chain/model.onnx'), { thresholds }), await scoresOf(model));
});

test('evaluate finds the figures of the manifest on the same data', async () => {
  const found = await evaluate({ folder: at('chain'), test: at('test.npz'), cache: at('cache'), threads: 1 });
  assert.ok(found.sameData);
  assert.ok(found.largestDifference < 1e-12, `costs within rounding: ${found.largestDifference}`);
  assert.is(found.movedShare, 0);
  assert.ok(
    found.promised.operatingPoints.some(({ exitShares }) => exitShares[1]! > 0 && exitShares[2]! > 0),
  );
});

test('calibrate with the same data and goals gives the same bytes, its networks beside the original or given in any order', async () => {
  await again('beside');
  assertSamePackage(at('beside'), at('chain'));
  mkdirSync(at('elsewhere'));
  for (const [from, to] of [[small, 'one'], [middle, 'two']] as const)
    cpSync(from, at(`elsewhere/${to}.onnx`)); // biome-ignore format: pairs
  cpSync(model, at('elsewhere/original.onnx'));
  const moved = { model: at('elsewhere/original.onnx') };
  await rejectsWith('network-missing', () => again('missing', moved));
  const error = await rejectsWith('network-missing', () =>
    again('missing', { ...moved, first: [at('elsewhere/one.onnx')] }),
  );
  assert.match(error.message, /^middle\.onnx, a network of .*missing/);
  await again('given', { ...moved, first: [at('elsewhere/two.onnx'), at('elsewhere/one.onnx')] });
  assertSamePackage(at('given'), at('chain'));
});

test('a file that is given and cannot be read is named', async () => {
  writeFileSync(at('text.onnx'), 'no model');
  const error = await rejectsWith('not-an-onnx-file', () => again('unread', { first: [at('text.onnx')] }));
  assert.match(error.message, /text\.onnx/);
});

test('so does calibrate after networks were left out, with other goals, and with thresholds built in', async () => {
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
  const { graph, ...rest } = parseModel(await import('node:fs').then((fs) => fs.readFileSync(small)));
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

test.run();
