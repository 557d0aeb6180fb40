"""Blocks as HTML, Markdown and lines; how sure they are; several parsed parts as one document."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ingest.documents import Block, Cell, Cost, Heading, Paragraph, Parsed, Table

BULLET = "- "
"""How an item of a list begins in a Paragraph."""

_MARK = re.compile(
    r"^(?:[\s\-–—•·∙ㆍ▪▫▶▷►◆◇■□○●◦※*>»✓✔☑#|ㅇ]|~(?!\s*\d))+(?=[^ㄱ-ㅎ]|$)"
    r"|^\(?\d{1,2}[.)]\s+|^[①-⑳❶-❿]\s*|^[가-하][.)]\s+"
)
"""The mark before an item: a sign, "1. ", "2) ", "③", "가. "; not the range of "~3년"."""

MAX_GRID = 1_000_000
"""Cells up to which a table's spans are followed. A table that claims more is broken or an attack: its
cells are then taken one after another."""

_INLINE = re.compile(
    r"[\\`*~<>|]"
    r"|&(?=#?\w+;)"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|\](?=[(\[:])"
)
"""What has to be escaped in Markdown. A tilde too: two ranges in one line (`1~2년, 3~4년`) would be struck
out."""
_LINE_START = re.compile(r"^(?:(#{1,6}|[-+])(?=\s|$)|(\d{1,9})([.)])(?=\s|$)|(-|=)(?=[-=:\s|]*$))")

_CLOSING = re.compile(r"(?<=\s)#(?=#*\s*$)")
"""Signs at the end of a heading, which Markdown would drop."""


def to_html(blocks: Iterable[Block]) -> str:
    """Returns blocks as HTML without a frame (`<h2>`, `<p>`, `<ul>`, `<table>`), one block a line."""
    return "".join(f"{_html(block)}\n" for block in blocks)


def to_markdown(blocks: Iterable[Block]) -> str:
    """Returns blocks as GitHub's Markdown.

    Its tables have no spans: a cell that spans rows is repeated in each of them, and one that spans columns
    is in the first of them."""
    return "\n\n".join(_markdown(block) for block in blocks)


def block_lines(block: Block) -> list[str]:
    """Returns the lines of a block, those of its cells row by row; none is empty."""
    texts = [cell.text for row in block.rows for cell in row] if isinstance(block, Table) else [block.text]
    return [line.strip() for text in texts for line in text.split("\n") if line.strip()]


def plain(line: str) -> str:
    """Returns a line without the mark of an item, its white space folded."""
    bare = " ".join(line.split())
    while (cut := _MARK.sub("", bare, count=1).lstrip()) != bare:
        bare = cut
    return bare


def grid(rows: Sequence[Sequence[Cell]]) -> list[list[Cell | None]]:
    """Lays a table's cells out over all places they span, the same cell in each.

    A place that no cell covers is None. Spans end with the table's last row; beyond `MAX_GRID`
    places they are not followed.
    """
    width = max((sum(cell.colspan for cell in row) for row in rows), default=0)
    if width * len(rows) > MAX_GRID:
        return [list(row) for row in rows]
    places: list[list[Cell | None]] = []
    laid_out = 0
    running: dict[int, tuple[Cell, int]] = {}
    for row in rows:
        place = 0
        laid: dict[int, Cell] = {column: cell for column, (cell, _) in running.items()}
        running = {column: (cell, left - 1) for column, (cell, left) in running.items() if left > 1}
        for cell in row:
            while place in laid:
                place += 1
            for column in range(place, place + cell.colspan):
                if column not in laid:
                    laid[column] = cell
                    if cell.rowspan > 1:
                        running[column] = (cell, cell.rowspan - 1)
            place += cell.colspan
        places.append([laid.get(column) for column in range(max(laid, default=-1) + 1)])
        laid_out += len(places[-1])
        if laid_out > MAX_GRID:
            return [list(row) for row in rows]
    return places


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_escaped(block.text)}</h{block.level}>"
    if isinstance(block, Table):
        rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in block.rows)
        return f"<table>{rows}</table>"
    return "".join(
        f"<ul>{''.join(f'<li>{html.escape(line.removeprefix(BULLET))}</li>' for line in group)}</ul>"
        if is_list
        else f"<p>{'<br>'.join(map(html.escape, group))}</p>"
        for is_list, group in _grouped(block)
    )


def _html_cell(cell: Cell) -> str:
    tag = "th" if cell.header else "td"
    spans = "".join(
        f' {name}="{value}"'
        for name, value in (("rowspan", cell.rowspan), ("colspan", cell.colspan))
        if value > 1
    )
    return f"<{tag}{spans}>{_escaped(cell.text)}</{tag}>"


def _escaped(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.split("\n"))


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        text = _CLOSING.sub(r"\\#", _inline(_one_line(block.text)))
        return f"{'#' * block.level} {text}"
    if isinstance(block, Table):
        return _markdown_table(block)
    return "\n\n".join(
        "\n".join(f"- {_line(line.removeprefix(BULLET))}" for line in group)
        if is_list
        # Two spaces: a line break that the reader of the bare text does not see.
        else "  \n".join(map(_line, group))
        for is_list, group in _grouped(block)
    )


def _markdown_table(table: Table) -> str:
    written = []
    for row in grid(table.rows):
        cells = [
            "" if cell is None or (column and row[column - 1] is cell) else _markdown_cell(cell.text)
            for column, cell in enumerate(row)
        ]
        written.append(cells)
    width = max(map(len, written), default=0)
    head = [*written[0], *[""] * (width - len(written[0]))] if written else []
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * width, *written[1:]))


def _markdown_cell(text: str) -> str:
    return "<br>".join(_inline(line.strip()) for line in text.split("\n"))


def _line(text: str) -> str:
    """Returns a line of Markdown that begins no list, heading or the like."""
    return _LINE_START.sub(
        lambda match: f"{match[2]}\\{match[3]}" if match[2] else f"\\{match[0]}", _inline(text.strip())
    )


def _inline(text: str) -> str:
    return _INLINE.sub(lambda match: f"\\{match[0]}", text)


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _grouped(block: Paragraph) -> Iterator[tuple[bool, list[str]]]:
    """Yields the runs of items and of other lines: (whether they are items, the lines)."""
    written = (line for line in block.text.split("\n") if line.strip())
    for is_list, group in groupby(written, lambda line: line.startswith(BULLET)):
        yield is_list, list(group)


def confidence_of(parsed: Parsed) -> float:
    """Returns the confidence of a result, from 0 to 1: 1 where the parser gives none, 0 without blocks."""
    if not parsed.blocks:
        return 0.0
    return 1.0 if parsed.confidence is None else parsed.confidence


def mean_confidence(blocks: Iterable[Block]) -> float | None:
    """Returns the mean confidence of blocks, weighted by the length of their text; None where no block has
    both."""
    return weighted_mean((block.confidence, _letters([block])) for block in blocks)


def combine(results: Sequence[Parsed]) -> Parsed:
    """Returns the results for a document's parts, in reading order, as one: pages are numbered through,
    costs added, confidence is the mean weighted by length."""
    blocks: list[Block] = []
    pages = 0
    for parsed in results:
        blocks += [block.model_copy(update={"page": pages + block.page}) for block in parsed.blocks]
        pages += max((block.page for block in parsed.blocks), default=1)
    return Parsed(
        blocks=blocks,
        parser="+".join(dict.fromkeys(parsed.parser for parsed in results)),
        confidence=weighted_mean((parsed.confidence, _letters(parsed.blocks)) for parsed in results),
        warnings=list(dict.fromkeys(warning for parsed in results for warning in parsed.warnings)),
        flags=list(dict.fromkeys(flag for parsed in results for flag in parsed.flags)),
        cost=sum((parsed.cost for parsed in results), Cost()),
    )


def weighted_mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    """Returns the mean of values by their weights; None where no value with a weight is known."""
    weighted = [(value, weight) for value, weight in values if value is not None]
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else None


def _letters(blocks: Iterable[Block]) -> int:
    return sum(len(line) for block in blocks for line in block_lines(block))
