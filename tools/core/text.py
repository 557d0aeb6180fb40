"""Text as it is kept and as it is compared: the one normalisation.

`clean` is the door. What a caller sends, what a posting says and what a model answers goes through it
once, so that all that is stored, searched, compared and sent is composed (Unicode's NFC) and has
nothing in it that a reader does not see. `folded` is the form in which texts are compared, `find_quote`
finds in a text what another one quotes of it, and `cut` shortens between words.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

import regex

_HALVES = r"\ud800-\udfff"
_BREAKS = "\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
"""What ends a line for `str.splitlines`, and so for readers of event streams, beside line feed and return."""
_CONTROLS = "\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f"
_BLANK = "\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0"
"""Unicode's spaces, and the letters that show nothing: Hangul's fillers, Braille's empty cell."""
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
"""One emoji of several characters, some of which are invisible by themselves."""

_ORDINARY = re.compile("[\n\t\r -~¡-¬®-ÿ‐-‧‰-›←-⇿①-⓿─-◿★-☇、-〟ㄱ-ㅣㆍ가-힣]*+")
"""Characters that are clean, and composed in whatever order they stand: most texts have no others."""
_UNCLEAN = re.compile(f"[{_HALVES}{_BREAKS}{_CONTROLS}{_BLANK}{_INVISIBLE}]")
_NOT_TYPED = re.compile(f"[{_HALVES}{_BREAKS}{_CONTROLS}]")
_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
_TO_BREAK = re.compile(f"[{_BREAKS}]")
_TO_SPACE = re.compile(f"[{_HALVES}{_CONTROLS}{_BLANK}]")
_TO_NOTHING = regex.compile(f"({_EMOJI})|[{_INVISIBLE}]")
_NOT_PLAIN_JSON = re.compile(r'[\t\n\r]|\\[^nt"\\/]')
"""White space that may stand within a string, where JSON forbids it; an escape of something unusual."""


def clean(text: str) -> str:
    """Returns `text` as it is kept: composed, without invisible characters, every space a plain one and
    every unusual line break a line feed; control characters and lone halves of surrogate pairs become
    spaces.

    Forms that are seen stay as they are: full width, ㈜, the joiners within an emoji.
    """
    if _ORDINARY.fullmatch(text) is not None:
        return text
    if _UNCLEAN.search(text) is not None:
        text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        text = _TO_SPACE.sub(" ", _TO_BREAK.sub("\n", text))
        text = _TO_NOTHING.sub(r"\1", text)
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Returns `text` cleaned, with every stretch of white space as one space."""
    return " ".join(clean(text).split())


def is_typed(text: str) -> bool:
    """Whether there is nothing in `text` that no person types: control characters, line separators that no
    keyboard has, halves of surrogate pairs."""
    return _NOT_TYPED.search(text) is None


def clean_values(value: Any) -> Any:
    """Returns JSON's objects and arrays with every text in them cleaned, the keys too."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): clean_values(item) for key, item in value.items()}
    return [clean_values(item) for item in value] if isinstance(value, list | tuple) else value


def clean_json(text: str) -> str:
    """Returns JSON with every text in it cleaned. What is no JSON comes back as it is.

    Raw control characters in a string, which models write and JSON forbids, are read as what they are.
    """
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
"""Signs that one writer or model puts for another."""


@functools.lru_cache(maxsize=16_384)
def _folded_letter(letter: str) -> str:
    """One letter as it is compared; empty where it is part of an emoji and nothing by itself."""
    if _TO_NOTHING.fullmatch(letter):
        return ""
    shown = letter.translate(_LOOK_ALIKE)
    shown = unicodedata.normalize("NFKC", shown).translate(_LOOK_ALIKE)
    return " " if letter.isspace() else shown


def folded(text: str) -> str:
    """Returns `text` as it is compared: cleaned, full width and other compatibility forms as plain ones,
    look-alikes (dashes, quotation marks, middle dots) as one, every stretch of white space as one space."""
    return _aligned(clean(text))[0].strip()


def find_quote(quote: str, text: str) -> str | None:
    """Returns the words of `text` that `quote` quotes, letter for letter as they stand there, white space
    folded; None where it has no such words. Two texts agree when they are `folded` alike."""
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
    """Returns a clean text folded, and the place in it of each letter of that."""
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
    """Returns the beginning of `text` in at most `limit` characters: whole words, or where not even one
    fits (or the last is very long), whole letters as they are seen. Emoji and accents are never cut."""
    if len(text) <= limit:
        return text
    head = text[: max(limit, 0)]
    if not text[len(head)].isspace():
        word = max(head.rfind(" "), head.rfind("\n"), head.rfind("\t"))
        head = head[:word] if word > len(head) / 2 else _graphemes(text, limit)
    return head.rstrip()


def _graphemes(text: str, limit: int) -> str:
    end = 0
    # A grapheme may be endless: those of so long a beginning are enough to see where the last one ends.
    for match in _GRAPHEME.finditer(text, 0, limit + 64):
        if match.end() > limit:
            break
        end = match.end()
    return text[:end]


_LONGEST = 2_000
"""Characters: what every browser takes."""
_WRAPPED = re.compile(r"!?\[[^\[\]]*\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<([^<>\s]+)>")
_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']?([^\"'\s<>]+)", re.IGNORECASE)
_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f-\x9f<>\"\\`]")
_HOST = re.compile(r"[0-9a-f:]*:[0-9a-f:.]+|[\w.-]*[^\W_]\.?", re.IGNORECASE)


def web_address(said: Any) -> str | None:
    """Returns the address of a page, with `http` or `https`; None for all else.

    A link in Markdown or HTML gives what it leads to. Not taken are other schemes (`javascript:`,
    `data:`), addresses without one (`//host`, `www.host`), with a name or password before the host, and
    with white space, control or quoting characters in them: a page that shows them could be misled.
    """
    if not isinstance(said, str):
        return None
    bare = said.strip()
    if link := _LINK.search(bare) or _WRAPPED.fullmatch(bare):
        bare = next(filter(None, link.groups()))
    # What is invisible is no part of an address; what is a control character is no accident.
    if _NOT_IN_ADDRESS.search(bare) or len(address := clean(bare)) > _LONGEST:
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
