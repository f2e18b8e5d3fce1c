import { readFile } from 'node:fs/promises';
import { badTokenizer, messageOf } from '../errors/index.ts';
import { type Encode, type Encoded, encoderOf, type TextTokenizerClass } from '../runtime/texts.ts';

export const ENCODED = ['input_ids', 'attention_mask', 'token_type_ids'] as const satisfies (keyof Encoded)[];

/** Whether an input of this name is something that a text is encoded into. */
export const isEncoded = (name: string): name is keyof Encoded => ENCODED.some((encoded) => encoded === name);

/** A tokenizer.json as Hugging Face's `tokenizers` understands it; generated packages read it alike. Throws `bad-tokenizer`. */
export async function loadTokenizer(file: string): Promise<Encode> {
  try {
    const json = JSON.parse(await readFile(file, 'utf8'));
    const { Tokenizer } = await import('@huggingface/tokenizers');
    // The package's own types do not resolve in Node: they import each other without extensions.
    return encoderOf(Tokenizer as unknown as TextTokenizerClass, json);
  } catch (error) {
    throw badTokenizer(file, messageOf(error), error);
  }
}
