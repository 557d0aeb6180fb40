"""From what the model wrote to positions: only what stands in the document, each line where it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.blocks import plain
from ingest.documents import Hints, Parsed, Position, Table
from ingest.tagging.grounding import Ground, folded, ground_of
from ingest.tagging.rows import Part, document_parts, is_korean
from ingest.tagging.schema import LINE_FIELDS, VALUE_FIELDS, PostingPositions, Stated, StatedPosition
from tools.lexicon import canonical, find_skills
from tools.postings.contracts import Language
from tools.postings.deadlines import last_day, season_year

_PROBLEMS_SHOWN = 10
_LINE_SHOWN = 120
_LONGEST_TITLE = 200
"""A longer title is a paragraph."""
_LONGEST_VALUE = 300


@dataclass(frozen=True, slots=True)
class Positions:
    """What came of a document. `named` is how many positions the model wrote, `dropped` what of it
    the document has not."""

    positions: list[Position]
    dropped: list[str]
    named: int


class Reading:
    """One document being read."""

    def __init__(self, parsed: Parsed, hints: Hints) -> None:
        self._hints = hints
        self._text = "\n".join(
            "\n".join(cell.text for row in block.rows for cell in row)
            if isinstance(block, Table)
            else block.text
            for block in parsed.blocks
        )
        self.parts: list[Part] = document_parts(parsed.blocks) if self._text.strip() else []
        """What the model is asked about, a call each; none where there is nothing to read."""
        self._ground = ground_of(parsed.blocks)
        self._year = hints.deadline.year if hints.deadline else season_year(self._text)
        self._hinted = Ground(text for text in (hints.title, *hints.positions) if text)
        self._skills: frozenset[str] | None = None

    @property
    def language(self) -> Language:
        """The language of the document."""
        return "ko" if is_korean(self._text) else "en"

    def problems(self, answer: PostingPositions) -> list[str]:
        """Returns what of an answer does not stand in the document, one sentence each."""
        wrong = [
            f"{where}: this does not stand in the document letter for letter: {text[:_LINE_SHOWN]}"
            for stated in (answer.common, *answer.positions)
            for where, text in self._invented(stated)
        ]
        more = len(wrong) - _PROBLEMS_SHOWN
        return [*wrong[:_PROBLEMS_SHOWN], *([f"… and {more} lines more"] if more > 0 else [])]

    def positions(self, answers: Sequence[PostingPositions]) -> Positions:
        """Returns the positions that the answers to all parts, in order, name; what is not in the
        document is dropped."""
        dropped: list[str] = []
        for answer in answers:
            for stated in (answer.common, *answer.positions):
                dropped += [text for _, text in self._invented(stated)]
        common = _united([self._true(answer.common) for answer in answers if answer.is_posting])
        named = self._joined(answers)
        if not named and any(getattr(common, field) for field in LINE_FIELDS):
            # Sections without a position of their own are the document's one position.
            named = [StatedPosition(job_title="", **_nothing().model_dump())]
        titled = [stated for stated in named if self._title(stated.job_title)]
        found = [self._position(stated, common) for stated in titled]
        kept = [position for position in found if any(getattr(position, field) for field in LINE_FIELDS)]
        return Positions(_distinct(kept), _unique(dropped), len(named))

    def _invented(self, stated: Stated) -> Iterable[tuple[str, str]]:
        for field in LINE_FIELDS:
            for line in getattr(stated, field):
                if folded(line) and not self._ground.has(line):
                    yield field, line
        for name in VALUE_FIELDS:
            value = getattr(stated, name)
            if value and not self._has_value(name, value):
                yield name, value
        for skill in stated.skills:
            if not self._has_skill(skill):
                yield "skills", skill
        title = stated.job_title if isinstance(stated, StatedPosition) else ""
        if title.strip() and not self._title(title):
            yield "job_title", title

    def _has_value(self, name: str, value: str) -> bool:
        if len(value) > _LONGEST_VALUE:
            return False
        hint = getattr(self._hints, name, None)
        same = isinstance(hint, str) and folded(hint) == folded(value)
        return same or self._ground.has(value, inflected=True)

    def _has_skill(self, skill: str) -> bool:
        if self._ground.has(skill, inflected=True):
            return True
        if self._skills is None:
            self._skills = frozenset(_skills_of(self._text))
        return canonical(skill) in self._skills

    def _title(self, title: str) -> str:
        """Returns a title as it is kept: the document's or a hint's, "" when it is neither's."""
        bare = plain(title)
        if not folded(bare):
            hinted = self._hints.positions[0] if len(self._hints.positions) == 1 else self._hints.title
            return plain(hinted or "")
        known = self._ground.has(bare, inflected=True) or self._hinted.has(bare, inflected=True)
        return bare if known and len(bare) <= _LONGEST_TITLE else ""

    def _true(self, stated: Stated) -> Stated:
        """Returns what of `stated` stands in the document."""
        lines = {
            field: _unique(plain(line) for line in getattr(stated, field) if self._ground.has(line))
            for field in LINE_FIELDS
        }
        values = {name: self._value(name, getattr(stated, name)) for name in VALUE_FIELDS}
        return Stated(**lines, **values, skills=[skill for skill in stated.skills if self._has_skill(skill)])

    def _value(self, name: str, value: str | None) -> str | None:
        return plain(value) if value and folded(value) and self._has_value(name, value) else None

    def _joined(self, answers: Sequence[PostingPositions]) -> list[StatedPosition]:
        """Returns the positions of all parts; one that goes on in the next part is one."""
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
        texts = {field: "\n".join(getattr(whole, field)) for field in LINE_FIELDS}
        title = self._title(stated.job_title)
        named = [canonical(skill) for skill in whole.skills]
        deadline = last_day(whole.deadline, year=self._year) if whole.deadline else None
        return Position(
            job_title=title,
            **texts,
            company=whole.company or self._hints.company or "",
            employment_type=whole.employment_type or self._hints.employment_type,
            experience=whole.experience or self._hints.experience,
            location=whole.location or self._hints.location,
            deadline=deadline or self._hints.deadline,
            skills=_unique([*named, *_skills_of("\n".join([title, *texts.values()]))]),
        )


def _skills_of(text: str) -> list[str]:
    """As `find_skills`, over a text of any length."""
    return [skill for line in text.split("\n") for skill in find_skills(line)]


def _nothing() -> Stated:
    return Stated(**{field: [] for field in LINE_FIELDS}, **dict.fromkeys(VALUE_FIELDS), skills=[])


def _united(parts: Sequence[Stated]) -> Stated:
    """Returns what all `parts` state: of lines and skills all, of other facts the first."""
    lists = {
        field: _unique(line for stated in parts for line in getattr(stated, field))
        for field in (*LINE_FIELDS, "skills")
    }
    values = {
        name: next((value for stated in parts if (value := getattr(stated, name))), None)
        for name in VALUE_FIELDS
    }
    return Stated(**lists, **values)


def _unique(lines: Iterable[str]) -> list[str]:
    return list({folded(line) or line: line for line in reversed(list(lines))}.values())[::-1]


def _distinct(positions: list[Position]) -> list[Position]:
    return list({position.model_dump_json(): position for position in positions}.values())
