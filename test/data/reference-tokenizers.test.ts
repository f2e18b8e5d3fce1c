/** Texts as the reference library encodes them: stored ids of tiny tokenizers of many forms (tokenizers/README.md). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadTokenizer, readTokenizerFile } from '../../src/data/tokenizer.ts';
import { encoderOf, type TokenizerFile } from '../../src/runtime/texts.ts';
import type { TextTokenizerClass } from '../../src/runtime/tokens.ts';
import { writeFiles } from '../hub-models.ts';
import { freshFolder } from './fixtures.ts';

const test = suite('tokenizers: the ids of the reference');

interface Texts {
  readonly texts: readonly string[];
  readonly pairs: readonly (readonly [string, string])[];
  /** Which of the texts are cut. */
  readonly cut: readonly number[];
}

interface Reference {
  readonly texts: readonly (readonly number[])[];
  readonly pairs: readonly { readonly ids: readonly number[]; readonly types: readonly number[] }[];
  /** Ids of each pair and then of each cut text; null where the library says that it cannot be cut so. */
  readonly cut: readonly {
    readonly length: number;
    readonly strategy: 'longest_first' | 'only_first' | 'only_second';
    readonly direction: 'left' | 'right';
    readonly ids: readonly (readonly number[] | null)[];
  }[];
}

const FOLDER = new URL('tokenizers/', import.meta.url).pathname;
const FORMS = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const json = <T>(...path: string[]) => JSON.parse(readFileSync(join(FOLDER, ...path), 'utf8')) as T;
const { texts: TEXTS, pairs: PAIRS, cut: CUT } = json<Texts>('texts.json');
const STRATEGIES = { longest_first: 'LongestFirst', only_first: 'OnlyFirst', only_second: 'OnlySecond' };
const SIDES = { left: 'Left', right: 'Right' };
const shortened = (text: unknown) => JSON.stringify(text).slice(0, 80);

test('there are forms enough', () => {
  assert.ok(FORMS.length >= 30);
  assert.ok(TEXTS.length >= 45);
});

for (const form of FORMS)
  test(`${form}: texts and pairs, whole and cut`, async () => {
    const known = json<Reference>(form, 'ids.json');
    const file = join(FOLDER, form, 'tokenizer.json');
    const encode = await loadTokenizer(file);
    assert.is(known.texts.length, TEXTS.length);
    for (const [i, ids] of known.texts.entries()) {
      const length = ids.length + 2;
      const own = encode(TEXTS[i]!, undefined, length);
      assert.equal([...own.input_ids], [...ids, 0, 0], shortened(TEXTS[i]));
      assert.equal([...own.attention_mask], [...ids.map(() => 1), 0, 0], shortened(TEXTS[i]));
      assert.ok(own.token_type_ids.every((type) => type === 0));
    }
    for (const [i, { ids, types }] of known.pairs.entries()) {
      const own = encode(...PAIRS[i]!, ids.length);
      assert.equal([[...own.input_ids], [...own.token_type_ids]], [ids, types], shortened(PAIRS[i]));
    }
    const settled = JSON.parse((await readTokenizerFile(file)).toString()) as TokenizerFile;
    for (const { length, strategy, direction, ids } of known.cut) {
      const truncation = { max_length: length, strategy: STRATEGIES[strategy], direction: SIDES[direction] };
      const cutting = encoderOf(Tokenizer as unknown as TextTokenizerClass, { ...settled, truncation });
      const cut = [...PAIRS, ...CUT.map((i) => [TEXTS[i]!, undefined] as const)];
      for (const [i, expected] of ids.entries()) {
        const [text, pair] = cut[i]!;
        const place = `${shortened(cut[i])} at ${length}, ${strategy}, ${direction}`;
        if (expected === null) assert.throws(() => cutting(text, pair, length), /does not fit/, place);
        else assert.equal(cutting(text, pair, length).input_ids.slice(0, expected.length), expected, place);
      }
    }
  });

test('a file is settled once: what it gives is left as it is, and means the same', async () => {
  for (const form of FORMS) {
    const settled = (await readTokenizerFile(join(FOLDER, form, 'tokenizer.json'))).toString();
    const again = join(writeFiles(freshFolder(), { 'tokenizer.json': settled }), 'tokenizer.json');
    assert.is((await readTokenizerFile(again)).toString(), settled, form);
  }
});

test.run();
