"""Plain text and Markdown to blocks. They are one: what people type as plain text has Markdown's signs
in it, and Markdown of the wild has Korean bullets."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ingest.blocks import BULLET
from ingest.documents import Cell, Cost, Heading, Paragraph, Parsed, Table
from ingest.parsers.assemble import assemble
from ingest.parsers.flow import GAP, Flow, Line, folded
from ingest.parsers.html_writer import SHORTEST_ALTERNATIVE
from ingest.parsers.tables import tidy

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
    # What front matter says may be all that names the company; its frame is no rule and no underline.
    blocks = assemble(text_flow(_FRONT_MATTER.sub(r"\1\n", text, count=1)))
    if blocks and not any(isinstance(block, Heading) and block.level == 1 for block in blocks):
        first = blocks[0]
        if len(blocks) > 1 and isinstance(first, Paragraph) and _is_title(first.text):
            blocks[0] = Heading(text=first.text, level=1)
    return Parsed(blocks=blocks, parser=PARSER, cost=Cost(pages=1))


def text_flow(text: str) -> Iterator[Flow]:
    """Yields what a text flows with."""
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
            yield from _plain(line)
        elif "|" in line and "|" in after and _DELIMITER.fullmatch(after):
            end = number + 1
            while end < len(lines) and "|" in lines[end] and lines[end].strip():
                end += 1
            table = _table([line, *lines[number + 1 : end]])
            yield from [GAP] if table is None else [table]
            number = end
        elif (heading := _HEADING.fullmatch(line)) is not None:
            yield from _heading(heading[2], len(heading[1]))
        elif _is_underlined(line, after):
            yield from _heading(line, 1 if "=" in after else 2)
            number += 1
        else:
            yield from _line(line)


def unmarked(text: str) -> str:
    """Returns text without Markdown's signs: emphasis, code, links, escapes, entities."""
    if "`" in text or "[" in text or "*" in text or "__" in text:
        text = _EMPHASIS.sub(r"\1", _BOLD.sub(r"\2", _CODE.sub(r"\2", _LINK.sub(_linked, text))))
    if "\\" in text:
        text = _ESCAPE.sub(r"\1", text)
    return folded(unescaped(text))


def unescaped(text: str) -> str:
    """Returns text with what entities stand for: `R&amp;D` is R&D, and Q&A stays itself."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _linked(match: re.Match[str]) -> str:
    """The text of a link, and of a picture what says more than that there is one."""
    return "" if match[1] and len(match[2]) < SHORTEST_ALTERNATIVE else match[2]


def _line(line: str) -> Iterator[Flow]:
    if not line.strip() or _RULE.fullmatch(line):
        yield GAP
        return
    line = re.sub(r"^\s*(?:>\s?)+", "", line)
    item = _ITEM.match(line)
    rest = line[item.end() :] if item else line.strip()
    for number, part in enumerate(_BREAK.split(rest)):
        text = unmarked(part)
        if text:
            bold = _BOLD_LINE.fullmatch(part.strip()) is not None
            yield Line(text, item=item is not None and number == 0, strong=bold)


def _plain(line: str) -> Iterator[Flow]:
    text = folded(line)
    yield Line(text) if text else GAP


def _heading(text: str, level: int) -> Iterator[Flow]:
    heading = unmarked(text)
    if heading:
        yield Line(heading, level=level)


def _is_underlined(line: str, after: str) -> bool:
    """Whether a line is a heading by what is drawn under it. Three dashes are also how a rule is drawn,
    so the line has to be short and no item."""
    if not line.strip() or _UNDERLINE.fullmatch(after) is None or _ITEM.match(line) or _RULE.fullmatch(line):
        return False
    return len(line) <= _LONGEST_TITLE


def _table(lines: list[str]) -> Table | None:
    rows = []
    for number, line in enumerate(lines):
        cells = _PIPE.split(line.strip())
        first, last = int(not cells[0].strip()), len(cells) - int(not cells[-1].strip())
        rows.append(
            [
                Cell(text="\n".join(map(unmarked, _BREAK.split(cell))).strip(), header=number == 0)
                for cell in cells[first:last]
            ]
        )
    return tidy(rows)


def _is_title(text: str) -> bool:
    alone = "\n" not in text and len(text) <= _LONGEST_TITLE
    return alone and not text.startswith(BULLET) and text[-1] not in ".!,"
