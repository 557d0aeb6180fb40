"""The run of a document's events as positions and what is common to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from local.model.rules.text import is_order, read, read_list

from .events import Break, Event, Fact, Line, Record, Section, Title, document_events, line_kind, table_events
from .labels import (
    FACT_KINDS,
    LINE_KINDS,
    LONGEST,
    Head,
    clean,
    company_in,
    deadline_in,
    employment_in,
    experience_in,
    is_job,
    is_sentence,
)

_NO_JOB = re.compile(
    r"수강생|교육생|훈련생|참가자|서포터즈|참가\s*신청|개인정보\s*처리\s*방침|이용\s*약관"
    r"|privacy policy|terms of service",
    re.IGNORECASE,
)
_OF_ALL = ("company", "deadline")
"""Facts that hold for the whole document wherever they stand."""
_OPENING = 3
"""Lines at the beginning that tell who hires."""
_SKILL_SPLIT = re.compile(r"\s*[,/·|ㆍ;]\s*|\s{2,}")
_LONGEST_SKILL = 40


@dataclass(slots=True)
class _Found:
    """A position, or what is common to all."""

    title: str = ""
    level: int | None = None
    row: bool = False
    """It stands in a table, and so is one though nothing else is said of it."""
    lines: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in LINE_KINDS})
    facts: dict[str, str] = field(default_factory=dict)
    skills: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    """The sections that heads have opened."""

    def add(self, lines: Mapping[str, list[str]], facts: Mapping[str, str], skills: Iterable[str]) -> None:
        for kind, listed in lines.items():
            self.lines[kind] += listed
        self.facts |= {kind: value for kind, value in facts.items() if kind not in self.facts and value}
        self.skills += [
            word
            for text in skills
            for word in _SKILL_SPLIT.split(text)
            if 0 < len(word) <= _LONGEST_SKILL and not is_order(word)
        ]

    @property
    def said(self) -> bool:
        return any(self.lines.values())

    def as_json(self) -> dict[str, Any]:
        facts = {kind: self.facts.get(kind) for kind in FACT_KINDS}
        lines = {kind: list(dict.fromkeys(listed)) for kind, listed in self.lines.items()}
        # Nothing is read better here than it is written: the service's own rules normalize.
        reading: dict[str, Any] = {"normalized_company": None, "normalized_skills": []}
        return {**lines, **facts, "skills": list(dict.fromkeys(self.skills)), **reading}


def read_posting(
    request: Mapping[str, Any], hints: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the positions that a document, or a part of one, hires for, and what is common to them."""
    names = frozenset(read_list(hints, "positions"))
    whole = request.get("parts") in (None, 1)
    reader = _Reader()
    for event in _events(rows, names):
        reader.take(event)
    reader.end()
    company = read(hints, "company")
    headings = [row["heading"] for row in rows if isinstance(row.get("heading"), str)]
    common, listed = reader.common, [found for found in reader.positions if found.said or found.row]
    if not any(found.said for found in (common, *listed)) or _NO_JOB.search(
        " ".join([*headings[:2], read(hints, "title")])
    ):
        return {"is_posting": False, "common": _Found().as_json(), "positions": []}
    if whole and len(listed) <= 1:
        one = listed[0] if listed else _Found()
        one.add(common.lines, common.facts, common.skills)
        one.title = one.title or reader.named or _first_words(rows, hints)
        common, listed = _Found(), [one]
    elif not whole:
        # Sections of which this part does not say whose they are hold for all.
        for found in [found for found in listed if not found.title]:
            common.add(found.lines, found.facts, found.skills)
        listed = [found for found in listed if found.title]
    texts = [*headings, *reader.asides]
    stated = common if len(listed) != 1 else listed[0]
    stated.facts.setdefault("company", _company(company, rows, headings))
    stated.facts.setdefault("deadline", deadline_in(texts) or "")
    stated.facts.setdefault("employment_type", next(filter(None, map(employment_in, texts)), ""))
    for found in listed:
        asked = [found.title, *found.lines["requirements"], *common.lines["requirements"], *headings]
        experience = next(filter(None, map(experience_in, asked)), "")
        if not found.facts.get("experience") and not common.facts.get("experience") and experience:
            found.facts["experience"] = experience
        found.title = found.title if reader.tabular else clean(found.title, company)
    for found in (common, *listed):
        found.facts = {kind: value for kind, value in found.facts.items() if value}
    return {
        "is_posting": True,
        "common": common.as_json(),
        "positions": [
            {**found.as_json(), "job_title": found.title, "normalized_title": None} for found in listed
        ],
    }


def _events(rows: Sequence[Mapping[str, Any]], names: frozenset[str]) -> Iterator[Event]:
    for table, together in groupby(rows, lambda row: row.get("table")):
        if table is None:
            yield from document_events(list(together), names)
        else:
            cells = [read_cells(row) for row in together]
            yield from table_events([row for row in cells if any(cell.strip() for cell in row)], names)


def read_cells(row: Mapping[str, Any]) -> list[str]:
    """Returns the cells of a row, "" for what is no text."""
    cells = row.get("cells")
    return [cell if isinstance(cell, str) else "" for cell in cells] if isinstance(cells, list) else []


class _Reader:
    """Takes events in order."""

    def __init__(self) -> None:
        self.common = _Found()
        self.positions: list[_Found] = []
        self.asides: list[str] = []
        """Lines that are in no field: where unlabelled facts stand."""
        self.tabular = False
        self.named = ""
        """The first job title that was seen."""
        self._pending: Title | None = None
        self._section: Head | None = None
        self._level: int | None = None
        self._target = self.common
        self._last: tuple[_Found, str] | None = None
        """Where the last line went, when it may be the title of what follows."""
        self._before: Break | None = None
        """The heading just before."""

    def take(self, event: Event) -> None:
        """Takes one event."""
        last, self._last = self._last, None
        if not isinstance(event, Section | Break):
            self._before = None
        if isinstance(event, Section):
            self._begin(event, last)
        elif isinstance(event, Title):
            self._spill()
            self.named = self.named or event.text
            self._pending = event
            if event.sure:
                self._section = None
        elif isinstance(event, Break):
            self.asides.append(event.text)
            self._before = event
            if self._level is None or event.level <= self._level:
                self._section = None
        elif isinstance(event, Fact):
            self._fact(event)
        elif isinstance(event, Line):
            self._line(event)
        else:
            self._record(event)

    def end(self) -> None:
        """Ends the document."""
        self._spill()

    def _begin(self, event: Section, last: tuple[_Found, str] | None) -> None:
        self._level = event.level
        if not event.head.lines:
            self._spill()
            self._section = event.head
            return
        repeats = self._repeats(event.head)
        if self._pending is not None and not self._pending.sure and not repeats:
            self._spill()
        second = repeats and bool(self.positions) and event.head.kinds[0] == "responsibilities"
        if self._before is not None and (second or not self.positions or self._parent(event)):
            self._pending = Title(self._before.text, self._before.level)
        elif last is not None and self._pending is None and (second or (repeats and is_job(last[1]))):
            # A bare line just before a section that has been is the title of the next position.
            found, text = last
            for listed in found.lines.values():
                if listed[-1:] == [text]:
                    listed.pop()
            self._pending = Title(text)
        self._before = None
        self._section = event.head
        if event.head.common:
            self._target = self.common
        elif self._pending is not None:
            title, self._pending = self._pending, None
            nested = title.level is None or event.level is None or event.level > title.level
            self._open(_Found(title.text, title.level if nested else None))
        elif self.tabular:
            self._target = self.common
        elif not self.positions:
            self._open(_Found())
        elif self._beside(event):
            self._target = self.common
        else:
            self._target = self.positions[-1]
        self._target.begun |= set(event.head.kinds)

    def _repeats(self, section: Head) -> bool:
        """Whether the position that is being read has this section already, or there is none yet."""
        return not self.positions or section.kinds[0] in self.positions[-1].begun

    def _parent(self, event: Section) -> bool:
        """Whether a section stands directly under a heading that announces nothing known."""
        before, pending = self._before, self._pending
        if before is None or event.level is None or before.level >= event.level:
            return False
        return pending is not None and (pending.level or 0) < before.level and bool(self.positions)

    def _beside(self, event: Section) -> bool:
        """Whether a section stands beside the positions, not inside the last one."""
        level = self.positions[-1].level
        return (
            level is not None and event.level is not None and event.level <= level and len(self.positions) > 1
        )

    def _open(self, found: _Found) -> None:
        self.positions.append(found)
        self._target = found

    def _spill(self) -> None:
        """A title that only looked like one, and that no section followed, was a line."""
        if self._pending is not None and not self._pending.sure:
            self._put(self._pending.text, None)
            self._pending = None

    def _line(self, event: Line) -> None:
        self._spill()
        self._put(event.text, event.kind)
        if not event.marked and len(event.text) <= LONGEST and not is_sentence(event.text):
            self._last = (self._target, event.text)
            if is_job(event.text) and self._section is None and self._pending is None and not self.positions:
                self._pending = Title(event.text)

    def _put(self, text: str, kind: str | None) -> None:
        if self._section is not None and self._section.kinds[0] == "skills":
            self._target.add({}, {}, [text])
            return
        field_of_line = kind or (line_kind(text, self._section.kinds) if self._section else None)
        if field_of_line is None:
            self.asides.append(text)
        else:
            self._target.lines[field_of_line].append(text)

    def _fact(self, fact: Fact) -> None:
        if fact.kind == "skills":
            (self._target if self.positions else self.common).add({}, {}, [fact.value])
            return
        whole = fact.kind in _OF_ALL or self.tabular or self._section is None or not self._section.lines
        target = self.common if whole else self._target
        target.facts.setdefault(fact.kind, fact.value)

    def _record(self, record: Record) -> None:
        self.tabular = True
        self._pending = self._section = None
        target = self.common
        if record.title:
            target = _Found(record.title, row=True)
            self.positions.append(target)
        target.add(record.lines, record.facts, record.skills)
        self._target = self.common


def _first_words(rows: Sequence[Mapping[str, Any]], hints: Mapping[str, Any]) -> str:
    """Returns the title of a document's one position where nothing in it looks like one: what the
    document begins with, when the source knows no title."""
    if read(hints, "title") or len(read_list(hints, "positions")) == 1 or not rows:
        return ""
    beginning = rows[0].get("heading") or next(iter(read(rows[0], "text").split("\n")), "")
    title = clean(beginning, read(hints, "company")) if isinstance(beginning, str) else ""
    return "" if is_sentence(title) or len(title) > LONGEST else title


def _company(hinted: str, rows: Sequence[Mapping[str, Any]], headings: list[str]) -> str:
    text = "\n".join(
        [*headings, *(read(row, "text") for row in rows), *("\n".join(read_cells(row)) for row in rows)]
    )
    opening = [line.strip() for line in _opening(rows) if line.strip()][:_OPENING]
    return hinted if hinted and hinted in text else company_in(opening, headings) or ""


def _opening(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields the lines of the headings and texts before the first table."""
    for row in rows:
        if "cells" in row:
            return
        yield from (read(row, "heading") or read(row, "text")).split("\n")
