import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Encode, type Text, textInputs } from '../../src/runtime/texts.ts';

const test = suite('runtime: texts');

/** The lengths of the text and of its pair, and zeros. */
const encode: Encode = (text, pair = '', length) => {
  const ids = Array.from({ length }, (_, i) => [text.length, pair.length][i] ?? 0);
  return { input_ids: ids, attention_mask: ids, token_type_ids: ids };
};
const inputs = { input_ids: { type: 'int64', dims: ['N', 3] } } as const;
const made = (...texts: unknown[]) => textInputs(encode, inputs, texts as Text[]);

test('a text and a text with its pair', () => {
  assert.equal(made('abc', ['a', 'bb']), { input_ids: BigInt64Array.of(3n, 0n, 0n, 1n, 2n, 0n) });
  assert.equal(made(), { input_ids: new BigInt64Array() });
});

test('what is no text is named with its place, holes too', () => {
  const holes = ['abc', 'de'];
  delete holes[1];
  const cases: readonly (readonly [texts: readonly unknown[], says: RegExp])[] = [
    [['abc', null], /^text 1: a string, or two as a list, expected, got null$/],
    [holes, /^text 1: .* got undefined$/],
    [[['abc']], /^text 0: .* got Array$/],
    [[['abc', 1]], /^text 0: .* got Array$/],
    [[7], /^text 0: .* got 7$/],
  ];
  for (const [texts, says] of cases)
    assert.throws(
      () => textInputs(encode, inputs, texts as Text[]),
      (error: Error) => error instanceof TypeError && says.test(error.message),
      `${says}`,
    );
});

test.run();
