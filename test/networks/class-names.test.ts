/** Class names that a model brings along, and orders by name. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { classNamesIn, classOrder } from '../../src/networks/class-names.ts';
import { loadModel, serializeModel } from '../../src/parser/index.ts';
import { freshFolder } from '../data/fixtures.ts';
import { tinyResidual } from '../models.ts';

const test = suite('networks: class names');
const NAMES = ['ant', 'bee', 'cat', 'dog', 'eel'];

/** A model's file with `metadata`, and `files` beside it. */
async function namesOf(metadata: Record<string, string>, files: Record<string, string> = {}) {
  const folder = freshFolder();
  const path = join(folder, 'model.onnx');
  const metadataProps = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  writeFileSync(path, serializeModel({ ...tinyResidual(), metadataProps }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return await classNamesIn(await loadModel(path), path, 5);
}

test('from metadata, however they are written', async () => {
  const written = {
    'a list of JSON': JSON.stringify(NAMES),
    'an object of JSON, keys out of order': '{"4": "eel", "0": "ant", "2": "cat", "1": "bee", "3": "dog"}',
    "Python's dict, as ultralytics writes it": "{0: 'ant', 1: 'bee', 2: 'cat', 3: 'dog', 4: 'eel'}",
    "Python's list": "['ant', 'bee', 'cat', 'dog', 'eel']",
    commas: 'ant, bee,cat,dog , eel',
    lines: 'ant\nbee\r\ncat\ndog\neel\n',
  };
  for (const [how, text] of Object.entries(written)) assert.equal(await namesOf({ names: text }), NAMES, how);
  for (const key of ['labels', 'classes', 'id2label', 'Names'])
    assert.equal(await namesOf({ [key]: written.commas }), NAMES, key);
  const odd = `{0: "driver's seat", 1: 'a "b"', 2: 'it\\'s 7: seven', 3: 'd, e', 4: '{4: x}'}`;
  const meant = ["driver's seat", 'a "b"', "it's 7: seven", 'd, e', '{4: x}'];
  assert.equal(await namesOf({ names: odd }), meant);
});

test('from files beside the model; metadata come first', async () => {
  const config = JSON.stringify({ id2label: { 0: 'v', 1: 'w', 2: 'x', 3: 'y', 4: 'z' } });
  assert.equal(await namesOf({}, { 'config.json': config }), ['v', 'w', 'x', 'y', 'z']);
  assert.equal(await namesOf({}, { 'labels.txt': 'great white shark, man-eater\nb\nc\nd\ne\n' }), [
    'great white shark, man-eater',
    'b',
    'c',
    'd',
    'e',
  ]);
  assert.equal(await namesOf({}, { 'classes.txt': NAMES.join('\r\n') }), NAMES);
  assert.equal(await namesOf({ names: NAMES.join() }, { 'config.json': config }), NAMES);
  assert.equal(await namesOf({ names: 'only,two' }, { 'config.json': config }), ['v', 'w', 'x', 'y', 'z']);
});

test('what is not one name a class is not known', async () => {
  for (const text of [
    '',
    'ant,bee',
    '{"0": "ant", "1": "bee", "2": "cat", "3": "dog", "5": "eel"}',
    '[0, 1, 2, 3, 4]',
    'a,,c,d,e',
    '["a", "", "c", "d", "e"]',
  ])
    assert.is(await namesOf({ names: text }), undefined, text);
  assert.is(await namesOf({}, { 'config.json': '{', 'labels.txt': '\n\n' }), undefined);
  assert.is(await namesOf({ author: NAMES.join() }), undefined);
});

test("an order is the first network's class for each of the original's", () => {
  const order = (first: readonly string[], original: readonly string[] = NAMES) => [
    ...classOrder(first, original),
  ];
  assert.equal(order(NAMES), [0, 1, 2, 3, 4]);
  assert.equal(order(['eel', 'ant', 'bee', 'cat', 'dog']), [1, 2, 3, 4, 0]);
  assert.equal(order([' Eel', 'ANT', 'bee ', 'cat', 'dog']), [1, 2, 3, 4, 0]);
  assert.equal(order(['us', 'US'], ['US', 'us']), [1, 0], 'as written, where case alone tells them apart');
  assert.equal(order(['é'.normalize('NFD'), 'a'], ['a', 'é']), [1, 0]);
  assert.equal(order(['crane', 'crane', 'x'], ['crane', 'crane', 'x']), [0, 1, 2]);
});

test('names that do not match up are refused, by name', () => {
  const refused = (first: readonly string[], original: readonly string[], code: string, message: RegExp) =>
    assert.throws(
      () => classOrder(first, original, 'small.onnx'),
      (error: { code: string; message: string }) => error.code === code && message.test(error.message),
    );
  refused(['ant', 'bee'], NAMES, 'first-class-count', /small\.onnx has 2 classes, the original has 5/);
  refused(
    ['ant', 'bee', 'cow', 'dog', 'eel'],
    NAMES,
    'first-classes-unlike',
    /no class "cat".*none named "cow"/,
  );
  refused(
    ['ant', 'ant', 'cat', 'dog', 'eel'],
    NAMES,
    'first-classes-unlike',
    /small\.onnx has several.*"ant"/,
  );
  refused(['a', 'b', 'c'], ['a', 'c', 'c'], 'first-classes-unlike', /the original has several.*"c"/);
  refused(['us', 'US', 'a'], ['Us', 'US', 'a'], 'first-classes-unlike', /no class "Us".*none named "us"/);
  const many = Array.from({ length: 9 }, (_, i) => `n${i}`);
  refused(
    many,
    many.map((name) => `${name}x`),
    'first-classes-unlike',
    /"n4x" and 4 more/,
  );
});

test.run();
