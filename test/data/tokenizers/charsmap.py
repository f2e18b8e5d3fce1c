"""Makes charsmap.txt: a small `precompiled_charsmap` of sentencepiece, in base64, of rules like those of nmt_nfkc, and A to a.

    pip install sentencepiece==0.2.2 && python3 charsmap.py
"""
import base64
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece

from make import TEXTS

HERE = Path(__file__).parent
SPACES = "\t\n\x0b\x0c\r\u00a0\u1680\u2009\u200b\u200e\u200f\u2028\u2029\u3000\ufeff\ufffd▁"
NOTHING = "\x01\x07\x1b\x7f"

def field(message, wanted):
    """Of a protobuf message: the bytes of the field of a number."""
    at = 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            number()
        elif key & 7 == 2:
            size = number()
            if key >> 3 == wanted:
                return message[at : at + size]
            at += size
        else:
            at += 4 if key & 7 == 5 else 8
    raise ValueError(f"no field {wanted}")


if __name__ == "__main__":
    rules = {"A": "a", "É": "é"} | {c: " " for c in SPACES} | {c: "" for c in NOTHING}
    for text in TEXTS:
        for i, c in enumerate(text):
            pair = text[i : i + 2]
            for source in [c, pair] if len(pair) == 2 else [c]:
                target = unicodedata.normalize("NFKC", source)
                split = "".join(unicodedata.normalize("NFKC", one) for one in source)
                if target != source and (len(source) == 1 or target != split):
                    rules.setdefault(source, target)
    with tempfile.TemporaryDirectory() as folder:
        hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
        Path(folder, "rules.tsv").write_text("".join(f"{hexes(a)}\t{hexes(b)}\n" for a, b in rules.items()))
        Path(folder, "texts").write_text("the quick brown fox\njumps over the lazy dog\n" * 20)
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/texts", model_prefix=f"{folder}/m", vocab_size=40, normalization_rule_tsv=f"{folder}/rules.tsv",
            minloglevel=2, hard_vocab_limit=False,
        )
        model = Path(folder, "m.model").read_bytes()
    # ModelProto.normalizer_spec, NormalizerSpec.precompiled_charsmap.
    charsmap = base64.b64encode(field(field(model, 3), 2)).decode()
    (HERE / "charsmap.txt").write_text(charsmap + "\n")
    print(len(rules), "rules,", len(charsmap), "characters")
