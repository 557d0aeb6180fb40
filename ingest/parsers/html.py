"""HTML to blocks: what a reader of the page would see, without its scripts, its navigation and its looks.

The page is read as a stream of tags, so that neither depth (10,000 nested `<div>`) nor width (one line
of 3 MB) matters. Layout tables become text; tables of data stay whole, however long they are.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from ingest.documents import Block, Cost, Heading, Parsed
from ingest.parsers.assemble import assemble
from ingest.parsers.flow import Line
from ingest.parsers.html_writer import SHORTEST_ALTERNATIVE, Writer

PARSER = "html/1"

_SHORTEST_MAIN = 200
"""Characters from which `<main>` is believed to hold the posting: some pages fill it by script."""


def parse_html(text: str) -> Parsed:
    """Reads a page or a piece of one. Pictures are not fetched; the warning says how many there are.

    Raises:
        DocumentUnreadableError: it is no page but a flood of tags.
    """
    reader = read_html(text)
    in_main = sum(len(element.text) for element in reader.main if isinstance(element, Line))
    flow = reader.main if in_main >= _SHORTEST_MAIN else reader.flow
    blocks = assemble(flow)
    warnings = [f"pictures in the page that were not read: {reader.pictures}"] if reader.pictures else []
    return Parsed(blocks=_titled(blocks, reader.title), parser=PARSER, warnings=warnings, cost=Cost(pages=1))


def read_html(text: str, *, shortest_alternative: int = SHORTEST_ALTERNATIVE) -> Writer:
    """Returns the writer that the page's tags were read into. Of pictures, alternative texts of so many
    characters are taken."""
    writer = Writer(shortest_alternative)
    if not text.strip():
        return writer
    parser = etree.HTMLParser(target=_Target(writer), encoding="utf-8", huge_tree=True)
    # libxml2 ends at a NUL, and a lone surrogate cannot be encoded.
    parser.feed(text.replace("\0", "").encode("utf-8", "replace"))
    parser.close()
    writer.close()
    return writer


def _titled(blocks: list[Block], title: str) -> list[Block]:
    """Puts the page's title first, where no heading of the page is its title."""
    has_title = any(isinstance(block, Heading) and block.level == 1 for block in blocks)
    return blocks if has_title or not title else [Heading(text=title, level=1), *blocks]


class _Target:
    """lxml's interface of what its parser is told of a page; what it tells is text, always."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def start(self, tag: Any, attrib: Any) -> None:
        """An element begins."""
        self._writer.start(tag, attrib)

    def end(self, tag: Any) -> None:
        """An element ends."""
        self._writer.end(tag)

    def data(self, data: Any) -> None:
        """Text stands on the page."""
        self._writer.data(data)

    def comment(self, text: Any) -> None:
        """No reader of the page sees it."""

    def close(self) -> None:
        """The parser's answer is in the writer."""
