/** tokenizer.json files that would be read in another way than the reference reads them, or not to an end. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TooLong, withTimeLimit } from '../../src/data/time-limit.ts';
import { loadTokenizer, readTokenizerFile } from '../../src/data/tokenizer.ts';
import { wordPieceTokenizer } from '../hub-tokenizers.ts';
import { fails, freshFolder, openFor, put, tokenInputs } from './fixtures.ts';

const test = suite('tokenizers that are wrong');

const write = (content: string) => put(join(freshFolder(), 'tokenizer.json'), content);
const withParts = (parts: object) => write(JSON.stringify({ ...wordPieceTokenizer(), ...parts }));
const bpe = (model: object) => ({
  model: { type: 'BPE', vocab: { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, '[MASK]': 4, a: 5, b: 6, ab: 7 }, merges: ['a b'], ...model },
}); // biome-ignore format: a line
const split = (regex: string, rest: object = {}) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false, ...rest },
});
const wordLevel = (vocab: object) => ({
  added_tokens: [],
  model: { type: 'WordLevel', vocab, unk_token: 'a' },
});

/** By what the message names. */
const REFUSED: readonly (readonly [named: string, parts: object])[] = [
  ['UnicodeScripts', { pre_tokenizer: { type: 'UnicodeScripts' } }],
  ['ByteLevel', { normalizer: { type: 'ByteLevel' } }],
  ['Nope', { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Nope' }] } }],
  ['Sequence', { pre_tokenizer: { type: 'Sequence' } }],
  ['pretokenizers', { pre_tokenizer: 'Whitespace' }],
  ['Replace', { normalizer: { type: 'Replace', pattern: { String: 'a' }, content: '$&$&' } }],
  ['Replace', { normalizer: { type: 'Replace', pattern: {}, content: '' } }],
  ['Split', split('(a)\\1')],
  ['Split', split('a', { behavior: 'MergedWithNext', invert: true })],
  ['FixedLength', { pre_tokenizer: { type: 'FixedLength', length: 0 } }],
  ['Metaspace', { pre_tokenizer: { type: 'Metaspace', replacement: '▁', str_rep: '_' } }],
  ['TemplateProcessing', { post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'x', type_id: 0 } }], pair: [], special_tokens: {} } }],
  ['BertProcessing', { post_processor: { type: 'BertProcessing', cls: '[CLS]', sep: ['[SEP]', 3] } }],
  ['model', { model: null }],
  ['Nope', { model: { type: 'Nope', vocab: {} } }],
  ['continuing_subword_prefix', bpe({ continuing_subword_prefix: '##' })],
  ['"b a"', bpe({ merges: ['a b', 'b a'] })],
  ['unk_id', { added_tokens: [], model: { type: 'Unigram', vocab: [['a', -1]], unk_id: 3 } }],
  ['vocab', { added_tokens: [], model: { type: 'Unigram', vocab: ['a'] } }],
  ['added_tokens', { added_tokens: [{ id: 900, content: 'far away' }] }],
  ['added_tokens', { added_tokens: [{ id: 5, content: '[PAD]' }] }],
  ['pad_id', { padding: { direction: 'Right', pad_id: -1, pad_type_id: 0 } }],
  ['max_length', { truncation: { direction: 'Right', max_length: '40', strategy: 'LongestFirst' } }],
]; // biome-ignore format: rows

test('what would be read in another way is refused by name', async () => {
  for (const [named, parts] of REFUSED) {
    await fails(() => loadTokenizer(withParts(parts)), 'bad-tokenizer', named);
    await fails(() => readTokenizerFile(withParts(parts)), 'bad-tokenizer', named);
  }
});

test('ids are whole numbers from 0 on', async () => {
  for (const id of [-1, 1.5, '3', null, 2 ** 40])
    await fails(() => loadTokenizer(withParts(wordLevel({ a: 0, b: id }))), 'bad-tokenizer', '"b"');
});

test('files that are no JSON object in UTF-8', async () => {
  for (const content of ['', '[]', 'null', '{"model":'])
    await fails(() => loadTokenizer(write(content)), 'bad-tokenizer', 'tokenizer.json');
  const latin = Buffer.from(JSON.stringify({ ...wordPieceTokenizer(), x: 'é' }), 'latin1');
  await fails(
    () => loadTokenizer(put(join(freshFolder(), 'tokenizer.json'), latin)),
    'bad-tokenizer',
    'utf-8',
  );
});

test('a file that begins with a byte order mark is read, and kept without it', async () => {
  const file = write(`\uFEFF${JSON.stringify(wordPieceTokenizer())}`);
  assert.is(JSON.parse((await readTokenizerFile(file)).toString()).version, '1.0');
  assert.equal((await loadTokenizer(file))('hello', undefined, 4).input_ids, [2, 5, 3, 0]);
});

test('a regex that does not come to an end is refused', async () => {
  for (const regex of ['(a+)+$', '(?:q|qq)+z'])
    await fails(() => loadTokenizer(withParts(split(regex))), 'bad-tokenizer', 'regex', 'seconds');
});

test('a regex that takes the third power of a text’s length is refused: in packages nothing stops it', async () => {
  const slow = withParts({ ...split('a*a*c'), ...wordLevel({ a: 0 }) });
  await fails(() => loadTokenizer(slow), 'bad-tokenizer', 'after 5 seconds', '5001 characters');
});

test('work is stopped in the midst of a regex; what it throws and gives comes through', () => {
  assert.throws(
    () => withTimeLimit(200, () => /(a+)+$/.test(`${'a'.repeat(60)}!`)),
    (error: unknown) => error instanceof TooLong,
  );
  assert.throws(() => withTimeLimit(5_000, () => { throw new TypeError('of its own'); }), /of its own/); // biome-ignore format: a line
  assert.is(
    withTimeLimit(5_000, () => withTimeLimit(5_000, () => 3) + 1),
    4,
  );
});

test('a text that has no tokens, or does not fit, is named by its place', async () => {
  const unknown = withParts({ ...wordLevel({ a: 0 }), model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'z' }, post_processor: null }); // biome-ignore format: a line
  const data = put(join(freshFolder(), 'train.jsonl'), '{"text":"a","label":0}\n{"text":"b","label":0}\n');
  await fails(() => openFor(data, tokenInputs(3, 'input_ids'), { tokenizer: unknown }), 'bad-data-file', `${data}:2`, '"b"');
  const tiny = withParts({});
  await fails(() => openFor(data, tokenInputs(1, 'input_ids'), { tokenizer: tiny }), 'bad-data-file', `${data}:1`, 'fit');
}); // biome-ignore format: lines

test.run();
