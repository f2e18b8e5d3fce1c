/** What flatters the figures is said: samples in two splits, splits cut off each other. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { warnOfLeaks } from '../../src/data/check-splits.ts';
import { type Dataset, partition } from '../../src/data/index.ts';
import type { Splits } from '../../src/data/splits.ts';
import { freshFolder, input, openAt, pixels, putIdx } from './fixtures.ts';

const test = suite('data: check splits');
const PIXELS = 5 * 6;

/** Samples `from` to `to` of an endless row of images. */
async function images(from: number, to: number): Promise<Dataset> {
  const all = pixels(to * PIXELS, 3).subarray(from * PIXELS);
  const labels = Uint8Array.from({ length: to - from }, (_, i) => i % 3);
  return openAt(putIdx(freshFolder(), [to - from, 5, 6], all, labels, false), input(5, 6));
}

const rolesOf = (data: Partial<Record<keyof Splits, Dataset>>, from?: string): Splits => {
  const split = (name: 'train' | 'validation' | 'calibration' | 'test') =>
    data[name] && { dataset: data[name], ...(from && name === 'test' && { from }) };
  return {
    train: split('train'),
    validation: split('validation'),
    calibration: split('calibration')!,
    test: split('test'),
    close: async () => {},
  };
};

test('samples in two splits are counted; few of them give no note', async () => {
  const [train, calibration, fresh] = [await images(0, 200), await images(150, 250), await images(250, 350)];
  assert.equal(await warnOfLeaks(rolesOf({ calibration: fresh, test: train })), []);
  const [note, ...others] = await warnOfLeaks(rolesOf({ train, calibration, test: fresh }));
  assert.is(note!.level, 'warning');
  assert.match(note!.message, /^50 of 100 calibration samples are train samples too/);
  assert.equal(others, []);
  const both = await warnOfLeaks(rolesOf({ train, calibration: train, test: train }));
  assert.is(both.length, 3, 'each pair of splits');
  const nearly = await images(199, 350);
  assert.equal(await warnOfLeaks(rolesOf({ train, calibration: nearly })), [], '1 of 151');
  for (const data of [train, calibration, fresh, nearly]) await data.close();
});

test('splits cut off the training data share nothing, but the original may have been trained on them', async () => {
  const whole = await images(0, 300);
  const {
    train,
    calibration,
    test: cut,
  } = partition(whole, { train: 0.7, calibration: 0.15, test: 0.15 }, 1);
  const [note, ...others] = await warnOfLeaks(
    rolesOf({ train: train!, calibration: calibration!, test: cut! }, 'split of train'),
  );
  assert.match(note!.message, /^The test samples were cut off `train`: if the original was trained on those/);
  assert.equal(others, []);
  await whole.close();
});

test('test samples that are given as training samples too are counted, also where splits were cut off these', async () => {
  const [whole, again] = [await images(0, 300), await images(0, 300)];
  const { train, calibration } = partition(whole, { train: 0.85, calibration: 0.15 }, 1);
  const cut = { from: 'split of train' };
  const notes = await warnOfLeaks({
    ...rolesOf({ calibration: calibration!, test: again }),
    train: { dataset: train!, ...cut },
    calibration: { dataset: calibration!, ...cut },
  });
  assert.equal(
    notes.map(({ message }) => message.split(' samples too')[0]),
    ['255 of 300 test samples are train', '45 of 300 test samples are calibration'],
  );
  for (const data of [whole, again]) await data.close();
});

test.run();
