"""Tables on a poster: merged cells, and every way in which designers draw rules or leave them out."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from samples.programs.drawing.canvas import Canvas, Font, lighter, wrapped
from samples.programs.drawing.style import WHITE, Colour


@dataclass(frozen=True)
class Drawn:
    """A cell to be drawn. Several texts, or a list, stand below each other."""

    texts: tuple[str, ...]
    rowspan: int = 1
    colspan: int = 1
    header: bool = False
    bullets: bool = False


@dataclass(frozen=True)
class _Placed:
    cell: Drawn
    row: int
    column: int


Rows = Sequence[Sequence[Drawn]]


def draw_table(canvas: Canvas, rows: Rows, shares: Sequence[float]) -> None:
    """Draws a table over the page's inner width at the page's y, and remembers its HTML.

    `shares` are the columns' widths, in any unit.
    """
    style = canvas.style
    total = sum(shares)
    xs = [canvas.margin]
    for share in shares:
        xs.append(xs[-1] + round(canvas.inner * share / total))
    xs[-1] = canvas.margin + canvas.inner
    placed = list(_placed(rows))
    ys = _row_edges(canvas, placed, len(rows), xs)
    _fills(canvas, placed, xs, ys)
    for item in placed:
        _text(canvas, item, xs, ys)
    _rules(canvas, placed, xs, ys)
    canvas.tables.append(as_html(rows))
    canvas.y = ys[-1] + round(style.size * 1.2)


def as_html(rows: Rows) -> str:
    """The table as HTML; lines within a cell are parted by `<br>`."""
    body = []
    for row in rows:
        cells = []
        for cell in row:
            spans = (f' rowspan="{cell.rowspan}"' if cell.rowspan > 1 else "") + (
                f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
            )
            cells.append(f"<td{spans}>{'<br>'.join(map(html.escape, cell.texts))}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(body)}</table>"


def _placed(rows: Rows) -> Iterator[_Placed]:
    taken: set[tuple[int, int]] = set()
    for number, row in enumerate(rows):
        column = 0
        for cell in row:
            while (number, column) in taken:
                column += 1
            taken |= {
                (number + down, column + right)
                for down in range(cell.rowspan)
                for right in range(cell.colspan)
            }
            yield _Placed(cell, number, column)


def _font(canvas: Canvas, cell: Drawn) -> Font:
    return canvas.font(bold=cell.header)


def _lines(canvas: Canvas, item: _Placed, xs: Sequence[int]) -> list[list[str]]:
    """The visual lines of each text of the cell."""
    font = _font(canvas, item.cell)
    width = xs[item.column + item.cell.colspan] - xs[item.column] - 2 * canvas.style.padding
    if item.cell.bullets:
        width -= round(font.getlength(canvas.style.bullet + " "))
    return [wrapped(text, font, width) for text in item.cell.texts]


def _row_edges(canvas: Canvas, placed: list[_Placed], count: int, xs: Sequence[int]) -> list[int]:
    heights = [0] * count
    for item in sorted(placed, key=lambda one: one.cell.rowspan):
        lines = sum(map(len, _lines(canvas, item, xs)))
        needed = lines * canvas.line_height(_font(canvas, item.cell)) + 2 * canvas.style.padding
        rows = range(item.row, item.row + item.cell.rowspan)
        missing = needed - sum(heights[row] for row in rows)
        if missing > 0:
            for row in rows:
                heights[row] += -(-missing // len(rows))
    edges = [canvas.y]
    for height in heights:
        edges.append(edges[-1] + height)
    return edges


def _text(canvas: Canvas, item: _Placed, xs: Sequence[int], ys: Sequence[int]) -> None:
    style, cell = canvas.style, item.cell
    font = _font(canvas, cell)
    lines = _lines(canvas, item, xs)
    step = canvas.line_height(font)
    left, right = xs[item.column], xs[item.column + cell.colspan]
    top, bottom = ys[item.row], ys[item.row + cell.rowspan]
    height = sum(map(len, lines)) * step
    # A list begins at the top of its cell; a name or a head stands in its middle.
    y: float = top + style.padding if cell.bullets else (top + bottom - height) // 2
    y += (step - font.size) // 2
    fill = _ink(canvas, cell)
    if cell.bullets:
        corner = left + style.padding, round(y)
        canvas.items(corner, cell.texts, right - left - 2 * style.padding, font=font, fill=fill)
        return
    for line in (line for text in lines for line in text):
        canvas.centred(y, line, font, fill, within=(left, right))
        y += step


def _ink(canvas: Canvas, cell: Drawn) -> Colour:
    return WHITE if cell.header and canvas.style.head_fill == "accent" else canvas.style.palette.ink


def _fills(canvas: Canvas, placed: list[_Placed], xs: Sequence[int], ys: Sequence[int]) -> None:
    style = canvas.style
    heads = {"accent": style.palette.accent, "pale": style.palette.pale, "none": None}[style.head_fill]
    for item in placed:
        cell = item.cell
        fill = heads if cell.header else None
        if not cell.header and style.rules == "zebra" and item.row % 2:
            fill = lighter(style.palette.pale, 0.2)
        if fill is not None:
            right, bottom = xs[item.column + cell.colspan], ys[item.row + cell.rowspan]
            canvas.draw.rectangle((xs[item.column], ys[item.row], right, bottom), fill=fill)


def _rules(canvas: Canvas, placed: list[_Placed], xs: Sequence[int], ys: Sequence[int]) -> None:
    kind = canvas.style.rules
    if kind in ("none", "zebra"):
        return
    for item in placed:
        left, right = xs[item.column], xs[item.column + item.cell.colspan]
        top, bottom = ys[item.row], ys[item.row + item.cell.rowspan]
        horizontal = ((left, top, right, top), (left, bottom, right, bottom))
        vertical = ((left, top, left, bottom), (right, top, right, bottom))
        if kind != "vertical":
            for line in horizontal:
                _rule(canvas, line)
        if kind in ("full", "dashed"):
            for line in vertical:
                _rule(canvas, line)
        elif kind == "vertical" and right != xs[-1]:  # between columns only
            _rule(canvas, vertical[1])


def _rule(canvas: Canvas, line: tuple[int, int, int, int]) -> None:
    colour, width = canvas.style.palette.rule, canvas.style.rule_width
    if canvas.style.rules != "dashed":
        canvas.draw.line(line, fill=colour, width=width)
        return
    x, y, right, bottom = line
    # Dashes begin at multiples of their period, so that what two cells share is drawn once.
    while x < right or y < bottom:
        along = x if right > x else y
        if along % 8 < 5:  # noqa: PLR2004 - five pixels of ink, three of none
            canvas.draw.point([(x, y), (x, y + 1) if right > x and width > 1 else (x, y)], fill=colour)
        x, y = (x + 1, y) if right > x else (x, y + 1)
