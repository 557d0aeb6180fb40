"""A page of HTML as a flat sequence of what happens in it: elements begin and end, text stands between.

Pages within the page are part of it: `<iframe srcdoc>`, an iframe whose address holds its page, and HTML that
was escaped once too often and so stands there as text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from ingest.errors import DocumentUnreadableError
from ingest.parsers.data_urls import read_data_url

MAX_TAGS = 150_000
"""Tags that are read of a page: some hundred times those of a long posting, and seconds of work."""
VOID = frozenset(
    [
        "br",
        "hr",
        "img",
        "input",
        "meta",
        "link",
        "area",
        "base",
        "col",
        "embed",
        "source",
        "track",
        "wbr",
        "param",
    ]
)
"""Elements that have no end."""
RAW = frozenset(["script", "style", "textarea", "pre", "code"])
"""Elements whose text is no page, whatever tags stand in it."""

_DEEPEST_PAGE = 3
"""Pages within pages that are read."""
_ESCAPED = re.compile(
    r"</(?:p|div|span|br|li|ul|ol|table|tr|td|th|h[1-6]|b|strong|section|article)\s*>|<br\s*/?>",
    re.IGNORECASE,
)
_FEW_ESCAPED = 3
"""Tags in a text from which it is HTML: a posting for a front end names one now and then."""


@dataclass(frozen=True, slots=True)
class Begin:
    """An element begins."""

    tag: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class End:
    """An element ends."""

    tag: str


@dataclass(frozen=True, slots=True)
class Text:
    """Text, all that stands between two tags."""

    text: str


Event = Begin | End | Text


def read_events(text: str) -> list[Event]:
    """Returns what happens in a page, in its order; each `Begin` but those of `VOID` elements has its `End`.

    Raises:
        DocumentUnreadableError: the page has more than `MAX_TAGS` tags.
    """
    target = _Target()
    _feed(target, text)
    return target.events


def _feed(target: _Target, text: str) -> None:
    if not text.strip():
        return
    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True)
    # libxml2 ends at a NUL, and a lone surrogate cannot be encoded.
    parser.feed(text.replace("\0", "").encode("utf-8", "replace"))
    parser.close()
    target.flush()


@dataclass
class _Target:
    """lxml's interface of what its parser is told of a page."""

    events: list[Event] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)
    _raw: int = 0
    _depth: int = 0
    _tags: int = 0

    def start(self, tag: Any, attrib: Any) -> None:
        """An element begins."""
        self._tags += 1
        if self._tags > MAX_TAGS:
            raise DocumentUnreadableError(f"The page has more than {MAX_TAGS} tags, so it is not read.")
        self.flush()
        if tag in VOID:
            self.events.append(Begin(tag, attrib))
            return
        page = _page_of(tag, attrib)
        if page:
            # What is inside the element stands for it where it cannot be shown.
            self.events.append(Begin("div", attrib))
            self._nested(page)
            self.events.append(End("div"))
        self._raw += tag in RAW
        self.events.append(Begin(tag, attrib))

    def end(self, tag: Any) -> None:
        """An element ends."""
        self.flush()
        if tag not in VOID:
            self._raw -= tag in RAW
            self.events.append(End(tag))

    def data(self, data: Any) -> None:
        """Text stands on the page; it may come in pieces."""
        self._parts.append(data)

    def comment(self, text: Any) -> None:
        """No reader of the page sees it."""

    def close(self) -> None:
        """The parser's answer is in the events."""

    def flush(self) -> None:
        """Takes the text that has come since the last tag."""
        if not self._parts:
            return
        text = "".join(self._parts)
        self._parts.clear()
        page = html.unescape(text) if "&lt;" in text and "<" not in text else text
        if not self._raw and self._depth < _DEEPEST_PAGE and _is_page(page):
            self._nested(page)
        else:
            self.events.append(Text(text))

    def _nested(self, page: str) -> None:
        if self._depth < _DEEPEST_PAGE:
            self._depth += 1
            _feed(self, page)
            self._depth -= 1


def _is_page(text: str) -> bool:
    return sum(1 for _, _ in zip(_ESCAPED.finditer(text), range(_FEW_ESCAPED), strict=False)) == _FEW_ESCAPED


def _page_of(tag: str, attributes: Mapping[str, str]) -> str:
    """The page that an element holds in its attributes."""
    if tag != "iframe":
        return ""
    if "srcdoc" in attributes:
        return attributes["srcdoc"]
    found = read_data_url(attributes.get("src", ""))
    if found is None or found.media_type not in ("text/html", "text/plain", "application/xhtml+xml"):
        return ""
    text = found.content.decode("utf-8", "replace")
    return html.escape(text) if found.media_type == "text/plain" else text
