import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { partition, partSizes, peekDataset, resolvePreprocessing } from '../../src/data/index.ts';
import { cutOffTrain, openSplits, type SplitPaths } from '../../src/data/splits.ts';
import { cache, fails, freshFolder, input, npy, openAt, pixels, put, putImage } from './fixtures.ts';

const test = suite('data: no samples, or too few');
const IMAGE = input(3, 4, 6);

function arrays(samples: number): string {
  const folder = freshFolder();
  put(join(folder, 'x.npy'), npy('|u1', [samples, 3], pixels(3 * samples)));
  put(join(folder, 'y.npy'), npy('|u1', [samples], new Uint8Array(samples)));
  return folder;
}

const optionsFor = (spec = input(3)) => ({
  inputs: [spec],
  preprocessing: resolvePreprocessing({}, [spec]),
  cache,
});

test('a peek at nothing is refused, as opening it is', async () => {
  const bad = freshFolder();
  put(join(bad, 'cat', 'a.png'), 'bad');
  const cases = [
    [arrays(0), input(3)],
    ['random:0', input(3)],
    [put(join(freshFolder(), 'a.jsonl'), '\n \n'), input(3)],
    [bad, IMAGE],
  ] as const;
  for (const [path, spec] of cases) {
    const options = { ...optionsFor(spec), skipBad: true };
    await fails(() => peekDataset(path, options), 'empty-dataset', path);
    await fails(() => openAt(path, spec, {}, { skipBad: true }), 'empty-dataset', path);
  }
  await putImage(join(bad, 'cat', 'b.png'), pixels(72), [4, 6, 3]);
  assert.is((await peekDataset(bad, { ...optionsFor(IMAGE), skipBad: true })).samples, 2);
});

test('parts are planned as large as they become, and refused where one becomes empty', async () => {
  for (const hasTest of [true, false])
    for (let samples = 1; samples <= 40; samples++) {
      const data = await openAt(arrays(samples), input(3));
      const sizes = () => partSizes('train', samples, cutOffTrain(hasTest));
      const cut = () => partition(data, cutOffTrain(hasTest), 1);
      if (samples <= (hasTest ? 3 : 4))
        for (const run of [sizes, cut]) await fails(run, 'empty-dataset', `(${samples})`);
      else
        assert.equal(
          Object.values(sizes()),
          Object.values(cut()).map(({ size }) => size),
        );
      await data.close();
    }
});

test('the files of all splits are closed when splitting fails', async () => {
  if (process.platform !== 'linux') return;
  const openRecords = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes('records.bin');
      } catch {
        return false;
      }
    }).length;
  const [few, many] = [arrays(2), arrays(20)];
  const answersOf = async () => {
    assert.is(openRecords(), 1);
    throw new Error('no answers');
  };
  const open = (paths: SplitPaths, labels?: 'none') =>
    openSplits(paths, 1, { ...optionsFor(), labels, answersOf }, () => {});
  await fails(() => open({ train: few }), 'empty-dataset');
  await fails(() => open({ train: many, calibration: join(few, 'gone') }), 'data-not-found');
  await fails(() => open({ calibration: arrays(0) }), 'empty-dataset');
  let message = '';
  await open({ train: many }, 'none').catch((error: Error) => {
    message = error.message;
  });
  assert.is(message, 'no answers');
  assert.is(openRecords(), 0);
});

test.run();
