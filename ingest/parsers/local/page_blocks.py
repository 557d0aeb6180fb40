"""Blocks of a page in reading order, from its lines and ruled tables: headings, paragraphs, lists, columns,
and tables that no rules enclose.

Tables without rules come in two kinds: known column names side by side and cells below them, and labels below
each other with their values on the right. Columns are separated by the widest empty strip between two names.
Rows are separated by rules or edges of fills where there are any, else by the gaps between lines that are
wider than those inside a cell.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence

from ingest.documents import Block, Cell, Heading, Paragraph, Table
from ingest.parsers.local.layout import (
    Box,
    Line,
    bounding_box,
    cluster,
    group_rows,
    is_column_name,
    is_section_name,
    join_wrapped,
    mean_confidence,
)
from ingest.parsers.local.ruled_tables import GridCell, PlacedTable, cell_text, table_rows
from ingest.parsers.local.segmentation import Rules

# Heights of lines, in terms of the usual one, unless another unit is named.
_HEADING, _TITLE = 1.18, 1.7
_LONGEST_HEADING = 60  # letters
_PARAGRAPH_GAP = 1.6

_LEAST_COLUMNS = 3  # two names side by side stand over two columns of text as often as over a table
_MOSTLY = 0.6  # share of the names in a row that have to be known ones
_HEADER_GAP = 2.5  # between two rows of column names
_FAR = 4.5  # what stands further below is no part of the table
_RULED = 0.45  # share of a table's width that a rule between two of its rows covers
_SPANS = 0.3  # share of a column's width from which a rule ends its cell
_ROW_GAP = 1.5  # times the gap between lines of a cell

_LEAST_LABELS = 2
_ALIGNED = 0.8  # by which the left edges or the middles of labels differ
_CELL_GAP = 1.3  # between lines of one cell, at most


def arrange_blocks(lines: Sequence[Line], tables: Sequence[PlacedTable], rules: Rules) -> list[Block]:
    """Returns the blocks of a page in reading order."""
    unruled, rest = _find_unruled_tables(lines, rules)
    every = [*tables, *unruled]
    pieces: list[tuple[int, list[Block]]] = [
        (placed.box.top, [block for block in (placed.above, placed.table) if block is not None])
        for placed in every
    ]
    for part in _parts(rest, sorted(placed.box.top for placed in every)):
        top = min(line.box.top for line in part)
        pieces += [(top, list(_blocks(column, lines))) for column in _columns(part)]
    return [block for _, blocks in sorted(pieces, key=lambda piece: piece[0]) for block in blocks]


def _parts(lines: Sequence[Line], tables: Sequence[int]) -> Iterator[list[Line]]:
    """Lines between one table and the next, cut further where the number of columns changes."""
    tops = [*tables, 1 << 30]
    number = 0
    part: list[Line] = []
    many = False
    for row in group_rows(lines):
        while row[0].box.top >= tops[number]:
            if part:
                yield part
            part, number = [], number + 1
        if part and (len(row) > 1) != many and not (many and _continues_column(row[0], part)):
            yield part
            part = []
        many = len(row) > 1 or (many and bool(part))
        part += row
    if part:
        yield part


def _continues_column(line: Line, part: Sequence[Line]) -> bool:
    """Whether the only line of a row continues one of the columns above it."""
    left = min(other.box.left for other in part)
    bottom = max(other.box.bottom for other in part)
    second = min(
        (other.box.left for other in part if other.box.left > left + 5 * other.box.height), default=0
    )
    return (
        line.box.top - bottom < _PARAGRAPH_GAP * line.box.height
        and not _is_heading(line, part)
        and (line.box.left >= second - 2 or line.box.right <= second)
    )


def _columns(part: Sequence[Line]) -> list[list[Line]]:
    """A part by its columns; boxes side by side with no lines below each other are one row."""
    rows = group_rows(part)
    if len(rows) < 2 or all(len(row) == 1 for row in rows):  # noqa: PLR2004
        return [[line for row in rows for line in row]]
    spans = sorted((line.box.left, line.box.right) for line in part)
    edges, end = [], spans[0][1]
    for left, right in spans[1:]:
        if left > end + 4:
            edges.append((left + end) // 2)
        end = max(end, right)
    columns: list[list[Line]] = [[] for _ in range(len(edges) + 1)]
    for row in rows:
        for line in row:
            columns[sum(line.box.left > edge for edge in edges)].append(line)
    return [column for column in columns if column]


def _blocks(lines: Sequence[Line], page: Sequence[Line]) -> Iterator[Block]:
    usual = _usual_height(page)
    paragraph: list[Line] = []
    for line in lines:
        is_heading = _is_heading(line, page)
        gap = line.box.top - paragraph[-1].box.bottom if paragraph else 0
        if paragraph and (is_heading or gap > _PARAGRAPH_GAP * paragraph[-1].box.height):
            yield _paragraph(paragraph, page)
            paragraph = []
        if is_heading:
            height = line.box.height / usual
            level = 1 if height >= _TITLE else 2 if height >= _HEADING else 3
            yield Heading(text=line.text, level=level, confidence=line.confidence)
        else:
            paragraph.append(line)
    if paragraph:
        yield _paragraph(paragraph, page)


def _paragraph(lines: Sequence[Line], page: Sequence[Line]) -> Paragraph:
    # Boxes in a row, such as the steps of a process, are items of their own.
    if all(a.box.top < b.box.bottom and b.box.top < a.box.bottom for a, b in itertools.pairwise(lines)):
        text = "\n".join(f"- {line.text}" if line.bulleted else line.text for line in lines)
    else:
        text = join_wrapped(lines, max(line.box.right for line in page))
    return Paragraph(text=text, confidence=mean_confidence(lines))


def _usual_height(page: Sequence[Line]) -> float:
    return statistics.median(line.box.height for line in page)


def _is_heading(line: Line, page: Sequence[Line]) -> bool:
    if line.bulleted or len(line.text) > _LONGEST_HEADING or line.text.endswith((".", ",")):
        return False
    if is_section_name(line.text) or is_column_name(line.text):
        return True
    return line.box.height >= _HEADING * _usual_height(page)


def _find_unruled_tables(lines: Sequence[Line], rules: Rules) -> tuple[list[PlacedTable], list[Line]]:
    """Finds the tables without rules; returns them and the lines that belong to none."""
    rest = list(lines)
    tables: list[PlacedTable] = []
    tried: list[Line] = []
    while (header := _header_lines(rest, tried)) is not None:
        tried += header
        body = _body(header, [line for line in rest if line not in header])
        if body:
            tables.append(_table_with_header(_header_cells(header), body, rules))
            rest = [line for line in rest if line not in header and line not in body]
    while (found := _find_label_table(rest)) is not None:
        table, used = found
        tables.append(table)
        rest = [line for line in rest if line not in used]
    return tables, rest


# Tables with column names ---------------------------------------------------------------------------


def _header_lines(lines: Sequence[Line], tried: Sequence[Line]) -> list[Line] | None:
    """The column names of the first table: a row of three with two known ones, and known ones close above and
    below."""
    rows = group_rows(lines)
    for number, row in enumerate(rows):
        if len(row) < _LEAST_COLUMNS or any(line in tried for line in row):
            continue
        known = sum(is_column_name(line.text) for line in row)
        # Half of a row of labels and values are known, too.
        if known < 2 or known < _MOSTLY * len(row) or any(line.bulleted for line in row):  # noqa: PLR2004
            continue
        header = list(row)
        height = statistics.median(line.box.height for line in row)
        for other in [*rows[max(0, number - 1) : number], *rows[number + 1 : number + 2]]:
            is_near = abs(other[0].box.centre[1] - row[0].box.centre[1]) <= _HEADER_GAP * height
            if is_near and all(is_column_name(line.text) for line in other):
                header += other
        return header
    return None


def _header_cells(header: Sequence[Line]) -> list[tuple[GridCell, Line]]:
    """Column names in their cells: in one row, or in two where some stand over others."""
    levels = group_rows(header)
    if len(levels) == 1:
        return [(GridCell(0, column, 1, 1, line.box), line) for column, line in enumerate(levels[0])]
    parents, leaves = levels[0], levels[-1]
    spanning = [line for level in levels[1:-1] for line in level]
    order = sorted([*spanning, *leaves], key=lambda line: line.box.centre[0])
    cells = [(GridCell(0, order.index(line), 2, 1, line.box), line) for line in spanning]
    cells += [(GridCell(1, order.index(line), 1, 1, line.box), line) for line in leaves]
    for parent in parents:
        below = [
            order.index(leaf)
            for leaf in leaves
            if min(parents, key=lambda p: abs(p.box.centre[0] - leaf.box.centre[0])) is parent
        ]
        if below:
            cell = GridCell(0, min(below), 1, max(below) - min(below) + 1, parent.box)
            cells.append((cell, parent))
    return cells


def _body(header: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The lines below the column names as far as the table goes."""
    centres = [line.box.centre[0] for cell, line in _header_cells(header) if cell.columns == 1]
    bottom = max(line.box.bottom for line in header)
    body: list[Line] = []

    def is_behind(line: Line, usual: float) -> bool:
        # A heading, or a line that runs across columns.
        across = sum(line.box.left < centre < line.box.right for centre in centres) > 1
        return across or is_section_name(line.text) or line.box.height > _HEADING * usual + 2

    for row in group_rows([line for line in lines if line.box.centre[1] > bottom]):
        usual = statistics.median([line.box.height for line in body or row])
        is_far = min(line.box.top for line in row) - bottom > _FAR * usual
        if is_far or any(is_behind(line, usual) for line in row):
            break
        body += row
        bottom = max(line.box.bottom for line in body)
    return body


def _table_with_header(
    header: Sequence[tuple[GridCell, Line]], body: Sequence[Line], rules: Rules
) -> PlacedTable:
    lines = [line for _, line in header] + list(body)
    box = bounding_box(line.box for line in lines)
    xs = _column_edges(header, lines, box)
    header_rows = max(cell.row + cell.rows for cell, _ in header)
    top = max(line.box.bottom for _, line in header)
    borders, ruled = _row_borders(body, Box(box.left, top, box.right, box.bottom), rules, xs)
    ys = [top, *borders, box.bottom + 1]
    cells = [(cell, Cell(text=line.text, header=True)) for cell, line in header]
    for column, (left, right) in enumerate(itertools.pairwise(xs)):
        own = [line for line in body if left <= line.box.centre[0] < right]
        joined = [_is_joined(own, y, (left, right), ys, rules, ruled=ruled) for y in borders]
        row = 0
        while row < len(ys) - 1:
            end = row + 1
            while end < len(ys) - 1 and joined[end - 1]:
                end += 1
            area = Box(left, ys[row], right, ys[end])
            inside = [line for line in own if area.top <= line.box.centre[1] < area.bottom]
            place = GridCell(header_rows + row, column, end - row, 1, area)
            cells.append((place, Cell(text=cell_text(inside, area))))
            row = end
    return PlacedTable(box, Table(rows=table_rows(cells), confidence=mean_confidence(lines)))


def _column_edges(header: Sequence[tuple[GridCell, Line]], lines: Sequence[Line], box: Box) -> list[int]:
    leaves = sorted((cell.column, line.box.centre[0]) for cell, line in header if cell.columns == 1)
    parents = [line for cell, line in header if cell.columns > 1]
    spans = [(line.box.left, line.box.right) for line in lines if line not in parents]
    edges = [round(_widest_gap(spans, start, end)) for (_, start), (_, end) in itertools.pairwise(leaves)]
    return [box.left, *edges, box.right + 1]


def _widest_gap(spans: Sequence[tuple[int, int]], start: float, end: float) -> float:
    """The middle of the widest stretch from start to end that no span covers."""
    inner = sorted(span for span in spans if span[1] > start and span[0] < end)
    best, reached = (0.0, (start + end) / 2), start
    for left, right in [*inner, (end, end)]:
        if left - reached > best[0]:
            best = (left - reached, (left + reached) / 2)
        reached = max(reached, right)
    return best[1]


def _row_borders(body: Sequence[Line], box: Box, rules: Rules, xs: Sequence[int]) -> tuple[list[int], bool]:
    """Where one row ends and the next begins, and whether rules separate them."""
    inside = rules.horizontal[box.top : box.bottom, box.left : box.right]
    covered = (inside > 0).mean(axis=1) if inside.size else []
    drawn = cluster([box.top + int(y) for y, share in enumerate(covered) if share > _RULED], 6)
    first, last = min(line.box.top for line in body), max(line.box.bottom for line in body)
    drawn = [y for y in drawn if first < y < last]
    if drawn:
        return drawn, True
    # A column that says the same for all rows has few lines, and they stand where rows meet.
    columns = [
        [line for line in body if left <= line.box.centre[0] < right]
        for left, right in itertools.pairwise(xs)
    ]
    most = max(map(len, columns))
    main = [line for column in columns if len(column) * 4 > most for line in column] or list(body)
    spans = sorted((line.box.top, line.box.bottom) for line in main)
    gaps: list[tuple[int, int]] = []
    reached = spans[0][1]
    for top, bottom in spans[1:]:
        if top > reached:
            gaps.append((reached, top))
        reached = max(reached, bottom)
    # The gap between the lines of a cell is the usual distance within columns.
    distances = [
        below.box.top - above.box.bottom
        for column in columns
        for above, below in itertools.pairwise(column)
        if below.box.top >= above.box.bottom
    ]
    usual = float(statistics.median_low(distances)) if distances else 9e9
    return [(a + b) // 2 for a, b in gaps if b - a > max(_ROW_GAP * usual, usual + 4)], False


def _is_joined(
    own: Sequence[Line], border: int, sides: tuple[int, int], ys: Sequence[int], rules: Rules, *, ruled: bool
) -> bool:
    """Whether a column's cell goes on across the border between two rows."""
    if any(line.box.top < border < line.box.bottom for line in own):
        return True
    if ruled:
        left, right = sides
        strip = rules.horizontal[max(0, border - 4) : border + 5, left + 4 : max(left + 5, right - 4)]
        return float((strip > 0).any(axis=0).mean()) < _SPANS
    if not own:
        return False
    # Lines of one cell around the middle of all rows, and nothing else in the column.
    middle, height = (ys[0] + ys[-1]) / 2, ys[-1] - ys[0]
    box = bounding_box(line.box for line in own)
    return abs(box.centre[1] - middle) < 0.12 * height and box.height < 0.35 * height


# Tables with labels ---------------------------------------------------------------------------------


def _find_label_table(lines: Sequence[Line]) -> tuple[PlacedTable, list[Line]] | None:
    """Finds the first table of labels and values; returns it and its lines."""
    for labels in _label_columns(lines):
        edge = max(label.box.right for label in labels)
        values = [line for line in lines if line.box.left > edge and line not in labels]
        rows = _values_of(labels, values)
        if sum(bool(row) for row in rows) >= _LEAST_LABELS and not any(map(_is_list_under_name, rows)):
            used = labels + [line for row in rows for line in row]
            return _label_table(labels, rows, used), used
    return None


def _label_columns(lines: Sequence[Line]) -> list[list[Line]]:
    """Known labels below each other with nothing to their left."""
    starts = [row for row in group_rows(lines) if is_column_name(row[0].text) and not row[0].bulleted]
    # Of labels at the same height, those with something beside them come first.
    starts.sort(key=lambda row: (row[0].box.top, len(row) == 1))
    columns: list[list[Line]] = []
    for line in (row[0] for row in starts):
        for column in columns:
            last = column[-1]
            is_aligned = (
                abs(last.box.centre[0] - line.box.centre[0]) <= _ALIGNED * last.box.height
                or abs(last.box.left - line.box.left) <= 4  # noqa: PLR2004
            )
            between = (
                last.box.bottom <= other.box.centre[1] <= line.box.top and other.box.left < last.box.right
                for other in lines
            )
            if is_aligned and not any(between):
                column.append(line)
                break
        else:
            columns.append([line])
    return [column for column in columns if len(column) >= _LEAST_LABELS]


def _values_of(labels: Sequence[Line], values: Sequence[Line]) -> list[list[Line]]:
    spans = [(value.box.top, value.box.bottom) for value in values]
    centres = [label.box.centre[1] for label in labels]
    borders = [_widest_gap(spans, start, end) for start, end in itertools.pairwise(centres)]
    # A label stands in the middle of its row, so the row ends as far below it as it begins above.
    first, last = 2 * centres[0] - borders[0] - 2, 2 * centres[-1] - borders[-1] + 2
    return [
        _contiguous([value for value in values if top <= value.box.centre[1] < bottom], label)
        for label, (top, bottom) in zip(labels, itertools.pairwise([first, *borders, last]), strict=True)
    ]


def _contiguous(values: Sequence[Line], label: Line) -> list[Line]:
    """The values around a label, as far as they stand close to each other."""
    rows = group_rows(values)
    if not rows:
        return []

    def are_close(above: Sequence[Line], below: Sequence[Line]) -> bool:
        gap = min(line.box.top for line in below) - max(line.box.bottom for line in above)
        return gap <= _CELL_GAP * max(line.box.height for line in above)

    nearest = min(range(len(rows)), key=lambda n: abs(rows[n][0].box.centre[1] - label.box.centre[1]))
    first = last = nearest
    while first and are_close(rows[first - 1], rows[first]):
        first -= 1
    while last + 1 < len(rows) and are_close(rows[last], rows[last + 1]):
        last += 1
    return [line for row in rows[first : last + 1] for line in row]


def _is_list_under_name(row: Sequence[Line]) -> bool:
    """Whether the "value" begins with a name over a list of its own: two columns of text, no table."""
    lines = group_rows(row)
    return bool(lines) and len(lines[0]) == 1 and is_column_name(lines[0][0].text)


def _label_table(labels: Sequence[Line], rows: Sequence[Sequence[Line]], used: Sequence[Line]) -> PlacedTable:
    split = [_split_row(row) for row in rows]
    columns = max(1 + max(map(len, split)), 2)
    box = bounding_box(line.box for line in used)
    cells: list[tuple[GridCell, Cell]] = []
    for number, (label, parts) in enumerate(zip(labels, split, strict=True)):
        cells.append((GridCell(number, 0, 1, 1, label.box), Cell(text=label.text, header=True)))
        for column, part in enumerate(parts, 1):
            is_last = column == len(parts)
            width = columns - column if is_last else 1
            area = Box(part[0].box.left, box.top, box.right if is_last else part[-1].box.right, box.bottom)
            header = len(part) == 1 and is_column_name(part[0].text)
            cell = Cell(text=cell_text(part, area), header=header)
            cells.append((GridCell(number, column, 1, width, area), cell))
    return PlacedTable(box, Table(rows=table_rows(cells), confidence=mean_confidence(used)))


def _split_row(row: Sequence[Line]) -> list[list[Line]]:
    """A row's cells: one, or as many as stand side by side where one of them is a label, too."""
    lines = group_rows(row)
    if len(lines) == 1 and any(is_column_name(line.text) for line in lines[0]):
        return [[line] for line in lines[0]]
    return [list(row)] if row else []
