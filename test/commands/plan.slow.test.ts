import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { planCompile } from '../../src/commands/plan.ts';
import { runCli } from '../cli-in-process.ts';
import { npy } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('compile --dry-run');
const { folder, model, at, writeSamples, compileOptions, remove } = tinyProject('plan', { epochs: 2 });

test.before(() => writeSamples({ train: 600, calibration: 200, test: 100 }));
test.after(remove);

/** Every file below the project with its size and time. */
const everything = () =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => `${path} ${statSync(at(path)).size} ${statSync(at(path)).mtimeMs}`);

/** Of this process so far, in bytes. */
const peakMemory = () => process.resourceUsage().maxRSS * 1024;

test('what is planned is what compile does, and about as long and as large', async () => {
  const memoryBefore = peakMemory();
  const before = everything();
  const plan = await planCompile(compileOptions('out'));
  assert.equal(everything(), before, 'nothing is written, not even to the cache');

  const memoryAfter = peakMemory();
  const { manifest } = await compile(compileOptions('out'));
  assert.equal(
    plan.exits.map(({ id, tap, head }) => [id, tap, head]),
    manifest.exits.map(({ id, tap, head }) => [id, tap, head]),
  );
  for (const [k, { prefixMacs }] of manifest.exits.entries())
    assert.ok(Math.abs(plan.exits[k]!.prefixCost - prefixMacs / manifest.baseline.macs) < 1e-9);
  assert.is(plan.macs, manifest.baseline.macs);
  assert.equal(plan.data, {
    train: { samples: 600 },
    calibration: { samples: 200 },
    test: { samples: 100 },
  });
  assert.ok(
    plan.seconds.total > 0,
    'how near it is to what compile takes is no matter for a test: machines have other work',
  );
  const sizeOf = (path: string, names: RegExp) =>
    readdirSync(at(path), { recursive: true, encoding: 'utf8' })
      .filter((name) => names.test(name))
      .reduce((sum, name) => sum + statSync(join(at(path), name)).size, 0);
  const kept = sizeOf('cache/records', /\.bin$/) + sizeOf('cache/features', /^[0-9a-f]+$/);
  assert.ok(Math.abs(plan.cacheBytes / kept - 1) < 0.12, `${plan.cacheBytes} were planned, ${kept} are kept`);
  const predictions = 900 * 5 * (plan.exits.length + 1) * 4;
  assert.ok(plan.memoryBytes > memoryBefore, `${plan.memoryBytes} is less than was in use before`);
  assert.ok(
    plan.memoryBytes <= memoryAfter + predictions,
    `${plan.memoryBytes} is more than was ever in use`,
  );

  const again = await planCompile(compileOptions('again'));
  assert.is(again.data.train!.cached, true);
  assert.is(again.seconds.decoding, 0);
});

test('splits that compile would cut are cut, and more work is more time', async () => {
  const alone = { calibration: undefined, test: undefined, cache: at('no-cache') } as object;
  const plan = await planCompile(compileOptions('cut', { ...alone, epochs: 1 }));
  assert.equal(plan.data, {
    train: { samples: 420 },
    calibration: { samples: 90, from: 'split of train' },
    test: { samples: 90, from: 'split of train' },
  });
  const recomputed = await planCompile(compileOptions('cut', { ...alone, epochs: 40, cacheLimit: 1 }));
  assert.equal(recomputed.features!.storage, 'recomputed');
  assert.ok(recomputed.cacheBytes < plan.cacheBytes);
  assert.ok(recomputed.seconds.training > 4 * plan.seconds.training);
});

test('what compile refuses before it trains is refused', async () => {
  const refused = (code: string, more: object) =>
    rejectsWith(code, () => planCompile(compileOptions('no', more)));
  await refused('data-not-found', { test: at('absent') });
  await refused('budget-unreachable', { budgets: [0.01] });
  await refused('unknown-operating-point', { at: 'warp' });
  await refused('bad-option', { views: 99 });
  const arrays = {
    'x.npy': npy('|u1', [2, 8, 8, 3], new Uint8Array(2 * 8 * 8 * 3)),
    'y.npy': npy('|u1', [2], Uint8Array.of(1, 7)),
  };
  writeFileSync(at('wrong.npz'), zipSync(arrays));
  await refused('label-out-of-range', { train: at('wrong.npz') });
});

test('what compile refuses for want of samples, the dry run refuses too', async () => {
  await writeSamples({ few: 4 });
  const { calibration: _, test: __, ...options } = compileOptions('few', { train: at('few.npz') });
  const planned = await rejectsWith('empty-dataset', () => planCompile(options));
  const compiled = await rejectsWith('empty-dataset', () => compile(options));
  assert.is(planned.message, compiled.message);
});

test('npx onnx-offramp compile --dry-run prints it, and JSON on request', async () => {
  const before = everything();
  const words = ['compile', model, '--train', 'train.npz', '--preset', 'unit', '--cache', 'dry-cache'];
  const text = await runCli(folder, [...words, '--threads', '1', '--dry-run']);
  assert.is(text.status, 0, text.stderr);
  assert.match(
    text.stdout,
    /exit_1 +\S+ +strided .*\n[\s\S]*train +420[\s\S]*Time: about .*\n[\s\S]*Nothing was written/,
  );
  const json = await runCli(folder, [...words, '--threads', '1', '--dry-run', '--json']);
  assert.ok(JSON.parse(json.stdout).seconds.total > 0);
  assert.equal(everything(), before);
});

test.run();
