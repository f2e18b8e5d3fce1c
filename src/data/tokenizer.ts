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
import type { TextTokenizerClass } from '../runtime/tokens.ts';
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
    refuseEndlessRegexes(json, limited(PROBE_MS));
    return limited(MOST_MS);
  } catch (error) {
    throw asBadTokenizer(file, error);
  }
}

const PROBE_MS = 5_000;
const PROBE_LENGTH = 300;
/** Of a regex, characters that are probed. */
const MOST_PROBES = 40;

/** A regex that takes exponential time does so on one character of it again and again. Throws what `encode` throws of those. */
function refuseEndlessRegexes({ normalizer, pre_tokenizer }: TokenizerFile, encode: Encode): void {
  const regexes: string[] = [];
  JSON.stringify([normalizer, pre_tokenizer], (key, value) => {
    if (key === 'Regex') regexes.push(String(value));
    return value;
  });
  const literal = new Set(regexes.join('').replace(/\\([pP]\{.*?\}|x\{.*?\}|.)/g, ''));
  const probed =
    regexes.length === 0 ? [] : [...new Set(['a', 'A', '1', ' ', '\n', '.', 'é', '日', ...literal])];
  for (const character of probed.slice(0, MOST_PROBES))
    for (const end of ['!', 'b', '\u0001'])
      try {
        encode(`${character.repeat(PROBE_LENGTH)}${end}`, undefined, 8 * PROBE_LENGTH);
      } catch (error) {
        // Of the text itself nothing matters: it may have no tokens.
        if (error instanceof OfframpError) throw error;
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
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config;
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
  const { pad_token: given } = config;
  const token = typeof given === 'string' ? given : (given as { content?: unknown } | null)?.content;
  const id = typeof token === 'string' ? idOf(json, token) : undefined;
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
