"""HTML to blocks: what a reader of the page would see, without its scripts, navigation and styles.

The page is read as a sequence of tokens, so that neither depth (10,000 nested `<div>`) nor width (one line
of 3 MB) matters. Layout tables become text; tables of data stay whole, however long they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.blocks import BULLET
from ingest.documents import Cell, Cost, Heading, Parsed, RawFile, Table
from ingest.parsers.html_embedded import (
    Field,
    data_url_of,
    embedded_images,
    embedded_state,
    image_urls,
    is_tracking_pixel,
    json_ld_postings,
)
from ingest.parsers.html_tokens import VOID, EndTag, StartTag, Token, names, tokenize
from ingest.parsers.html_visibility import visible_tokens
from ingest.parsers.lines import GAP, MAX_COLSPAN, FlowItem, Line, build_blocks, clean_table, parse_span
from tools.core.text import one_line

PARSER = "html/2"
SHORTEST_ALT_TEXT = 10  # characters from which an image's alternative text says more than that it is an icon

_SHORTEST_MAIN = 200  # characters from which `<main>` holds the posting: some pages fill it by script
_SHELL = 200  # letters up to which a page is a shell that a script fills
_MOSTLY_WRITTEN = 0.5  # share of a posting's letters from which the page itself has its text
_MAX_ROWSPAN = 65_534  # the highest that HTML knows
_LONG_CELL = 5  # lines: a table of one row with two longer cells is a page in columns
_DEEPEST_TABLE = 16  # tables within tables; what is nested deeper is text of the last

_BOLD = re.compile(r"font-weight\s*:\s*(?:bold|bolder|[6-9]00)", re.IGNORECASE)
_LARGE = re.compile(
    r"font-size\s*:\s*(?:(?:1[89]|[2-9]\d)(?:\.\d+)?px|(?:1[4-9]|[2-9]\d)(?:\.\d+)?pt"
    r"|(?:1\.[2-9]|[2-9])\d*r?em|x+-large|large)",
    re.IGNORECASE,
)
_PREFORMATTED = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.IGNORECASE)
_PARAGRAPHS = names(
    "p h1 h2 h3 h4 h5 h6 ul ol dl section article main header footer aside blockquote figure hr form "
    "fieldset address details pre table"
)
_LINES = names("div li dt dd legend summary figcaption center body html caption option tr td th")
_STRONG = names("b strong dt legend summary")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARTS_OF_TABLES = names("tr td th thead tbody tfoot")


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its blocks, the images that it embeds, and how many others it shows."""

    parsed: Parsed
    images: list[RawFile]
    other_images: int

    def with_unread(self, images: int) -> Parsed:
        """Returns what is parsed with a warning of so many images that were not read."""
        warning = [f"pictures in the page that were not read: {images}"] if images else []
        return self.parsed.model_copy(update={"warnings": [*warning, *self.parsed.warnings]})


def parse_page(text: str, name: str) -> Page:
    """Reads a page, and returns the images that it embeds as files named after it.

    Raises:
        DocumentUnreadableError: it has too many tags.
    """
    tokens = tokenize(text)
    page = _build_flow(visible_tokens(tokens), SHORTEST_ALT_TEXT)
    in_main = sum(len(item.text) for item in page.main if isinstance(item, Line))
    flow = page.main if in_main >= _SHORTEST_MAIN else page.flow
    blocks = build_blocks([*flow, *_only_in_scripts(tokens, flow)])
    # The page's title comes first where no heading of the page is its title.
    if page.title and not any(isinstance(block, Heading) and block.level == 1 for block in blocks):
        blocks.insert(0, Heading(text=page.title, level=1))
    images, problems = embedded_images(page.images, name)
    parsed = Parsed(blocks=blocks, parser=PARSER, warnings=problems, cost=Cost(pages=1))
    return Page(parsed, images, len(page.images) - len(images))


def html_flow(text: str, *, shortest_alt_text: int = SHORTEST_ALT_TEXT) -> list[FlowItem]:
    """Returns the lines, gaps and tables of a piece of HTML, and the alternative texts of images from so many
    characters on.

    Raises:
        DocumentUnreadableError: it has too many tags.
    """
    return _build_flow(visible_tokens(tokenize(text)), shortest_alt_text).flow


def _build_flow(tokens: Iterable[Token], shortest_alt_text: int) -> _FlowBuilder:
    builder = _FlowBuilder(shortest_alt_text)
    for token in tokens:
        builder.add(token)
    builder.close()
    return builder


def _only_in_scripts(tokens: Sequence[Token], flow: Sequence[FlowItem]) -> Iterator[FlowItem]:
    """What a page says of a posting in data for scripts and search engines, and not in its text."""
    written = _letters(_texts(flow))
    missing = False
    for posting in json_ld_postings(tokens):
        posting_flow = list(_flow_of_fields(posting))
        texts = [_letters([text]) for text in _texts(posting_flow)]
        if sum(len(text) for text in texts if text in written) < _MOSTLY_WRITTEN * sum(map(len, texts)):
            missing = True
            yield from posting_flow
    if not missing and len(written) < _SHELL:
        yield from _flow_of_fields(embedded_state(tokens))


def _flow_of_fields(fields: Iterable[Field]) -> Iterator[FlowItem]:
    """Texts, which may be HTML, under their names as headings; one without a name is the title."""
    for name, text in fields:
        flow = html_flow(text.replace("\n", "<br>") if "<" not in text else text)
        if name:
            yield from (GAP, Line(name, level=2), *flow, GAP)
        else:
            yield from (Line(item.text, level=1) for item in flow if isinstance(item, Line))


def _texts(flow: Iterable[FlowItem]) -> Iterator[str]:
    for item in flow:
        if isinstance(item, Line):
            yield item.text
        elif isinstance(item, Table):
            yield from (line for row in item.rows for cell in row for line in cell.text.split("\n"))


def _letters(texts: Iterable[str]) -> str:
    return "".join(letter for text in texts for letter in text if letter.isalnum())


@dataclass(slots=True)
class _OpenElement:
    tag: str
    strong: bool = False
    preformatted: bool = False
    main: bool = False
    table: bool = False


@dataclass(slots=True)
class _OpenLine:
    """The line that is being written. `plain`: a part of it is neither bold nor large."""

    parts: list[str] = field(default_factory=list)
    plain: bool = False
    item: bool = False


class _FlowBuilder:
    """Builds the flow of a page from its visible tokens. `flow` is the page, `main` the part of it in
    `<main>`; `images` has the `data:` URL of each image, or None where it has none."""

    def __init__(self, shortest_alt_text: int) -> None:
        self._shortest_alt_text = shortest_alt_text
        self.flow: list[FlowItem] = []
        self.main: list[FlowItem] = []
        self.title = ""
        self.images: list[str | None] = []
        self._open: list[_OpenElement] = []
        self._tables: list[_TableBuilder] = []
        self._line = _OpenLine()
        self._heading = 0  # level of the open heading
        self._strong = 0
        self._preformatted = 0
        self._lists: list[int | None] = []  # the next number of each open list; None where it has bullets
        self._sources: list[str] = []
        self._title: list[str] | None = None
        self._main_start: int | None = None

    def add(self, token: Token) -> None:
        """Adds the next tag or text."""
        if isinstance(token, StartTag):
            self._start(token.tag, token.attributes)
        elif isinstance(token, EndTag):
            self._end(token.tag)
        elif self._title is not None:
            self._title.append(token.text)
        elif self._preformatted:
            first, *rest = token.text.split("\n")
            self._write(first)
            for line in rest:
                self._break()
                self._write(line)
        else:
            self._write(token.text)

    def close(self) -> None:
        """Ends the page, and what was left open."""
        while self._open:
            self._gap()
            self._leave(self._open.pop())
        self._gap()

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "title":
            self._title = []
        elif tag == "br":
            self._break()
        elif tag == "img":
            self._image(attributes)
        elif tag == "picture":
            self._sources.clear()
        elif tag == "source":
            self._sources += image_urls(attributes)
        else:
            self._break_before_or_after(tag)
        if tag not in VOID:
            self._enter(tag, attributes)

    def _end(self, tag: str) -> None:
        if tag == "picture":
            self._sources.clear()
        if tag == "title" and self._title is not None:
            self.title, self._title = self.title or one_line("".join(self._title)), None
        self._break_before_or_after(tag)
        if self._open and self._open[-1].tag == tag:
            self._leave(self._open.pop())

    def _break_before_or_after(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._gap()
        elif tag in _LINES:
            self._end_line()

    @property
    def _out(self) -> list[FlowItem]:
        """Where lines go: the open cell, the text before a table's first cell, or the page."""
        return self._tables[-1].out if self._tables else self.flow

    def _enter(self, tag: str, attributes: Mapping[str, str]) -> None:
        style = attributes.get("style", "") if attributes else ""
        opened = _OpenElement(
            tag,
            strong=tag in _STRONG or bool(style and (_BOLD.search(style) or _LARGE.search(style))),
            preformatted=tag == "pre" or bool(style and _PREFORMATTED.search(style)),
            main=tag == "main" or (bool(attributes) and attributes.get("role") == "main"),
            table=tag == "table" and len(self._tables) < _DEEPEST_TABLE,
        )
        self._open.append(opened)
        self._strong += opened.strong
        self._preformatted += opened.preformatted
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._start_item()
        elif opened.table:
            self._tables.append(_TableBuilder(for_layout=attributes.get("role") in ("presentation", "none")))
        elif self._tables and tag in _PARTS_OF_TABLES:
            self._tables[-1].start(tag, attributes)
        if opened.main and not self._tables and self._main_start is None:
            self._main_start = len(self.flow)

    def _leave(self, left: _OpenElement) -> None:
        self._strong -= left.strong
        self._preformatted -= left.preformatted
        if left.tag in _HEADINGS:
            self._heading = 0
        elif left.tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif left.tag == "li":
            self._line.item = False
        elif left.table and self._tables:
            table = self._tables.pop()
            self._out.extend(table.close())
        elif self._tables and left.tag in ("tr", "td", "th", "thead"):
            self._tables[-1].end(left.tag)
        if left.main and not self._tables and self._main_start is not None:
            self.main.extend(self.flow[self._main_start :])
            self._main_start = None

    def _start_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._line.item = True
        else:
            self._lists[-1] = number + 1
            self._line.parts.append(f"{number}. ")

    def _image(self, attributes: Mapping[str, str]) -> None:
        if not is_tracking_pixel(attributes):
            self.images.append(data_url_of([*image_urls(attributes), *self._sources]))
        alt_text = attributes.get("alt", "")
        if len(one_line(alt_text)) >= self._shortest_alt_text:
            for line in alt_text.split("\n"):
                self._end_line()
                self._write(line)
            self._end_line()

    def _write(self, text: str) -> None:
        self._line.parts.append(text)
        if not self._strong and not text.isspace() and text:
            self._line.plain = True

    def _break(self) -> None:
        """A line break; on an empty line it is an empty line. A heading stays one line."""
        if self._heading:
            self._line.parts.append(" ")
        elif not self._end_line():
            self._mark_gap()

    def _gap(self) -> None:
        self._end_line()
        self._mark_gap()

    def _mark_gap(self) -> None:
        out = self._out
        if out and out[-1] is not GAP:
            out.append(GAP)

    def _end_line(self) -> bool:
        """Ends the line; returns whether anything was written on it."""
        if not self._line.parts:
            return False
        line, self._line = self._line, _OpenLine()
        text = one_line("".join(line.parts))
        if not text:
            # The bullet of an item waits for its first text: `<li><p>…`.
            self._line.item = line.item
            return False
        strong = not line.plain and not self._heading
        self._out.append(Line(text, level=self._heading, item=line.item, strong=strong))
        return True


@dataclass(slots=True)
class _Cell:
    flow: list[FlowItem] = field(default_factory=list)
    rowspan: int = 1
    colspan: int = 1
    header: bool = False


class _TableBuilder:
    """Builds a table, or the text of its cells where it only arranges a page."""

    def __init__(self, *, for_layout: bool) -> None:
        self._for_layout = for_layout
        self._before: list[FlowItem] = []
        self._rows: list[list[_Cell]] = []
        self._cell: _Cell | None = None
        self._in_head = False

    @property
    def out(self) -> list[FlowItem]:
        """Where lines go: the open cell, or before the table (its caption, and text outside its cells)."""
        return self._before if self._cell is None else self._cell.flow

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A row, a cell or a head begins."""
        if tag in ("td", "th"):
            if not self._rows:
                self._rows.append([])
            self._cell = _Cell(
                rowspan=parse_span(attributes.get("rowspan", 1), at_most=_MAX_ROWSPAN),
                colspan=parse_span(attributes.get("colspan", 1), at_most=MAX_COLSPAN),
                header=tag == "th" or self._in_head,
            )
            self._rows[-1].append(self._cell)
        else:
            self._cell = None
            self._in_head = tag == "thead" or (tag == "tr" and self._in_head)
            if tag == "tr":
                self._rows.append([])

    def end(self, tag: str) -> None:
        """A row, a cell or a head ends."""
        self._cell = None
        if tag == "thead":
            self._in_head = False

    def close(self) -> list[FlowItem]:
        """Returns the table, or the text of its cells, after what stands before it."""
        if self._is_layout():
            cells = (item for row in self._rows for cell in row for item in (*cell.flow, GAP))
            return [*self._before, GAP, *cells]
        table = clean_table([[self._finished(cell) for cell in row] for row in self._rows])
        return self._before if table is None else [*self._before, table]

    def _is_layout(self) -> bool:
        if self._for_layout or all(len(row) <= 1 for row in self._rows):
            return True
        cells = [cell for row in self._rows for cell in row]
        if any(isinstance(item, Table) for cell in cells for item in cell.flow):
            return True
        long = sum(sum(isinstance(item, Line) for item in cell.flow) > _LONG_CELL for cell in cells)
        return len(self._rows) == 1 and long > 1

    @staticmethod
    def _finished(cell: _Cell) -> Cell:
        lines = (f"{BULLET if line.item else ''}{line.text}" for line in cell.flow if isinstance(line, Line))
        return Cell(text="\n".join(lines), rowspan=cell.rowspan, colspan=cell.colspan, header=cell.header)
