/** Texts as token ids: as the Rust library `tokenizers` makes them, of the parts of @huggingface/tokenizers that make the same. */
import { charsmapOf } from './charsmap.ts';

/** The class itself: `import { Tokenizer } from '@huggingface/tokenizers'`. */
export type TextTokenizerClass = new (file: object, config: object) => object;

/** What is used of a `Tokenizer` of @huggingface/tokenizers, whose own `encode` looks for added tokens, and for what is unknown, in other ways. */
interface TextTokenizer {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  readonly model: (pieces: string[]) => string[];
  token_to_id(token: string): number | undefined;
}

/** A part of a tokenizer.json; its other fields are by `type`. */
interface TokenizerPart {
  readonly type: string;
  readonly normalizers?: readonly TokenizerPart[];
  readonly pretokenizers?: readonly TokenizerPart[];
  readonly precompiled_charsmap?: string | null;
  readonly handle_chinese_chars?: boolean;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
}

/** A token that is found in texts as it is written, before they are cut into words. */
interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly special?: boolean;
  readonly normalized?: boolean;
}

/** Of a tokenizer.json, what says how a text becomes tokens. */
export interface TokensFile {
  readonly normalizer?: object | null;
  readonly pre_tokenizer?: object | null;
  readonly added_tokens?: readonly object[];
  readonly model?: {
    readonly unk_token?: string | null;
    readonly unk_id?: number | null;
    readonly byte_fallback?: boolean;
  };
}

/** A part of a text that is one token already (`id`), or none yet; `start` is its place. */
interface Section {
  readonly text: string;
  readonly start: number;
  readonly id?: number;
}

/** `isFirst`: it begins where the text does. */
interface Piece {
  readonly text: string;
  readonly isFirst: boolean;
}

/** What `BertNormalizer` puts spaces around (tokenizers, normalizers/bert.rs), beyond U+FFFF, where the class takes half characters. */
const CHINESE_BEYOND =
  /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;
const WORD_CHARACTER = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
/** The words of GPT-2 and RoBERTa; `\s` of JavaScript is not Unicode's white space. */
const BYTE_LEVEL_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * Ids of a text's tokens, special ones left out: of as many words as have `enough` tokens, the last where texts are cut on the left. Throws where
 * there is no token for a part of it.
 */
type Tokens = (text: string, enough: number, side: 'Left' | 'Right') => number[];

/** `file` is as Offramp keeps it. Throws what the class throws. */
export function tokensOf(Tokenizer: TextTokenizerClass, file: TokensFile): Tokens {
  const made = (parts: object) =>
    new Tokenizer(
      // Its model has no added tokens: they are no parts of words.
      { ...{ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null }, ...{ added_tokens: [], model: { type: 'BPE', vocab: {}, merges: [] } }, ...parts }, // biome-ignore format: a line
      // Of a word-level model the class takes `unk_token` from here, not from where tokenizer.json has it.
      { unk_token: file.model?.unk_token },
    ) as TextTokenizer;
  const normalize = normalizerOf(made, file.normalizer as TokenizerPart | null | undefined);
  const cut = pieceCutter(made, file.pre_tokenizer as TokenizerPart | null | undefined);
  const ids = idsOf(made({ model: file.model }), file);
  const added = (file.added_tokens ?? []) as readonly AddedToken[];
  const isNormalized = ({ normalized, special }: AddedToken) => normalized ?? !special;
  const findAsWritten = tokenFinder(added.filter((token) => !isNormalized(token)));
  const findNormalized = tokenFinder(
    added.filter(isNormalized).map((token) => ({ ...token, content: normalize(token.content) })),
  );
  /** Word by word. */
  const wordsOf = function* (text: string): Generator<readonly number[]> {
    // As the UTF-8 of it reads: half a surrogate pair is no character.
    for (const section of findAsWritten(text.replace(/\p{Surrogate}/gu, '\uFFFD'))) {
      if (section.id !== undefined) {
        yield [section.id];
        continue;
      }
      const { start } = section;
      const keepsStart = start === 0 && normalize(String.fromCodePoint(section.text.codePointAt(0)!)) !== '';
      for (const part of findNormalized(normalize(section.text))) {
        const isFirst = start === 0 && part.start === 0;
        if (part.id !== undefined) yield [part.id];
        else for (const piece of cut({ text: part.text, isFirst }, keepsStart)) yield ids(piece);
      }
    }
  };
  return (text, enough, side) => {
    const words: (readonly number[])[] = [];
    let count = 0;
    for (const word of wordsOf(text)) {
      if (side === 'Right' && count >= enough) break;
      words.push(word);
      count += word.length;
    }
    let dropped = 0;
    if (side === 'Left') while (dropped < words.length && count - words[dropped]!.length >= enough) count -= words[dropped++]!.length; // biome-ignore format: a line
    return words.slice(dropped).flat();
  };
}

type MakePart = (parts: object) => TextTokenizer;

const sameText = (text: string): string => text;

function normalizerOf(made: MakePart, part: TokenizerPart | null | undefined): (text: string) => string {
  if (!part) return sameText;
  if (part.type === 'Sequence') {
    const steps = (part.normalizers ?? []).map((step) => normalizerOf(made, step));
    return (text) => steps.reduce((before, step) => step(before), text);
  }
  if (part.type === 'Precompiled') return charsmapOf(part.precompiled_charsmap ?? '');
  const normalize = made({ normalizer: part }).normalizer ?? sameText;
  return part.handle_chinese_chars ? (text) => normalize(text.replace(CHINESE_BEYOND, ' $& ')) : normalize;
}

/** `keepsStart`: the text's first character is not normalized away. */
type CutPieces = (piece: Piece, keepsStart: boolean) => Piece[];

function pieceCutter(made: MakePart, part: TokenizerPart | null | undefined): CutPieces {
  if (!part) return (piece) => [piece];
  if (part.type === 'Sequence') {
    const steps = (part.pretokenizers ?? []).map((step) => pieceCutter(made, step));
    return (piece, keepsStart) =>
      steps.reduce((pieces, step) => pieces.flatMap((one) => step(one, keepsStart)), [piece]);
  }
  const words = part.type === 'ByteLevel' && part.use_regex !== false;
  const config = words ? { ...part, use_regex: false, add_prefix_space: false } : part;
  const step = made({ pre_tokenizer: config }).pre_tokenizer!;
  return ({ text, isFirst }, keepsStart) => {
    const prefixed = words && part.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
    const pieces = words ? (prefixed.match(BYTE_LEVEL_WORDS) ?? []) : [text];
    const parts = pieces.flatMap((piece) => step(piece, { section_index: isFirst ? 0 : 1 }));
    return parts.map((one, i) => ({
      text: one,
      isFirst: isFirst && i === 0 && (one === text || (keepsStart && text.startsWith(one))),
    }));
  };
}

/** Ids of a piece. */
function idsOf(tokenizer: TextTokenizer, { model = {} }: TokensFile): (piece: Piece) => number[] {
  const unknown =
    model.unk_id ?? (model.unk_token == null ? undefined : tokenizer.token_to_id(model.unk_token));
  const utf8 = new TextEncoder();
  const bytesOf = (token: string): number[] | undefined => {
    const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, '0');
    const ids = Array.from(utf8.encode(token), (byte) => tokenizer.token_to_id(`<0x${hex(byte)}>`));
    return ids.every((id) => id !== undefined) ? ids : undefined;
  };
  return ({ text }) =>
    tokenizer.model([text]).flatMap((token) => {
      const id = tokenizer.token_to_id(token);
      if (id !== undefined) return [id];
      const ids = (model.byte_fallback ? bytesOf(token) : undefined) ?? [unknown];
      if (ids.includes(undefined))
        throw new Error(
          `the tokenizer has no token for ${JSON.stringify(token)}, and none for what it does not know`,
        );
      return ids as number[];
    });
}

/** Cuts a text at `tokens`, at the longest where several begin; those of `single_word` only between other characters than a word's. */
function tokenFinder(tokens: readonly AddedToken[]): (text: string) => Section[] {
  const known = new Map(
    tokens.filter(({ content }) => content !== '').map((token) => [token.content, token]),
  );
  const whole = (text: string, start: number): Section[] => (text === '' ? [] : [{ text, start }]);
  if (known.size === 0) return (text) => whole(text, 0);
  const longestFirst = [...known.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'),
    'gu',
  );
  const endsWord = new RegExp(`${WORD_CHARACTER}$`, 'u');
  const beginsWord = new RegExp(`^${WORD_CHARACTER}`, 'u');
  return (text) => {
    const sections: Section[] = [];
    let at = 0;
    for (const { 0: content, index } of text.matchAll(pattern)) {
      const { id, single_word, lstrip, rstrip } = known.get(content)!;
      let [start, end] = [index, index + content.length];
      // Two units hold any character.
      const isInWord =
        endsWord.test(text.slice(Math.max(0, start - 2), start)) || beginsWord.test(text.slice(end, end + 2));
      if (single_word && isInWord) continue;
      if (lstrip) while (start > at && /\p{White_Space}/u.test(text[start - 1]!)) start--;
      if (rstrip) while (end < text.length && /\p{White_Space}/u.test(text[end]!)) end++;
      sections.push(...whole(text.slice(at, start), at), { text: content, start, id });
      at = end;
    }
    return [...sections, ...whole(text.slice(at), at)];
  };
}
