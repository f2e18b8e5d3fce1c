/** The part of the generated file about texts: how they become the model's inputs. */
import { TOKENIZER_FILE } from './file-names.ts';
import type { Manifest } from './manifest.ts';
import { commentText, quoted } from './names.ts';

export function textEncoder({ inputs, batch, tokenizer }: Manifest): string {
  const texts = batch === 'fixed' ? 'text: Text' : '...texts: [Text, ...Text[]]';
  const list = batch === 'fixed' ? '[text]' : 'texts';
  const made = `textInputs(encode, inputs, ${list})`;
  const [only] = inputs;
  const input = inputs.length > 1 ? `${made} as object as Input` : `${made}[${quoted(only!.name)}] as Input`;
  return `\
/**
 * Makes inputs of texts as when the model was compiled: cut and padded, with special tokens. \`Tokenizer\` is the class of
 * @huggingface/tokenizers, \`file\` what ${TOKENIZER_FILE} of this package holds (sha256 ${commentText(tokenizer!.sha256)}).
 */
export function textEncoder(Tokenizer: TextTokenizerClass, file: TokenizerFile): (${texts}) => Input {
  const encode = encoderOf(Tokenizer, file);
  return (${batch === 'fixed' ? 'text' : '...texts'}) => ${input};
}`;
}
