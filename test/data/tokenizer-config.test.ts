/** tokenizer_config.json beside tokenizer.json: on what side texts are padded, with what, and where they are cut. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadTokenizer, maxLengthOf, readTokenizerFile, tokenizerFiles } from '../../src/data/tokenizer.ts';
import { writeFiles } from '../hub-models.ts';
import { byteLevelTokenizer, wordPieceTokenizer } from '../hub-tokenizers.ts';
import { fails, freshFolder } from './fixtures.ts';

const test = suite('tokenizer_config.json');

const write = (config?: object | string, tokenizer: object = wordPieceTokenizer()) =>
  join(
    writeFiles(freshFolder(), {
      'tokenizer.json': tokenizer,
      ...(config !== undefined && { 'tokenizer_config.json': config }),
    }),
    'tokenizer.json',
  );

const settled = async (config: object, tokenizer?: object) =>
  JSON.parse((await readTokenizerFile(write(config, tokenizer))).toString()) as {
    padding: Record<string, unknown> | null;
    truncation: Record<string, unknown> | null;
  };

/** Ids of "hello world", 2 5 6 3 with its special tokens, at 6 tokens. */
const ids = async (file: string, text = 'hello world') =>
  Array.from((await loadTokenizer(file))(text, undefined, 6).input_ids, Number);

test('the file itself is used where nothing lies beside it or that says nothing new', async () => {
  const plain = { ...wordPieceTokenizer(), normalizer: null, pre_tokenizer: null };
  for (const config of [undefined, {}, { tokenizer_class: 'BertTokenizer', model_max_length: 1e30 }]) {
    const file = write(config, plain);
    assert.equal(await readTokenizerFile(file), readFileSync(file));
  }
});

test('texts are padded on the side that is said', async () => {
  assert.equal(await ids(write({})), [2, 5, 6, 3, 0, 0]);
  assert.equal(await ids(write({ padding_side: 'right' })), [2, 5, 6, 3, 0, 0]);
  assert.equal(await ids(write({ padding_side: 'left' })), [0, 0, 2, 5, 6, 3]);
});

test('with the token that is said: a text, an added token, one of a list', async () => {
  assert.equal(await ids(write({ pad_token: '[MASK]' })), [2, 5, 6, 3, 4, 4]);
  assert.equal(
    await ids(write({ pad_token: { content: '[UNK]', __type: 'AddedToken' } })),
    [2, 5, 6, 3, 1, 1],
  );
  // Of the vocabulary alone: no added token.
  assert.equal(await ids(write({ pad_token: 'hello' })), [2, 5, 6, 3, 5, 5]);
  assert.is((await settled({ pad_token: '<pad>' }, byteLevelTokenizer())).padding!.pad_id, 1);
  const unigram = { model: { type: 'Unigram', vocab: [['<unk>', 0], ['a', -1], ['<pad>', -2]] } }; // biome-ignore format: a list
  assert.is((await settled({ pad_token: '<pad>' }, unigram)).padding!.pad_id, 2);
  assert.is((await settled({ pad_token: '<none>' }, unigram)).padding, null);
  assert.is((await settled({ pad_token: null })).padding, null);
});

test('what tokenizer.json says of padding stays, but for what is said beside it', async () => {
  const padding = {
    strategy: { Fixed: 128 },
    direction: 'Left',
    pad_to_multiple_of: 8,
    pad_id: 4,
    pad_type_id: 0,
    pad_token: '[MASK]',
  };
  const tokenizer = { ...wordPieceTokenizer(), padding };
  assert.equal((await settled({ model_max_length: 40 }, tokenizer)).padding, padding);
  const said = await settled({ padding_side: 'right', pad_token: '[PAD]' }, tokenizer);
  assert.equal(said.padding, { ...padding, direction: 'Right', pad_id: 0, pad_token: '[PAD]' });
});

test('texts are cut at the length that is said, special tokens kept, on the side that is said', async () => {
  assert.equal(await ids(write({ model_max_length: 3 })), [2, 5, 3, 0, 0, 0]);
  assert.equal(await ids(write({ model_max_length: 3, truncation_side: 'left' })), [2, 6, 3, 0, 0, 0]);
  assert.is(await maxLengthOf(write({ model_max_length: 40 })), 40);
  assert.is(await maxLengthOf(write({ model_max_length: 40 }), 32), 32);
  assert.is(await maxLengthOf(write({ model_max_length: 1e30 }), 32), 32);
  assert.is(await maxLengthOf(write({ model_max_length: 1e30 })), undefined);
  const truncation = { direction: 'Right', max_length: 24, strategy: 'LongestFirst', stride: 0 };
  const tokenizer = { ...wordPieceTokenizer(), truncation };
  assert.is(await maxLengthOf(write({ model_max_length: 40 }, tokenizer)), 24);
  assert.is(await maxLengthOf(write({ model_max_length: 1e30 }, tokenizer)), 24);
  assert.is((await settled({ model_max_length: 1e30, truncation_side: 'left' }, tokenizer)).truncation!.direction, 'Left'); // biome-ignore format: a line
});

test('a file beside it that cannot be read is named', async () => {
  for (const broken of ['{ "padding_side": ', 'null', '[1]', '"text"']) {
    const file = write(broken);
    await fails(() => loadTokenizer(file), 'bad-tokenizer', 'tokenizer_config.json');
    await fails(() => maxLengthOf(file), 'bad-tokenizer', 'tokenizer_config.json');
  }
  assert.equal(await ids(write(`\uFEFF${JSON.stringify({ padding_side: 'left' })}`)), [0, 0, 2, 5, 6, 3]);
});

test('a value of another type is named, not passed over', async () => {
  const wrong: [string, unknown][] = [
    ['padding_side', 'Left'],
    ['padding_side', 1],
    ['truncation_side', 'both'],
    ['model_max_length', '512'],
    ['model_max_length', -1],
    ['pad_token', 0],
    ['pad_token', { content: 3 }],
  ];
  for (const [name, value] of wrong) {
    const file = write({ [name]: value });
    await fails(() => loadTokenizer(file), 'bad-tokenizer', 'tokenizer_config.json', `its ${name} is not`);
    await fails(() => maxLengthOf(file), 'bad-tokenizer', name);
  }
  const none = { padding_side: null, truncation_side: null, model_max_length: null, pad_token: null };
  assert.equal(await ids(write(none)), await ids(write()));
});

test('what is cached of texts depends on both files', () => {
  const file = write({});
  assert.equal(tokenizerFiles(file), [file, file.replace('tokenizer.json', 'tokenizer_config.json')]);
  assert.equal(tokenizerFiles(write()).length, 1);
});

test.run();
