"""A document as rows of JSON for the prompt's `document` fence, in parts of limited size.

    {"heading": "백엔드 개발자", "level": 2}
    {"text": "- API 설계\n- 장애 대응"}
    {"table": 1, "head": true, "cells": ["모집부문", "담당업무"]}
    {"table": 1, "cells": ["백엔드", "- API 설계"]}

A cell that spans rows stands in each of them and one that spans columns in each of these, so that a
row can be read by itself; a cell as wide as its table stands alone. What a later part repeats of an
earlier one, to be understood, has `"again": true`; the further pieces of a row that is too long for
one part have `"continued": true`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ingest.blocks import grid
from ingest.documents import Block, Heading, Paragraph, Table
from tools.core.text import cut

PART_CHARACTERS = 12_000
"""Characters of document text in one call. Copied in full they are about 10,000 tokens of Korean,
below the 16,384 that the smallest usual models write at most."""
_TAIL_CHARACTERS = 600
"""Of the text before a part that begins in the midst of a section, as much is repeated."""
_REPEATED_CHARACTERS = 3_000
"""Of all that a later part repeats; a heading as long as a page is not repeated."""
_BESIDE_CHARACTERS = 500
"""A cell up to this length is repeated in every piece of a row that has to be cut."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document. `continues`: it begins in the midst of a section, so its first
    position may be the last one of the part before."""

    rows: list[Row]
    continues: bool = False


def document_parts(blocks: Iterable[Block]) -> list[Part]:
    """Returns a document in parts of at most about PART_CHARACTERS, at least one; nothing is left out."""
    parts: list[Part] = []
    current: list[Row] = []
    size = 0
    context = _Context()
    for row in _pieces(_rows(blocks)):
        weight = _weight(row)
        if current and size + weight > PART_CHARACTERS:
            cut = _best_cut(current, row)
            parts.append(Part(current[:cut], parts[-1:] != [] and _continues(current)))
            context.read(current[:cut])
            current = [*context.repeated(current[cut] if cut < len(current) else row), *current[cut:]]
            size = sum(map(_weight, current))
        current.append(row)
        size += weight
    return [*parts, Part(current, parts != [] and _continues(current))]


def _rows(blocks: Iterable[Block]) -> Iterator[Row]:
    tables = 0
    for block in blocks:
        if isinstance(block, Heading):
            yield {"heading": block.text, "level": block.level}
        elif isinstance(block, Paragraph):
            yield {"text": block.text}
        else:
            tables += 1
            yield from _table_rows(block, tables)


def _table_rows(table: Table, number: int) -> Iterator[Row]:
    laid = grid(table.rows)
    # Only columns in which a cell begins: a span may claim any number of columns.
    columns = sorted(
        {
            column
            for row in laid
            for column, cell in enumerate(row)
            if cell is not None and (column == 0 or row[column - 1] is not cell)
        }
    )
    for row in laid:
        kept = [row[column] if column < len(row) else None for column in columns]
        texts = [cell.text if cell is not None else "" for cell in kept]
        filled = [cell for cell in kept if cell is not None and cell.text.strip()]
        if not filled:
            continue
        head = {"head": True} if all(cell.header for cell in filled) else {}
        whole = len({id(cell) for cell in kept}) == 1
        yield {"table": number, **head, "cells": texts[:1] if whole else texts}


def _weight(row: Row) -> int:
    return len(row.get("heading", "")) + len(row.get("text", "")) + sum(map(len, row.get("cells", ())))


def _pieces(rows: Iterable[Row]) -> Iterator[Row]:
    """Cuts the rows that are too long for a part, between lines."""
    limit = PART_CHARACTERS // 2
    for row in rows:
        if _weight(row) <= limit:
            yield row
        elif "cells" in row:
            long = [place for place, cell in enumerate(row["cells"]) if len(cell) > _BESIDE_CHARACTERS]
            pieces = [(place, piece) for place in long for piece in _cut(row["cells"][place], limit)]
            for number, (place, piece) in enumerate(pieces):
                cells = ["" if other in long else cell for other, cell in enumerate(row["cells"])]
                cells[place] = piece
                yield {**row, **({"continued": True} if number else {}), "cells": cells}
            if not pieces:  # a row of very many small cells
                yield row
        else:
            for number, piece in enumerate(_cut(row.get("text") or row["heading"], limit)):
                yield {"text": piece, **({"continued": True} if number else {})}


def _cut(text: str, limit: int) -> Iterator[str]:
    piece = ""
    for line in text.split("\n"):
        rest = line
        while len(rest) > limit:  # a line that is a page: cut between words
            if piece:
                yield piece
            piece = cut(rest, limit) or rest[:limit]
            rest = rest[len(piece) :].lstrip()
        if piece and len(piece) + len(rest) >= limit:
            yield piece
            piece = rest
        else:
            piece = f"{piece}\n{rest}" if piece else rest
    if piece:
        yield piece


def _best_cut(rows: list[Row], following: Row) -> int:
    """Returns where to end a part: at its last heading, when that is in its second half. What is
    repeated does not count, or a part could be nothing else."""
    if "heading" in following:
        return len(rows)
    at = max((place for place, row in enumerate(rows) if "heading" in row and "again" not in row), default=0)
    size = sum(_weight(row) for row in rows[:at] if "again" not in row)
    return at if 2 * size > PART_CHARACTERS else len(rows)


def _continues(rows: list[Row]) -> bool:
    begins = next((row for row in rows if "again" not in row), {})
    return "text" in begins or "continued" in begins


class _Context:
    """What of the parts so far helps to understand the next one."""

    def __init__(self) -> None:
        self._headings: list[Row] = []
        self._table: list[Row] = []
        self._before: list[Row] = []

    def read(self, rows: list[Row]) -> None:
        """Goes over the rows of a part."""
        for row in rows:
            if "again" in row:
                continue
            if "heading" in row:
                self._headings = [h for h in self._headings if h["level"] < row["level"]] + [row]
            if "cells" in row and (not self._table or self._table[0]["table"] != row["table"]):
                self._table = [row]
            elif row.get("head") and all(known.get("head") for known in self._table):
                self._table.append(row)
            self._before = [row]

    def repeated(self, following: Row) -> list[Row]:
        """Returns the rows to repeat before `following`."""
        above = self._headings
        if "heading" in following:
            above = [row for row in above if row["level"] < following["level"]]
        rows = list(above)
        if "cells" in following and self._table and self._table[0]["table"] == following["table"]:
            rows += self._table
        elif "text" in following:
            tail = [row["text"] for row in self._before if "text" in row]
            rows += [{"text": text[-_TAIL_CHARACTERS:].partition("\n")[2]} for text in tail]
        room = _REPEATED_CHARACTERS
        repeated = []
        for row in rows:
            if 0 < _weight(row) <= room:
                repeated.append({**row, "again": True})
                room -= _weight(row)
        return repeated


_HANGUL = re.compile(r"[가-힣]")
_LETTER = re.compile(r"[^\W\d_]")


def is_korean(text: str) -> bool:
    """Whether a text is Korean: a fifth of its letters are Hangul. Korean postings name every
    technology in Latin letters, English ones have next to no Hangul."""
    return 5 * len(_HANGUL.findall(text)) >= len(_LETTER.findall(text))
