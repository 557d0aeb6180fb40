"""Where a line stands in a document: the words of the document, to look lines up in."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from ingest.documents import Block, Paragraph, Table
from ingest.tagging.lines import SECTION
from tools.core.text import clean

_WORD = re.compile(r"\d+(?:[.,:/\-]\d+)*|[가-힣]+|(?:[^\W\d_가-힣])+[+#]*")
"""A number with its punctuation, Hangul, or letters of another script with the signs of C++ and C#."""
_JAMO = re.compile(r"[\u1100-\u11ff\u3130-\u318f]")
_IN_NUMBER = re.compile(r"[.,:/\-]")
_BETWEEN = "\0"
_SHORTEST_ITEM = 4
"""Letters from which a line without a border of its own may be an item of a run-on text."""
_PLACES = 50
"""Places of one line in a document that are looked at."""


class WordIndex:
    """The words of a document, to look lines up in.

    Both are folded first: compatibility forms, case, white space, bullets and punctuation do not count,
    letters and digits do. A line has to be a contiguous piece of one text of the document (a cell, a
    heading, a run of paragraphs), and to begin and end with a word: "자바" is no piece of "자바스크립트",
    nor "5년" of "1.5년". The head of a section parts words, as in "3년 이상우대사항석사".
    """

    def __init__(self, texts: Iterable[str]) -> None:
        pieces: list[str] = []
        self._starts: list[int] = []
        """Where in the folded text a word begins, in order."""
        self._ends = set[int]()
        at = 0
        for text in texts:
            words = _words(text)
            for word in words:
                self._starts.append(at)
                for section in SECTION.finditer(word):
                    self._starts += [at + section.start(), at + section.end()]
                    self._ends |= {at + section.start(), at + section.end()}
                at += len(word)
                self._ends.add(at)
            pieces += [*words, _BETWEEN]
            at += 1
        self._starts.sort()
        self._word_starts = frozenset(self._starts)
        self._folded = "".join(pieces)

    def has(self, text: str, *, inflected: bool = False) -> bool:
        """Whether `text` is a piece of the document; a text without any letter or digit is none.

        `inflected`: its last word may go on in Hangul, as a name does that has a particle behind it.
        """
        wanted = folded(text)
        first = self._folded.find(wanted) if wanted else -1
        if first < 0:
            return False
        # From word to word: searching on from letter to letter takes seconds in a text that repeats itself.
        for at in islice(self._starts, bisect_left(self._starts, first), None):
            if self._folded.startswith(wanted, at):
                end = at + len(wanted)
                if end in self._ends or (inflected and "가" <= self._folded[end] <= "힣"):
                    return True
        return False

    def standing(self, lines: Iterable[str]) -> frozenset[str]:
        """Returns those of the lines of one answer that stand in the document.

        Items that were written one behind the other without a space ("API 설계배치 운영") have no border
        between words: there one stands where another begins or ends.
        """
        wanted = set(lines)
        firm = {line for line in wanted if self.has(line)}
        places = {line: list(self._places(line)) for line in wanted if len(folded(line)) >= _SHORTEST_ITEM}
        run_on = {line: found for line, found in places.items() if found and line not in firm}
        while run_on:
            met = [place for line in (*run_on, *(firm & places.keys())) for place in places[line]]
            starts, ends = {start for start, _ in met}, {end for _, end in met}
            without = {
                line
                for line, found in run_on.items()
                if not any(
                    (start in self._word_starts or start in ends) and (end in self._ends or end in starts)
                    for start, end in found
                )
            }
            if not without:
                break
            run_on = {line: found for line, found in run_on.items() if line not in without}
        return frozenset(firm | run_on.keys())

    def _places(self, line: str) -> Iterator[tuple[int, int]]:
        """Yields where a line begins and ends in the folded text, be it inside words."""
        wanted = folded(line)
        at = -1
        for _ in range(_PLACES):
            at = self._folded.find(wanted, at + 1)
            if at < 0:
                return
            yield at, at + len(wanted)


def folded(text: str) -> str:
    """Returns the letters and digits of a text, as they are compared."""
    return "".join(_words(text))


def index_of(blocks: Iterable[Block]) -> WordIndex:
    """Returns the index of a document. Paragraphs in succession are one text, because a line may be wrapped
    from one into the next."""
    texts: list[str] = []
    for are_paragraphs, group in groupby(blocks, lambda block: isinstance(block, Paragraph)):
        of_group = [text for block in group for text in block_texts(block)]
        texts += ["\n".join(of_group)] if are_paragraphs else of_group
    return WordIndex(texts)


def block_texts(block: Block) -> list[str]:
    """Returns the texts of a block: its own, or those of its cells."""
    return [cell.text for row in block.rows for cell in row] if isinstance(block, Table) else [block.text]


def _words(text: str) -> list[str]:
    words: list[str] = []
    # Letters of Hangul by themselves are bullets (ㆍ, ㅇ) or misread marks; NFKC would make letters of them.
    bare = unicodedata.normalize("NFKC", _JAMO.sub(" ", clean(text))).casefold()
    for word in _WORD.findall(bare):
        number = word[0].isdecimal()
        if number:
            # "3~5" is not "35": two numbers stay apart, whatever is between them.
            if words and words[-1][-1].isdecimal():
                words.append(".")
            words.append(_IN_NUMBER.sub(".", word))
        else:
            words.append(word)
    return words
