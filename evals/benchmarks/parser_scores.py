"""How well a text was read: error rates and recalls against what stands on the page.

White space and bullets count nowhere: a bullet is drawn in twenty ways, and where a wrapped line goes
on is not the recogniser's doing. Words are counted with their spaces, by the recall of Hangul words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from ingest.documents import Parsed, Table
from tools.lexicon import find_skills

_IGNORED = re.compile(r"[\s\-–—•·ㆍ▶▷►■□●○◆◇※✓>*]+")
_WORD = re.compile("[가-힣]+")
_TAKEN = "\0"
READ = 0.2
"""Share of a line's letters that may be wrong for the line to count as read."""


@dataclass(frozen=True)
class Score:
    """Counts of one document; rates come from sums over documents."""

    errors: int
    """Of letters, lines in whatever order: see `line_errors`."""
    ordered_errors: int
    """Of letters, in reading order: the edit distance of the two whole texts."""
    letters: int
    words_found: int
    words: int
    skills_found: int
    skills: int
    lines_found: int
    lines: int


def text_lines(parsed: Parsed) -> list[str]:
    """The lines that a parser read, table cells row by row."""
    lines: list[str] = []
    for block in parsed.blocks:
        if isinstance(block, Table):
            lines += [line for row in block.rows for cell in row for line in cell.text.split("\n")]
        else:
            lines += block.text.split("\n")
    return lines


def score_text(truth: Sequence[str], read: Sequence[str]) -> Score:
    """Compares the lines of a document with those read of it."""
    wanted, seen = [bare(line) for line in truth], [bare(line) for line in read]
    skills, seen_skills = set(find_skills("\n".join(truth))), set(find_skills("\n".join(read)))
    words, seen_words = _words(truth), _words(read)
    return Score(
        errors=line_errors(wanted, seen),
        ordered_errors=Levenshtein.distance("".join(wanted), "".join(seen)),
        letters=sum(map(len, wanted)),
        words_found=sum((words & seen_words).values()),
        words=sum(words.values()),
        skills_found=len(skills & seen_skills),
        skills=len(skills),
        lines_found=lines_found(wanted, seen),
        lines=sum(map(bool, wanted)),
    )


def bare(line: str) -> str:
    """A line without white space and bullets."""
    return _IGNORED.sub("", line)


def lines_found(truth: Iterable[str], read: Iterable[str]) -> int:
    """How many lines of the truth stand in what was read, with at most `READ` of their letters wrong."""
    text = _TAKEN.join(read)
    return sum(nearest(line, text)[0] <= READ * len(line) for line in truth if line)


def line_errors(truth: Iterable[str], read: Iterable[str]) -> int:
    """Edit distance without regard to the order of lines.

    Each line of the truth, the longest first, takes the stretch of what was read that is nearest to it
    (Sellers' approximate search); what no line has taken in the end was made up, and counts in full.
    """
    rest = _TAKEN.join(read)
    errors = 0
    for line in sorted(truth, key=len, reverse=True):
        cost, start, end = nearest(line, rest)
        errors += cost
        rest = rest[:start] + _TAKEN + rest[end:]
    return errors + sum(letter != _TAKEN for letter in rest)


def nearest(line: str, text: str) -> tuple[int, int, int]:
    """The stretch of `text` with the least edit distance to `line`: distance, start, end.

    Sellers, "The theory and computation of evolutionary distances: pattern recognition", 1980.
    """
    if not line or not text:
        return len(line), 0, 0
    costs = _costs(line, text)
    end = int(costs.argmin())
    cost = int(costs[end])
    if cost >= len(line):
        return len(line), 0, 0
    # The same search backwards from the end finds where the stretch begins.
    backwards = _costs(line[::-1], text[:end][::-1], anchored=True)
    return cost, end - int(backwards.argmin()), end


def _costs(line: str, text: str, *, anchored: bool = False) -> np.typing.NDArray[np.int_]:
    """For each end in `text`, the least distance of a stretch that ends there; anchored: from the start."""
    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    places = np.arange(len(letters) + 1)
    row = places.copy() if anchored else np.zeros(len(letters) + 1, dtype=np.int_)
    for number, letter in enumerate(line, 1):
        changed = row[:-1] + (letters != ord(letter))
        best = np.minimum(row + 1, np.concatenate(([number], changed)))
        # A letter too many in the text costs one for each place it goes on: a running minimum.
        row = np.minimum.accumulate(best - places) + places
    return row


def _words(lines: Iterable[str]) -> Counter[str]:
    return Counter(word for line in lines for word in _WORD.findall(line))
