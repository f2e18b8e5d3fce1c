/**
 * A tokenizer.json that @huggingface/tokenizers, with what src/runtime/tokens.ts adds, reads as the reference does, the Rust library `tokenizers`
 * 0.23: parts that it reads otherwise are written as other parts of the same meaning, which both read alike, and those that neither way can
 * be read so are refused.
 */
import { badTokenizerPart } from '../errors/index.ts';
import type { TokenizerFile } from '../runtime/texts.ts';

/** A part of a tokenizer.json, whose fields are by `type`. */
type Part = Readonly<Record<string, unknown>>;

/** `json` so, its other fields as they were. Of what it gives it gives the same. Throws `bad-tokenizer`, naming `file` and the part. */
export function settleTokenizer(file: string, json: unknown): TokenizerFile {
  const refuse: Refuse = (part, problem) => badTokenizerPart(file, part, problem);
  if (!isObject(json)) throw refuse('the file', 'it is no JSON object');
  checkLengths(json, refuse);
  const model = settledModel(json.model, refuse);
  const settled: Part = {
    ...json,
    added_tokens: checkedAdded(json.added_tokens, model, refuse),
    normalizer: sequence(json.normalizer, 'normalizers', settledNormalizer, refuse),
    pre_tokenizer: sequence(json.pre_tokenizer, 'pretokenizers', settledPreTokenizer, refuse),
    post_processor: settledPostProcessor(json.post_processor, refuse),
    model,
  };
  return settled as TokenizerFile;
}

type Refuse = (part: string, problem: string) => Error;

const isObject = (value: unknown): value is Part =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;

/** Where texts are cut and padded. */
function checkLengths({ truncation, padding }: Part, refuse: Refuse): void {
  const isSide = (side: unknown) => side === 'Left' || side === 'Right';
  if (truncation != null) {
    const { max_length: most, strategy, direction = 'Right' } = truncation as Part;
    if (!isId(most) || most === 0) throw refuse('truncation', 'its max_length is no positive number');
    if (!['LongestFirst', 'OnlyFirst', 'OnlySecond'].includes(strategy as string) || !isSide(direction))
      throw refuse('truncation', 'its strategy or its direction is none that there is');
  }
  if (padding == null) return;
  const { pad_id: id, pad_type_id: type, direction } = padding as Part;
  if (!isId(id) || !isId(type) || !isSide(direction))
    throw refuse('padding', 'its pad_id, pad_type_id or direction is none that there is');
}

/** The steps that stand for `step`, after those of `before`. */
type Settle = (step: Part, before: readonly Part[], refuse: Refuse) => readonly Part[];

/** `part` with the steps that stand for its own; itself where these are the same. */
function sequence(part: unknown, field: string, settle: Settle, refuse: Refuse): unknown {
  if (part === null || part === undefined) return null;
  const steps = flat(part, field, refuse);
  const settled: Part[] = [];
  for (const step of steps) settled.push(...settle(step, settled, refuse));
  return JSON.stringify(settled) === JSON.stringify(steps) ? part : { type: 'Sequence', [field]: settled };
}

/** The steps of `part`, those of sequences inside of sequences too. */
function flat(part: unknown, field: string, refuse: Refuse): Part[] {
  if (!isObject(part) || typeof part.type !== 'string') throw refuse(field, 'a part has no type');
  if (part.type !== 'Sequence') return [part];
  const steps = part[field];
  if (!Array.isArray(steps)) throw refuse(part.type, `it has no ${field}`);
  return steps.flatMap((step) => flat(step, field, refuse));
}

const replace = (pattern: Part, content: string): Part => ({ type: 'Replace', pattern, content });

/** Of a step of a `normalizer`. */
function settledNormalizer(step: Part, before: readonly Part[], refuse: Refuse): readonly Part[] {
  // A file that was settled has it already.
  const isThere = before.some((other) => JSON.stringify(other) === JSON.stringify(SIGMA));
  switch (step.type) {
    case 'BertNormalizer':
      return step.lowercase && !isThere ? [SIGMA, step] : [step];
    case 'Lowercase':
      return isThere ? [step] : [SIGMA, step];
    case 'Strip':
      return [
        ...(step.strip_left ? [replace({ Regex: '\\A\\s+' }, '')] : []),
        ...(step.strip_right ? [replace({ Regex: '(?<!\\s)\\s+\\z' }, '')] : []),
      ];
    case 'Nmt':
      return NMT;
    case 'Replace':
      if (typeof step.content === 'string' && /\$[$&`'<\d]/.test(step.content))
        throw refuse(
          'Replace',
          `its content ${JSON.stringify(step.content)} has a $, which is read in another way`,
        );
      checkPattern(step, refuse);
      return [step];
    case 'Precompiled':
    case 'Prepend':
    case 'StripAccents':
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return [step];
    default:
      throw refuse(String(step.type), 'a normalizer that Offramp does not know');
  }
}

/** In front of what makes letters small: JavaScript makes a sigma at the end of a word another one than inside, Rust does not. */
const SIGMA = replace({ String: 'Σ' }, 'σ');

/** `Nmt` (tokenizers, normalizers/unicode.rs). */
const NMT = [
  replace({ Regex: '[\\x{1}-\\x{8}\\x{B}\\x{E}-\\x{1F}\\x{7F}\\x{8F}\\x{9F}]' }, ''),
  replace(
    {
      Regex:
        '[\\x{9}\\x{A}\\x{C}\\x{D}\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}\\x{2581}\\x{FEFF}\\x{FFFD}]',
    },
    ' ',
  ),
];

const isolated = (regex: string): Part => ({
  ...{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
});
const removed = (regex: string): Part => ({ ...isolated(regex), behavior: 'Removed' });
/** Pieces that match, and nothing else. */
const kept = (regex: string): Part => ({ ...removed(regex), invert: true });

/** Of a step of a `pre_tokenizer`. */
function settledPreTokenizer(step: Part, _before: readonly Part[], refuse: Refuse): readonly Part[] {
  switch (step.type) {
    case 'Whitespace':
      return [kept(`[${WORD}]+|[^${WORD}\\s]+`)];
    case 'WhitespaceSplit':
      return [removed('\\s+')];
    case 'BertPreTokenizer':
      return [kept(`[^\\s${PUNCTUATION}]+|[${PUNCTUATION}]`)];
    case 'Punctuation':
      return [split(`[${PUNCTUATION}]`, String(step.behavior ?? 'Isolated'), false, refuse)];
    case 'Digits':
      return [isolated(step.individual_digits ? '\\p{N}' : '\\p{N}+')];
    case 'CharDelimiterSplit':
      return [removed(escaped(String(step.delimiter)))];
    case 'FixedLength': {
      const { length } = step;
      if (!isId(length) || length === 0) throw refuse('FixedLength', 'its length is no positive number');
      return [kept(`[\\s\\S]{1,${length}}`)];
    }
    case 'Split': {
      const regex = patternOf(step, refuse);
      return [split(regex, String(step.behavior), step.invert === true, refuse)];
    }
    case 'Metaspace': {
      const { add_prefix_space: prefix, prepend_scheme: scheme, split: isSplit = true, ...rest } = step;
      if (rest.replacement !== rest.str_rep && rest.str_rep !== undefined)
        throw refuse('Metaspace', 'its str_rep is not its replacement');
      const replacement = String(rest.replacement ?? '▁');
      const settled = { ...rest, replacement, prepend_scheme: prefix === false ? 'never' : (scheme ?? 'always'), split: false }; // biome-ignore format: a line
      return [settled, ...(isSplit ? [mergedWithNext(escaped(replacement))] : [])];
    }
    case 'ByteLevel':
      return [step];
    default:
      throw refuse(String(step.type), 'a pre_tokenizer that Offramp does not know');
  }
}

/** Of a word, as Rust's regex and Unicode have it. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}';
const PUNCTUATION = '\\p{P}\\x{21}-\\x{2F}\\x{3A}-\\x{40}\\x{5B}-\\x{60}\\x{7B}-\\x{7E}';
const mergedWithPrevious = (regex: string): Part => kept(`(?:(?!${regex})[\\s\\S])*(?:${regex})|(?:(?!${regex})[\\s\\S])+`); // biome-ignore format: a line
const mergedWithNext = (regex: string): Part => kept(`(?:${regex})(?:(?!${regex})[\\s\\S])*|(?:(?!${regex})[\\s\\S])+`); // biome-ignore format: a line

/** A `Split` at what matches `regex`. */
function split(regex: string, behavior: string, invert: boolean, refuse: Refuse): Part {
  switch (behavior.toLowerCase()) {
    case 'isolated':
      return isolated(regex);
    case 'contiguous':
      return isolated(`(?:${regex})+`);
    case 'removed':
      return invert ? kept(regex) : removed(regex);
    case 'mergedwithprevious':
      if (!invert) return mergedWithPrevious(regex);
      break;
    case 'mergedwithnext':
      if (!invert) return mergedWithNext(regex);
  }
  throw refuse('Split', `its behavior ${behavior}${invert ? ', inverted,' : ''} is not known to Offramp`);
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** The `pattern` of a part as a regex without groups that capture: JavaScript's `split` gives them too. */
function patternOf(part: Part, refuse: Refuse): string {
  checkPattern(part, refuse);
  const { String: text, Regex: regex } = part.pattern as Part;
  return typeof text === 'string' ? escaped(text) : withoutCaptures(regex as string, refuse);
}

function checkPattern({ type, pattern }: Part, refuse: Refuse): void {
  const text = isObject(pattern) ? (pattern.String ?? pattern.Regex) : undefined;
  if (typeof text !== 'string' || text === '') throw refuse(String(type), 'it has no pattern');
}

function withoutCaptures(regex: string, refuse: Refuse): string {
  if (/(?<!\\)(?:\\\\)*\\(?:[1-9]|k<)/.test(regex))
    throw refuse('Split', `its pattern ${regex} refers to a group`);
  let depth = 0;
  return regex.replace(/\\[\s\S]|\[\^?\]?|\]|\((?!\?)|\(\?<(?![=!])[^>]*>/g, (found) => {
    if (found.startsWith('[')) depth++;
    else if (found === ']') depth = Math.max(0, depth - 1);
    else if (found.startsWith('(') && depth === 0) return '(?:';
    return found;
  });
}

/** As a `TemplateProcessing`, or null: no other knows a pair's types, or gives the ids that it says. Offsets are not read. */
function settledPostProcessor(part: unknown, refuse: Refuse): unknown {
  if (part === null || part === undefined) return null;
  const steps = flat(part, 'processors', refuse).filter(({ type }) => type !== 'ByteLevel');
  const [step] = steps;
  if (!step) return null;
  if (steps.length > 1)
    throw refuse(
      'post_processor',
      `${steps.map(({ type }) => type).join(' after ')} is not known to Offramp`,
    );
  switch (step.type) {
    case 'BertProcessing':
      return templateOf(step, { between: false, type: 1 }, refuse);
    case 'RobertaProcessing':
      return templateOf(step, { between: true, type: 0 }, refuse);
    case 'TemplateProcessing':
      checkTemplate(step, refuse);
      return step;
    default:
      throw refuse(String(step.type), 'a post_processor that Offramp does not know');
  }
}

function templateOf(
  { type: name, cls, sep }: Part,
  { between, type }: { between: boolean; type: number },
  refuse: Refuse,
): Part {
  const special = (token: unknown) => {
    if (Array.isArray(token) && typeof token[0] === 'string' && isId(token[1]))
      return token as [string, number];
    throw refuse(String(name), 'its cls or sep is no token and its id');
  };
  const [start, end] = [special(cls), special(sep)];
  const put = ([id]: [string, number], type_id: number) => ({ SpecialToken: { id, type_id } });
  const text = (id: 'A' | 'B', type_id: number) => ({ Sequence: { id, type_id } });
  const single = [put(start, 0), text('A', 0), put(end, 0)];
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, ...(between ? [put(end, type)] : []), text('B', type), put(end, type)],
    special_tokens: Object.fromEntries(
      [start, end].map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

function checkTemplate({ single, pair, special_tokens: tokens }: Part, refuse: Refuse): void {
  const ids = (name: unknown) => {
    const token =
      isObject(tokens) && typeof name === 'string' && Object.hasOwn(tokens, name) ? tokens[name] : undefined;
    return isObject(token) ? token.ids : undefined;
  };
  for (const parts of [single, pair]) {
    if (!Array.isArray(parts)) throw refuse('TemplateProcessing', 'it has no single or no pair');
    for (const part of parts) {
      const { Sequence: text, SpecialToken: special } = (part ?? {}) as Part;
      const inner = (text ?? special) as Part | undefined;
      const found = text === undefined ? ids(inner?.id) : ['A', 'B'].includes(inner?.id as string) && [0];
      if (!isObject(inner) || !isId(inner.type_id) || !Array.isArray(found) || !found.every(isId))
        throw refuse(
          'TemplateProcessing',
          `it has ${JSON.stringify(part)}, which is no text and no special token of it`,
        );
    }
  }
}

/** The model, with its type, which old files do not say. */
function settledModel(model: unknown, refuse: Refuse): Part {
  if (!isObject(model)) throw refuse('model', 'there is none');
  const type = String(model.type ?? typeOf(model));
  const { vocab } = model;
  if (type === 'Unigram') {
    const isEntry = (entry: unknown) =>
      Array.isArray(entry) && typeof entry[0] === 'string' && Number.isFinite(entry[1]);
    if (!Array.isArray(vocab) || vocab.length === 0 || !vocab.every(isEntry))
      throw refuse(type, 'its vocab is no list of tokens and scores');
    if (model.unk_id != null && !(isId(model.unk_id) && model.unk_id < vocab.length))
      throw refuse(type, `its unk_id ${JSON.stringify(model.unk_id)} is no token of its vocab`);
    return { ...model, type };
  }
  if (!['WordPiece', 'BPE', 'WordLevel'].includes(type))
    throw refuse(type, 'a model that Offramp does not know');
  if (!isObject(vocab)) throw refuse(type, 'it has no vocab');
  const wrong = Object.entries(vocab).find(([, id]) => !isId(id));
  if (wrong)
    throw refuse(
      type,
      `the id of ${JSON.stringify(wrong[0])} is ${JSON.stringify(wrong[1])}, no number of a token`,
    );
  if (model.unk_token != null && typeof model.unk_token !== 'string')
    throw refuse(type, 'its unk_token is no text');
  if (type === 'WordPiece') {
    if (typeof model.unk_token !== 'string' || typeof model.continuing_subword_prefix !== 'string')
      throw refuse(type, 'it has no unk_token or no continuing_subword_prefix');
  }
  return type === 'BPE' ? settledBpe({ ...model, type }, vocab, refuse) : { ...model, type };
}

function typeOf({ vocab, merges, continuing_subword_prefix: prefix }: Part): string {
  if (Array.isArray(merges)) return 'BPE';
  if (Array.isArray(vocab)) return 'Unigram';
  return prefix === undefined ? 'WordLevel' : 'WordPiece';
}

function settledBpe(model: Part, vocab: Part, refuse: Refuse): Part {
  const { merges, continuing_subword_prefix: prefix } = model;
  if (prefix)
    throw refuse('BPE', `its continuing_subword_prefix ${JSON.stringify(prefix)} is not known to Offramp`);
  if (!Array.isArray(merges)) throw refuse('BPE', 'it has no merges');
  for (const merge of merges) {
    const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    const isMerge =
      Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === 'string');
    if (!isMerge || ![...parts, parts.join('')].every((part) => Object.hasOwn(vocab, part)))
      throw refuse('BPE', `its merge ${JSON.stringify(merge)} is not of two tokens that make a third`);
  }
  // Of training: the reference leaves merges out at random.
  return model.dropout == null ? model : { ...model, dropout: null };
}

/** Tokens beside the model's. The reference does not read their ids: it gives them those of the vocabulary, else the next ones. */
function checkedAdded(added: unknown, { vocab }: Part, refuse: Refuse): readonly Part[] {
  if (added === undefined || added === null) return [];
  if (!Array.isArray(added)) throw refuse('added_tokens', 'they are no list');
  const known = new Map<string, number>(
    Array.isArray(vocab) ? vocab.map(([token], id) => [token, id]) : Object.entries(vocab as Record<string, number>), // biome-ignore format: a line
  );
  let next = known.size;
  for (const token of added) {
    const { content, id } = (isObject(token) ? token : {}) as Part;
    if (typeof content !== 'string' || !isId(id))
      throw refuse('added_tokens', `${JSON.stringify(token)} has no content or no id`);
    const given = known.get(content) ?? next;
    if (given !== id)
      throw refuse(
        'added_tokens',
        `${JSON.stringify(content)} is token ${id} there, but the reference makes it ${given}`,
      );
    known.set(content, id);
    next = Math.max(next, id + 1);
  }
  return added as Part[];
}
