import { readFile } from 'node:fs/promises';
import { badTokenizer, messageOf } from '../errors.ts';

/** What a text becomes, each of the same length; under the names that models call their inputs by. */
export interface Encoded {
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
  readonly token_type_ids: readonly number[];
}

export const ENCODED = ['input_ids', 'attention_mask', 'token_type_ids'] as const;

/** Tokens of `text`, and of `pair` if there is one, cut and padded to `length`. */
export type Encode = (text: string, pair: string | undefined, length: number) => Encoded;

type Direction = 'Left' | 'Right';

/** What Offramp itself reads of a tokenizer.json. */
interface TokenizerFile {
  readonly truncation?: { direction: Direction; max_length: number; strategy: string } | null;
  readonly padding?: { direction: Direction; pad_id: number; pad_type_id: number } | null;
  readonly model?: { unk_token?: string | null };
}

/** A tokenizer.json as Hugging Face's `tokenizers` understands it. Throws `bad-tokenizer`. */
export async function loadTokenizer(file: string): Promise<Encode> {
  try {
    const json = JSON.parse(await readFile(file, 'utf8')) as TokenizerFile;
    const { Tokenizer } = await import('@huggingface/tokenizers');
    // Of a word-level model the package takes `unk_token` from the config, not from where tokenizer.json has it.
    return encodeWith(new Tokenizer(json, { unk_token: json.model?.unk_token }), json);
  } catch (error) {
    throw badTokenizer(file, messageOf(error), error);
  }
}

/** What is used of the package's class; its own types do not resolve in Node (they import each other without extensions). */
interface Tokenizer {
  readonly post_processor: ((a: string[], b: string[] | null, addSpecial: boolean) => Joined) | null;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
  token_to_id(token: string): number | undefined;
}

/** Texts with special tokens put in; a post-processor that knows of none leaves the pair apart. */
interface Joined {
  readonly tokens: string[];
  readonly tokens_pair?: string[] | null;
  readonly token_type_ids?: number[];
}

function encodeWith(tokenizer: Tokenizer, { truncation, padding }: TokenizerFile): Encode {
  const joined = (a: string[], b: string[] | null) => {
    const apart: Joined = { tokens: a, tokens_pair: b };
    const { tokens, tokens_pair, token_type_ids } = tokenizer.post_processor?.(a, b, true) ?? apart;
    return { tokens: [...tokens, ...(tokens_pair ?? [])], token_type_ids };
  };
  const tokensOf = (text: string) => tokenizer.encode(text, { add_special_tokens: false });

  return (text, pair, length) => {
    const first = tokensOf(text);
    const second = pair === undefined ? undefined : tokensOf(pair);
    const special = joined([], second ? [] : null).tokens.length;
    const room = Math.max(0, Math.min(truncation?.max_length ?? length, length) - special);
    const [a, b] = keptLengths(first.ids.length, second?.ids.length, room, truncation?.strategy);
    const cut = (tokens: string[], n: number) =>
      truncation?.direction === 'Left' ? tokens.slice(tokens.length - n) : tokens.slice(0, n);
    const { tokens, token_type_ids } = joined(cut(first.tokens, a), second ? cut(second.tokens, b) : null);

    const known = new Map(
      [first, second].flatMap((e) => e?.tokens.map((t, i) => [t, e.ids[i]!] as const) ?? []),
    );
    const ids = tokens.map((token) => known.get(token) ?? tokenizer.token_to_id(token)!);
    const fill = (values: readonly number[], value: number) => {
      const pads = Array.from({ length: Math.max(0, length - values.length) }, () => value);
      return padding?.direction === 'Left' ? [...pads, ...values] : [...values, ...pads];
    };
    const zeros = ids.map(() => 0);
    return {
      input_ids: fill(ids, padding?.pad_id ?? 0),
      attention_mask: fill(
        ids.map(() => 1),
        0,
      ),
      token_type_ids: fill(token_type_ids ?? zeros, padding?.pad_type_id ?? 0),
    };
  };
}

/** How many tokens of a text of `a` and of its pair of `b` stay, where there is room for `room` (tokenizers, truncation.rs). */
function keptLengths(
  a: number,
  b: number | undefined,
  room: number,
  strategy = 'LongestFirst',
): [number, number] {
  if (b === undefined) return [Math.min(a, room), 0];
  if (a + b <= room) return [a, b];
  if (strategy === 'OnlyFirst') return [Math.max(0, room - b), b];
  if (strategy === 'OnlySecond') return [a, Math.max(0, room - a)];
  const half = Math.floor(room / 2);
  const short = 2 * Math.min(a, b) > room ? half : Math.min(a, b);
  return a > b ? [room - short, short] : [short, room - short];
}
