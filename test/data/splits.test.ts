/** Exact copies: a sample that is there five times is no evidence of five. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolvePreprocessing } from '../../src/data/index.ts';
import { notesOnSplits, type OpeningOptions, openSplits, summaryOf } from '../../src/data/splits.ts';
import { freshFolder, input, pixels, putIdx } from './fixtures.ts';

const test = suite('data: splits');
const SIZE = [5, 6] as const;
const PIXELS = SIZE[0] * SIZE[1];

/** An IDX folder of images `numbers` of an endless row; their labels go round three classes. */
function images(numbers: readonly number[]): string {
  const all = pixels((Math.max(...numbers) + 1) * PIXELS, 3);
  const bytes = Uint8Array.from(numbers.flatMap((n) => [...all.subarray(n * PIXELS, (n + 1) * PIXELS)]));
  return putIdx(
    freshFolder(),
    [numbers.length, ...SIZE],
    bytes,
    Uint8Array.from(numbers, (n) => n % 3),
    false,
  );
}

const options = (): OpeningOptions => ({
  inputs: [input(...SIZE)],
  preprocessing: resolvePreprocessing({}, [input(...SIZE)]),
  cache: freshFolder(),
  classes: 3,
  answersOf: () => Promise.reject(new Error('every sample has its label')),
});
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('samples that are all of one class are warned of', async () => {
  const splits = await openSplits({ calibration: images([3, 6, 9, 12]) }, 1, options(), () => {});
  const [note] = notesOnSplits(splits);
  assert.equal([note!.code, note!.level], ['one-class', 'warning']);
  assert.match(note!.message, /^All 4 calibration samples are of class 0/);
  await splits.close();
});

test('calibration samples that are there several times are counted once, with a note', async () => {
  const numbers = [...upTo(40), ...upTo(40), 7, 7, 40];
  const splits = await openSplits({ calibration: images(numbers) }, 1, options(), () => {});
  const { dataset } = splits.calibration;
  assert.is(dataset.size, 41);
  assert.equal(
    [...dataset.labels],
    upTo(41).map((n) => n % 3),
  );
  assert.is(summaryOf(splits.calibration).copies, 42);
  assert.match(notesOnSplits(splits)[0]!.message, /^42 of 83 calibration samples are exact copies/);
  await splits.close();

  const once = await openSplits({ calibration: images(upTo(41)) }, 1, options(), () => {});
  assert.equal(notesOnSplits(once), []);
  assert.equal(Object.keys(summaryOf(once.calibration)), ['samples', 'hash']);
  assert.is(once.calibration.dataset.partOf, undefined, 'the data themselves');
  await once.close();
});

test('splits cut off the training data share no sample, however often it is there', async () => {
  const twice = [...upTo(300), ...upTo(100)];
  const splits = await openSplits({ train: images(twice) }, 1, options(), () => {});
  const recordsOf = async (split: 'train' | 'calibration' | 'test') => {
    const { dataset } = splits[split]!;
    const bytes = await dataset.readRecords(upTo(dataset.size));
    return upTo(dataset.size).map((i) => bytes.subarray(i * PIXELS, (i + 1) * PIXELS).join());
  };
  const [train, calibration, reported] = [
    await recordsOf('train'),
    await recordsOf('calibration'),
    await recordsOf('test'),
  ];
  assert.is(train.length, 280, 'training may see a sample twice');
  for (const some of [calibration, reported]) {
    assert.ok(some.length > 5);
    assert.is(new Set(some).size, some.length);
    assert.equal(
      some.filter((record) => train.includes(record)),
      [],
    );
  }
  assert.equal(
    calibration.filter((record) => reported.includes(record)),
    [],
  );
  await splits.close();
});

test('data of which nothing is left for a split are refused', async () => {
  const same = Array(60).fill(2);
  try {
    await openSplits({ train: images(same) }, 1, options(), () => {});
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'empty-dataset');
  }
});

test.run();
