"""Two readings of one image, of which the second begins a little before the first ends."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.blocks import block_lines
from ingest.documents import Block, Paragraph, Table

_MOST = 6
"""Lines or rows that an overlap can hold."""


def sewn(above: Sequence[Block], below: Sequence[Block]) -> list[Block]:
    """Returns both, what stands in both once: the lines around the seam, and a table that it cuts."""
    if not above or not below:
        return [*above, *below]
    last, first = above[-1], below[0]
    if isinstance(last, Table) and isinstance(first, Table) and _width(last) == _width(first):
        rows = first.rows[_common([_said(row) for row in last.rows], [_said(row) for row in first.rows]) :]
        whole = last.model_copy(
            update={"rows": [*last.rows, *rows], "confidence": _lower(last.confidence, first.confidence)}
        )
        return [*above[:-1], whole, *below[1:]]
    written = [line for block in above[-_MOST:] for line in block_lines(block)]
    again = [line for block in below[:_MOST] for line in block_lines(block)]
    return [*above, *_without(below, _common(written, again))]


def _common(above: Sequence[str], below: Sequence[str]) -> int:
    """How many of the last of one are the first of the other."""
    most = min(len(above), len(below), _MOST)
    return next((n for n in range(most, 0, -1) if list(above[-n:]) == list(below[:n])), 0)


def _without(blocks: Sequence[Block], lines: int) -> list[Block]:
    """Blocks without their first lines. A table is not cut: it stays where some of it is new."""
    kept = list(blocks)
    while lines and kept:
        first = block_lines(kept[0])
        if len(first) <= lines:
            lines -= len(first)
            kept.pop(0)
        elif isinstance(kept[0], Paragraph):
            kept[0] = kept[0].model_copy(update={"text": "\n".join(first[lines:])})
            break
        else:
            break
    return kept


def _said(row: Sequence[object]) -> str:
    return "\t".join(str(getattr(cell, "text", "")) for cell in row)


def _width(table: Table) -> int:
    return max((sum(cell.colspan for cell in row) for row in table.rows), default=0)


def _lower(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)
