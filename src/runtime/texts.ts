/** Texts as a model's input. */
import type { TensorSpec } from './tensors.ts';

/** What a text becomes, each of the same length; under the names that models call their inputs by. */
export interface Encoded {
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
  readonly token_type_ids: readonly number[];
}

/** Tokens of `text`, and of `pair` if there is one, cut and padded to `length`. */
export type Encode = (text: string, pair: string | undefined, length: number) => Encoded;

/** What is used of a `Tokenizer` of @huggingface/tokenizers, whose own encode neither cuts nor pads. */
interface TextTokenizer {
  readonly post_processor: ((a: string[], b: string[] | null, addSpecial: boolean) => JoinedTexts) | null;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
  token_to_id(token: string): number | undefined;
}

/** The class itself: `import { Tokenizer } from '@huggingface/tokenizers'`. */
export type TextTokenizerClass = new (file: object, config: object) => object;

/** Texts with special tokens put in; a post-processor that knows of none leaves the pair apart. */
interface JoinedTexts {
  readonly tokens: string[];
  readonly tokens_pair?: string[] | null;
  readonly token_type_ids?: number[];
}

/** What is read of a tokenizer.json beside the package. */
export interface TokenizerFile {
  readonly truncation?: {
    readonly direction: string;
    readonly max_length: number;
    readonly strategy: string;
  } | null;
  readonly padding?: {
    readonly direction: string;
    readonly pad_id: number;
    readonly pad_type_id: number;
  } | null;
  readonly model?: { readonly unk_token?: string | null };
}

/** A tokenizer.json as Hugging Face's `tokenizers` understands it. Throws what the class throws. */
export function encoderOf(Tokenizer: TextTokenizerClass, file: TokenizerFile): Encode {
  const { truncation, padding } = file;
  // Of a word-level model the class takes `unk_token` from the config, not from where tokenizer.json has it.
  const tokenizer = new Tokenizer(file, { unk_token: file.model?.unk_token }) as TextTokenizer;
  const joined = (a: string[], b: string[] | null) => {
    const apart: JoinedTexts = { tokens: a, tokens_pair: b };
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
    return {
      input_ids: fill(ids, padding?.pad_id ?? 0),
      attention_mask: fill(
        ids.map(() => 1),
        0,
      ),
      token_type_ids: fill(token_type_ids ?? ids.map(() => 0), padding?.pad_type_id ?? 0),
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

/** A text, or two that belong together. */
export type Text = string | readonly [text: string, pair: string];

/** The elements of every one of `inputs`, which are named as in `Encoded`, for `texts`. */
export function textInputs(
  encode: Encode,
  inputs: Readonly<Record<string, TensorSpec>>,
  texts: readonly Text[],
): Record<string, BigInt64Array | Int32Array | Float32Array> {
  const [{ dims }] = Object.values(inputs) as [TensorSpec];
  const length = dims.reduce<number>((size, d) => (d === 'N' ? size : size * d), 1);
  const encoded = texts.map((text) =>
    typeof text === 'string' ? encode(text, undefined, length) : encode(text[0], text[1], length),
  );
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { type }]) => {
      const values = encoded.flatMap((one) => one[name as keyof Encoded]);
      if (type === 'int64') return [name, BigInt64Array.from(values, BigInt)];
      return [name, type === 'int32' ? Int32Array.from(values) : Float32Array.from(values)];
    }),
  );
}
