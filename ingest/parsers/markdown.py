"""Plain text and Markdown to blocks. They are one: what people type as plain text has Markdown's signs
in it, and Markdown as it is written has Korean bullets."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ingest.blocks import BULLET
from ingest.documents import Cell, Cost, Heading, Paragraph, Parsed, Table
from ingest.parsers.html import SHORTEST_ALT_TEXT
from ingest.parsers.lines import GAP, FlowItem, Line, build_blocks, clean_table
from tools.core.text import one_line

PARSER = "text/1"

_LONGEST_TITLE = 80

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n((?:[A-Za-z_-]+:.*\n|[ \t#].*\n|\n){1,200}?)---[ \t]*(?=\n|\Z)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{3,})\s*")
_RULE = re.compile(r"\s*([-*_=~#─━═☆★•·])(?:\s*\1){2,}\s*")
_DELIMITER = re.compile(r"\s*+\|?\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?\s*+")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_ITEM = re.compile(r"\s*[-*+]\s+(?:\[[ xX]\]\s+)?")
_BOLD_LINE = re.compile(r"(\*\*|__)(?!\s)((?:(?!\1).)+)(?<!\s)\1\s*:?")
_BOLD = re.compile(r"(\*\*|__)(?=\S)((?:(?!\1).)+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*]+)(?<=[^\s*])\*(?![\w*])")
_CODE = re.compile(r"(`{1,3})([^`]+)\1")
_LINK = re.compile(r"(!?)\[([^\[\]]{0,500})\]\([^()\s]{0,2000}(?:\s+\"[^\"]{0,500}\")?\)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]\w{1,30});")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_PIPE = re.compile(r"(?<!\\)\|")


def parse_text(text: str) -> Parsed:
    """Reads plain text or Markdown: `#` and underlined headings, bullets, tables of pipes, bold lines.
    A first line that stands alone is the title."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Front matter may be all that names the company; its dashes are neither rules nor underlines.
    blocks = build_blocks(markdown_flow(_FRONT_MATTER.sub(r"\1\n", text, count=1)))
    if blocks and not any(isinstance(block, Heading) and block.level == 1 for block in blocks):
        first = blocks[0]
        if len(blocks) > 1 and isinstance(first, Paragraph) and _is_title(first.text):
            blocks[0] = Heading(text=first.text, level=1)
    return Parsed(blocks=blocks, parser=PARSER, cost=Cost(pages=1))


def markdown_flow(text: str) -> Iterator[FlowItem]:
    """Yields the lines, gaps and tables of a text."""
    lines = text.split("\n")
    number = 0
    fenced = False
    while number < len(lines):
        line = lines[number]
        number += 1
        after = lines[number] if number < len(lines) else ""
        if _FENCE.match(line):
            fenced = not fenced
            yield GAP
        elif fenced:
            code = one_line(line)
            yield Line(code) if code else GAP
        elif "|" in line and "|" in after and _DELIMITER.fullmatch(after):
            end = number + 1
            while end < len(lines) and "|" in lines[end] and lines[end].strip():
                end += 1
            yield _table([line, *lines[number + 1 : end]]) or GAP
            number = end
        elif (heading := _HEADING.fullmatch(line)) is not None:
            yield from _heading(heading[2], len(heading[1]))
        elif _is_underlined(line, after):
            yield from _heading(line, 1 if "=" in after else 2)
            number += 1
        else:
            yield from _line(line)


def strip_markdown(text: str) -> str:
    """Returns text without Markdown's signs: emphasis, code, links, escapes, entities."""
    if "`" in text or "[" in text or "*" in text or "__" in text:
        text = _EMPHASIS.sub(r"\1", _BOLD.sub(r"\2", _CODE.sub(r"\2", _LINK.sub(_link_text, text))))
    if "\\" in text:
        text = _ESCAPE.sub(r"\1", text)
    return one_line(unescape_entities(text))


def unescape_entities(text: str) -> str:
    """Returns text with the characters that entities stand for: `R&amp;D` is R&D, and Q&A stays itself."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _link_text(match: re.Match[str]) -> str:
    is_image = bool(match[1])
    return "" if is_image and len(match[2]) < SHORTEST_ALT_TEXT else match[2]


def _line(line: str) -> Iterator[FlowItem]:
    if not line.strip() or _RULE.fullmatch(line):
        yield GAP
        return
    line = re.sub(r"^\s*(?:>\s?)+", "", line)
    item = _ITEM.match(line)
    rest = line[item.end() :] if item else line.strip()
    for number, part in enumerate(_BREAK.split(rest)):
        text = strip_markdown(part)
        if text:
            bold = _BOLD_LINE.fullmatch(part.strip()) is not None
            yield Line(text, item=item is not None and number == 0, strong=bold)


def _heading(text: str, level: int) -> Iterator[FlowItem]:
    heading = strip_markdown(text)
    if heading:
        yield Line(heading, level=level)


def _is_underlined(line: str, after: str) -> bool:
    """Whether the next line makes this one a heading. Three dashes are also how a rule is drawn, so the line
    has to be short and no item."""
    if not line.strip() or _UNDERLINE.fullmatch(after) is None or _ITEM.match(line) or _RULE.fullmatch(line):
        return False
    return len(line) <= _LONGEST_TITLE


def _table(lines: list[str]) -> Table | None:
    rows = []
    for number, line in enumerate(lines):
        cells = _PIPE.split(line.strip())
        first, last = int(not cells[0].strip()), len(cells) - int(not cells[-1].strip())
        texts = ("\n".join(map(strip_markdown, _BREAK.split(cell))).strip() for cell in cells[first:last])
        rows.append([Cell(text=text, header=number == 0) for text in texts])
    return clean_table(rows)


def _is_title(text: str) -> bool:
    alone = "\n" not in text and len(text) <= _LONGEST_TITLE
    return alone and not text.startswith(BULLET) and text[-1] not in ".!,"
