/** The original is checked on a few samples before anything is trained. */
import { join } from 'node:path';
import binomialCdf from '@stdlib/stats-base-dists-binomial-cdf';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isGuessing } from '../../src/calibrate/index.ts';
import { relabel } from '../../src/data/index.ts';
import { inputsOf } from '../../src/data/splits.ts';
import { warnOfContradiction, warnOfGuessing } from '../../src/predict/check-original.ts';
import { answersOf } from '../../src/predict/predict.ts';
import { freshFolder, openFor, pixels, putImage } from '../data/fixtures.ts';
import { tinyResidual } from '../models.ts';
import { prepare } from '../passes/by-hand.ts';

const test = suite('check-original');

test('guessing is what a fair die could do once in a hundred times, and no better', () => {
  for (const [n, c] of [[20, 2], [64, 10], [100, 4]] as const)
    for (let k = 0; k <= n; k++) assert.is(isGuessing(k, n, c), 1 - binomialCdf(k - 1, n, 1 / c) > 0.01, `${k} of ${n}, ${c}`); // biome-ignore format: a table
});

test('a little more than guessing is nothing to build on, however sure it is', () => {
  assert.ok(isGuessing(296, 1000, 4), '29.6 % of four classes');
  assert.not.ok(isGuessing(400, 1000, 4));
  assert.not.ok(isGuessing(600, 1000, 2));
});

test('warns of an original that is right on few; not of one that is right, nor without labels', async () => {
  const folder = freshFolder();
  for (let i = 0; i < 40; i++)
    await putImage(join(folder, `c${i % 5}`, `${i}.png`), pixels(8 * 8 * 3, i), [8, 8, 3]);
  const { typed } = await prepare(tinyResidual());
  const data = await openFor(folder, inputsOf(typed), { classes: 5 });
  const predicting = { typed, modelHash: '', session: { threads: 1 } };
  const answers = await answersOf(data, predicting);
  const asked = (labels: Int32Array, unlabelled = false) => {
    const dataset = { ...relabel(data, labels), unlabelled };
    const splits = {
      train: undefined,
      validation: undefined,
      calibration: { dataset },
      test: undefined,
      close: async () => {},
    };
    return warnOfGuessing(splits, 1, predicting);
  };
  const contradicted = (labels: Int32Array, unlabelled = false) =>
    warnOfContradiction({ ...relabel(data, labels), unlabelled }, 1, predicting);
  const wrong = answers.map((answer) => (answer + 1) % 5);
  assert.is(await asked(answers), undefined);
  const note = (await asked(wrong))!;
  assert.equal([note.code, note.level], ['original-guesses', 'warning']);
  assert.match(note.message, /right on 0 of 40 samples.*5 classes.*`preset`/);
  assert.is(await asked(wrong, true), undefined);
  const half = answers.map((answer, i) => (answer + (i % 2)) % 5);
  const mostly = answers.map((answer, i) => (answer + Number(i > 0 && i % 3 !== 0)) % 5);
  assert.is(await contradicted(half), undefined);
  assert.is(await contradicted(wrong, true), undefined);
  const against = (await contradicted(mostly))!;
  assert.equal([against.code, against.level], ['labels-contradict', 'warning']);
  assert.match(against.message, /of 14 of 40 training samples only.*`labels: 'none'`/);
  await data.close();
});

test.run();
