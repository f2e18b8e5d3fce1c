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

const test = suite('a joined last answer');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('joined', { epochs: 2, seed: 3 });
const data = { calibration: at('calibration.npz'), test: at('test.npz'), cache: at('cache') };

test.before(async () => {
  await writeSamples({ train: 600, calibration: 300, test: 200 });
  await compile(compileOptions('joined', { policy: 'ensemble', last: 'joined', budgets: [0.8] }));
});
test.after(remove);

test('is proved, written down, and what evaluate and Triton get', async () => {
  const { last, operatingPoints, baseline } = manifestIn(at('joined'));
  assert.ok(last!.weight > 0);
  const exact = operatingPoints.find(({ name }) => name === 'exact')!;
  assert.equal([exact.accuracy, exact.agreement, exact.relativeCost], [baseline.accuracy, 1, 1]);
  const { sameData, largestDifference } = await evaluate({
    folder: at('joined'),
    test: at('test.npz'),
    cache: at('cache'),
  });
  assert.ok(sameData && largestDifference <= 1 / 200 + 1e-9, `${largestDifference}`);
  await emit({ folder: at('joined'), check: true });
  await exportTriton({ folder: at('joined'), repository: at('models'), model, at: 'budget-0.8' });
});

test('is taken over by calibrate, byte for byte, and can be taken back', async () => {
  const again = async (name: string, more: object) => {
    cpSync(at('joined'), at(name), { recursive: true });
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
  assertSamePackage(at('again'), at('joined'));
  await again('alone', { last: 'original' });
  await compile(compileOptions('wanted', { policy: 'ensemble', budgets: [0.8] }));
  assertSamePackage(at('alone'), at('wanted'));
  assert.is(manifestIn(at('alone')).last, undefined);
  await rejectsWith('bad-option', () => again('odd', { target: 'agreement', last: 'joined' }));
});

test.run();
