"""From a model's answers about a document to positions: only what is in the document, each line in its field.

`Stated` and `PostingPositions` are what the model writes. `TaggingTask` checks it against the document and
makes positions of it. `WordIndex` finds a line in a document."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from pydantic import BaseModel, Field

from ingest.blocks import plain
from ingest.documents import Block, Hints, Paragraph, Parsed, Table
from ingest.tagging.document_parts import Part, document_parts, is_korean
from tools.core.contracts import Language
from tools.core.text import clean
from tools.lexicon import canonical, find_skills
from tools.postings.contracts import TEXT_FIELDS, Position
from tools.postings.deadlines import last_day, season_year

_PROBLEMS_SHOWN = 10
_LINE_SHOWN = 120
_LONGEST_TITLE = 200
"""A longer title is a paragraph."""
_LONGEST_VALUE = 300

_WORD = re.compile(r"\d+(?:[.,:/\-]\d+)*|[가-힣]+|(?:[^\W\d_가-힣])+[+#]*")
"""A number with its punctuation, Hangul, or letters of another script with the signs of C++ and C#."""
_JAMO = re.compile(r"[\u1100-\u11ff\u3130-\u318f]")
_IN_NUMBER = re.compile(r"[.,:/\-]")
_BETWEEN = "\0"


class Stated(BaseModel):
    """What a document states, letter for letter."""

    responsibilities: list[str] = Field(description="lines that tell the work")
    requirements: list[str] = Field(description="lines that tell what one must have")
    preferred: list[str] = Field(description="lines that tell what is welcome")
    company: str | None
    employment_type: str | None
    experience: str | None = Field(description="the career that is asked for, as written")
    location: str | None = Field(description="place of work")
    deadline: str | None = Field(description="last day or period of application, as written")
    skills: list[str] = Field(description="names of languages, frameworks and tools, as written")


LIST_FIELDS = (*TEXT_FIELDS, "skills")
VALUE_FIELDS = tuple(name for name in Stated.model_fields if name not in LIST_FIELDS)
"""Short facts, copied as they stand."""


class StatedPosition(Stated):
    """What a document states of one position."""

    job_title: str = Field(description="name of the position, as written; empty where there is none")


class PostingPositions(BaseModel):
    """The positions that a document hires for. `common` is what holds for all of them."""

    is_posting: bool
    common: Stated
    positions: list[StatedPosition]


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a document. `named` is how many the model wrote, `dropped` the lines of it that are
    not in the document."""

    positions: list[Position]
    dropped: list[str]
    named: int


class TaggingTask:
    """One document to be tagged: the parts that the model is asked about, and the check of its answers."""

    def __init__(self, parsed: Parsed, hints: Hints) -> None:
        self._hints = hints
        self._text = "\n".join(text for block in parsed.blocks for text in _texts(block))
        self.parts: list[Part] = document_parts(parsed.blocks) if self._text.strip() else []
        """One call of the model each; none where the document has no text."""
        self._index = index_of(parsed.blocks)
        self._year = hints.deadline.year if hints.deadline else season_year(self._text)
        self._hinted_titles = WordIndex(text for text in (hints.title, *hints.positions) if text)
        self._skills: frozenset[str] | None = None

    @property
    def language(self) -> Language:
        """The language of the document."""
        return "ko" if is_korean(self._text) else "en"

    def problems(self, answer: PostingPositions) -> list[str]:
        """Returns what of an answer is not in the document, one sentence each."""
        wrong = [
            f"{field}: this does not stand in the document letter for letter: {text[:_LINE_SHOWN]}"
            for stated in (answer.common, *answer.positions)
            for field, text in self._invented(stated)
        ]
        more = len(wrong) - _PROBLEMS_SHOWN
        return [*wrong[:_PROBLEMS_SHOWN], *([f"… and {more} lines more"] if more > 0 else [])]

    def positions(self, answers: Sequence[PostingPositions]) -> Positions:
        """Returns the positions out of the answers to all parts, in order; what is not in the document is
        dropped."""
        dropped = [
            text
            for answer in answers
            for stated in (answer.common, *answer.positions)
            for _, text in self._invented(stated)
        ]
        common = _united([self._true(answer.common) for answer in answers if answer.is_posting])
        named = self._joined(answers)
        if not named and _has_lines(common):
            # Sections without a position of their own are the document's one position.
            named = [StatedPosition(job_title="", **_united([]).model_dump())]
        titled = [stated for stated in named if self._title(stated.job_title)]
        positions = [self._position(stated, common) for stated in titled]
        return Positions(_distinct(filter(_has_lines, positions)), _unique(dropped), len(named))

    def _invented(self, stated: Stated) -> Iterable[tuple[str, str]]:
        """Yields field and text of what is not in the document."""
        for field in TEXT_FIELDS:
            for line in getattr(stated, field):
                if folded(line) and not self._index.has(line):
                    yield field, line
        for field in VALUE_FIELDS:
            value = getattr(stated, field)
            if value and not self._has_value(field, value):
                yield field, value
        for skill in stated.skills:
            if not self._has_skill(skill):
                yield "skills", skill
        title = stated.job_title if isinstance(stated, StatedPosition) else ""
        if title.strip() and not self._title(title):
            yield "job_title", title

    def _has_value(self, field: str, value: str) -> bool:
        if len(value) > _LONGEST_VALUE:
            return False
        hint = getattr(self._hints, field, None)
        same = isinstance(hint, str) and folded(hint) == folded(value)
        return same or self._index.has(value, inflected=True)

    def _has_skill(self, skill: str) -> bool:
        if self._index.has(skill, inflected=True):
            return True
        if self._skills is None:
            self._skills = frozenset(_skills_of(self._text))
        return canonical(skill) in self._skills

    def _title(self, title: str) -> str:
        """Returns a title of the document or of a hint; "" when it is neither's."""
        bare = plain(title)
        if not folded(bare):
            hinted = self._hints.positions[0] if len(self._hints.positions) == 1 else self._hints.title
            return plain(hinted or "")
        known = self._index.has(bare, inflected=True) or self._hinted_titles.has(bare, inflected=True)
        return bare if known and len(bare) <= _LONGEST_TITLE else ""

    def _true(self, stated: Stated) -> Stated:
        """Returns what of `stated` is in the document."""
        lines = {
            field: _unique(plain(line) for line in getattr(stated, field) if self._index.has(line))
            for field in TEXT_FIELDS
        }
        values = {field: self._value(field, getattr(stated, field)) for field in VALUE_FIELDS}
        return Stated(**lines, **values, skills=[skill for skill in stated.skills if self._has_skill(skill)])

    def _value(self, field: str, value: str | None) -> str | None:
        return plain(value) if value and folded(value) and self._has_value(field, value) else None

    def _joined(self, answers: Sequence[PostingPositions]) -> list[StatedPosition]:
        """Returns the positions of all parts; one that continues in the next part is one."""
        joined: list[StatedPosition] = []
        for part, answer in zip(self.parts, answers, strict=True):
            if not answer.is_posting:
                continue
            for number, stated in enumerate(answer.positions):
                true = StatedPosition(job_title=stated.job_title, **self._true(stated).model_dump())
                last = joined[-1] if joined else None
                same = last is not None and folded(last.job_title) == folded(true.job_title)
                if last is not None and same and number == 0 and part.continues:
                    united = _united([last, true])
                    joined[-1] = StatedPosition(job_title=last.job_title, **united.model_dump())
                else:
                    joined.append(true)
        return joined

    def _position(self, stated: StatedPosition, common: Stated) -> Position:
        whole = _united([stated, common])
        title = self._title(stated.job_title)
        texts = {field: "\n".join(getattr(whole, field)) for field in TEXT_FIELDS}
        values = {field: getattr(whole, field) or getattr(self._hints, field) for field in VALUE_FIELDS}
        if whole.deadline:
            values["deadline"] = last_day(whole.deadline, year=self._year) or self._hints.deadline
        skills = [canonical(skill) for skill in whole.skills]
        skills += _skills_of("\n".join([title, *texts.values()]))
        return Position.model_validate({"job_title": title, **texts, **values, "skills": _unique(skills)})


class WordIndex:
    """The words of a document, to look lines up in.

    Both are folded first: compatibility forms, case, white space, bullets and punctuation do not count,
    letters and digits do. A line has to be a contiguous piece of one text of the document (a cell, a
    heading, a run of paragraphs), and to begin and end with a word: "자바" is no piece of "자바스크립트",
    nor "5년" of "1.5년".
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
                at += len(word)
                self._ends.add(at)
            pieces += [*words, _BETWEEN]
            at += 1
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


def folded(text: str) -> str:
    """Returns the letters and digits of a text, as they are compared."""
    return "".join(_words(text))


def index_of(blocks: Iterable[Block]) -> WordIndex:
    """Returns the index of a document. Paragraphs in succession are one text, because a line may be wrapped
    from one into the next."""
    texts: list[str] = []
    for are_paragraphs, group in groupby(blocks, lambda block: isinstance(block, Paragraph)):
        of_group = [text for block in group for text in _texts(block)]
        texts += ["\n".join(of_group)] if are_paragraphs else of_group
    return WordIndex(texts)


def _texts(block: Block) -> list[str]:
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


def _skills_of(text: str) -> list[str]:
    """As `find_skills`, for a text of any length."""
    return [skill for line in text.split("\n") for skill in find_skills(line)]


def _has_lines(stated: Stated | Position) -> bool:
    return any(getattr(stated, field) for field in TEXT_FIELDS)


def _united(parts: Sequence[Stated]) -> Stated:
    """Returns what all `parts` state: all of their lines and skills, the first of their values."""
    lists = {
        field: _unique(line for stated in parts for line in getattr(stated, field)) for field in LIST_FIELDS
    }
    values = {
        field: next((value for stated in parts if (value := getattr(stated, field))), None)
        for field in VALUE_FIELDS
    }
    return Stated.model_validate({**lists, **values})


def _unique(lines: Iterable[str]) -> list[str]:
    return list({folded(line) or line: line for line in reversed(list(lines))}.values())[::-1]


def _distinct(positions: Iterable[Position]) -> list[Position]:
    return list({position.model_dump_json(): position for position in positions}.values())
