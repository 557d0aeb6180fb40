"""A page of HTML as a flat sequence of tokens (start tags, end tags and the text between them), and the
content of `data:` URLs.

Pages within the page are part of it: `<iframe srcdoc>`, an iframe with a `data:` URL, and HTML that was
escaped once too often and so stands there as text.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from lxml import etree

from ingest.errors import DocumentUnreadableError


def names(text: str) -> frozenset[str]:
    """Returns a set of names that are written in one text."""
    return frozenset(text.split())


MAX_TAGS = 150_000
"""Tags that are read of a page: some hundred times those of a long posting, and seconds of work."""
VOID = names("br hr img input meta link area base col embed source track wbr param")
"""Elements that have no end tag."""

_RAW_TEXT = names("script style textarea pre code")
"""Elements whose text is never read as a page, whatever tags stand in it."""
_DEEPEST_PAGE = 3  # pages within pages that are read
_ESCAPED_TAG = re.compile(
    r"</(?:p|div|span|br|li|ul|ol|table|tr|td|th|h[1-6]|b|strong|section|article)\s*>|<br\s*/?>",
    re.IGNORECASE,
)
_FEW_ESCAPED = 3  # tags in a text from which it is HTML: a posting for a front end names one now and then

_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
_SPACES = re.compile(rb"[\s\x00-\x20]+")
_LONGEST_DATA_URL_HEAD = 1_000


@dataclass(frozen=True, slots=True)
class StartTag:
    """An element begins."""

    tag: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndTag:
    """An element ends."""

    tag: str


@dataclass(frozen=True, slots=True)
class Text:
    """All text between two tags."""

    text: str


Token = StartTag | EndTag | Text


def tokenize(text: str) -> list[Token]:
    """Returns the tokens of a page; each `StartTag` but those of `VOID` elements has its `EndTag`.

    Raises:
        DocumentUnreadableError: the page has more than `MAX_TAGS` tags.
    """
    target = _ParserTarget()
    target.parse(text)
    return target.tokens


@dataclass
class _ParserTarget:
    """The target of an lxml parser: collects tokens."""

    tokens: list[Token] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)
    _raw_depth: int = 0
    _page_depth: int = 0
    _tags: int = 0

    def parse(self, text: str) -> None:
        if not text.strip():
            return
        parser = etree.HTMLParser(target=self, encoding="utf-8", huge_tree=True)
        # libxml2 ends at a NUL, and a lone surrogate cannot be encoded.
        parser.feed(text.replace("\0", "").encode("utf-8", "replace"))
        parser.close()
        self._flush()

    def start(self, tag: Any, attrib: Any) -> None:
        self._tags += 1
        if self._tags > MAX_TAGS:
            raise DocumentUnreadableError(f"The page has more than {MAX_TAGS} tags, so it is not read.")
        self._flush()
        if tag in VOID:
            self.tokens.append(StartTag(tag, attrib))
            return
        page = _page_in_iframe(attrib) if tag == "iframe" else ""
        if page:
            # What is inside the element is only shown by browsers without iframes.
            self.tokens.append(StartTag("div", attrib))
            self._parse_nested(page)
            self.tokens.append(EndTag("div"))
        self._raw_depth += tag in _RAW_TEXT
        self.tokens.append(StartTag(tag, attrib))

    def end(self, tag: Any) -> None:
        self._flush()
        if tag not in VOID:
            self._raw_depth -= tag in _RAW_TEXT
            self.tokens.append(EndTag(tag))

    def data(self, data: Any) -> None:
        # Text may come in pieces.
        self._parts.append(data)

    def comment(self, text: Any) -> None:
        """Comments are not part of the text."""

    def close(self) -> None:
        """lxml asks for a result; it is in `tokens`."""

    def _flush(self) -> None:
        if not self._parts:
            return
        text = "".join(self._parts)
        self._parts.clear()
        page = html.unescape(text) if "&lt;" in text and "<" not in text else text
        if not self._raw_depth and self._page_depth < _DEEPEST_PAGE and _has_tags(page):
            self._parse_nested(page)
        else:
            self.tokens.append(Text(text))

    def _parse_nested(self, page: str) -> None:
        if self._page_depth < _DEEPEST_PAGE:
            self._page_depth += 1
            self.parse(page)
            self._page_depth -= 1


def _has_tags(text: str) -> bool:
    tags = zip(_ESCAPED_TAG.finditer(text), range(_FEW_ESCAPED), strict=False)
    return sum(1 for _ in tags) == _FEW_ESCAPED


def _page_in_iframe(attributes: Mapping[str, str]) -> str:
    if "srcdoc" in attributes:
        return attributes["srcdoc"]
    data = read_data_url(attributes.get("src", ""))
    if data is None or data.media_type not in ("text/html", "text/plain", "application/xhtml+xml"):
        return ""
    text = data.content.decode("utf-8", "replace")
    return html.escape(text) if data.media_type == "text/plain" else text


@dataclass(frozen=True, slots=True)
class DataUrl:
    """The content of a URL such as `data:image/png;base64,…`."""

    media_type: str
    content: bytes


def is_data_url(url: str) -> bool:
    """Whether a URL contains its resource."""
    return _DATA_URL.match(url) is not None


def read_data_url(url: str) -> DataUrl | None:
    """Returns the content of a `data:` URL; None where it is another URL, or its content is broken.

    As browsers read them: the media type in any spelling and with parameters, percent-encoding also around
    base64, white space within it, its padding left out.
    """
    scheme = _DATA_URL.match(url)
    comma = url.find(",", 0, _LONGEST_DATA_URL_HEAD)
    if scheme is None or comma < 0:
        return None
    media_type, *parameters = (part.strip().lower() for part in url[scheme.end() : comma].split(";"))
    content = unquote_to_bytes(url[comma + 1 :])
    if "base64" in parameters:
        packed = _SPACES.sub(b"", content).rstrip(b"=")
        try:
            content = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        except binascii.Error:
            return None
    return DataUrl(media_type or "text/plain", content)
