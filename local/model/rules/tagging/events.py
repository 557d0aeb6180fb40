"""A document as one run of heads, titles, labels, lines and positions of tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.model.rules.text import is_order, read
from tools.lexicon import KIND_OF, canonical

from .labels import FACT_KINDS, LINE_KINDS, Head, clean, head, is_job, label, uncounted


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


_HEAD_LENGTH = 30
_LABEL_AND_VALUE = 2
_ITEM_LENGTH = 120
"""A longer line is a paragraph, of which a word at its end says nothing."""
_PREFERRED = re.compile(
    r"우대\s*[)\]]?\s*\.?$|^[(\[]?\s*우대|a plus\b|nice to have|\bpreferred\b|\bbonus\b", re.IGNORECASE
)
_REQUIRED = re.compile(
    r"(?:경험|이상|가능|보유|능통|이해|능력|역량|지식|자격|필수|졸업|소지|무관)\S{0,3}(?:\s*(?:자|분|필요))?$|(?:하신|있는|있으신|가능한)\s*분|years\b|experience\b"
)
_COMMON_TITLE = re.compile(r"^\W*(?:공통|전\s*직무|전체|common|all)\W*$", re.IGNORECASE)

Cells = list[str]


def table_events(rows: Sequence[Cells], names: frozenset[str]) -> Iterator[Event]:
    """Yields what a table says; each of `rows` has all its columns, or one cell as wide as the table."""
    if _is_form([row for row in rows if len(row) > 1]):
        yield from _form_events(rows, names)
        return
    heads: list[Head | None] | None = None
    named: Cells = []
    loose: list[Cells] = []
    records: list[Record] = []
    for row in rows:
        if len(row) > 1 and _is_head_row(row):
            yield from _loose_events(loose, names)
            yield from records
            loose, records = [], []
            found = [head(cell) for cell in row]
            # A second head row below the first says more of it: 자격요건 → 필수 | 우대.
            heads = (
                [low or high for low, high in zip(found, heads, strict=False)]
                if named == row[:1] and heads
                else found
            )
            named = row[:1]
        elif heads is None or len(row) != len(heads):
            loose.append(row)
        else:
            _add(records, _record(row, heads, names))
            named = []
    yield from records
    yield from _loose_events(loose, names)


def sorted_lines(
    lines: Iterator[Event] | Sequence[Event], kinds: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yields (kind, line) of the lines in a cell whose head announced `kinds`, or a head inside it."""
    current = kinds
    for event in lines:
        if isinstance(event, Section):
            current = event.head.kinds
        elif isinstance(event, Line | Title):
            kind = (event.kind if isinstance(event, Line) else None) or line_kind(event.text, current)
            if kind is not None:
                yield kind, event.text


def line_kind(line: str, kinds: tuple[str, ...]) -> str | None:
    """Returns the field of a line under a head that announced `kinds`, None when it is of none."""
    wanted = [kind for kind in kinds if kind in LINE_KINDS]
    if not wanted:
        return None
    if "requirements" in wanted and len(line) <= _ITEM_LENGTH and _PREFERRED.search(line):
        return "preferred"
    if len(wanted) > 1 and "responsibilities" in wanted:
        return "requirements" if _REQUIRED.search(line) and "requirements" in wanted else "responsibilities"
    return wanted[0]


def _is_head_row(row: Cells) -> bool:
    filled = [cell for cell in row if cell.strip()]
    if any(len(cell) > _HEAD_LENGTH for cell in filled):
        return False
    kinds = [known.kinds[0] for cell in filled if (known := head(cell)) is not None]
    names_lines = any(kind in LINE_KINDS for kind in kinds)
    return len(set(kinds)) > 1 and 2 * len(kinds) >= len(filled) and (names_lines or "title" in kinds)


def _is_form(rows: Sequence[Cells]) -> bool:
    """Whether the heads are in the first column."""
    kinds = {known.kinds[0] for row in rows if (known := head(row[0])) is not None}
    announcing = sum(1 for row in rows if (known := head(row[0])) and known.kinds[0] != "group")
    lone = len(rows) == 1 and announcing == 1 and not _is_head_row(rows[0])
    return lone or (len(kinds) > 1 and 2 * announcing >= len(rows))


def _record(row: Cells, heads: list[Head | None], names: frozenset[str]) -> Record:
    record = Record(_title(row, heads))
    for cell, known in zip(row, heads, strict=True):
        if known is None or not cell.strip():
            continue
        kind = known.kinds[0]
        if kind in LINE_KINDS:
            events = list(text_events(cell, names))
            for own, line in sorted_lines(events, known.kinds):
                record.lines[own].append(line)
            for event in events:
                if isinstance(event, Fact):
                    _keep_fact(record, event)
        elif kind in (*FACT_KINDS, "skills"):
            _keep_fact(record, Fact(kind, " ".join(cell.split())))
    return record


def _keep_fact(record: Record, fact: Fact) -> None:
    if fact.kind == "skills":
        record.skills.append(fact.value)
    else:
        record.facts.setdefault(fact.kind, fact.value)


def _title(row: Cells, heads: list[Head | None]) -> str:
    """Returns the name of the position in a row: the most special of its titles, else its group."""
    places = [n for n, known in enumerate(heads) if known and known.kinds[0] == "title" and row[n].strip()]
    if not places:
        places = [
            n for n, known in enumerate(heads) if known and known.kinds[0] == "group" and row[n].strip()
        ][-1:]
    if not places:
        places = [
            n for n, known in enumerate(heads) if known is None and 0 < len(row[n].strip()) <= _HEAD_LENGTH
        ][:1]
    return uncounted(row[places[-1]]) if places else ""


def _add(records: list[Record], record: Record) -> None:
    """Adds a row to its table's positions. A row without a title, or with that of the row above and
    nothing that sets it apart, goes on with the one above."""
    above = records[-1] if records else None
    same = above is not None and (not record.title or record.title == above.title)
    if above is not None and same and all(above.facts.get(k, v) == v for k, v in record.facts.items()):
        for kind, lines in record.lines.items():
            above.lines[kind] += [line for line in lines if line not in above.lines[kind]]
        above.facts |= record.facts
        above.skills += record.skills
    else:
        record.title = "" if _COMMON_TITLE.match(record.title) else record.title
        records.append(record)


def _form_events(rows: Sequence[Cells], names: frozenset[str]) -> Iterator[Event]:
    wide = [row for row in rows if len(row) > 1]
    nested = any(len(row) > _LABEL_AND_VALUE and _is_label(row[0]) and head(row[1]) for row in wide)
    if not nested and any(len(set(row[1:])) > 1 and not _is_pairs(row) for row in wide):
        yield from _column_events(rows, names)
        return
    above = ""
    for row in rows:
        if len(row) == 1:
            yield from text_events(row[0], names)
        elif _is_pairs(row):
            for place in range(0, len(row) - 1, 2):
                yield from _labelled_cell(row[place], [row[place + 1]], names)
        else:
            # The inner of two heads says more, and a merged head is said once.
            inner = 1 if len(row) > _LABEL_AND_VALUE and head(row[1]) is not None else 0
            yield from _labelled_cell("" if row[inner] == above else row[inner], row[inner + 1 :], names)
            above = row[inner]


def _is_label(cell: str) -> bool:
    known = head(cell)
    return known is not None and known.lines


def _is_pairs(row: Cells) -> bool:
    """Whether a row is labels and values in turn: 고용형태 | 정규직 | 근무지 | 서울."""
    return len(row) > _LABEL_AND_VALUE and len(row) % 2 == 0 and all(head(cell) for cell in row[::2])


def _labelled_cell(named: str, values: Cells, names: frozenset[str]) -> Iterator[Event]:
    known = head(named)
    value = "\n".join(dict.fromkeys(value for value in values if value.strip()))
    if known is not None and known.kinds[0] == "title":
        yield Title(" ".join(value.split()))
        return
    if known is not None and known.kinds[0] in (*FACT_KINDS, "skills"):
        yield Fact(known.kinds[0], " ".join(value.split()))
        return
    if known is not None:
        yield Section(known)
    elif is_job(named):
        yield Title(" ".join(named.split()))
    elif named.strip():
        yield Section(Head(("other",)))
    yield from text_events(value, names)


def _column_events(rows: Sequence[Cells], names: frozenset[str]) -> Iterator[Event]:
    """Yields the positions of a table that has one in each column."""
    wide = [row for row in rows if len(row) > 1]
    columns = max(map(len, wide))
    records = [Record("") for _ in range(columns)]
    common = Record("")
    for number, row in enumerate(wide):
        known = head(row[0])
        cells = row[1:]
        titles = known is not None and known.kinds[0] == "title"
        if titles or (number == 0 and (known is None or known.kinds[0] == "group")):
            for record, cell in zip(records, cells, strict=False):
                record.title = uncounted(cell) or record.title
            continue
        if known is None:
            continue
        shared = len(set(cells)) == 1
        for record, cell in zip([common] if shared else records, cells, strict=False):
            filled = _record([cell], [known], names)
            for kind, lines in filled.lines.items():
                record.lines[kind] += lines
            record.facts |= filled.facts
            record.skills += filled.skills
    yield common
    yield from (record for record in records if record.title)
    for row in rows:
        if len(row) == 1:
            yield from text_events(row[0], names)


def _loose_events(rows: Sequence[Cells], names: frozenset[str]) -> Iterator[Event]:
    """Yields what rows without heads say: a layout's cells are texts with heads of their own."""
    for row in rows:
        for cell in dict.fromkeys(row):
            events = list(text_events(cell, names))
            tells = any(isinstance(event, Section | Fact | Title) for event in events)
            if len(row) == 1 or tells:
                yield from events
            elif is_job(cell) and any(len(other) > len(cell) for other in row):
                yield Title(clean(cell))
