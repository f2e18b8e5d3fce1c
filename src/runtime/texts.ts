/** Texts as a model's input. */
import type { TensorSpec } from './tensors.ts';
import { type TextTokenizerClass, type TokensFile, tokensOf } from './tokens.ts';
import { told } from './values.ts';

/** What a text becomes, each of the same length; under the names that models call their inputs by. */
export interface Encoded {
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
  readonly token_type_ids: readonly number[];
}

/** Tokens of `text`, and of `pair` if there is one, cut and padded to `length`. */
export type Encode = (text: string, pair: string | undefined, length: number) => Encoded;

/** Of what a text or two become: `Sequence`, the tokens of the text `A` or `B`, or `SpecialToken`. */
type TemplatePart = Readonly<Record<string, { readonly id: string; readonly type_id: number }>>;

/** Where special tokens go: `TemplateProcessing` of a tokenizer.json. */
interface Template {
  readonly single: readonly TemplatePart[];
  readonly pair: readonly TemplatePart[];
  readonly special_tokens: Readonly<Record<string, { readonly ids: readonly number[] }>>;
}

/** What is read of the tokenizer.json beside the package. Offramp wrote it: its other forms are not known here. */
export interface TokenizerFile extends TokensFile {
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
  readonly post_processor?: object | null;
}

/**
 * Encodes as the Rust library `tokenizers` does with this tokenizer.json. Throws what the class throws; the function, where texts cannot be
 * cut so that they and their special tokens fit.
 */
export function encoderOf(Tokenizer: TextTokenizerClass, file: TokenizerFile): Encode {
  const { truncation, padding } = file;
  const template = file.post_processor as Template | null | undefined;
  const tokens = tokensOf(Tokenizer, file);
  const typed = (ids: readonly number[], type: number) => ids.map((token) => ({ token, type }));
  const joined = (a: readonly number[], b: readonly number[] | undefined) => {
    if (!template) return [...typed(a, 0), ...typed(b ?? [], 1)];
    return (b ? template.pair : template.single).flatMap((part) => {
      const text = part.Sequence;
      const { id, type_id: type } = (text ?? part.SpecialToken)!;
      if (text) return typed(id === 'A' ? a : (b ?? []), type);
      return typed(template.special_tokens[id]!.ids, type);
    });
  };

  return (text, pair, length) => {
    const most = Math.min(truncation?.max_length ?? length, length);
    // The library reads no further in what may be cut, and which of two counts as the longer follows from that.
    const side = truncation?.direction === 'Left' ? 'Left' : 'Right';
    const enough = (kept: string) => (truncation?.strategy === kept ? Number.POSITIVE_INFINITY : most);
    const first = tokens(text, enough('OnlySecond'), side);
    const second = pair === undefined ? undefined : tokens(pair, enough('OnlyFirst'), side);
    const room = most - joined([], second && []).length;
    const [a, b] = keptLengths(first.length, second?.length, room, truncation?.strategy);
    const cut = (ids: readonly number[], n: number) =>
      side === 'Left' ? ids.slice(ids.length - n) : ids.slice(0, n);
    const kept = joined(cut(first, a), second && cut(second, b));
    const fill = (values: readonly number[], value: number) => {
      const pads = Array.from({ length: length - values.length }, () => value);
      return padding?.direction === 'Left' ? [...pads, ...values] : [...values, ...pads];
    };
    return {
      input_ids: fill(kept.map(({ token }) => token), padding?.pad_id ?? 0), // biome-ignore format: rows
      attention_mask: fill(kept.map(() => 1), 0),
      token_type_ids: fill(kept.map(({ type }) => type), padding?.pad_type_id ?? 0),
    }; // biome-ignore format: rows
  };
}

/**
 * How many tokens of a text of `a` and of its pair of `b` stay, where there is room for `room` (tokenizers, truncation.rs). Throws where the
 * text that is to be cut is too short for that.
 */
function keptLengths(
  a: number,
  b: number | undefined,
  room: number,
  strategy = 'LongestFirst',
): [number, number] {
  const over = a + (b ?? 0) - room;
  if (over <= 0) return [a, b ?? 0];
  if (room === 0) return [0, 0];
  const fit = (n: number, which: string): number => {
    if (n > over || (n === over && strategy === 'LongestFirst')) return n - over;
    throw new Error(
      `a text of ${a}${b === undefined ? '' : ` and ${b}`} tokens does not fit in ${room} beside its special tokens: ${which} is to be cut`,
    );
  };
  if (strategy === 'OnlySecond') return [a, fit(b ?? 0, 'only its pair')];
  if (b === undefined) return [fit(a, 'it'), 0];
  if (strategy === 'OnlyFirst') return [fit(a, 'only the first'), b];
  if (room < 0) fit(0, 'nothing');
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
  // Not `map`, which passes over holes.
  const encoded = Array.from(texts, (text, n) => {
    const parts: readonly unknown[] = Array.isArray(text) ? text : [text];
    const isText = parts.length === 1 ? !Array.isArray(text) : parts.length === 2;
    if (!isText || !parts.every((part) => typeof part === 'string'))
      throw new TypeError(`text ${n}: a string, or two as a list, expected, got ${told(text)}`);
    const [first, pair] = parts as readonly [string, string?];
    return encode(first, pair, length);
  });
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { type }]) => {
      const values = encoded.flatMap((one) => one[name as keyof Encoded]);
      if (type === 'int64') return [name, BigInt64Array.from(values, BigInt)];
      return [name, type === 'int32' ? Int32Array.from(values) : Float32Array.from(values)];
    }),
  );
}
