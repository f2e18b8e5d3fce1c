/** tokenizer.json, and tokenizer_config.json beside it, which says on what side texts are padded, and with what. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  asBadTokenizer,
  badTokenizerConfig,
  messageOf,
  OfframpError,
  tokenizerTooSlow,
} from '../errors/index.ts';
import { type Encode, type Encoded, encoderOf, type TokenizerFile } from '../runtime/texts.ts';
import { type TextTokenizerClass, tokensOf } from '../runtime/tokens.ts';
import { isFile } from './files.ts';
import { settleTokenizer } from './settle-tokenizer.ts';
import { parseJson } from './text.ts';
import { TooLong, withTimeLimit } from './time-limit.ts';

export const ENCODED = ['input_ids', 'attention_mask', 'token_type_ids'] as const satisfies (keyof Encoded)[];

/** Whether an input of this name is something that a text is encoded into. */
export const isEncoded = (name: string): name is keyof Encoded => ENCODED.some((encoded) => encoded === name);

/** Longest that one text may take. The longest article takes a second. */
const MOST_MS = 60_000;

/**
 * A tokenizer.json as Hugging Face's `tokenizers` understands it; generated packages read it alike. Throws `bad-tokenizer`; the function, what
 * `encoderOf` says, and `bad-tokenizer` where a text takes a minute.
 */
export async function loadTokenizer(file: string): Promise<Encode> {
  try {
    const text = (await readTokenizerFile(file)).toString();
    const json = JSON.parse(text) as TokenizerFile;
    const { Tokenizer } = await import('@huggingface/tokenizers');
    // The package's own types do not resolve in Node: they import each other without extensions.
    const encode = encoderOf(Tokenizer as unknown as TextTokenizerClass, json);
    const limited =
      (ms: number): Encode =>
      (...texts) => {
        try {
          return withTimeLimit(ms, () => encode(...texts));
        } catch (error) {
          throw error instanceof TooLong ? tokenizerTooSlow(file, texts[0], ms) : error;
        }
      };
    const probed = probedCharacters(json);
    refuseEndlessRegexes(probed, limited(PROBE_MS));
    refuseSlowRegexes(
      probed,
      tokensOf(Tokenizer as unknown as TextTokenizerClass, { ...json, ...OF_WORDS }),
      file,
    );
    return limited(MOST_MS);
  } catch (error) {
    throw asBadTokenizer(file, error);
  }
}

const PROBE_MS = 5_000;
const PROBE_LENGTH = 300;
/** Of a regex, characters that are probed. */
const MOST_PROBES = 40;

/** Characters that tell what the regexes in a file do: usual ones, and those that stand in the regexes; none where there are no regexes. */
function probedCharacters({ normalizer, pre_tokenizer }: TokenizerFile): readonly string[] {
  const regexes: string[] = [];
  JSON.stringify([normalizer, pre_tokenizer], (key, value) => {
    if (key === 'Regex') regexes.push(String(value));
    return value;
  });
  if (regexes.length === 0) return [];
  const literal = regexes.join('').replace(/\\([pP]\{.*?\}|x\{.*?\}|.)/g, '');
  return [...new Set(['a', 'A', '1', ' ', '\n', '.', 'é', '日', ...literal])].slice(0, MOST_PROBES);
}

/** A regex that takes exponential time does so on one character of it again and again. Throws what `encode` throws of those. */
function refuseEndlessRegexes(characters: readonly string[], encode: Encode): void {
  for (const character of characters)
    for (const end of ['!', 'b', '\u0001'])
      try {
        encode(`${character.repeat(PROBE_LENGTH)}${end}`, undefined, 8 * PROBE_LENGTH);
      } catch (error) {
        // Of the text itself nothing matters: it may have no tokens.
        if (error instanceof OfframpError) throw error;
      }
}

/** Of a text that long a regex that takes the square of its length takes milliseconds, one that takes its third power minutes. */
const LONG_LENGTH = 5_000;
/** A model that takes no time: what is probed is how texts are cut into words. */
const OF_WORDS = { model: { type: 'WordLevel', vocab: { '?': 0 }, unk_token: '?' }, added_tokens: [] };

/** In packages nothing stops a regex, so one that a page of text could keep busy for minutes is refused. Throws `bad-tokenizer`. */
function refuseSlowRegexes(
  characters: readonly string[],
  words: ReturnType<typeof tokensOf>,
  file: string,
): void {
  for (const character of characters) {
    const text = `${character.repeat(LONG_LENGTH)}\u0001`;
    try {
      withTimeLimit(PROBE_MS, () => words(text, Number.POSITIVE_INFINITY, 'Right'));
    } catch (error) {
      if (error instanceof TooLong) throw tokenizerTooSlow(file, text, PROBE_MS);
    }
  }
}

/** What is read of a tokenizer_config.json. */
interface TokenizerConfig {
  readonly padding_side?: unknown;
  readonly truncation_side?: unknown;
  readonly model_max_length?: unknown;
  /** A text, or an added token. */
  readonly pad_token?: unknown;
}

const SIDE = { is: (value: unknown) => sideOf(value) !== undefined, what: 'left or right' };
const CONFIG_VALUES: Readonly<
  Record<keyof TokenizerConfig, { readonly is: (value: unknown) => boolean; readonly what: string }>
> = {
  padding_side: SIDE,
  truncation_side: SIDE,
  model_max_length: { is: (value) => typeof value === 'number' && value > 0, what: 'a number above 0' },
  pad_token: { is: (value) => contentOf(value) !== undefined, what: 'a text or an added token' },
};

/** Of a token that is written as a text, or as an added token. */
function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'string' ? token : (token as { content?: unknown } | null)?.content;
  return typeof content === 'string' ? content : undefined;
}

const configBeside = (file: string) => join(dirname(file), 'tokenizer_config.json');

/** The files that what `readTokenizerFile` gives depends on. */
export const tokenizerFiles = (file: string): string[] => [file, configBeside(file)].filter(isFile);

/**
 * The bytes of `file`, or, where they are to be read in another way, those of a file that says the same so: as tokenizer_config.json beside it
 * says how texts are padded and cut, which transformers and transformers.js read too; and with parts that JavaScript reads as the reference does
 * (`settleTokenizer`). Throws `bad-tokenizer`, and what reading and parsing `file` throw.
 */
export async function readTokenizerFile(file: string): Promise<Buffer> {
  const bytes = await readFile(file);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const json = parseJson(text.replace(/^\uFEFF/, ''));
  const settled = await withConfig(file, settleTokenizer(file, json) as WholeTokenizer);
  const isSame = !text.startsWith('\uFEFF') && JSON.stringify(settled) === JSON.stringify(json);
  return isSame ? bytes : Buffer.from(`${JSON.stringify(settled, null, 2)}\n`);
}

async function withConfig(file: string, json: WholeTokenizer): Promise<WholeTokenizer> {
  const beside = configBeside(file);
  if (!isFile(beside)) return json;
  const config = await readTokenizerConfig(beside);
  return {
    ...json,
    truncation: truncationOf(json, config) ?? null,
    padding: paddingOf(json, config) ?? null,
  };
}

async function readTokenizerConfig(file: string): Promise<TokenizerConfig> {
  let problem = 'it is no JSON object';
  try {
    const config: unknown = parseJson((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''));
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) {
      const wrong = Object.entries(CONFIG_VALUES).find(([name, { is }]) => {
        const value = (config as TokenizerConfig)[name as keyof TokenizerConfig];
        return value !== undefined && value !== null && !is(value);
      });
      if (!wrong) return config;
      problem = `its ${wrong[0]} is not ${wrong[1].what}`;
    }
  } catch (error) {
    problem = messageOf(error);
  }
  throw badTokenizerConfig(file, problem);
}

/** Of tokenizer.json, what pad tokens are looked up in. */
interface WholeTokenizer extends TokenizerFile {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly model?: TokenizerFile['model'] & { readonly vocab?: unknown };
}

/** What `model_max_length` is where nobody said one: a number like 1e30. */
const ANY_LENGTH = 1e6;

const isLength = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= ANY_LENGTH;

const sideOf = (side: unknown): 'Left' | 'Right' | undefined =>
  side === 'left' ? 'Left' : side === 'right' ? 'Right' : undefined;

function truncationOf({ truncation }: WholeTokenizer, config: TokenizerConfig): TokenizerFile['truncation'] {
  const { model_max_length: most } = config;
  const side = sideOf(config.truncation_side);
  if (!isLength(most)) return truncation && side ? { ...truncation, direction: side } : truncation;
  const usual = { direction: 'Right', strategy: 'LongestFirst', stride: 0, ...truncation };
  return {
    ...usual,
    ...(side && { direction: side }),
    max_length: Math.min(most, truncation?.max_length ?? most),
  };
}

function paddingOf(json: WholeTokenizer, config: TokenizerConfig): TokenizerFile['padding'] {
  const { padding } = json;
  const side = sideOf(config.padding_side);
  const token = contentOf(config.pad_token);
  const id = token === undefined ? undefined : idOf(json, token);
  if (side === undefined && id === undefined) return padding;
  const usual = { strategy: 'BatchLongest', direction: 'Right', pad_id: 0, pad_type_id: 0, ...padding };
  return {
    ...usual,
    ...(side && { direction: side }),
    ...(id !== undefined && { pad_id: id, pad_token: token }),
  };
}

/** Of a token in `json`; undefined where it has none. */
function idOf({ added_tokens = [], model }: WholeTokenizer, token: string): number | undefined {
  const added = added_tokens.find(({ content }) => content === token);
  if (added) return added.id;
  const { vocab } = model ?? {};
  if (Array.isArray(vocab)) {
    const place = vocab.findIndex((entry) => Array.isArray(entry) && entry[0] === token);
    return place < 0 ? undefined : place;
  }
  const id = (vocab as Record<string, unknown> | undefined)?.[token];
  return typeof id === 'number' ? id : undefined;
}

/** Most tokens of a text that the tokenizer in `file` and a model of `positions` take; undefined where neither says. Throws `bad-tokenizer`. */
export async function maxLengthOf(file: string, positions?: number): Promise<number | undefined> {
  try {
    const { truncation } = JSON.parse((await readTokenizerFile(file)).toString()) as TokenizerFile;
    const known = [truncation?.max_length, positions].filter(isLength);
    return known.length === 0 ? undefined : Math.min(...known);
  } catch (error) {
    throw asBadTokenizer(file, error);
  }
}
