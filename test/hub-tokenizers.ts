/** Small tokenizers of the forms that BERT, DistilBERT and RoBERTa have, as their tokenizer.json and tokenizer_config.json say them. */

const special = (id: number, content: string) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
});

/** BERT's: words in pieces. */
export function wordPieceTokenizer(): object {
  const words = [
    '[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'hello', 'world', 'it', 'work', '##s', ',', '.', '!', 'text', 'tabs', 'and', 'new',
    '##line', 'space', 'na', '##ive', 'cafe', 'deja', 'vu', '日', '本', ...'abcdefghij', ...[...'abcdefghij'].map((c) => `##${c}`),
  ]; // biome-ignore format: words
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((token, id) => special(id, token)),
    normalizer: {
      ...{ type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true },
      ...{ strip_accents: null, lowercase: true },
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
      ],
      pair: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  };
}

/** Bytes as GPT-2 writes them: those that print as themselves, the others from U+0100 on. */
function byteCharacters(): string[] {
  const printed = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printed(b) ? b : next++));
}

/** RoBERTa's: pairs of bytes, merged. `<pad>` is token 1, not 0. */
export function byteLevelTokenizer(): object {
  const merges = [
    'h e',
    'l l',
    'he ll',
    'hell o',
    'Ġ w',
    'o r',
    'Ġw or',
    'l d',
    'Ġwor ld',
    'i t',
    'Ġ it',
    't e',
    'x t',
    'te xt',
  ];
  const tokens = [
    '<s>', '<pad>', '</s>', '<unk>', ...byteCharacters(), ...merges.map((merge) => merge.replace(' ', '')), '<mask>',
  ]; // biome-ignore format: tokens
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['<s>', '<pad>', '</s>', '<unk>', '<mask>'].map((token) =>
      special(tokens.indexOf(token), token),
    ),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['</s>', 2],
      cls: ['<s>', 0],
      trim_offsets: true,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

const BERT = {
  cls_token: '[CLS]',
  mask_token: '[MASK]',
  pad_token: '[PAD]',
  sep_token: '[SEP]',
  unk_token: '[UNK]',
};

/** By model: its tokenizer and what stands beside it. All take 40 tokens. */
export const SPECIAL_CONFIGS = {
  bert: {
    tokenizer: 'word-piece',
    config: {
      model_type: 'bert',
      tokenizer: { ...BERT, do_lower_case: true, model_max_length: 40, tokenizer_class: 'BertTokenizer' },
    },
  },
  distilbert: {
    tokenizer: 'word-piece',
    config: {
      model_type: 'distilbert',
      tokenizer: {
        ...BERT,
        do_lower_case: true,
        model_max_length: 40,
        tokenizer_class: 'DistilBertTokenizer',
      },
    },
  },
  'bert, padded on the left': {
    tokenizer: 'word-piece',
    config: {
      model_type: 'bert',
      tokenizer: { ...BERT, padding_side: 'left', model_max_length: 40, tokenizer_class: 'BertTokenizer' },
    },
  },
  roberta: {
    tokenizer: 'byte-level',
    config: {
      model_type: 'roberta',
      tokenizer: {
        ...{ bos_token: '<s>', cls_token: '<s>', eos_token: '</s>', sep_token: '</s>', unk_token: '<unk>' },
        ...{ mask_token: '<mask>', pad_token: { content: '<pad>', __type: 'AddedToken' } },
        ...{ model_max_length: 40, tokenizer_class: 'RobertaTokenizer' },
      },
    },
  },
} as const;
