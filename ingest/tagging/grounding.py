"""Whether a line stands in a document.

Both are folded first: compatibility forms, case, white space, bullets and punctuation do not count,
letters and digits do, each of them. What is asked for has to be a contiguous piece of one cell, one
heading or one run of paragraphs, and to begin and end with a word: "자바" is no piece of "자바스크립트",
nor "5년" of "1.5년".
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from itertools import groupby, islice

from ingest.documents import Block, Paragraph, Table
from tools.core.text import clean

_WORD = re.compile(r"\d+(?:[.,:/\-]\d+)*|[가-힣]+|(?:[^\W\d_가-힣])+[+#]*")
"""A number with its punctuation, Hangul, or letters of another script with the signs of C++ and C#."""
_JAMO = re.compile(r"[\u1100-\u11ff\u3130-\u318f]")
_IN_NUMBER = re.compile(r"[.,:/\-]")
_BETWEEN = "\0"


class Ground:
    """The words of a document, to look lines up in."""

    def __init__(self, texts: Iterable[str]) -> None:
        folded: list[str] = []
        self._starts: list[int] = []
        """Where in the folded text a word begins, in order."""
        self._ends = set[int]()
        at = 0
        for text in texts:
            words = _words(text)
            for word in words:
                self._starts.append(at)
                at += len(word)
                self._ends.add(at)
            folded += [*words, _BETWEEN]
            at += 1
        self._folded = "".join(folded)

    def has(self, text: str, *, inflected: bool = False) -> bool:
        """Whether `text` is a piece of the document; a text without any letter or digit is none.

        `inflected`: its last word may go on in Hangul, as a name does that has a particle behind it.
        """
        wanted = "".join(_words(text))
        first = self._folded.find(wanted) if wanted else -1
        if first < 0:
            return False
        # From word to word: to search on from letter to letter takes seconds in a text that repeats itself.
        for at in islice(self._starts, bisect_left(self._starts, first), None):
            if self._folded.startswith(wanted, at):
                end = at + len(wanted)
                if end in self._ends or (inflected and "가" <= self._folded[end] <= "힣"):
                    return True
        return False


def ground_of(blocks: Iterable[Block]) -> Ground:
    """Returns the ground of a document. Paragraphs in succession are one text, because a line may be
    wrapped from one into the next."""
    texts: list[str] = []
    for paragraphs, together in groupby(blocks, lambda block: isinstance(block, Paragraph)):
        listed = [text for block in together for text in _texts(block)]
        texts += ["\n".join(listed)] if paragraphs else listed
    return Ground(texts)


def _texts(block: Block) -> list[str]:
    return [cell.text for row in block.rows for cell in row] if isinstance(block, Table) else [block.text]


def folded(text: str) -> str:
    """Returns a text without what does not count when two are compared."""
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    words: list[str] = []
    # Letters of Hangul by themselves are bullets (ㆍ, ㅇ) or misread marks; NFKC would take ㆍ for a letter.
    bare = unicodedata.normalize("NFKC", _JAMO.sub(" ", clean(text))).casefold()
    for word in _WORD.findall(bare):
        number = word[0].isdecimal()
        if number:
            # "3~5" is not "35": two numbers stay apart, however they were written.
            if words and words[-1][-1].isdecimal():
                words.append(".")
            words.append(_IN_NUMBER.sub(".", word))
        else:
            words.append(word)
    return words
