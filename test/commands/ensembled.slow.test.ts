import { cpSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { emit } from '../../src/commands/emit.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { exportTriton } from '../../src/commands/export-triton.ts';
import { rejectsWith } from '../expect.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('an ensembled final answer');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('ensembled', { epochs: 2, seed: 3 });
const data = { calibration: at('calibration.npz'), test: at('test.npz'), cache: at('cache') };

test.before(async () => {
  await writeSamples({ train: 600, calibration: 300, test: 200 });
  await compile(compileOptions('ensembled', { policy: 'ensemble', final: 'ensembled', budgets: [0.8] }));
});
test.after(remove);

test('is verified, recorded, and what evaluate and Triton get', async () => {
  const { final, operatingPoints, baseline } = manifestIn(at('ensembled'));
  assert.ok(final!.weight > 0);
  const exact = operatingPoints.find(({ name }) => name === 'exact')!;
  assert.equal([exact.accuracy, exact.agreement, exact.relativeCost], [baseline.accuracy, 1, 1]);
  const { sameData, largestDifference } = await evaluate({
    folder: at('ensembled'),
    test: at('test.npz'),
    cache: at('cache'),
  });
  assert.ok(sameData && largestDifference <= 1 / 200 + 1e-9, `${largestDifference}`);
  await emit({ folder: at('ensembled'), check: true });
  await exportTriton({ folder: at('ensembled'), repository: at('models'), model, at: 'budget-0.8' });
});

test('is taken over by calibrate, byte for byte, and can be taken back', async () => {
  const again = async (name: string, more: object) => {
    cpSync(at('ensembled'), at(name), { recursive: true });
    await calibrate({
      folder: at(name),
      model,
      ...data,
      train: at('train.npz'),
      report: false,
      timing: false,
      ...more,
    });
  };
  await again('again', {});
  assertSamePackage(at('again'), at('ensembled'));
  await again('alone', { final: 'original' });
  await compile(compileOptions('wanted', { policy: 'ensemble', budgets: [0.8] }));
  assertSamePackage(at('alone'), at('wanted'));
  assert.is(manifestIn(at('alone')).final, undefined);
  await rejectsWith('bad-option', () => again('odd', { target: 'agreement', final: 'ensembled' }));
});

test.run();
