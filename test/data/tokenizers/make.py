"""Makes what lies beside this file: tiny tokenizers of many forms, and the ids that the reference library gives. See README.md.

    pip install tokenizers==0.23.2 && python3 make.py
"""
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent

CORPUS = """
The quick brown fox jumps over the lazy dog, and the dog does not mind. It's a fine day; we'll see what they've done!
A small model answers first, and a large model answers what the small one does not know: that is what an early exit is.
In 2024 the price rose by 12.5 % to $1,234.50 (or about 1100 euro), they said. Isn't it strange? "Yes," he said - "very".
Der Müller fährt über die Brücke nach Köln. El niño comió piñas. Le café était déjà fermé, naïve façade. Ångström, Øre, Łódź.
ΟΔΥΣΣΕΥΣ ο Οδυσσέας και ο σκύλος. Быстрая лиса прыгает через ленивую собаку. İstanbul'da ışık var.
日本語の文章です。東京は大きい。我们喜欢学习中文。 한국어 문장입니다. สวัสดีครับ
مرحبا بالعالم، هذا نص قصير. שלום עולם. नमस्ते दुनिया।
hello world hello worlds unbelievable unhappily walking walked walks hello_world snake_case camelCase x1 y22 z333
""".strip().split("\n")

TEXTS = [
    "",
    " ",
    "   \t\n  ",
    "hello world",
    "Hello, World! It's a fine day; we'll see.",
    "  leading and trailing  ",
    "two  spaces   three    four",
    "tabs\tand\nnewlines\r\nand\u000bverticals\u000cfeeds",
    "price: $1,234.50 (12.5 %) -- x1 y22 z333 10000000",
    "wait...what?! (yes) [no] {maybe} <tag> a/b\\c `tick` ~tilde^ $ + = | #hash @at",
    "snake_case camelCase hello_world",
    "don't DON'T Don't we've they're I'm he'd she'll",
    "naïve café déjà vu façade Ångström Øre Łódź",
    "nai\u0308ve cafe\u0301 A\u030angstro\u0308m o\u0323\u0302",
    "ΟΔΥΣΣΕΥΣ ΟΔΟΣ Σ ΑΣ. ΑΣΑ Οδυσσέας",
    "İstanbul ISPARTA ışık STRAẞE straße ǅ ŉ",
    "Быстрая ЛИСА прыгает",
    "日本語の文章です。東京は大きい。",
    "我们喜欢学习中文 English 混合 text",
    "𠀀𠀁 rare 𪜀han丽x",
    "ｆｕｌｌｗｉｄｔｈ　ｓｐａｃｅ ｶﾀｶﾅ ①②③ ½ Ⅷ x² ﬁne ™ ℃",
    "한국어 문장입니다 \u1112\u1161\u11ab",
    "สวัสดีครับ नमस्ते दुनिया।",
    "مرحبا بالعالم، هذا نص ١٢٣ ۴۵۶",
    "שלום עולם 12",
    "emoji 😀😃 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ end",
    "\ufeffbom at the start",
    "bom\ufeffin the\ufeff middle \ufeff alone",
    "\u200bzero\u200bwidth\u200c joiners\u200d and\u2060 more\u00adsoft",
    "nbsp\u00a0here thin\u2009space ideographic\u3000space line\u2028sep para\u2029sep nel\u0085x ogham\u1680y",
    "control\u0000\u0001\u0007\u001b\u007f\u0090 characters \ufffd replaced",
    "\u0301lone mark \u0301 and \ue000private \u0378unassigned",
    "▁literal ▁ lower▁one eighth",
    "<unk> <mask> [MASK] [CLS] hello [SEP] <s> </s> <pad>",
    "a[MASK]b <mask>c d <mask> e  <mask>  f",
    "keepme keepmeup upkeepme keepme, (keepme) éKEEPME keepmeé _keepme keepme_ 中keepme",
    "lefty  lefty right  righty  right both  bothy  both upper UPPERY upper",
    "Éa éa ÉA wordé",
    "ab\u2603cd \u2603\u2603 \u2603 ef \u2603",
    "``quoted'' ''text`` \"double\"",
    "http://example.com/a?b=c&d=e#f user@example.com",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101,
    "unbelievably" * 20,
    "the quick brown fox jumps over the lazy dog. " * 12,
    "日本" * 120,
    " " * 150 + "after many spaces",
    "word" + "\n" * 40 + "word",
    "!?" * 60,
]
PAIRS = [
    ["hello world", "the quick brown fox"],
    ["", "hello"],
    ["hello", ""],
    ["", ""],
    ["The dog does not mind.", "It's a fine day; we'll see what they've done!"],
    ["the quick brown fox jumps over the lazy dog and walks", "日本語 café"],
    ["\ufeffbom", " leading space"],
    ["[MASK] a", "<mask> b keepme"],
]
# Lengths that pairs and the texts of CUT are cut at.
LENGTHS = [4, 5, 8, 9, 14]
CUT = [4, 12, 43]


def special(*contents, **more):
    return [AddedToken(content, special=True, normalized=False, **more) for content in contents]


OTHERS = [
    AddedToken("keepme", single_word=True, normalized=False),
    AddedToken("lefty", lstrip=True, normalized=False),
    AddedToken("righty", rstrip=True, normalized=False),
    AddedToken("bothy", lstrip=True, rstrip=True, single_word=True, normalized=False),
    AddedToken("uppery", normalized=True),
    AddedToken("Éa", normalized=True),
]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]
PUNCTUATIONS = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train(model, trainer, normalizer=None, pre_tokenizer=None, post=None, added=()):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens(list(added))
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    return tokenizer


def word_piece(lowercase, strip_accents=None, post=None, added=(), size=300):
    return train(
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=size, special_tokens=special(*BERT), show_progress=False),
        normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents),
        pre_tokenizers.BertPreTokenizer(),
        post or bert_template,
        added,
    )


def bpe(pre_tokenizer, post=None, normalizer=None, specials=(), added=(), size=420, bytes_=True, **model):
    return train(
        models.BPE(**model),
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(specials),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if bytes_ else [],
            end_of_word_suffix=model.get("end_of_word_suffix") or "",
            show_progress=False,
        ),
        normalizer,
        pre_tokenizer,
        post,
        added,
    )


def unigram(normalizer, pre_tokenizer, post, specials, unk="<unk>", added=(), size=260):
    return train(
        models.Unigram(),
        trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token=unk, show_progress=False),
        normalizer,
        pre_tokenizer,
        post,
        added,
    )


def template(single, pair, *names):
    return lambda t: processors.TemplateProcessing(single, pair, [(name, t.token_to_id(name)) for name in names])


def named(kind, sep, cls, **more):
    return lambda t: kind((sep, t.token_to_id(sep)), (cls, t.token_to_id(cls)), **more)


bert_template = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]")
xlm_template = template("<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")


def word_level(pre_tokenizer, normalizer=None, post=None, added=()):
    return train(
        models.WordLevel(unk_token="[UNK]"),
        trainers.WordLevelTrainer(vocab_size=400, special_tokens=special(*BERT), show_progress=False),
        normalizer,
        pre_tokenizer,
        post,
        added,
    )


def llama():
    """BPE of sentencepiece: a space is a character like others, and what is unknown its bytes."""
    made = bpe(
        None,
        template("<s> $A", "<s> $A <s>:1 $B:1", "<s>"),
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        specials=special("<unk>", "<s>", "</s>") + [f"<0x{byte:02X}>" for byte in range(256)],
        bytes_=False,
        size=480,
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    # Trained without pre-tokenizer, merges go over whole sentences; bytes are of the vocabulary, not added tokens.
    whole = json.loads(made.to_str())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["id"] < 3]
    return Tokenizer.from_str(json.dumps(whole))


def unigram_bytes():
    made = unigram(
        normalizers.NFKC(),
        pre_tokenizers.Metaspace(),
        template("$A </s>", "$A </s> $B </s>", "</s>"),
        special("<unk>", "</s>"),
    )
    whole = json.loads(made.to_str())
    whole["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    whole["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(whole))


def charsmap():
    """A Precompiled normalizer of the rules that charsmap.py makes."""
    import base64

    return normalizers.Precompiled(base64.b64decode((HERE / "charsmap.txt").read_text()))


FORMS = {
    "bert-uncased": lambda: word_piece(True),
    "bert-cased": lambda: word_piece(False, False, named(processors.BertProcessing, "[SEP]", "[CLS]")),
    "distilbert-added-tokens": lambda: word_piece(True, added=OTHERS, size=200),
    "roberta": lambda: bpe(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        named(processors.RobertaProcessing, "</s>", "<s>", add_prefix_space=False),
        specials=special(*ROBERTA) + special("<mask>", lstrip=True),
        added=OTHERS,
    ),
    "roberta-prefix-space": lambda: bpe(
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        named(processors.RobertaProcessing, "</s>", "<s>", add_prefix_space=True),
        specials=special(*ROBERTA) + special("<mask>", lstrip=True),
    ),
    "xlm-roberta": lambda: unigram(
        charsmap(),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        xlm_template,
        special(*ROBERTA) + special("<mask>", lstrip=True),
    ),
    "albert": lambda: unigram(
        normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.Replace("''", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        pre_tokenizers.Metaspace(),
        bert_template,
        special("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    ),
    "deberta-v2": lambda: unigram(
        normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")]),
        template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]"),
        special("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"),
        unk="[UNK]",
        added=OTHERS,
    ),
    "t5": lambda: unigram(
        normalizers.NFKC(),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]),
        template("$A </s>", "$A </s> $B </s>", "</s>"),
        special("<pad>", "</s>", "<unk>"),
        added=OTHERS,
    ),
    "metaspace-first": lambda: unigram(
        None,
        pre_tokenizers.Metaspace(prepend_scheme="first"),
        template("$A </s>", "$A </s> $B </s>", "</s>"),
        special("<pad>", "</s>", "<unk>", "<mask>"),
        added=OTHERS,
    ),
    "metaspace-never": lambda: unigram(
        normalizers.Strip(left=True, right=False),
        pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
        template("$A </s>", "$A </s> $B </s>", "</s>"),
        special("<pad>", "</s>", "<unk>", "<mask>"),
    ),
    "unigram-bytes": unigram_bytes,
    "gpt2": lambda: bpe(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        lambda _: processors.ByteLevel(trim_offsets=False),
        specials=special("<|endoftext|>"),
    ),
    "gpt4-split": lambda: bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(GPT4), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        lambda t: processors.Sequence(
            [template("<|a|> $A", "<|a|> $A <|a|>:1 $B:1", "<|a|>")(t), processors.ByteLevel(trim_offsets=False)]
        ),
        specials=special("<|a|>"),
        ignore_merges=True,
    ),
    "clip": lambda: bpe(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        named(processors.RobertaProcessing, "<|endoftext|>", "<|startoftext|>", trim_offsets=False, add_prefix_space=False),
        normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        specials=special("<|startoftext|>", "<|endoftext|>"),
        unk_token="<|endoftext|>",
        end_of_word_suffix="</w>",
        size=560,
    ),
    "char-bpe": lambda: bpe(
        pre_tokenizers.WhitespaceSplit(),
        None,
        normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
        specials=special("<unk>"),
        bytes_=False,
        unk_token="<unk>",
        end_of_word_suffix="</w>",
    ),
    "char-bpe-fused": lambda: bpe(
        pre_tokenizers.BertPreTokenizer(),
        None,
        normalizers.BertNormalizer(lowercase=False),
        specials=special("<unk>"),
        bytes_=False,
        size=200,
        unk_token="<unk>",
        fuse_unk=True,
    ),
    "llama": llama,
    "word-level-whitespace": lambda: word_level(pre_tokenizers.Whitespace(), post=bert_template, added=OTHERS),
    "word-level-split-punctuation-digits": lambda: word_level(
        pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(True)]
        ),
        normalizers.Lowercase(),
    ),
    **{
        f"punctuation-{behavior.replace('_', '-')}": lambda behavior=behavior: word_level(
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior)])
        )
        for behavior in PUNCTUATIONS
    },
    **{
        f"split-{behavior.replace('_', '-')}": lambda behavior=behavior: word_level(
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(r"(\s)"), behavior),
                    pre_tokenizers.Split("'", behavior),
                    pre_tokenizers.Digits(False),
                ]
            ),
            normalizers.Nmt(),
        )
        for behavior in PUNCTUATIONS
    },
    "delimiters": lambda: word_level(
        pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit(" "), pre_tokenizers.Split(Regex("[.,!?]+"), "contiguous", invert=True)])
    ),
    "fixed-length": lambda: word_level(pre_tokenizers.FixedLength(3)),
}


def encode(tokenizer, *texts):
    try:
        made = tokenizer.encode(*texts)
    except Exception as error:
        return {"error": str(error)}
    return {"ids": made.ids, "types": made.type_ids}


def reference(tokenizer):
    """What the library says; `cut` by length, strategy and side, of each pair and then of each text of CUT."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    known = {
        "texts": [encode(tokenizer, text)["ids"] for text in TEXTS],
        "pairs": [encode(tokenizer, *pair) for pair in PAIRS],
        "cut": [],
    }
    for strategy in ["longest_first", "only_first", "only_second"]:
        for direction in ["right", "left"]:
            for length in LENGTHS:
                try:
                    tokenizer.enable_truncation(length, strategy=strategy, direction=direction)
                except Exception:
                    continue
                made = [encode(tokenizer, *pair) for pair in PAIRS] + [encode(tokenizer, TEXTS[i]) for i in CUT]
                known["cut"].append(
                    {
                        "length": length,
                        "strategy": strategy,
                        "direction": direction,
                        "ids": [one.get("ids") for one in made],
                    }
                )
    tokenizer.no_truncation()
    return known


def write(file, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(HERE / "texts.json", {"texts": TEXTS, "pairs": PAIRS, "cut": CUT})
    for name, make in FORMS.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        file = folder / "tokenizer.json"
        # Training gives another vocabulary every time: what there is stays, so that the same ids come out.
        if not file.exists():
            write(file, json.loads(make().to_str()))
        made = Tokenizer.from_file(str(file))
        write(folder / "ids.json", reference(made))
        print(name, made.get_vocab_size())
