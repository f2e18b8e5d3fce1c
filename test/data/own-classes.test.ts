/** Class names of the model's config.json and those of the data: which hold, and which label is which class. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolvePreprocessing } from '../../src/data/index.ts';
import { type OpeningOptions, openSplits, type SplitPaths } from '../../src/data/splits.ts';
import { fails, freshFolder, input, pixels, put, putIdx, putImage } from './fixtures.ts';

const test = suite('data: class names of the model');
const SIZE = [2, 2] as const;
const OWN = { names: ['cat', 'dog', 'emu'], from: 'my-model/config.json' };
let pictures = 0;

/** One picture of each class. */
async function folderOf(...classes: string[]): Promise<string> {
  const folder = freshFolder();
  for (const name of classes)
    await putImage(join(folder, name, 'a.png'), pixels(4, ++pictures), [...SIZE, 1]);
  return folder;
}

const rowsOf = (...labels: (string | number)[]) =>
  put(
    join(freshFolder(), 'rows.jsonl'),
    labels.map((label) => `${JSON.stringify({ x: [...pixels(4, ++pictures)], label })}\n`).join(''),
  );

const numbersOf = (...labels: number[]) =>
  putIdx(
    freshFolder(),
    [labels.length, ...SIZE],
    pixels(4 * labels.length, ++pictures),
    Uint8Array.from(labels),
  );

async function opened(paths: SplitPaths, more: Partial<OpeningOptions> = {}) {
  const inputs = [input(...SIZE)];
  const options: OpeningOptions = {
    ...{ inputs, preprocessing: resolvePreprocessing({}, inputs), cache: freshFolder(), classes: 3 },
    ownClasses: OWN,
    answersOf: (dataset) => Promise.resolve(new Int32Array(dataset.size).fill(1)),
    ...more,
  };
  const splits = await openSplits(paths, 1, options, () => {});
  await splits.close();
  return {
    names: splits.classes?.names,
    notes: splits.classes?.notes ?? [],
    labels: [...splits.calibration.dataset.labels],
  };
}

test('data with the same names: labels are the model’s, nothing to say', async () => {
  const { names, notes, labels } = await opened({ calibration: await folderOf('cat', 'dog', 'emu') });
  assert.equal([names, notes, labels], [OWN.names, [], [0, 1, 2]]);
});

test('data with the same names in another order are matched by name', async () => {
  const ownClasses = { ...OWN, names: ['emu', 'cat', 'dog'] };
  const { names, notes, labels } = await opened(
    { calibration: await folderOf('cat', 'dog', 'emu') },
    { ownClasses },
  );
  assert.equal([names, labels], [ownClasses.names, [1, 2, 0]]);
  assert.equal(
    notes.map(({ code }) => code),
    ['classes-reordered'],
  );
  assert.match(notes[0]!.message, OWN.from);
});

test('names stay as the model has them, also with blanks that folders of data do not have', async () => {
  const ownClasses = { ...OWN, names: [' cat', 'dog ', ' emu '] };
  for (const classes of [
    ['cat', 'dog', 'emu'],
    ['dog', 'emu'],
  ]) {
    const { names } = await opened({ calibration: await folderOf(...classes) }, { ownClasses });
    assert.equal(names, ownClasses.names);
  }
});

test('of a name that several classes have, data say nothing; all others are matched', async () => {
  const ownClasses = { ...OWN, names: ['dog', 'cat', 'dog'] };
  const others = await opened({ calibration: await folderOf('cat') }, { ownClasses });
  assert.equal([others.names, others.labels], [ownClasses.names, [1]]);
  const data = { calibration: await folderOf('cat', 'dog') };
  const error = await fails(
    () => opened(data, { ownClasses }),
    'unknown-label',
    'several classes called "dog"',
  );
  assert.match(error.hint, "`labels: 'none'`");
  assert.equal((await opened(data, { ownClasses, labels: 'none' })).labels, [1, 1]);
  // In the same places as the first of the model's classes, too.
  const first = { ...OWN, names: ['cat', 'dog', 'dog'] };
  await fails(() => opened(data, { ownClasses: first }), 'unknown-label', 'several classes called "dog"');
});

test('data need not have all classes', async () => {
  const { names, labels } = await opened({ calibration: await folderOf('dog', 'emu') });
  assert.equal([names, labels], [OWN.names, [1, 2]]);
});

test('data with other names: theirs are used, in their order, which is said', async () => {
  const { names, notes, labels } = await opened({ calibration: await folderOf('katze', 'hund', 'vogel') });
  assert.equal(
    [names, labels],
    [
      ['hund', 'katze', 'vogel'],
      [0, 1, 2],
    ],
  );
  assert.equal(
    notes.map(({ code }) => code),
    ['classes-named-otherwise'],
  );
  assert.match(notes[0]!.message, '"hund", not "cat"');
});

test('data with some of the names are refused: nobody knows what the others are', async () => {
  const paths = { calibration: await folderOf('cat', 'dog', 'vogel') };
  const error = await fails(() => opened(paths), 'unknown-label', 'vogel', OWN.from);
  assert.match(error.hint, 'Rename what is wrong');
});

test('names that differ in case alone are the same to people: refused, not taken for other classes', async () => {
  const paths = { calibration: await folderOf('Emu', 'Cat', 'Dog') };
  await fails(() => opened(paths), 'unknown-label', 'upper and lower case differ');
});

test('one split with the names, one with others', async () => {
  const paths = {
    calibration: await folderOf('cat', 'dog', 'emu'),
    test: await folderOf('hund', 'katze', 'vogel'),
  };
  await fails(() => opened(paths), 'unknown-label');
});

test('labels that are numbers are the model’s', async () => {
  const numbers = await opened({ calibration: numbersOf(2, 0, 1) });
  assert.equal([numbers.names, numbers.labels], [OWN.names, [2, 0, 1]]);
  assert.equal(
    numbers.notes.map(({ code }) => code),
    ['classes-by-number'],
  );
  assert.match(numbers.notes[0]!.message, /my-model\/config\.json, 0 for "cat"/);
  const rows = await opened({ calibration: rowsOf(2, 0) }, { inputs: [input(4)], preprocessing: resolvePreprocessing({}, [input(4)]) }); // biome-ignore format: a line
  assert.equal([rows.names, rows.labels], [OWN.names, [2, 0]]);
});

test('labels that are names in rows', async () => {
  const flat = { inputs: [input(4)], preprocessing: resolvePreprocessing({}, [input(4)]) };
  const { names, labels } = await opened({ calibration: rowsOf('emu', 'cat', 'dog') }, flat);
  assert.equal([names, labels], [OWN.names, [2, 0, 1]]);
});

test('names that the user gives win', async () => {
  const given = { labels: ['hund', 'katze', 'vogel'], labelsFrom: 'names.txt' };
  const { names, notes } = await opened({ calibration: await folderOf('hund', 'katze', 'vogel') }, given);
  assert.equal([names, notes], [given.labels, []]);
  await fails(
    async () => opened({ calibration: await folderOf('cat') }, given),
    'unknown-label',
    'names.txt',
  );
});

test('names for another number of classes are those of another model: not used', async () => {
  const ownClasses = { ...OWN, names: [...OWN.names, 'fox'] };
  const { names } = await opened({ calibration: await folderOf('a', 'b', 'c') }, { ownClasses });
  assert.equal(names, ['a', 'b', 'c']);
  assert.is((await opened({ calibration: numbersOf(1) }, { ownClasses })).names, undefined);
});

test('nothing labelled', async () => {
  const { names, labels } = await opened({ calibration: await folderOf('dog') }, { labels: 'none' });
  assert.equal([names, labels], [undefined, [1]]);
});

test.run();
