"""The morphemes of a text that say something, each weighed: Kiwi's nouns, roots and Chinese characters, and
Latin words in lower case, with C++, C#, .NET and Node.js whole; no verbs.

Kiwi is loaded by the process that calls this first: some seconds and 520 MB, so never by one that serves.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

FIRST_LINE_WEIGHT = 2.0
"""The first line is a posting's title or the wanted job."""
EVERYDAY_WEIGHT = 0.25
COMMON_WEIGHT = 0.75
_WORDS: dict[str, Any] = yaml.load(
    (Path(__file__).parent / "morphemes.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)
EVERYDAY = frozenset(_WORDS["everyday"])
"""Words that are in postings of every trade."""
COMMON = frozenset(_WORDS["common"])
"""Words of most software postings: they separate software from other trades, not its fields."""
LOANWORDS = {foreign: korean for korean, spellings in _WORDS["loanwords"].items() for foreign in spellings}
"""One spelling for words that are written in either script."""

_CONTENT_TAGS = frozenset(("NNG", "NNP", "NR", "XR", "SH"))
_LATIN_WORD = re.compile(r"\.net(?![a-z0-9])|(?<![a-z0-9])[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*(?:\+\+|#)?")
_SPLIT_COMPOUND = re.compile(r"\b(front|back|full|deep|machine|spring)[ -](end|stack|learning|boot)\b")


def load_kiwi(words: Iterable[str] = (), *, threads: int = 1, names: bool = True) -> Kiwi:
    """Returns an analyser that knows the loanwords, and `words`, as words of their own. Without the `names`
    of works, people and places that Kiwi has from encyclopaedias, and the spelling mistakes, it takes 330 MB
    and half the time to load."""
    from kiwipiepy import Kiwi  # noqa: PLC0415 - a process that analyses nothing need not load it

    kiwi = Kiwi(num_workers=threads, load_multi_dict=names, load_typo_dict=names)
    # Kiwi takes 백엔드 for 백 + 엔드, which would make it half a 프론트엔드.
    for word in {*LOANWORDS, *LOANWORDS.values(), *words}:
        if not word.isascii():
            kiwi.add_user_word(word, "NNP", 0)
    # The first text builds Kiwi's tables: better now than with somebody waiting.
    kiwi.tokenize("준비")
    return kiwi


def morpheme_weights(kiwi: Kiwi, texts: Iterable[str]) -> Iterator[dict[str, float]]:
    """Yields the weight of every morpheme of each text: 1 + log of its count, doubled where the first line
    has it, less where it is in postings of every trade."""
    listed = [_SPLIT_COMPOUND.sub(r"\1\2", unicodedata.normalize("NFKC", text).lower()) for text in texts]
    for text, tokens in zip(listed, kiwi.tokenize(listed), strict=True):
        latin = [(match.start(), match[0]) for match in _LATIN_WORD.finditer(text)]
        # Kiwi's own Latin tokens fall apart at digits and signs (K-8-s, C-++), so they are left out.
        korean = [
            (token.start, token.form) for token in tokens if token.tag.partition("-")[0] in _CONTENT_TAGS
        ]
        end = text.find("\n")
        first_line_end = len(text) if end < 0 else end
        counts: Counter[str] = Counter()
        in_first_line: set[str] = set()
        for start, form in sorted(latin + korean):
            morpheme = LOANWORDS.get(form, form)
            counts[morpheme] += 1
            if start < first_line_end:
                in_first_line.add(morpheme)
        yield {
            morpheme: (1 + math.log(count))
            * (FIRST_LINE_WEIGHT if morpheme in in_first_line else 1.0)
            * (EVERYDAY_WEIGHT if morpheme in EVERYDAY else COMMON_WEIGHT if morpheme in COMMON else 1.0)
            for morpheme, count in counts.items()
        }
