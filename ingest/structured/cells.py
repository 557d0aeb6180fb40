"""Texts, names and ids out of the cells of rows, as spreadsheets, crawlers and databases write them
(`['C++', 'ROS 2']`, `&lt;p&gt;…`, `C++/ROS 2`, `_x000D_`, `nan`, `8.0`)."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ingest.blocks import plain
from ingest.documents import Table
from ingest.parsers.html import html_flow
from ingest.parsers.lines import Line
from ingest.parsers.markdown import strip_markdown, unescape_entities
from tools.core.text import clean, one_line
from tools.lexicon import KIND_OF, canonical

_WORDS_FOR_NOTHING = (
    "nan none null nil nat n/a na #n/a #na #ref! #value! #name? #null! #div/0! <na> (null) \\n undefined "
    "[] {} () [null] [none] [nan] [''] [\"\"] 없음 해당없음 해당사항없음 미기재"
)
_NOTHING = frozenset(_WORDS_FOR_NOTHING.split())
"""What exports write into empty cells, in lower case and without white space."""
_OOXML = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TAGS = (
    "p|br|li|ul|ol|div|span|b|strong|em|i|u|s|h[1-6]|table|thead|tbody|tr|td|th|a|font|img|hr|dl|dt|dd|pre|code|"
    "blockquote|small|sub|sup|mark|center"
)
"""Tags of formatted text. Others may be the words of a posting (`<header>`, `<script>`)."""
_BEGINS_AS_MARKUP = re.compile(r"\s*<(?:p|ul|ol|li|div)(?:\s[^<>]*)?>", re.IGNORECASE)
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_OPENING = re.compile(rf"<({_TAGS})(?:\s[^<>]*)?>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({_TAGS})\s*>", re.IGNORECASE)
_NO_TAG = re.compile(rf"<(?!/?(?:{_TAGS})(?:\s[^<>]*)?/?>|!--)", re.IGNORECASE)
_WRITTEN_BREAK = re.compile(r"(?:\\r)?\\n(?![a-z])|\\r(?![a-z])|\\t(?![a-z])")
"""A line break that was escaped once too often; `C:\\new` is none."""
_RUN_TOGETHER = re.compile(r"\s*\|\s*[*•·▪■●-]\s*")
"""Items of a list between the bars of a table in Markdown."""
_NUMPY = re.compile(r"\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))+\s*\]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BROKEN_LIST = re.compile(r"\[\s*['\"]")
_LITERAL = re.compile(r"[\[({]\s*['\"\d\[({]")
_MOST_ESCAPES = 3
"""How often a text may have been escaped."""
_DEEPEST = 8
"""Lists within lists that are followed."""
_NAME_KEYS = ("name", "title", "text", "label", "value", "skill", "content", "description", "이름", "명칭")
_WHOLE_NUMBER = re.compile(r"(\d+)\.0+")

_LISTED = re.compile(r"[;|\n\t、，；｜•∙‧・ㆍ▪■●]|,(?![^()]*\))")
_HASHES = re.compile(r"(?:^|[\s,])#(?=\S)")
_MIDDLE = re.compile(r"\s*·\s*")
_SLASH = re.compile(r"\s*/\s*")
_TAIL = re.compile(r"\s*(?:등|외|etc\.?)$", re.IGNORECASE)
_ROUND = " ,\"'`“”‘’[]{}"


def is_blank(cell: Any) -> bool:
    """Whether a cell is empty, a dash, or one of the words for nothing."""
    if isinstance(cell, str):
        bare = "".join(clean(cell).casefold().split())
        return bare in _NOTHING or not bare.strip("-–—_.")
    if isinstance(cell, float):
        return cell != cell  # noqa: PLR0124 - not a number
    return cell is None or (isinstance(cell, Mapping | Sequence | set) and not cell)


def is_broken(cell: Any) -> bool:
    """Whether a cell is a list without its end."""
    return isinstance(cell, str) and bool(_BROKEN_LIST.match(cell.strip())) and _parts(cell) is None


def identifier(cell: Any) -> Any:
    """Returns an id as it was before a spreadsheet made it a number: `8.0` is 8, `="0012"` 0012."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if not isinstance(cell, str):
        return cell
    bare = clean(cell).strip()
    if number := _WHOLE_NUMBER.fullmatch(bare):
        return number[1]
    formula = re.fullmatch(r"=\"(.*)\"|'(\d.*)", bare)
    return (formula[1] or formula[2]) if formula else bare


def lines(cell: Any) -> str:
    """Returns a text with one item a line, without bullets and markup.

    Raises:
        ValueError: this is no text.
        DocumentUnreadableError: it is a flood of tags.
    """
    bare = (plain(strip_markdown(item)) for line in _lines(cell) for item in _RUN_TOGETHER.split(line))
    return "\n".join(line for line in bare if not is_blank(line))


def line(cell: Any) -> str:
    """Returns a text of one line; several items are separated by commas. Raises as `lines`."""
    parts = _parts(cell)
    items = (one_line(" ".join(_lines(part))) for part in (parts if parts is not None else [cell]))
    return ", ".join(item for item in items if not is_blank(item))


def names(cell: Any) -> list[str]:
    """Returns names of skills, whatever separates them, each once. Raises as `lines`."""
    parts = _parts(cell)
    items = [line(part) for part in parts] if parts is not None else []
    # Items of a list are names already; a list of one item may have all names in it.
    separated = items if len(items) > 1 else _separated("\n".join(items or _lines(cell)))
    unique: dict[str, str] = {}
    for name in separated:
        bare = _TAIL.sub("", plain(name).strip(_ROUND)).strip(" ,")
        if not is_blank(bare):
            unique.setdefault(bare.casefold(), bare)
    return list(unique.values())


def _lines(cell: Any, depth: int = 0) -> Iterator[str]:
    parts = _parts(cell)
    if parts is not None and depth < _DEEPEST:
        for part in parts:
            yield from _lines(part, depth + 1)
    elif isinstance(cell, str):
        yield from _text_lines(cell)
    elif isinstance(cell, int | float) and not isinstance(cell, bool):
        yield str(identifier(cell))
    elif cell is not None:
        raise ValueError("no text")


def _text_lines(text: str) -> list[str]:
    text = _OOXML.sub(lambda code: chr(int(code[1], 16)), text)
    for _ in range(_MOST_ESCAPES):
        text = unescape_entities(text)
    text = _WRITTEN_BREAK.sub("\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    return list(_tagged(text)) if _is_markup(text) else clean(text).split("\n")


def _is_markup(text: str) -> bool:
    """Whether a text is HTML and does not only speak of tags: it has a line break, begins with a tag, or
    has a pair."""
    if _LINE_BREAK.search(text) or _BEGINS_AS_MARKUP.match(text):
        return True
    opened = {name.lower() for name in _OPENING.findall(text)}
    return any(name.lower() in opened for name in _CLOSING.findall(text))


def _tagged(text: str) -> Iterator[str]:
    """Yields the lines of a piece of HTML. In a cell, line feeds are line breaks too."""
    marked = _NO_TAG.sub("&lt;", text).replace("\n", "<br>")
    for piece in html_flow(marked):
        if isinstance(piece, Line):
            yield piece.text
        elif isinstance(piece, Table):
            yield from (line for row in piece.rows for cell in row for line in cell.text.split("\n"))


def _parts(cell: Any) -> list[Any] | None:
    """Returns the items of a list or an object, also where it is written as text; None where the cell is
    neither."""
    if isinstance(cell, Mapping):
        named = [cell[key] for key in _NAME_KEYS if not is_blank(cell.get(key))]
        return named[:1] or list(cell.values())
    if isinstance(cell, list | tuple | set):
        return list(cell)
    return _written_parts(cell.strip()) if isinstance(cell, str) else None


def _written_parts(text: str) -> list[Any] | None:
    """Returns the items of a list as Python, JSON, NumPy or PostgreSQL write it."""
    if len(text) < 2 or text[0] + text[-1] not in ("[]", "()", "{}"):  # noqa: PLR2004 - a pair
        return None
    if _NUMPY.fullmatch(text):
        return [one or other for one, other in _QUOTED.findall(text)]
    readers = (orjson.loads, ast.literal_eval) if _LITERAL.match(text) else (orjson.loads,)
    for read in readers:
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return _parts(value) if isinstance(value, Mapping | list | tuple | set) else None
    if text[0] == "{" and ":" not in text:
        return next(csv.reader([text[1:-1]]), [])
    return None


def _separated(text: str) -> Iterable[str]:
    if text.lstrip().startswith("#"):
        yield from _HASHES.split(text)
        return
    for piece in _LISTED.split(text):
        for part in _MIDDLE.split(piece):
            yield from _slashed(part.strip())


def _slashed(name: str) -> Iterable[str]:
    """Splits C++/ROS 2, but not CI/CD, TCP/IP and A/B."""
    parts = _SLASH.split(name)
    are_names = all((len(part) > 1 and not part.isdecimal()) or canonical(part) in KIND_OF for part in parts)
    return parts if are_names and canonical(name) not in KIND_OF else [name]
