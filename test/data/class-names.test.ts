/** Labels go by name: in other splits, in other orders, and in what is done with a compiled model later. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { planCompile } from '../../src/commands/plan.ts';
import { readClassNames } from '../../src/data/class-names.ts';
import { type Dataset, type OpenOptions, resolvePreprocessing } from '../../src/data/index.ts';
import { notesOnSplits, openSplits, type SplitPaths } from '../../src/data/splits.ts';
import { rejectsWith } from '../expect.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';
import { freshFolder, put, putImage, tokenInputs } from './fixtures.ts';

const test = suite('data: class names');
const NAMES = ['ant', 'bee', 'cat', 'dog', 'eel'];
const { at, model, compileOptions, remove } = tinyProject('class-names', {
  epochs: 1,
  views: 1,
  taps: ['block1'],
});
test.after(remove);

/** An image folder of samples of the tiny network, its class folders called `names`. */
async function folderOf(path: string, count: number, names: readonly string[] = NAMES): Promise<string> {
  const { pixels, labels } = await tinySamples(model, count, count);
  const size = 8 * 8 * 3;
  for (const name of names) mkdirSync(join(path, name), { recursive: true });
  for (let i = 0; i < count; i++)
    await putImage(
      join(path, names[labels[i]!]!, `${i}.png`),
      pixels.slice(i * size, (i + 1) * size),
      [8, 8, 3],
    );
  return path;
}

const inputs = tokenInputs(1, 'x');

/** JSONL whose sample k has the number k and the label that `labels` has there; `names` lie beside it. */
function rows(labels: readonly (number | string)[], names?: readonly string[]): string {
  const folder = freshFolder();
  if (names) put(join(folder, 'labels.json'), JSON.stringify(names));
  return put(join(folder, 'a.jsonl'), labels.map((label, k) => JSON.stringify({ x: [k], label })).join('\n'));
}

/** Labels of each split, the settled names and the notes. */
async function opened(paths: SplitPaths, more: Partial<OpenOptions> = {}) {
  const cache = freshFolder();
  const options = { inputs, preprocessing: resolvePreprocessing({}, inputs), cache, classes: 3, ...more };
  const answersOf = async ({ labels }: Dataset) => labels;
  const splits = await openSplits(paths, 1, { ...options, answersOf }, () => {}).catch((error) => {
    assert.not.ok(existsSync(join(cache, 'records')), 'nothing is decoded before names are refused');
    throw error;
  });
  await splits.close();
  const labels = (['train', 'calibration', 'test'] as const).map((split) => [
    ...(splits[split]?.dataset.labels ?? []),
  ]);
  return { labels, names: splits.classes?.names, notes: notesOnSplits(splits).map(({ message }) => message) };
}

test('splits with the same classes in other orders, or only some of them, are matched by name', async () => {
  const train = rows([0, 1, 2], ['a', 'b', 'c']);
  const calibration = rows([0, 1, 2, 0], ['c', 'a', 'b']);
  const some = rows([1, 0, 0], ['c', 'b']);
  const { labels, names, notes } = await opened({ train, calibration, test: some });
  assert.equal(labels, [[0, 1, 2], [2, 0, 1, 2], [1, 2, 2]]); // biome-ignore format: rows
  assert.equal(names, ['a', 'b', 'c']);
  assert.equal(notes.length, 2);
  assert.match(notes[0]!, `calibration: '${calibration}'`);
  assert.match(notes[0]!, `train: '${train}'`);
  const first = await opened({ train: some, calibration, test: train });
  assert.equal(first.names, ['c', 'a', 'b'], 'of the first that names all classes');
  assert.equal(first.labels, [[2, 0, 0], [0, 1, 2, 0], [1, 2, 0]]); // biome-ignore format: rows
  const given = await opened(
    { train, calibration },
    { labels: ['b', 'c', 'a'], labelsFrom: "`labels: 'n.txt'`" },
  );
  assert.equal(given.labels, [[2, 0, 1], [1, 2, 0, 1], []]); // biome-ignore format: rows
  assert.equal(given.notes, []);
});

test('labels that are names need no list where another split has one', async () => {
  const { labels } = await opened({
    train: rows([0, 1, 2], ['b', 'a', 'c']),
    calibration: rows(['a', 'b', 'c']),
  });
  assert.equal(labels.slice(0, 2), [[0, 1, 2], [1, 0, 2]]); // biome-ignore format: rows
});

test('labels that are numbers where another split has names give a note, unless the names are given', async () => {
  const paths = { train: rows([0, 1, 2], ['a', 'b', 'c']), calibration: rows([2, 1, 0]) };
  const { labels, notes } = await opened(paths);
  assert.equal(labels[1], [2, 1, 0]);
  assert.is(notes.length, 1);
  assert.match(notes[0]!, `\`calibration: '${paths.calibration}'\` does not name its classes`);
  assert.match(notes[0]!, '0 for "a"');
  assert.equal((await opened(paths, { labels: ['a', 'b', 'c'] })).notes, []);
});

test('other classes are refused before anything is decoded, with split, path and the first name', async () => {
  const train = rows([0, 1, 2], ['a', 'b', 'c']);
  const refused = async (paths: SplitPaths, ...mentions: string[]) => {
    const { message } = await rejectsWith('unknown-label', () => opened(paths));
    for (const part of mentions) assert.match(message, part);
  };
  const odd = rows([0], ['a', 'x', 'c']);
  await refused({ train, calibration: train, test: odd }, `\`test: '${odd}'\``, '"x"', `train: '${train}'`);
  const none = rows([0], ['x', 'y', 'z']);
  await refused(
    { train, calibration: none },
    `\`calibration: '${none}'\`: none of its classes`,
    '"x"',
    '"a"',
  );
  await refused({ train, calibration: rows([0], ['A', 'b', 'c']) }, 'upper and lower case');
});

test('a labels file may have a byte order mark, blanks and empty lines at its end, and no name that is blank', async () => {
  writeFileSync(at('names.txt'), '\ufeffant \r\n bee\r\ncat\r\n\r\n');
  assert.equal(await readClassNames(at('names.txt'), 3), ['ant', 'bee', 'cat']);
  writeFileSync(at('names.txt'), '\ufeff["ant", "bee"]\n');
  assert.equal(await readClassNames(at('names.txt'), 2), ['ant', 'bee']);
  await rejectsWith('bad-labels', () => readClassNames(at('names.txt'), 3));
  for (const [file, text, problem] of [
    ['blank.txt', 'ant\n \ncat\n', 'name 2 of 3 is blank'],
    ['first.txt', '\nbee\ncat', 'name 1 of 3 is blank'],
    ['blank.json', '["ant", "", "cat"]', 'name 2 of 3 is blank'],
    ['number.json', '["ant", "bee", 3]', 'name 3 is no text'],
    ['empty.txt', ' \n\n', 'is empty'],
    ['empty.json', '[]', 'is empty'],
  ] as const) {
    writeFileSync(at(file), text);
    const { message } = await rejectsWith('bad-labels', () => readClassNames(at(file), 3));
    assert.match(message, `${file}: ${problem}`);
  }
});

test('compile, calibrate, evaluate and compare match by name, and refuse other names', async () => {
  const splits = {
    train: await folderOf(at('train'), 120),
    calibration: await folderOf(at('calibration'), 41),
    test: await folderOf(at('test'), 24),
  };
  const options = compileOptions('out', { ...splits, report: false, timing: false });
  const { manifest } = await compile(options);
  assert.equal(manifest.labels, NAMES);

  // The samples of `test`, as class numbers of a list in another order.
  const order = [...NAMES].reverse();
  const { planar, labels } = await tinySamples(model, 24, 24);
  const turned = put(
    at('turned/test.jsonl'),
    [...labels]
      .map((label, i) =>
        JSON.stringify({ image: [...planar.slice(i * 192, (i + 1) * 192)], label: 4 - label }),
      )
      .join('\n'),
  );
  put(at('turned/labels.json'), JSON.stringify(order));
  const cache = at('cache');
  const accuracies = async (path: string) =>
    (await evaluate({ folder: at('out'), test: path, cache })).measured.operatingPoints.map(
      (p) => p.accuracy,
    );
  const folder = { ...manifest, preprocessing: { ...manifest.preprocessing, scale: 1 } };
  assert.equal(
    await accuracies(splits.test),
    manifest.operatingPoints.map((p) => p.accuracy),
  );
  writeFileSync(at('out/manifest.json'), JSON.stringify(folder));
  assert.equal(
    await accuracies(turned),
    manifest.operatingPoints.map((p) => p.accuracy),
  );
  writeFileSync(at('out/manifest.json'), JSON.stringify(manifest));

  const other = await folderOf(at('other'), 30, ['ant', 'bee', 'cow', 'dog', 'eel']);
  const common = { cache };
  const calls: [string, () => Promise<unknown>, string][] = [
    [
      'compile',
      () => compile({ ...options, out: at('no'), calibration: other }),
      `\`train: '${splits.train}'\``,
    ],
    [
      'dry run',
      () => planCompile({ ...options, out: at('no'), test: other }),
      `\`train: '${splits.train}'\``,
    ],
    ['evaluate', () => evaluate({ folder: at('out'), test: other, ...common }), at('out/manifest.json')],
    ['compare', () => compare({ a: model, b: at('out'), test: other, ...common }), at('out/manifest.json')],
    [
      'calibrate',
      () => calibrate({ folder: at('out'), model, calibration: other, out: at('no'), ...common }),
      at('out/manifest.json'),
    ],
  ];
  for (const [name, call, from] of calls) {
    const { message } = await rejectsWith('unknown-label', call);
    for (const part of [other, '"cow"', from]) assert.ok(message.includes(part), `${name}: ${message}`);
    assert.not.ok(existsSync(at('no')), name);
  }
  // Without the folder of a class before them, the names still tell which the others are.
  rmSync(join(splits.test, 'ant'), { recursive: true });
  const { measured } = await evaluate({ folder: at('out'), test: splits.test, cache });
  assert.is(measured.baseline.accuracy, manifest.baseline.accuracy);
  assert.is(readFileSync(at('out/manifest.json'), 'utf8'), JSON.stringify(manifest));
});

test.run();
