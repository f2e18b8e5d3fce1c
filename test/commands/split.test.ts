/** A chain cut behind its networks: what lies in the folders, and that client and server do what the whole does. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { emit } from '../../src/commands/emit.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { exportTriton } from '../../src/commands/export-triton.ts';
import { split } from '../../src/commands/split.ts';
import type { SplitOptions } from '../../src/commands/split-options.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { withSession } from '../../src/ort/session.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { assertServes, type ModelTensor, readModelConfig } from '../export/model-config.ts';
import { askBoth, askServer, askWhole, closeAll, serverManifest } from '../served-by-hand.ts';
import { tinyChain } from '../tiny-chain.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('split');
const chain = await tinyChain('split');
const { at, model } = chain;
/** Thresholds of its own: points that no data chose, with samples leaving everywhere. */
const POINTS = { some: [0.5, 0.5], first: [0.6, 1], second: [1, 0.6], none: [1, 1] };
const BATCHES = [1, 2, 7, 64];
let pixels: Uint8Array;
let floats: Float32Array;

test.before(async () => {
  await chain.writeSamples({ calibration: 120, test: 60 });
  for (const policy of ['max-prob', 'patience', 'ensemble'] as const) {
    const { first: _, ...rest } = chain.chainOptions(policy, { policy, keepAll: true });
    await compile({ ...rest, first: [chain.small, chain.middle] });
    withPoints(policy);
  }
  const samples = await tinySamples(model, 64, 9);
  floats = samples.planar;
  // As the model's axes have them.
  pixels = Uint8Array.from(floats, (value) => Math.round(255 * value));
});
test.after(async () => {
  await closeAll();
  chain.remove();
});

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(at(folder), 'manifest.json'), 'utf8'));

/** Gives the package points of POINTS in place of those that were found. */
function withPoints(folder: string): void {
  const manifest = manifestOf(folder);
  const [one] = manifest.operatingPoints;
  const operatingPoints = Object.entries(POINTS).map(([name, thresholds]) => ({
    ...{
      ...one!,
      name,
      thresholds: folder === 'patience' ? thresholds.map((t) => (t < 1 ? 0.4 : 1)) : thresholds,
    },
    exitShares: [0.25, 0.25, 0.5],
  }));
  const changed = { ...manifest, operatingPoints, defaultPoint: 'some' };
  writeFileSync(join(at(folder), 'manifest.json'), JSON.stringify(changed));
}

const parted = (folder: string, out: string, more: Partial<SplitOptions> = {}) =>
  split({ folder: at(folder), model, out: at(out), cache: at('cache'), threads: 1, ...more });

const image = (data: Float32Array | Uint8Array, from: number, count: number) => {
  const size = data.length / 64;
  const some = data.slice(from * size, (from + count) * size);
  return new ort.Tensor(data instanceof Float32Array ? 'float32' : 'uint8', some as Float32Array, [
    count,
    3,
    8,
    8,
  ]);
};

for (const policy of ['max-prob', 'patience', 'ensemble'])
  for (const after of ['exit_1', 'exit_2'])
    test(`${policy}, cut behind ${after}: client and server answer as the whole does`, async () => {
      const out = `${policy}-${after}`;
      const written = await parted(policy, out, { after });
      assert.ok(written.verified.answers > 0);
      let asked = 0;
      for (const { name, thresholds } of manifestOf(policy).operatingPoints)
        for (const count of BATCHES) {
          const feeds = { image: image(floats, 0, count) };
          const own = await askBoth(at(out), name, feeds, { image: image(pixels, 0, count) }, thresholds);
          const whole = await askWhole(at(policy), feeds, thresholds);
          assert.equal(own.exits, whole.exits, `${name}, ${count}`);
          const largest = Math.max(...whole.scores.map(Math.abs));
          for (const [i, score] of own.scores.entries())
            assert.ok(Math.abs(score - whole.scores[i]!) <= 1e-5 * largest, `${name}, ${count}: score ${i}`);
          asked += own.going.length;
        }
      assert.ok(asked > 100);
    });

test('the folders hold a package and a repository that Triton takes', async () => {
  const out = at('max-prob-exit_1');
  assert.equal(readdirSync(out).sort(), ['client', 'server']);
  const { models, version } = serverManifest(out);
  assert.is(version, manifestOf('max-prob').version);
  const { split: told, operatingPoints, outputs, heads } = JSON.parse(
    readFileSync(join(out, 'client/manifest.json'), 'utf8'),
  ) as Manifest;
  assert.equal([told!.after, told!.served, told!.bytes, heads], ['exit_1', 'tiny_net_rest', 192, undefined]);
  assert.equal(told!.sends, [{ name: 'image', dataType: 'uint8', dims: ['N', 3, 8, 8], role: 'pixels' }]);
  assert.is(outputs.thresholds, 'thresholds');
  assert.equal(operatingPoints.map(({ name }) => name), Object.keys(POINTS));
  // Two rests: the second network open, or closed.
  assert.equal(models.map(({ points }) => points), [['some'], ['first', 'none'], ['second']]);
  for (const { name, points, inputs, outputs, parts, inPlay } of models) {
    for (const point of points) assert.is(told!.models[point], name);
    const file = readFileSync(join(out, 'server', name, '1/model.onnx'));
    const hash = createHash('sha256').update(file).digest('hex');
    assert.is(name, `tiny_net_rest_${hash.slice(0, 12)}`);
    assert.equal(inputs, [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 8, 8] }]);
    assert.equal(outputs.map(({ name, datatype, shape }) => [name, datatype, shape]), [
      ['scores', 'FP32', [-1, 5]],
      ['exit_index', 'INT64', [-1]],
      ['exit_confidence', 'FP32', [-1]],
    ]);
    assert.is(inPlay, 2);
    assert.equal(parts.map(({ network }) => network), points.includes('first') ? ['original'] : ['first_2', 'original']);
    const config = readModelConfig(readFileSync(join(out, 'server', name, 'config.pbtxt'), 'utf8'));
    assert.is(config.name, name);
    await withSession(join(out, 'server', name, '1/model.onnx'), { threads: 1 }, async (session) => {
      const tensors = (of: readonly object[]) => of as readonly ModelTensor[];
      assertServes(config, tensors(session.inputMetadata), tensors(session.outputMetadata));
    });
  }
}); // biome-ignore format: lists

test('parts a network answer as the one model does, and the large one is asked for survivors alone', async () => {
  const out = at('max-prob-exit_1');
  const served = serverManifest(out).models.find(({ points }) => points.includes('some'))!;
  const request = { image: image(pixels, 0, 64) };
  const parts = await askServer(out, served, request, manifestOf('max-prob'));
  const file = `${served.name}/1/model.onnx`;
  const inputs = served.parts[0]!.inputs;
  const one = { ...served, parts: [{ ...served.parts[0]!, network: 'all', file, inputs, outputs: served.outputs.map(({ name }) => name) }] };
  const whole = await askServer(out, one, request, manifestOf('max-prob'));
  assert.equal(parts.exits, whole.exits);
  assert.equal(parts.asked.length, 2);
  assert.ok(parts.asked[1]! > 0 && parts.asked[1]! < 64, `${parts.asked}`);
}); // biome-ignore format: a call

test('pixels become on the server what the package makes of them, bit for bit', async () => {
  await parted('max-prob', 'as-tensor', { after: 'exit_2', send: 'tensor' });
  const answers = async (folder: string, sent: ort.Tensor) => {
    const [served] = serverManifest(at(folder)).models;
    return await askServer(at(folder), served!, { image: sent }, manifestOf('max-prob'));
  };
  const { bytes, sends } = (
    JSON.parse(readFileSync(join(at('as-tensor'), 'client/manifest.json'), 'utf8')) as Manifest
  ).split!;
  assert.equal([bytes, sends[0]!.role, sends[0]!.dataType], [768, 'input', 'float']);
  const { preprocess } = await import(join(at('max-prob'), 'index.js'));
  const [rgb, planar] = [new Uint8Array(3 * 256), new Uint8Array(3 * 256)];
  for (let p = 0; p < 256; p++)
    for (let c = 0; c < 3; c++) {
      const value = (p * 7 + c * 50) % 256;
      rgb[3 * p + c] = value;
      planar[(Math.floor(p / 64) * 3 + c) * 64 + (p % 64)] = value;
    }
  const pictures = [0, 1, 2, 3].map((n) => ({ data: rgb.slice(192 * n, 192 * (n + 1)), width: 8, height: 8 }));
  const dims = [4, 3, 8, 8];
  const asPixels = await answers('max-prob-exit_2', new ort.Tensor('uint8', planar, dims));
  const asNumbers = await answers('as-tensor', new ort.Tensor('float32', preprocess(pictures), dims));
  assert.equal(asPixels.scores, asNumbers.scores);
}); // biome-ignore format: a call

test('without an exit to cut at, all is for the server, a part a network', async () => {
  const { client, server } = await parted('ensemble', 'served', { at: ['some', 'none'], name: 'all-of_it' });
  assert.is(client, undefined);
  assert.equal(readdirSync(at('served')), ['server']);
  assert.equal(server.models.map(({ networks }) => networks), [3, 1]);
  const manifest = manifestOf('ensemble');
  for (const served of serverManifest(at('served')).models) {
    assert.match(served.name, /^all_of_it_[0-9a-f]{12}$/);
    const { thresholds } = manifest.operatingPoints.find(({ name }) => name === served.points[0])!;
    const own = await askServer(at('served'), served, { image: image(pixels, 0, 64) }, manifest);
    const whole = await askWhole(at('ensemble'), { image: image(floats, 0, 64) }, thresholds);
    assert.equal(own.exits, whole.exits);
  }
}); // biome-ignore format: a call

test('an export leaves no networks of an earlier one for Triton to load; those of others stay', async () => {
  const repository = at('triton');
  const common = { folder: at('max-prob'), model, repository, name: 'net', at: 'some', force: true };
  await exportTriton({ ...common, perNetwork: true });
  assert.ok(readdirSync(repository).includes('net_2'));
  await exportTriton({ ...common, perNetwork: true, name: 'other' });
  await exportTriton(common);
  const there = readdirSync(repository).filter((name) => name.startsWith('net'));
  assert.equal([there, readdirSync(repository).includes('other_2')], [['net'], true]);
});

test('the client is a package that emit checks, and that is taken for no whole one', async () => {
  const client = at('max-prob-exit_1/client');
  await emit({ folder: client, check: true });
  const refused = await rejectsWith('package-is-client', () =>
    evaluate({ folder: client, test: at('test.npz'), cache: at('cache') }),
  );
  assert.match(refused.message, /ends at exit_1/);
  const whole = await rejectsWith('not-a-package', () =>
    evaluate({ folder: at('max-prob-exit_1'), test: at('test.npz'), cache: at('cache') }),
  );
  assert.match(whole.hint, /client\/.*server\//);
  const server = await rejectsWith('package-is-server', () =>
    evaluate({ folder: at('max-prob-exit_1/server'), test: at('test.npz'), cache: at('cache') }),
  );
  assert.match(server.hint, /which was split/);
});

test('with force, what an earlier split left goes, and other files stay', async () => {
  await parted('max-prob', 'again', { after: 'exit_1' });
  const before = serverManifest(at('again')).models.map(({ name }) => name);
  writeFileSync(at('again/server/notes.txt'), 'mine');
  writeFileSync(at('again/client/mine.txt'), 'mine');
  const refused = await rejectsWith('output-not-empty', () => parted('max-prob', 'again', { after: 'exit_2' }));
  assert.match(refused.hint, /force/);
  await parted('max-prob', 'again', { at: ['none'], name: 'other', force: true });
  const [now] = serverManifest(at('again')).models;
  assert.equal(readdirSync(at('again/server')).sort(), ['manifest.json', 'notes.txt', now!.name].sort());
  assert.ok(before.every((name) => !existsSync(at(`again/server/${name}`))));
  assert.equal(readdirSync(at('again/client')), ['mine.txt']);
  await parted('max-prob', 'again', { after: 'exit_1', force: true });
  rmSync(at('again/client/mine.txt'));
  await parted('max-prob', 'again', { at: ['none'], force: true });
  assert.equal(readdirSync(at('again')), ['server'], 'no empty folders');
}); // biome-ignore format: a call

test('a split may lie in the package itself, and be written again there', async () => {
  const inside = { after: 'exit_1', at: ['none'], out: at('max-prob/split') };
  await parted('max-prob', '', inside);
  await parted('max-prob', '', { ...inside, force: true });
  assert.equal(readdirSync(inside.out).sort(), ['client', 'server']);
});

test('what cannot be split is refused, and nothing is written', async () => {
  const refused = async (code: string, more: Partial<SplitOptions>, says?: RegExp) => {
    const { message, hint } = await rejectsWith(code, () => parted('max-prob', 'nowhere', { after: 'exit_1', ...more }));
    if (says) assert.match(`${message} ${hint}`, says);
    assert.not.ok(existsSync(at('nowhere')));
  };
  await refused('unknown-exit', { after: 'exit_9' }, /There are exit_1, exit_2\./);
  await refused('unknown-exit', { after: 'original' }, /original's own end, and goes to the server/);
  await refused('unknown-operating-point', { at: ['warp'] });
  await refused('not-a-package', { folder: at('.') });
  await refused('other-model', { model: chain.small });
  await refused('bad-option', { bits: 8 }, /behind exit_1, which is the end of one/);
  await refused('bad-option', { bits: 16, calibration: at('calibration.npz') }, /behind exit_1, which is the end of one/);
  await refused('bad-option', { bits: 8, after: undefined as never }, /without a client no features travel/);
  await refused('bad-option', { test: at('test.npz') }, /`bits: 8`/);
  await refused('output-not-empty', { out: at('.') });
  await refused('output-unusable', { out: at('.'), force: true }, /is read from there/);
  await refused('output-unusable', { out: at('max-prob'), force: true }, /is read from there/);
  await compile(chain.chainOptions('baked', { thresholds: 'baked' }));
  await refused('cannot-split', { folder: at('baked') }, /thresholds.*built into/);
  cpSync(at('max-prob'), at('unprepared'), { recursive: true });
  writeFileSync(at('unprepared/manifest.json'), JSON.stringify({ ...manifestOf('max-prob'), preprocessing: null }));
  await refused('bad-option', { folder: at('unprepared'), send: 'pixels' }, /does not say how pixels become/);
}); // biome-ignore format: rows

test('a package whose model is another one is found out', async () => {
  const { first: _, ...rest } = chain.chainOptions('other', { keepAll: true });
  await compile({ ...rest, first: [chain.middle] });
  await compile(chain.chainOptions('swapped', { keepAll: true }));
  writeFileSync(join(at('swapped'), 'model.onnx'), readFileSync(join(at('other'), 'model.onnx')));
  const { message } = await rejectsWith('emitted-model-differs', () => parted('swapped', 'nowhere', { after: 'exit_1' }));
  assert.match(message, /client and server do not answer as the whole model does, at /);
}); // biome-ignore format: a call

test('on the command line', async () => {
  const words = ['split', at('max-prob'), '--after', 'exit_1', '--model', model, '--threads', '1', '--cache', at('cache')];
  const shown = await runCli(at('.'), [...words, '--out', at('shown'), '--at', 'some,none']);
  assert.is(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /^Written to .*shown:\n {2}.*client: a package that ends at exit_1, 0\.0\d MB\n {2}.*server: a model repository of 2 models/);
  assert.match(shown.stdout, /some +25\.0 % +tiny_net_rest_[0-9a-f]{12}\n/);
  assert.match(shown.stdout, /A sample that is asked sends 192 bytes: image uint8 \[N, 3, 8, 8\] \(pixels\)\./);
  assert.match(shown.stdout, /Verified: client and server gave \d+ answers as the whole model does, /);
  const told = JSON.parse((await runCli(at('.'), [...words, '--out', at('told'), '--json'])).stdout);
  assert.equal(Object.keys(told).sort(), ['bytes', 'client', 'points', 'sends', 'server', 'verified']);
  const refused = await runCli(at('.'), [...words, '--out', at('told'), '--after', 'exit_1']);
  assert.is(refused.status, 2);
  const unknown = await runCli(at('.'), ['split', at('max-prob'), '--after', 'exit_9', '--model', model, '--out', at('no')]);
  assert.equal([unknown.status, /--after: the model has no exit exit_9 \[unknown-exit\]/.test(unknown.stderr)], [2, true]);
}); // biome-ignore format: rows

test.run();
