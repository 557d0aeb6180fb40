"""Normalising text: as it is stored, as it is compared, and as addresses of pages.

Requests, postings and answers of models pass `clean` once, so that all that is stored, searched, compared and
sent is composed (Unicode's NFC) and has nothing in it that a reader does not see. `folded` is the form in
which texts are compared, `find_quote` finds a quote in a text, and `cut` shortens between words.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import regex

_HALVES = r"\ud800-\udfff"
_BREAKS = "\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
"""Ends of lines for `str.splitlines`, and so for readers of event streams, beside line feed and return."""
_CONTROLS = "\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f"
_BLANK = "\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0"
"""Unicode's spaces, and letters that look like one: Hangul's fillers, Braille's empty cell."""
_INVISIBLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point without those above, and the anchors of annotations: soft
hyphens, joiners, marks of direction, variation selectors, tags."""
_PICTURE = r"\p{Extended_Pictographic}[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"
_EMOJI = (
    rf"(?:{_PICTURE}?\u200d)+{_PICTURE}?|{_PICTURE}"
    r"|[0-9#*]\ufe0f\u20e3|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
)
"""One emoji of several characters, some of them invisible alone."""

_ORDINARY = re.compile("[\n\t\r -~¡-¬®-ÿ‐-‧‰-›←-⇿①-⓿─-◿★-☇、-〟ㄱ-ㅣㆍ가-힣]*+")
"""Characters that are clean, and composed in any order: most texts have no others."""
_UNCLEAN = re.compile(f"[{_HALVES}{_BREAKS}{_CONTROLS}{_BLANK}{_INVISIBLE}]")
_NOT_TYPED = re.compile(f"[{_HALVES}{_BREAKS}{_CONTROLS}]")
_SURROGATE_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
_TO_BREAK = re.compile(f"[{_BREAKS}]")
_TO_SPACE = re.compile(f"[{_HALVES}{_CONTROLS}{_BLANK}]")
_TO_NOTHING = regex.compile(f"({_EMOJI})|[{_INVISIBLE}]")
_NOT_PLAIN_JSON = re.compile(r'[\t\n\r]|\\[^nt"\\/]')
"""White space that may be inside a string, where JSON forbids it; an escape of something unusual."""


def clean(text: str) -> str:
    """Returns `text` as it is stored: composed, without invisible characters, every space a plain one and
    every unusual line break a line feed. Control characters and lone halves of surrogate pairs become spaces.

    Visible forms stay: full width, ㈜, the joiners within an emoji.
    """
    if _ORDINARY.fullmatch(text) is not None:
        return text
    if _UNCLEAN.search(text) is not None:
        text = _SURROGATE_PAIR.sub(
            lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
        )
        text = _TO_SPACE.sub(" ", _TO_BREAK.sub("\n", text))
        text = _TO_NOTHING.sub(r"\1", text)
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Returns `text` cleaned and on one line, with single spaces."""
    return " ".join(clean(text).split())


def is_typed(text: str) -> bool:
    """Whether a person could have typed `text`: it has no control characters, unusual line separators or
    halves of surrogate pairs."""
    return _NOT_TYPED.search(text) is None


def clean_values(value: Any) -> Any:
    """Returns a JSON value with every text in it cleaned, keys too."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): clean_values(item) for key, item in value.items()}
    return [clean_values(item) for item in value] if isinstance(value, list | tuple) else value


def texts(value: Any) -> Iterator[str]:
    """Yields every text in a JSON value, however deep; keys are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def clean_json(text: str) -> str:
    """Returns JSON with every text in it cleaned; text that is no JSON unchanged. Raw control characters in
    strings, which models write and JSON forbids, are accepted."""
    is_clean = _ORDINARY.fullmatch(text) is not None or _UNCLEAN.search(text) is None
    if is_clean and _NOT_PLAIN_JSON.search(text) is None:
        return clean(text)
    try:
        return json.dumps(clean_values(json.loads(text, strict=False)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


_LOOK_ALIKE = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—―−⁃﹘", "-"),
        **dict.fromkeys("‘’‚‛′`´ʼ", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("•∙⋅・ㆍᆞ‧", "·"),
        **dict.fromkeys("〜∼˜", "~"),
    }
)
"""Signs that writers and models use for one another."""


@functools.lru_cache(maxsize=16_384)
def _folded_letter(letter: str) -> str:
    """Returns one letter as it is compared; empty where it is an invisible part of an emoji."""
    if _TO_NOTHING.fullmatch(letter):
        return ""
    shown = letter.translate(_LOOK_ALIKE)
    shown = unicodedata.normalize("NFKC", shown).translate(_LOOK_ALIKE)
    return " " if letter.isspace() else shown


def folded(text: str) -> str:
    """Returns `text` as it is compared: cleaned, with full width and other compatibility forms as plain ones,
    one form of each look-alike (dashes, quotation marks, middle dots), and single spaces."""
    return _aligned(clean(text))[0].strip()


def find_quote(quote: str, text: str) -> str | None:
    """Returns the words of `text` that `quote` quotes, letter for letter as in `text`, with single spaces;
    None where it has no such words. Texts match when they are `folded` alike."""
    words, whole = one_line(quote), clean(text)
    if words and words in " ".join(whole.split()):
        return words
    wanted = folded(quote)
    shown, places = _aligned(whole)
    at = shown.find(wanted) if wanted else -1
    if at < 0:
        return None
    return " ".join(whole[places[at] : places[at + len(wanted) - 1] + 1].split())


@functools.lru_cache(maxsize=256)
def _aligned(text: str) -> tuple[str, tuple[int, ...]]:
    """Returns a clean text folded, and for each letter its place in the clean text."""
    shown: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for part in _folded_letter(letter):
            if part != " " or (shown and shown[-1] != " "):
                shown.append(part)
                places.append(place)
    return "".join(shown), tuple(places)


_GRAPHEME = regex.compile(r"\X")


def cut(text: str, limit: int) -> str:
    """Returns the beginning of `text` in at most `limit` characters: whole words, or whole letters where not
    even one word fits or the last is very long. Emoji and accents are never cut."""
    if len(text) <= limit:
        return text
    head = text[: max(limit, 0)]
    if not text[len(head)].isspace():
        word = max(head.rfind(" "), head.rfind("\n"), head.rfind("\t"))
        head = head[:word] if word > len(head) / 2 else _graphemes(text, limit)
    return head.rstrip()


def _graphemes(text: str, limit: int) -> str:
    end = 0
    # A grapheme may be endless, so only a little more than `limit` is read.
    for match in _GRAPHEME.finditer(text, 0, limit + 64):
        if match.end() > limit:
            break
        end = match.end()
    return text[:end]


_MAX_ADDRESS = 2_000
"""Characters that every browser takes."""
_WRAPPED = re.compile(r"!?\[[^\[\]]*\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<([^<>\s]+)>")
_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']?([^\"'\s<>]+)", re.IGNORECASE)
_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f-\x9f<>\"\\`]")
_HOST = re.compile(r"[0-9a-f:]*:[0-9a-f:.]+|[\w.-]*[^\W_]\.?", re.IGNORECASE)


def web_address(value: Any) -> str | None:
    """Returns the address of a page that may be shown to people, with `http` or `https`; else None.

    Of a link in Markdown or HTML, its target. Refused are other schemes (`javascript:`,
    `data:`), addresses without one (`//host`, `www.host`), with a name or password before the host, and
    with white space, control or quoting characters in them: a page that shows them could be misled.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    if link := _LINK.search(text) or _WRAPPED.fullmatch(text):
        text = next(filter(None, link.groups()))
    # Invisible characters are removed; control characters are no accident.
    if _NOT_IN_ADDRESS.search(text) or len(address := clean(text)) > _MAX_ADDRESS:
        return None
    try:
        parts = urlsplit(address)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return None
    rest = address[len(parts.scheme) :]
    whole = (
        parts.scheme in ("http", "https") and rest.startswith("://") and _HOST.fullmatch(parts.hostname or "")
    )
    return f"{parts.scheme}{rest}" if whole and "@" not in parts.netloc and port_is_one else None
