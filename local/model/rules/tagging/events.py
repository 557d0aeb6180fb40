"""A document as one run of heads, titles, labels and lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.model.rules.text import is_order, read
from tools.lexicon import KIND_OF, canonical

from .heads import FACT_KINDS, LINE_KINDS, Head, head, label
from .titles import is_job


@dataclass(frozen=True, slots=True)
class Section:
    """A head: what follows stands under it. `level` is a heading's; None inside a text."""

    head: Head
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Title:
    """What names a position. `sure`: a label or a heading says so, not only its looks."""

    text: str
    level: int | None = None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Break:
    """A heading that announces nothing known."""

    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value: a kind of `FACT_KINDS`, or `skills`."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text. `marked`: it had a bullet; `kind`: its own label says where it belongs."""

    text: str
    marked: bool
    kind: str | None = None


@dataclass(slots=True)
class Record:
    """One position of a table, or what holds for all of them when it has no title."""

    title: str
    lines: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in LINE_KINDS})
    facts: dict[str, str] = field(default_factory=dict)
    skills: list[str] = field(default_factory=list)


Event = Section | Title | Break | Fact | Line | Record

_MARK = re.compile(
    r"^\s*(?:[\-–—•·∙ㆍ▪▫▶▷►◆◇■□○●◦※*>»✓✔☑ㅇ]++\s*+|\(?\d{1,2}[.)]\s++|[①-⑳]\s*+|[가-하][.)]\s++)++(?=\S)"
)
_DECORATED = re.compile(r"^\s*(?:[■□◆◇●▶▷►★☆#【\[<]|\d{1,2}[.)]\s)")
_WORD = re.compile(r"[^\W_]")
_INSIDE = re.compile(r"(?<=[\w)\]])\s+[•▪■●✓✔ㆍ]\s*(?=\S)")
_ADDRESS = re.compile(r"</?[A-Za-z][^>]*>|https?://\S+|\b[\w.+-]{1,64}@\S+")
"""What `is_order` minds and a posting may have: `<script>` is what a front-end developer handles."""
_LONGEST_SKILL = 25
_ORDER_LENGTH = 1_000
"""Characters of a line in which an order is looked for."""
_WRAPPED = 0.6
"""A line without a bullet goes on from one that is this share of the longest: it was wrapped there."""
_SHORTEST_WRAPPED = 18


def document_events(rows: Iterable[Mapping[str, Any]], names: frozenset[str]) -> Iterator[Event]:
    """Yields what the headings and texts of a document say; tables are `tables.table_events`.
    `names` are titles of positions that are known from elsewhere."""
    for row in rows:
        if isinstance(row.get("heading"), str):
            level = row.get("level")
            yield from heading_events(row["heading"], level if isinstance(level, int) else 2, names)
        else:
            yield from text_events(read(row, "text"), names)


def heading_events(text: str, level: int, names: frozenset[str]) -> Iterator[Event]:
    """Yields what one heading says."""
    bare = " ".join(text.split())
    known = head(bare)
    if known is not None:
        yield Section(known, level)
    elif bare in names or is_job(bare):
        yield Title(bare, level)
    elif (labelled := label(bare)) is not None and labelled[0].kinds[0] != "group":
        yield from _labelled(*labelled, bare, marked=False)
    elif bare:
        yield Break(bare, level)


def text_events(text: str, names: frozenset[str]) -> Iterator[Event]:
    """Yields what the lines of a text say."""
    listed = items(text)
    if _are_skills(listed):
        yield from (Fact("skills", line) for line, _ in listed)
        return
    for line, marked in listed:
        known = head(line)
        if known is not None and not (marked and known.kinds[0] not in LINE_KINDS):
            yield Section(known)
            continue
        if line in names or (not marked and _DECORATED.match(line) and is_job(line)):
            yield Title(line, sure=line in names)
        elif (labelled := label(line)) is not None:
            yield from _labelled(*labelled, line, marked=marked)
        else:
            yield Line(line, marked)


def _are_skills(listed: list[tuple[str, bool]]) -> bool:
    """Whether lines are names of skills one beside the other, as posters have them below a position. One
    of them may be misread."""
    short = all(not marked and len(line) <= _LONGEST_SKILL for line, marked in listed)
    known = sum(canonical(line) in KIND_OF for line, _ in listed)
    return short and known > 1 and 3 * known >= 2 * len(listed)


def items(text: str) -> list[tuple[str, bool]]:
    """Returns the items of a text without their bullets, wrapped lines joined, and whether each had one.

    Orders to a model are left out.
    """
    raw = [part for line in text.splitlines() for part in _INSIDE.split(line) if _WORD.search(part)]
    longest = max(map(len, raw), default=0)
    found: list[tuple[str, bool]] = []
    before = 0
    for line in raw:
        # ■ and [ stand before heads and titles too, so they stay on for whoever looks at them.
        mark = None if _DECORATED.match(line) and _kept_mark(line) else _MARK.match(line)
        bare = " ".join(line[mark.end() if mark else 0 :].split())
        wrapped = before >= max(_WRAPPED * longest, _SHORTEST_WRAPPED)
        goes_on = mark is None and found and found[-1][1] and wrapped and not _DECORATED.match(line)
        if goes_on and head(bare) is None and label(bare) is None:
            found[-1] = (f"{found[-1][0]} {bare}", True)
        else:
            found.append((bare, mark is not None))
        before = len(line)
    told = ((line, marked, _ADDRESS.sub(" ", line)) for line, marked in found)
    return [
        (line, marked)
        for line, marked, bare in told
        if _WORD.search(bare) and not is_order(bare[:_ORDER_LENGTH])
    ]


def _kept_mark(line: str) -> bool:
    bare = line.strip()
    return head(bare) is not None or is_job(bare) or bare.startswith(("[", "<", "【"))


def _labelled(known: Head, value: str, line: str, *, marked: bool) -> Iterator[Event]:
    kind = known.kinds[0]
    if known.lines:
        if marked and value:
            yield Line(line, marked, kind)
            return
        yield Section(known)
        if value:
            yield Line(value, marked)
    elif not value:
        yield Section(known)
    elif kind == "title":
        yield Title(value)
    elif kind in (*FACT_KINDS, "skills"):
        yield Fact(kind, value)
        if marked:
            yield Line(line, marked)
    elif marked or kind == "group":
        yield Line(line, marked)
    else:
        yield Section(known)
