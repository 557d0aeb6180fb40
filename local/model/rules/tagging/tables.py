"""Tables as positions, a row or a column each, or as labels and values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .events import Event, Fact, Line, Record, Section, Title, text_events
from .heads import FACT_KINDS, LINE_KINDS, Head, head
from .titles import clean, is_job, uncounted

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
