"""HTML to blocks: what a reader of the page would see, without its scripts, its navigation and its looks.

The page is read as a sequence of tags, so that neither depth (10,000 nested `<div>`) nor width (one line
of 3 MB) matters. Layout tables become text; tables of data stay whole, however long they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.documents import Block, Cost, Heading, Parsed, RawFile, Table
from ingest.parsers.assemble import assemble
from ingest.parsers.flow import GAP, Flow, Line
from ingest.parsers.html_data import Field, linked_postings, state_of_page
from ingest.parsers.html_events import Event, read_events
from ingest.parsers.html_hiding import seen_events
from ingest.parsers.html_pictures import pictures_held
from ingest.parsers.html_writer import SHORTEST_ALTERNATIVE, Writer

PARSER = "html/2"

_SHORTEST_MAIN = 200
"""Characters from which `<main>` is believed to hold the posting: some pages fill it by script."""
_SHELL = 200
"""Letters up to which a page is a shell that a script fills."""
_SAID = 0.5
"""Share of a posting's letters from which the page itself says it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: what is written in it, the pictures that it holds, and how many others it shows."""

    parsed: Parsed
    pictures: list[RawFile]
    others: int


def parse_html(text: str) -> Parsed:
    """Reads a page or a piece of one. Pictures are not read; the warning says how many there are.

    Raises:
        DocumentUnreadableError: it is no page but a flood of tags.
    """
    page = parse_page(text, "page")
    return with_unread(page.parsed, len(page.pictures) + page.others)


def with_unread(parsed: Parsed, pictures: int) -> Parsed:
    """Returns a page's reading with a warning of so many pictures that were not read."""
    warning = [f"pictures in the page that were not read: {pictures}"] if pictures else []
    return parsed.model_copy(update={"warnings": [*warning, *parsed.warnings]})


def parse_page(text: str, name: str) -> Page:
    """Reads a page, and hands out the pictures that it holds, to be read like files of the page's name.

    Raises:
        DocumentUnreadableError: it is no page but a flood of tags.
    """
    events = read_events(text)
    reader = _written(seen_events(events), SHORTEST_ALTERNATIVE)
    in_main = sum(len(element.text) for element in reader.main if isinstance(element, Line))
    flow = reader.main if in_main >= _SHORTEST_MAIN else reader.flow
    blocks = assemble([*flow, *_unsaid(events, flow)])
    pictures, wrong = pictures_held(reader.pictures, name)
    parsed = Parsed(blocks=_titled(blocks, reader.title), parser=PARSER, warnings=wrong, cost=Cost(pages=1))
    return Page(parsed, pictures, len(reader.pictures) - len(pictures))


def read_html(text: str, *, shortest_alternative: int = SHORTEST_ALTERNATIVE) -> Writer:
    """Returns the writer that what is seen of the page was written into. Of pictures, alternative texts of so
    many characters are taken.

    Raises:
        DocumentUnreadableError: it is no page but a flood of tags.
    """
    return _written(seen_events(read_events(text)), shortest_alternative)


def _written(events: Iterable[Event], shortest_alternative: int) -> Writer:
    writer = Writer(shortest_alternative)
    for event in events:
        writer.write(event)
    writer.close()
    return writer


def _unsaid(events: Sequence[Event], flow: Sequence[Flow]) -> Iterator[Flow]:
    """What the page holds of a posting for scripts and search engines, and does not say itself."""
    said = _letters(_texts(flow))
    missing = False
    for posting in linked_postings(events):
        written = list(_fields(posting))
        lines = [_letters([text]) for text in _texts(written)]
        if sum(len(line) for line in lines if line in said) < _SAID * sum(map(len, lines)):
            missing = True
            yield from written
    if not missing and len(said) < _SHELL:
        yield from _fields(state_of_page(events))


def _fields(fields: Iterable[Field]) -> Iterator[Flow]:
    """Named texts, which may be HTML, under their names."""
    for name, text in fields:
        own = read_html(text.replace("\n", "<br>") if "<" not in text else text).flow
        if name:
            yield from (GAP, Line(name, level=2), *own, GAP)
        else:
            yield from (Line(part.text, level=1) for part in own if isinstance(part, Line))


def _texts(flow: Iterable[Flow]) -> Iterator[str]:
    for part in flow:
        if isinstance(part, Line):
            yield part.text
        elif isinstance(part, Table):
            yield from (line for row in part.rows for cell in row for line in cell.text.split("\n"))


def _letters(texts: Iterable[str]) -> str:
    return "".join(letter for text in texts for letter in text if letter.isalnum())


def _titled(blocks: list[Block], title: str) -> list[Block]:
    """Puts the page's title first, where no heading of the page is its title."""
    has_title = any(isinstance(block, Heading) and block.level == 1 for block in blocks)
    return blocks if has_title or not title else [Heading(text=title, level=1), *blocks]
