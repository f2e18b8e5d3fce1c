/** The script that sends samples on from network to network, run by Python with ONNX Runtime in the place of Triton. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { exportTriton } from '../../src/commands/export-triton.ts';
import { withSession } from '../../src/ort/session.ts';
import { rejectsWith } from '../expect.ts';
import { assertServes, MODEL_CONFIG, type ModelTensor, readModelConfig } from '../export/model-config.ts';
import { readTextProto } from '../export/read-text-proto.ts';
import { tinyChain } from '../tiny-chain.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('export triton: a model a network');
const chain = await tinyChain('per-network');
const { at, model } = chain;
const SAMPLES = 60;

test.before(async () => {
  await chain.writeSamples({ calibration: 120, test: 60 });
  for (const policy of ['max-prob', 'ensemble'] as const) {
    await compile({
      ...chain.chainOptions(policy, { policy, keepAll: true }),
      first: [chain.small, chain.middle],
    });
    const path = join(at(policy), 'manifest.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    const [one] = manifest.operatingPoints;
    const points = { some: [0.5, 0.5], none: [1, 1] };
    const operatingPoints = Object.entries(points).map(([name, thresholds]) => ({
      ...one,
      name,
      thresholds,
    }));
    writeFileSync(path, JSON.stringify({ ...manifest, operatingPoints, defaultPoint: 'some' }));
  }
  const { planar } = await tinySamples(model, SAMPLES, 9);
  writeFileSync(at('samples.bin'), planar);
});
test.after(chain.remove);

/** What the script of `name` answers to three requests at once, and the whole model to all samples; how many samples each network saw. */
function run(name: string) {
  const harness = fileURLToPath(new URL('./per-network.py', import.meta.url));
  const { status, stdout, stderr } = spawnSync(
    'python3',
    ['-W', 'error', harness, at('repository'), name, `${name}_whole`, at('samples.bin')],
    { encoding: 'utf8' },
  );
  assert.is(status, 0, stderr);
  return JSON.parse(stdout) as {
    readonly sizes: readonly number[];
    readonly exits: readonly (readonly number[])[];
    readonly whole: readonly number[];
    readonly shapes: Readonly<Record<string, readonly number[]>>;
    readonly gap: number;
    readonly asked: Readonly<Record<string, readonly number[]>>;
    readonly failed: string;
  };
}

for (const policy of ['max-prob', 'ensemble'])
  test(`${policy}: answers as the whole does, and asks each network for survivors alone`, async () => {
    const name = policy.replace('-', '_');
    const common = { folder: at(policy), model, repository: at('repository') };
    const written = await exportTriton({ ...common, name, perNetwork: true });
    assert.is(written.maxBatch, 32);
    await exportTriton({ ...common, name: `${name}_whole` });
    const names = [name, `${name}_1`, `${name}_2`, `${name}_3`];
    const there = readdirSync(at('repository')).filter((one) => one.startsWith(name));
    assert.equal(there.sort(), [...names, `${name}_whole`].sort());
    for (const one of names) {
      const text = readFileSync(at(`repository/${one}/config.pbtxt`), 'utf8');
      writeFileSync(at(`repository/${one}/config.json`), JSON.stringify(readTextProto(text, MODEL_CONFIG)));
      const config = readModelConfig(text);
      assert.is(config.name, one);
      if (one === name) {
        assert.is(config.backend, 'python');
        continue;
      }
      await withSession(at(`repository/${one}/1/model.onnx`), { threads: 1 }, async (session) => {
        const tensors = (of: readonly object[]) => of as readonly ModelTensor[];
        assertServes(config, tensors(session.inputMetadata), tensors(session.outputMetadata));
      });
    }
    const { exits, whole, gap, asked, shapes, sizes, failed } = run(name);
    assert.equal(sizes, [1, 27, 32]);
    assert.equal(exits.flat(), whole);
    assert.equal([...new Set(whole)].sort(), [0, 1, 2]);
    assert.ok(gap <= 1e-5, `${gap}`);
    assert.equal(shapes, { scores: [32, 5], exit_index: [32, 1], exit_confidence: [32, 1] });
    const left = (k: number) =>
      exits.map((own) => own.filter((exit) => exit >= k).length).filter((n) => n > 0);
    const sorted = (of: readonly number[]) => of.toSorted((a, b) => a - b);
    for (const k of [0, 1, 2]) assert.equal(sorted(asked[`${name}_${k + 1}`]!), sorted(left(k)));
    assert.is(failed, `${name}_2: out of memory`);
  });

test('where one network alone runs, and without the original, it is refused', async () => {
  mkdirSync(at('empty'));
  const common = { folder: at('max-prob'), repository: at('empty'), perNetwork: true };
  const refused = await rejectsWith('bad-option', () => exportTriton({ ...common, model, at: 'none' }));
  assert.match(refused.hint, /at none it is one alone/);
  await rejectsWith('original-missing', () => exportTriton(common));
  assert.equal(readdirSync(at('empty')), []);
  await exportTriton({ ...common, model, name: 'net' });
  await rejectsWith('output-not-empty', () => exportTriton({ ...common, model, name: 'net' }));
  await exportTriton({ ...common, model, name: 'net', force: true });
});

test.run();
