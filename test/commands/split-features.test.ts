/** A model cut in its midst: what travels are features, as they are or rounded, and the policy's state. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { split } from '../../src/commands/split.ts';
import type { SplitOptions } from '../../src/commands/split-options.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { askBoth, askWhole, closeAll } from '../served-by-hand.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('split: features');
const project = tinyProject('split-features', { epochs: 1, views: 1 });
const { at, model } = project;
const COUNT = 64;
const POINTS = { some: [0.3, 0.35, 0.4], late: [1, 1, 0.35], none: [1, 1, 1] };
let floats: Float32Array;

test.before(async () => {
  await project.writeSamples({ train: 140, calibration: 150, test: COUNT });
  const { planar } = await tinySamples(model, COUNT, COUNT + 'test'.length);
  floats = planar;
  await compiled('package', { policy: 'ensemble' });
});
test.after(async () => {
  await closeAll();
  project.remove();
});

const manifestIn = (path: string): Manifest =>
  JSON.parse(readFileSync(join(at(path), 'manifest.json'), 'utf8'));

/** A package with the points of POINTS. */
async function compiled(out: string, more: Parameters<typeof project.compileOptions>[1] = {}): Promise<void> {
  await compile(project.compileOptions(out, more));
  const manifest = manifestIn(out);
  const [one] = manifest.operatingPoints;
  const operatingPoints = Object.entries(POINTS).map(([name, thresholds]) => ({ ...one!, name, thresholds }));
  const changed = { ...manifest, operatingPoints, defaultPoint: 'some' };
  writeFileSync(join(at(out), 'manifest.json'), JSON.stringify(changed));
}

const parted = (out: string, more: Partial<SplitOptions> = {}) =>
  split({
    folder: at('package'),
    model,
    out: at(out),
    cache: at('cache'),
    threads: 1,
    after: 'exit_2',
    ...more,
  });

const image = (count: number) => new ort.Tensor('float32', floats.slice(0, count * 192), [count, 3, 8, 8]);

/** Share of samples that client and server leave at another exit than the whole, or answer with another class; and how far scores are apart. */
async function differences(out: string, folder = 'package', points = Object.keys(POINTS)) {
  let [exits, classes, gap, asked] = [0, 0, 0, 0];
  const best = (row: Float32Array) => row.indexOf(Math.max(...row));
  for (const { name, thresholds } of manifestIn(folder).operatingPoints.filter(({ name }) => points.includes(name)))
    for (const count of [1, 2, 7, COUNT]) {
      const feeds = { image: image(count) };
      const own = await askBoth(at(out), name, feeds, feeds, thresholds);
      const whole = await askWhole(at(folder), feeds, thresholds);
      asked += own.going.length;
      exits += own.exits.filter((exit, i) => exit !== whole.exits[i]).length;
      for (let i = 0; i < count; i++) {
        const [a, b] = [own, whole].map(({ scores }) => scores.subarray(5 * i, 5 * i + 5)) as [Float32Array, Float32Array];
        classes += Number(best(a) !== best(b));
        gap = Math.max(gap, ...a.map((score, c) => Math.abs(score - b[c]!)));
      }
    }
  return { exits, classes, gap, asked };
} // biome-ignore format: calls

test('features as they are, and the state, answer as the whole does', async () => {
  for (const after of ['exit_1', 'exit_2', 'exit_3']) {
    await parted(`exact-${after}`, { after });
    const { exits, gap, asked } = await differences(`exact-${after}`);
    assert.equal(exits, 0);
    assert.ok(asked > COUNT && gap < 1e-4, `${after}: ${asked} asked, ${gap}`);
    const { sends } = manifestIn(`exact-${after}/client`).split!;
    const roles = sends.map(({ role }) => role);
    assert.ok(
      roles.includes('feature') && !roles.includes('pixels') && !roles.includes('input'),
      roles.join(),
    );
    assert.is(roles.includes('state'), after !== 'exit_3');
  }
});

test('16 and 8 bits travel in half and a quarter of the bytes, and what they change is told', async () => {
  const exact = manifestIn('exact-exit_2/client').split!;
  const elements = exact.sends.filter(({ role }) => role === 'feature').reduce((sum, { dims }) => sum + dims.reduce<number>((n, d) => (d === 'N' ? n : n * d), 1), 0);
  const gaps: number[] = [];
  for (const bits of [16, 8] as const) {
    const out = `bits-${bits}`;
    const { loss, bytes } = await parted(out, { bits, calibration: at('calibration.npz'), test: at('test.npz') });
    assert.is(exact.bytes - bytes, elements * (4 - bits / 8));
    const told = manifestIn(`${out}/client`).split!;
    assert.equal(told.loss, loss);
    for (const { role, dataType, bits: own } of told.sends)
      assert.equal([dataType, own], role === 'feature' ? [bits === 8 ? 'int8' : 'float16', bits] : ['float', undefined]);
    assert.equal([loss!.samples, Object.keys(loss!.points)], [COUNT, Object.keys(POINTS)]);
    const { gap, asked } = await differences(out);
    assert.ok(asked > COUNT);
    gaps.push(gap);
    // The same samples, by hand.
    for (const [name, { changed }] of Object.entries(loss!.points)) {
      const thresholds = POINTS[name as keyof typeof POINTS];
      const own = await askBoth(at(out), name, { image: image(COUNT) }, {}, thresholds);
      const whole = await askWhole(at('package'), { image: image(COUNT) }, thresholds);
      const classes = ({ scores }: { scores: Float32Array }) =>
        Array.from({ length: COUNT }, (_, i) => scores.subarray(5 * i, 5 * i + 5)).map((row) => row.indexOf(Math.max(...row)));
      const [a, b] = [classes(own), classes(whole)];
      assert.ok(Math.abs(changed - a.filter((c, i) => c !== b[i]).length / COUNT) < 1e-9, `${bits} ${name}`);
    }
    assert.ok(loss!.changed < 0.2 && loss!.changed === Math.max(...Object.values(loss!.points).map((one) => one.changed)));
  }
  assert.ok(gaps[0]! > 0 && gaps[0]! < gaps[1]! / 4, `${gaps}`);
}); // biome-ignore format: long lines

test('external data: each side gets what it reads', async () => {
  const path = at('external.onnx');
  writeWithExternalData(tinyResidual({ seed: 4 }), path);
  await compiled('external', { model: path, policy: 'max-prob' });
  await parted('external-split', { folder: at('external'), model: path, at: ['some', 'none'] });
  assert.not(existsSync(at('external-split/client/weights.bin')), 'nothing of the rest');
  assert.is(manifestIn('external-split/client').dataFiles, undefined);
  const { models } = JSON.parse(readFileSync(at('external-split/server/manifest.json'), 'utf8'));
  assert.match(models[0].parts[0].file, /\/1\/model\.onnx\/model\.onnx$/, 'beside its data');
  const { exits, gap } = await differences('external-split', 'external', ['some', 'none']);
  assert.equal([exits, gap < 1e-4], [0, true]);
});

test('a batch of one', async () => {
  const path = at('fixed.onnx');
  writeFileSync(path, serializeModel(tinyResidual({ seed: 4, batch: 1 })));
  await compiled('fixed', { model: path, policy: 'max-prob' });
  await parted('fixed-split', { folder: at('fixed'), model: path });
  const { models } = JSON.parse(readFileSync(at('fixed-split/server/manifest.json'), 'utf8'));
  assert.ok(models.every(({ inputs }: { inputs: readonly { shape: readonly number[] }[] }) => inputs.every(({ shape }) => shape[0] === 1)));
  const config = readFileSync(at(`fixed-split/server/${models[0].name}/config.pbtxt`), 'utf8');
  assert.match(config, /^max_batch_size: 0$/m);
}); // biome-ignore format: long lines

test('what says nothing here is refused', async () => {
  const refused = await rejectsWith('bad-option', () => parted('nowhere', { send: 'tensor' }));
  assert.match(refused.hint, /behind exit_2 no input is read any more/);
  const unfitted = await rejectsWith('bad-option', () => parted('nowhere', { bits: 8 }));
  assert.match(unfitted.hint, /`calibration`: the scale of each channel is fitted/);
  const unmeasured = await rejectsWith('bad-option', () => parted('nowhere', { bits: 16 }));
  assert.match(unmeasured.hint, /measured on these samples/);
  const { status, stderr, stdout } = await runCli(at('.'), [
    ...['split', at('package'), '--model', model, '--out', at('shown'), '--after', 'exit_2', '--bits', '8', '--cache', at('cache')],
    ...['--calibration', at('calibration.npz'), '--threads', '1', '--quiet'],
  ]); // biome-ignore format: words
  assert.is(status, 0, stderr);
  assert.match(stdout, /accuracy +whole +changed +served as\n/);
  assert.match(
    stdout,
    /before rounding\.\nRounding changed \d+\.\d\d % of 150 answers where it changed most; "whole" is the accuracy without it\.\n$/,
  );
});

test('a cut that wins nothing is warned of', async () => {
  cpSync(at('package'), at('unsure'), { recursive: true });
  const manifest = manifestIn('unsure');
  const operatingPoints = manifest.operatingPoints.map((point) => ({
    ...point,
    exitShares: [0, 0, 0.5, 0.5],
  }));
  writeFileSync(at('unsure/manifest.json'), JSON.stringify({ ...manifest, operatingPoints }));
  const told = async (after: string) => {
    const notes: string[] = [];
    await split(
      { folder: at('unsure'), model, out: at(`unsure-${after}`), after, cache: at('cache'), threads: 1 },
      { onNote: ({ code, message }) => notes.push(`${code}: ${message}`) },
    );
    return notes.join('\n');
  };
  const early = await told('exit_1');
  // A point with all exits closed asks for everything: that is what it is for.
  assert.match(early, /nothing-stays: At some, late the server is asked for every sample/);
  assert.match(
    early,
    /larger-than-picture: What travels of a sample, [\d,]+ bytes, is more than the picture itself, 192 bytes/,
  );
  assert.not.match(await told('exit_3'), /nothing-stays/);
});

test.run();
