"""From a model's answers about a document to positions: only what is in the document, each line in its field.

`Stated` and `PostingPositions` are what the model writes. `TaggingTask` checks it against the document and
makes positions of it: by `word_index.py`, which finds a line in a document, and `lines.py`, which puts lines
in order."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import BaseModel, Field

from ingest.blocks import plain
from ingest.documents import Hints, Parsed
from ingest.tagging.document_parts import Part, document_parts, is_korean
from ingest.tagging.lines import in_fields, labelled
from ingest.tagging.word_index import WordIndex, block_texts, folded, index_of
from tools.core.contracts import Language
from tools.lexicon import KIND_OF, canonical
from tools.postings.contracts import TEXT_FIELDS, Position
from tools.postings.deadlines import last_day, season_year
from tools.postings.normalization import normal_skills

_PROBLEMS_SHOWN = 10
_LINE_SHOWN = 120
_LONGEST_TITLE = 200
"""A longer title is a paragraph."""
_LONGEST_VALUE = 300
_INVENTED = "this does not stand in the document letter for letter"

_ALIKE = 0.6
"""Share of its letters that a reading has from what it reads; of Hangul, its parts: 첫차 has .6 of 젯차."""


class Stated(BaseModel):
    """What a document states, letter for letter; `normalized_…` is how that is usually written."""

    responsibilities: list[str] = Field(description="lines that tell the work")
    requirements: list[str] = Field(description="lines that tell what one must have")
    preferred: list[str] = Field(description="lines that tell what is welcome")
    company: str | None
    employment_type: str | None
    experience: str | None = Field(description="the career that is asked for, as written")
    location: str | None = Field(description="place of work")
    deadline: str | None = Field(description="last day or period of application, as written")
    skills: list[str] = Field(description="names of languages, frameworks and tools, as written")
    normalized_company: str | None = Field(description="the company, where it was misread; else null")
    normalized_skills: list[str] = Field(description="usual names of skills that are written otherwise")


LIST_FIELDS = (*TEXT_FIELDS, "skills", "normalized_skills")
VALUE_FIELDS = tuple(name for name in Stated.model_fields if name not in LIST_FIELDS)
"""Short facts."""
LITERAL_FIELDS = tuple(name for name in VALUE_FIELDS if not name.startswith("normalized"))
"""Those that are copied as they stand."""


class StatedPosition(Stated):
    """What a document states of one position."""

    job_title: str = Field(description="name of the position, as written; empty where there is none")
    normalized_title: str | None = Field(description="that name as it is usually written, or null")


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
        self._text = "\n".join(text for block in parsed.blocks for text in block_texts(block))
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
        wrong = [f"{field}: {why}: {text[:_LINE_SHOWN]}" for field, text, why in self._untrue(answer)]
        more = len(wrong) - _PROBLEMS_SHOWN
        return [*wrong[:_PROBLEMS_SHOWN], *([f"… and {more} lines more"] if more > 0 else [])]

    def positions(self, answers: Sequence[PostingPositions]) -> Positions:
        """Returns the positions out of the answers to all parts, in order; what is not in the document is
        dropped."""
        dropped = [text for answer in answers for _, text, _ in self._untrue(answer)]
        common = _united(
            [self._true(answer.common, self._standing(answer)) for answer in answers if answer.is_posting]
        )
        named = self._joined(answers)
        if not named and _has_lines(common):
            # Sections without a position of their own are the document's one position.
            named = [StatedPosition(job_title="", normalized_title=None, **_united([]).model_dump())]
        titled = [stated for stated in named if self._title(stated.job_title)]
        positions = [self._position(stated, common) for stated in titled]
        return Positions(_distinct(filter(_has_lines, positions)), _unique(dropped), len(named))

    def _untrue(self, answer: PostingPositions) -> Iterator[tuple[str, str, str]]:
        """Yields field, text and what is wrong with it, of what an answer has not from the document."""
        standing = self._standing(answer)
        for stated in (answer.common, *answer.positions):
            for field in TEXT_FIELDS:
                for line in getattr(stated, field):
                    if folded(line) and line not in standing:
                        yield field, line, _INVENTED
            for field in LITERAL_FIELDS:
                value = getattr(stated, field)
                if value and not self._has_value(field, value):
                    yield field, value, _INVENTED
            for skill in stated.skills:
                if not self._has_skill(skill):
                    yield "skills", skill, _INVENTED
            title = stated.job_title if isinstance(stated, StatedPosition) else ""
            if title.strip() and not self._title(title):
                yield "job_title", title, _INVENTED
            yield from self._misread(stated)

    def _misread(self, stated: Stated) -> Iterator[tuple[str, str, str]]:
        """Yields what `_untrue` does, of the readings."""
        company = stated.company or self._hints.company or ""
        if stated.normalized_company and not _alike(stated.normalized_company, company):
            yield "normalized_company", stated.normalized_company, "this is another company than `company`"
        title = self._title(stated.job_title) if isinstance(stated, StatedPosition) else ""
        reading = stated.normalized_title if isinstance(stated, StatedPosition) else None
        if title and reading and not _alike(reading, title):
            yield "normalized_title", reading, "this is another title than `job_title`"
        for skill in stated.normalized_skills:
            if not self._reads_skill(skill, stated.skills):
                yield "normalized_skills", skill, "none of `skills` is a way to write this"

    def _standing(self, answer: PostingPositions) -> frozenset[str]:
        """Returns the lines of an answer that are in the document; before one of them, a label of it may
        stand in brackets."""
        lines = [
            line
            for stated in (answer.common, *answer.positions)
            for field in TEXT_FIELDS
            for line in getattr(stated, field)
        ]
        parts = {line: labelled(line) or ("", line) for line in lines}
        standing = self._index.standing([*lines, *(rest for _, rest in parts.values())])
        return frozenset(
            line
            for line, (label, rest) in parts.items()
            if line in standing or (rest in standing and self._index.has(label))
        )

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
            self._skills = frozenset(normal_skills([], self._text))
        return canonical(skill) in self._skills

    def _reads_skill(self, name: str, skills: Sequence[str]) -> bool:
        """Whether `name` is how one of `skills` is usually called."""
        return any(canonical(name) == canonical(skill) or _alike(name, skill) for skill in skills)

    def _title(self, title: str) -> str:
        """Returns a title of the document or of a hint; "" when it is neither's."""
        bare = plain(title)
        if not folded(bare):
            hinted = self._hints.positions[0] if len(self._hints.positions) == 1 else self._hints.title
            return plain(hinted or "")
        known = self._index.has(bare, inflected=True) or self._hinted_titles.has(bare, inflected=True)
        return bare if known and len(bare) <= _LONGEST_TITLE else ""

    def _true(self, stated: Stated, standing: frozenset[str]) -> Stated:
        """Returns what of `stated` is in the document, its lines in order."""
        lines = in_fields(
            {field: [line for line in getattr(stated, field) if line in standing] for field in TEXT_FIELDS}
        )
        values = {field: self._value(field, getattr(stated, field)) for field in LITERAL_FIELDS}
        wrong = {(field, text) for field, text, _ in self._misread(stated)}
        reading = stated.normalized_company
        return Stated(
            **{field: _unique(items) for field, items in lines.items()},
            **values,
            normalized_company=None if ("normalized_company", reading) in wrong else reading,
            skills=[plain(skill) for skill in stated.skills if self._has_skill(skill)],
            normalized_skills=[
                skill for skill in stated.normalized_skills if ("normalized_skills", skill) not in wrong
            ],
        )

    def _value(self, field: str, value: str | None) -> str | None:
        return plain(value) if value and folded(value) and self._has_value(field, value) else None

    def _joined(self, answers: Sequence[PostingPositions]) -> list[StatedPosition]:
        """Returns the positions of all parts; one that continues in the next part is one."""
        joined: list[StatedPosition] = []
        for part, answer in zip(self.parts, answers, strict=True):
            if not answer.is_posting:
                continue
            standing = self._standing(answer)
            for number, stated in enumerate(answer.positions):
                true = StatedPosition(
                    job_title=stated.job_title,
                    normalized_title=stated.normalized_title,
                    **self._true(stated, standing).model_dump(),
                )
                last = joined[-1] if joined else None
                same = last is not None and folded(last.job_title) == folded(true.job_title)
                if last is not None and same and number == 0 and part.continues:
                    united = _united([last, true])
                    title = last.normalized_title or true.normalized_title
                    joined[-1] = StatedPosition(
                        job_title=last.job_title, normalized_title=title, **united.model_dump()
                    )
                else:
                    joined.append(true)
        return joined

    def _position(self, stated: StatedPosition, common: Stated) -> Position:
        whole = _united([stated, common])
        title = self._title(stated.job_title)
        texts = {field: "\n".join(getattr(whole, field)) for field in TEXT_FIELDS}
        values = {field: getattr(whole, field) or getattr(self._hints, field) for field in LITERAL_FIELDS}
        if whole.deadline:
            values["deadline"] = last_day(whole.deadline, year=self._year) or self._hints.deadline
        company = values["company"] or ""
        skills = _unique(whole.skills)
        return Position.model_validate(
            {
                "job_title": title,
                **texts,
                **values,
                "skills": skills,
                # A reading that is like nothing literal is none of it.
                "normalized_title": _like(stated.normalized_title, title),
                "normalized_company": _like(whole.normalized_company, company),
                "normalized_skills": normal_skills(
                    _readings(skills, whole.normalized_skills), "\n".join([title, *texts.values()])
                ),
            }
        )


def _alike(reading: str, literal: str) -> bool:
    """Whether a text can be the reading of another: most of its letters are from there, in that order."""
    read, written = (unicodedata.normalize("NFD", folded(text)) for text in (reading, literal))
    same = sum(block.size for block in SequenceMatcher(None, written, read, False).get_matching_blocks())
    return same > 0 and same >= _ALIKE * len(read)


def _like(reading: str | None, literal: str) -> str:
    return reading if reading and _alike(reading, literal) else ""


def _readings(skills: Iterable[str], readings: Sequence[str]) -> list[str]:
    """Returns skills in the readings of a model, where it gave one and the lexicon does not know them."""
    unread = [name for name in readings if canonical(name) not in map(canonical, skills)]
    read = [
        skill
        if canonical(skill) in KIND_OF
        else next((name for name in unread if _alike(name, skill)), skill)
        for skill in skills
    ]
    return [*read, *readings]


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
