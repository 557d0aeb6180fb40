"""The flow of a page of HTML, written down tag by tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.parsers.flow import GAP, Flow, Line, folded
from ingest.parsers.html_events import VOID, Begin, End, Event
from ingest.parsers.html_pictures import addresses, held, is_pixel
from ingest.parsers.html_tables import TableFrame


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BOLD = re.compile(r"font-weight\s*:\s*(?:bold|bolder|[6-9]00)", re.IGNORECASE)
_LARGE = re.compile(
    r"font-size\s*:\s*(?:(?:1[89]|[2-9]\d)(?:\.\d+)?px|(?:1[4-9]|[2-9]\d)(?:\.\d+)?pt"
    r"|(?:1\.[2-9]|[2-9])\d*r?em|x+-large|large)",
    re.IGNORECASE,
)
_PREFORMATTED = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.IGNORECASE)

_PARAGRAPHS = _names(
    "p h1 h2 h3 h4 h5 h6 ul ol dl section article main header footer aside blockquote figure hr form "
    "fieldset address details pre table"
)
_LINES = _names("div li dt dd legend summary figcaption center body html caption option tr td th")
_STRONG = _names("b strong dt legend summary")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}

_DEEPEST_TABLE = 16
"""Tables within tables that are told apart; what is nested deeper is text of the last."""
SHORTEST_ALTERNATIVE = 10
"""Characters from which a picture's alternative text says more than that it is an icon."""


@dataclass(slots=True)
class _Open:
    """An open element and what ends with it."""

    tag: str
    strong: bool = False
    preformatted: bool = False
    main: bool = False
    table: bool = False


@dataclass(slots=True)
class _Text:
    """The line that is being written."""

    parts: list[str] = field(default_factory=list)
    plain: bool = False
    """Whether a part of it is neither bold nor large."""
    item: bool = False


class Writer:
    """Takes what is seen of a page, in its order. `flow` is the page, `main` what of it stands in `<main>`,
    `title` its title; `pictures` are its pictures: what the page holds of each, or None."""

    def __init__(self, shortest_alternative: int = SHORTEST_ALTERNATIVE) -> None:
        self._shortest_alternative = shortest_alternative
        self.flow: list[Flow] = []
        self.main: list[Flow] = []
        self.title = ""
        self.pictures: list[str | None] = []
        self._open: list[_Open] = []
        self._tables: list[TableFrame] = []
        self._line = _Text()
        self._heading = 0
        self._strong = 0
        self._preformatted = 0
        self._lists: list[int | None] = []
        self._sources: list[str] = []
        self._title: list[str] | None = None
        self._main_begins: int | None = None

    def write(self, event: Event) -> None:
        """Takes the next tag or text."""
        if isinstance(event, Begin):
            self._start(event.tag, event.attributes)
        elif isinstance(event, End):
            self._end(event.tag)
        else:
            self._data(event.text)

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "title":
            self._title = []
        elif tag == "br":
            self._break()
        elif tag == "img":
            self._picture(attributes)
        elif tag == "picture":
            self._sources.clear()
        elif tag == "source":
            self._sources += addresses(attributes)
        elif tag in _PARAGRAPHS:
            self._gap()
        elif tag in _LINES:
            self._end_line()
        if tag not in VOID:
            self._enter(tag, attributes)

    def _end(self, tag: str) -> None:
        if tag == "picture":
            self._sources.clear()
        if tag == "title" and self._title is not None:
            self.title, self._title = self.title or folded("".join(self._title)), None
        if tag in _PARAGRAPHS:
            self._gap()
        elif tag in _LINES:
            self._end_line()
        if self._open and self._open[-1].tag == tag:
            self._leave(self._open.pop())

    def _data(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif self._preformatted:
            first, *rest = text.split("\n")
            self._write(first)
            for line in rest:
                self._break()
                self._write(line)
        else:
            self._write(text)

    def close(self) -> None:
        """The page ends, and with it what was left open."""
        while self._open:
            self._gap()
            self._leave(self._open.pop())
        self._gap()

    @property
    def _out(self) -> list[Flow]:
        """Where lines go: the cell that is open, the text before a table's first cell, or the page."""
        return self._tables[-1].out if self._tables else self.flow

    def _enter(self, tag: str, attributes: Mapping[str, str]) -> None:
        style = attributes.get("style", "") if attributes else ""
        opened = _Open(
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
            self._item()
        elif opened.table:
            self._tables.append(TableFrame(presentation=attributes.get("role") in ("presentation", "none")))
        elif self._tables and tag in ("tr", "td", "th", "thead", "tbody", "tfoot"):
            self._tables[-1].start(tag, attributes)
        if opened.main and not self._tables and self._main_begins is None:
            self._main_begins = len(self.flow)

    def _leave(self, left: _Open) -> None:
        self._strong -= left.strong
        self._preformatted -= left.preformatted
        if left.tag in _HEADINGS:
            self._heading = 0
        elif left.tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif left.tag == "li":
            self._line.item = False
        elif left.table and self._tables:
            frame = self._tables.pop()
            self._out.extend(frame.close())
        elif self._tables and left.tag in ("tr", "td", "th", "thead"):
            self._tables[-1].end(left.tag)
        if left.main and not self._tables and self._main_begins is not None:
            self.main.extend(self.flow[self._main_begins :])
            self._main_begins = None

    def _item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._line.item = True
        else:
            self._lists[-1] = number + 1
            self._line.parts.append(f"{number}. ")

    def _picture(self, attributes: Mapping[str, str]) -> None:
        if not is_pixel(attributes):
            self.pictures.append(held([*addresses(attributes), *self._sources]))
        alternative = attributes.get("alt", "")
        if len(folded(alternative)) >= self._shortest_alternative:
            for line in alternative.split("\n"):
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
        line, self._line = self._line, _Text()
        text = folded("".join(line.parts))
        if not text:
            # The mark of an item waits for its first text: `<li><p>…`.
            self._line.item = line.item
            return False
        strong = not line.plain and not self._heading
        self._out.append(Line(text, level=self._heading, item=line.item, strong=strong))
        return True
