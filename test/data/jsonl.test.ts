import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fails, freshFolder, input, openAt, openFor, put, rowsOf, tokenInputs } from './fixtures.ts';

const test = suite('data: JSONL');
const IDS = tokenInputs(3, 'input_ids', 'attention_mask');

function lines(...rows: readonly unknown[]): string {
  const text = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n');
  return put(join(freshFolder(), 'a.jsonl'), `${text}\n`);
}

const row = (ids: unknown, rest: object = {}) => ({
  input_ids: ids,
  attention_mask: [1, 1, 0],
  label: 0,
  ...rest,
});

test('one object a line, a field an input, flat or nested', async () => {
  const text = [
    row([5, 6, 0], { label: 1 }),
    '',
    row([[7], [8], [0]], { note: 'a\u2028b', label: 0 }),
    row([9, 2 ** 24, 1], { label: 2 }),
  ]
    .map((r) => (typeof r === 'string' ? '\r' : JSON.stringify(r)))
    .join('\n');
  const plain = put(join(freshFolder(), 'a.ndjson'), `\ufeff${text}`);
  const packed = put(join(freshFolder(), 'a.jsonl.gz'), gzipSync(text));
  const hashes = [];
  for (const path of [plain, packed]) {
    const data = await openFor(path, IDS, { classes: 3 });
    assert.equal([...data.labels], [1, 0, 2]);
    assert.is(data.isImage, false);
    assert.equal(data.inputs, IDS);
    hashes.push(data.hash);
    assert.equal(await rowsOf(data), [
      [5, 6, 0, 1, 1, 0],
      [7, 8, 0, 1, 1, 0],
      [9, 2 ** 24, 1, 1, 1, 0],
    ]);
  }
  assert.is(hashes[0], hashes[1]);
  const swapped = await openFor(plain, IDS.toReversed());
  assert.equal((await rowsOf(swapped))[0], [1, 1, 0, 5, 6, 0]);
});

test('a single input keeps its shape and its preprocessing', async () => {
  const x = [[[1, 2, 3, 4], [5, 6, 7, 8]]]; // biome-ignore format: an image
  const path = lines({ x, label: 0 }, { x: x.flat(2), label: 1 });
  const data = await openAt(path, input(1, 2, 4), { scale: 2, mean: [1] });
  assert.equal(data.recordDims, [1, 2, 4]);
  assert.ok(data.isImage);
  assert.equal(
    await rowsOf(data),
    Array.from({ length: 2 }, () => [-0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]),
  );
});

test('labels by name', async () => {
  const named = lines(
    row([1, 2, 3], { label: 'dog' }),
    row([1, 2, 3], { label: 'cat' }),
    row([1, 2, 3], { label: 1 }),
  );
  await fails(() => openFor(named, IDS), 'unknown-label', `${named}:1`, '"dog"', 'labels.json');
  const given = await openFor(named, IDS, { labels: ['cat', 'dog'] });
  assert.equal(
    [[...given.labels], given.classNames],
    [
      [1, 0, 1],
      ['cat', 'dog'],
    ],
  );
  put(join(named, '..', 'labels.json'), '["dog", "cat"]');
  const beside = await openFor(named, IDS);
  assert.equal(
    [[...beside.labels], beside.classNames],
    [
      [0, 1, 1],
      ['dog', 'cat'],
    ],
  );
  await fails(() => openFor(named, IDS, { classes: 1 }), 'too-many-classes', '2');
  await fails(() => openFor(named, IDS, { labels: ['dog'] }), 'unknown-label', named, '"cat"', 'dog');
  const other = await openFor(named, IDS, { labels: ['cat', 'eel', 'dog'] });
  assert.equal(
    [[...other.labels], other.classNames?.length],
    [[2, 0, 0], 3],
    'index 1 is "cat" of labels.json',
  );
  await other.close();
  put(join(named, '..', 'labels.json'), '{}');
  await fails(() => openFor(named, IDS), 'bad-data-file', 'labels.json');
  for (const data of [given, beside]) await data.close();
});

test('what is wrong, with its line', async () => {
  const good = row([1, 2, 3]);
  const cases: [readonly unknown[], string, ...string[]][] = [
    [[good, '{"input_ids": [1, 2'], 'bad-data-file', ':2', 'JSON'],
    [[good, '', '[1]'], 'bad-data-file', ':3', 'object'],
    [[good, row([1, 2])], 'bad-data-file', ':2', 'input_ids', '[2]', '[3]'],
    [[row([[1, 2], [3]])], 'bad-data-file', ':1', 'input_ids'],
    [[row([[1], [2], [3, 4]])], 'bad-data-file', ':1', 'ragged'],
    [[row([1, 2, '3'])], 'bad-data-file', ':1', 'element 2', '"3"'],
    [[row([1, null, 3])], 'bad-data-file', ':1', 'element 1', 'null'],
    [[row([1, 2, 2.5])], 'bad-data-file', ':1', 'element 2', '2.5', 'whole'],
    [[row([1, 2, 2 ** 24 + 1])], 'bad-data-file', ':1', 'element 2', '2^24'],
    [[good, { ...good, attention_mask: undefined }], 'bad-data-file', ':2', 'attention_mask is missing'],
    [[{ ...good, attention_mask: undefined }], 'fields-missing', ':1', 'attention_mask', 'input_ids, label'],
    [
      [{ ...good, attention_mask: undefined, text: 'a' }],
      'fields-missing',
      ':1',
      'attention_mask',
      '`tokenizer',
    ],
    [[{ ...good, label: undefined }], 'label-missing', ':1', 'input_ids', "`labels: 'none'`"],
    [[good, { ...good, label: undefined }], 'bad-labels', ':2', 'missing'],
    [[row([1, 2, 3], { label: 1.5 })], 'bad-labels', ':1', '1.5'],
    [[row([1, 2, 3], { label: [0, 1] })], 'bad-labels', ':1', 'a list'],
    [[good, row([1, 2, 3], { label: 5 })], 'label-out-of-range', 'sample 1', '5'],
    [[{ text: 'a b', label: 0 }], 'tokenizer-missing', 'text', '`tokenizer'],
    [[''], 'empty-dataset'],
  ];
  for (const [rows, code, ...mentions] of cases)
    await fails(() => openFor(lines(...rows), IDS, { classes: 5 }), code, ...mentions);
  const torn = put(join(freshFolder(), 'a.jsonl.gz'), gzipSync(JSON.stringify(good)).subarray(0, 40));
  await fails(() => openFor(torn, IDS), 'bad-data-file', torn);
});

/** Words of one letter; [CLS] A [SEP] B [SEP], as BERT does. */
function tokenizer(rest: object = {}): string {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];
  const vocab = Object.fromEntries([...special, ...'abcdefgh'].map((token, id) => [token, id]));
  const token = (id: string, type_id = 0) => ({ SpecialToken: { id, type_id } });
  const text = (id: 'A' | 'B', type_id = 0) => ({ Sequence: { id, type_id } });
  const json = {
    version: '1.0',
    added_tokens: special.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token('[CLS]'), text('A'), token('[SEP]')],
      pair: [token('[CLS]'), text('A'), token('[SEP]'), text('B', 1), token('[SEP]', 1)],
      special_tokens: Object.fromEntries(
        special.map((id, number) => [id, { id, ids: [number], tokens: [id] }]),
      ),
    },
    decoder: null,
    model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
    ...rest,
  };
  return put(join(freshFolder(), 'tokenizer.json'), JSON.stringify(json));
}

const [PAD, UNK, CLS, SEP, A, B, C, D, E, F] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

async function encoded(fields: object, length: number, file: string, ...names: string[]): Promise<number[]> {
  const inputs = tokenInputs(length, ...(names.length > 0 ? names : ['input_ids']));
  const [first] = await rowsOf(await openFor(lines({ ...fields, label: 0 }), inputs, { tokenizer: file }));
  return first!;
}

test('text is cut before special tokens are added, and padded', async () => {
  const file = tokenizer();
  assert.equal(await encoded({ text: 'A z b' }, 7, file), [CLS, A, UNK, B, SEP, PAD, PAD]);
  assert.equal(await encoded({ text: 'a b c d e' }, 5, file), [CLS, A, B, C, SEP]);
  assert.equal(await encoded({ sentence: '' }, 3, file), [CLS, SEP, PAD]);
  assert.equal(
    await encoded({ text: 'a b', text_pair: 'c' }, 7, file, 'token_type_ids', 'input_ids', 'attention_mask'),
    [0, 0, 0, 0, 1, 1, 0, CLS, A, B, SEP, C, SEP, PAD, 1, 1, 1, 1, 1, 1, 0],
  );
  const some = lines(
    { text: 'a', label: 0 },
    { text: 'a', text_pair: 'b', label: 0 },
    { text: 'a', text_pair: null, label: 0 },
  );
  assert.equal(await rowsOf(await openFor(some, tokenInputs(5, 'input_ids'), { tokenizer: file })), [
    [CLS, A, SEP, PAD, PAD],
    [CLS, A, SEP, B, SEP],
    [CLS, A, SEP, PAD, PAD],
  ]);
  const pair = { sentence1: 'a b', sentence2: 'c d e f' };
  assert.equal(await encoded(pair, 8, file), [CLS, A, B, SEP, C, D, E, SEP]);
  assert.equal(await encoded(pair, 6, file), [CLS, A, SEP, C, D, SEP]);
});

test("tokenizer.json's own truncation and padding", async () => {
  const truncation = { direction: 'Left', max_length: 4, strategy: 'LongestFirst', stride: 0 };
  const padding = { strategy: 'BatchLongest', direction: 'Left', pad_id: 11, pad_type_id: 5, pad_token: 'h' };
  const left = tokenizer({ truncation, padding });
  assert.equal(await encoded({ text: 'a b c d' }, 6, left), [11, 11, CLS, C, D, SEP]);
  assert.equal(
    await encoded({ text: 'a' }, 4, left, 'attention_mask', 'token_type_ids'),
    [0, 1, 1, 1, 5, 0, 0, 0],
  );
  const pair = { text: 'a b c', text_pair: 'd e f' };
  const cut = (strategy: string) =>
    encoded(
      pair,
      7,
      tokenizer({ truncation: { ...truncation, direction: 'Right', max_length: 7, strategy } }),
    );
  assert.equal(await cut('OnlyFirst'), [CLS, A, SEP, D, E, F, SEP]);
  assert.equal(await cut('OnlySecond'), [CLS, A, B, C, SEP, D, SEP]);
});

test('a change of tokenizer makes new records', async () => {
  const path = lines({ text: 'a', label: 0 });
  const inputs = tokenInputs(3, 'input_ids');
  const file = tokenizer();
  const open = async () => (await rowsOf(await openFor(path, inputs, { tokenizer: file })))[0];
  assert.equal(await open(), [CLS, A, SEP]);
  put(file, readFileSync(file, 'utf8').replace('"a":4', '"a":10'));
  assert.equal(await open(), [CLS, 10, SEP]);
});

test('tokenizers that are wrong', async () => {
  const path = lines({ text: 'a', label: 0 }, { text: 3, label: 0 });
  const open = (file: string, ...names: string[]) =>
    openFor(path, tokenInputs(3, ...names), { tokenizer: file });
  await fails(() => open('/nowhere/tokenizer.json', 'input_ids'), 'bad-tokenizer', '/nowhere');
  await fails(
    () => open(put(join(freshFolder(), 't.json'), '{}'), 'input_ids'),
    'bad-tokenizer',
    't.json',
    'model',
  );
  await fails(() => open(tokenizer(), 'input_ids', 'pixels'), 'bad-tokenizer', 'pixels', 'attention_mask');
  await fails(() => open(tokenizer(), 'input_ids'), 'bad-data-file', `${path}:2`, 'text is 3');
});

test.run();
