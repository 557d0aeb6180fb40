"""Lines and tables of a document, and how they become blocks.

HTML, Markdown, plain text and the text of a PDF all come to a flow of lines, gaps and tables, so that one
set of rules finds the headings, lists and paragraphs in all of them. Most postings are written without
markup for these: a bold line, `[담당업무]`, `■ 자격요건` or a bare short line stands over a list. The rules
here read them as a person does; they were written against postings of Korean boards and against plain
`<div>` pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.blocks import BULLET, grid
from ingest.documents import Block, Cell, Heading, Paragraph, Table

MAX_COLSPAN = 1000  # the widest span that HTML knows
INFERRED_LEVEL = 3  # the level of a heading without markup: below the title and the headings that have markup

_LONGEST_HEADING = 60
_LONGEST_BARE_HEADING = 25
_MOSTLY = 0.5  # of a page's lines: where more are bold, bold means nothing

_DASHES = "-–—*+‐‑−ㅡ"
_DOTS = "•·∙‧・ㆍᆞ⋅▪▫◦⁃●○◉◎■□◆◇◈▣▶▷►▸▹➤➢➔☞★☆✔✓☑✅❍❏❑◻◼⦁\uf0b7\uf06c\uf0a7\uf06e\uf0fc\uf0d8\uf075"
_LETTERS = "oㅇOㅁ"
"""Letters that Korean writers type for a circle or a square."""
_EMOJI = "\U0001f300-\U0001faff\u2600-\u2604\u2607-\u2712\u2715-\u27bf"
_MARK = re.compile(
    rf"(?:([{re.escape(_DASHES)}])(?:\s+|(?=[^\W\d]))|([{_DOTS}])\s*(?!\2)|([{_LETTERS}])\s+|([{_EMOJI}])+\s*)(?=\S)"
)
_NUMBER = re.compile(r"(?:\d{1,3}[.)]|[①-⑳❶-❿]|\(\d{1,2}\)|[가-하][.)])\s*(?=\D)")
_BRACKETED = re.compile(
    r"[\[<【〈《［〔{「『≪](?P<inner>[^\[\]<>【】〈〉《》［］]+)[\]>】〉》］〕}」』≫]\s*:?"
)
_SENTENCE = re.compile(r"(?:니다|어요|아요|에요|예요|세요|해요|[.!。…,;])$")

_SECTION = re.compile(
    r"(?:주요|담당|상세|세부|수행)\s*(?:업무|직무|역할)(?:\s*(?:내용|및\s*\w+))?|직무\s*(?:내용|소개|상세)|업무\s*(?:내용|소개)|하는\s*일"
    r"|(?:자격|지원|필수|응시|공통)\s*(?:요건|자격|조건|사항)(?:\s*(?:요건|조건|사항))?"
    r"|우대\s*(?:사항|조건|요건)?|(?:근무|고용)\s*(?:조건|환경|형태|지|지역|시간|장소)|복리\s*후생|복지(?:\s*및\s*혜택)?|혜택(?:\s*및\s*복지)?"
    r"|(?:채용|전형|지원|선발)\s*(?:절차|과정|방법|일정|프로세스)|(?:접수|모집|지원|채용)\s*(?:기간|방법|부문|분야|인원|일정|마감)"
    r"|제출\s*서류|기타(?:\s*사항)?|유의\s*사항|참고\s*사항|(?:회사|기업|팀|조직|서비스|포지션)\s*소개|기술\s*스택|사용\s*기술|개발\s*환경|급여(?:\s*조건)?|연봉"
    r"|(?:key\s+|main\s+)?responsibilities|(?:minimum\s+|basic\s+|preferred\s+)?(?:requirements|qualifications)"
    r"|what\s+you(?:['’]ll|\s+will)?\s+(?:do|bring|need)|nice\s+to\s+have|preferred|benefits|about\s+(?:us|the\s+\w+)|who\s+you\s+are|tech\s+stack|skills",
    re.IGNORECASE,
)
"""What the parts of a posting are called: such a line is a heading wherever it stands alone."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `level` is that of a heading in the markup, else 0; `item` marks an item of a list;
    `strong`, that all of it is bold or larger than the text around it."""

    text: str
    level: int = 0
    item: bool = False
    strong: bool = False
    page: int = 1


@dataclass(frozen=True, slots=True)
class Gap:
    """The end of a paragraph."""


GAP = Gap()
FlowItem = Line | Gap | Table


def parse_span(value: object, *, at_most: int) -> int:
    """Reads a span as HTML does: what is no number from 1 is 1; `rowspan=0` means all that is left."""
    text = str(value or "").strip()
    if not text.isascii() or not text.isdigit():
        return 1
    # A number of a million digits would take minutes to read.
    number = int(text) if len(text) <= len(str(at_most)) else at_most
    return min(number, at_most) or at_most


def clean_table(rows: Sequence[Sequence[Cell]], page: int = 1) -> Table | None:
    """Returns the table of these rows; None where nothing is written in it.

    Empty rows and columns in which no cell begins are removed, and the spans over them are shortened;
    spans that reach beyond the last row end there.
    """
    if not any(cell.text.strip() for row in rows for cell in row):
        return None
    return Table(rows=_without_empty_columns(_without_empty_rows(rows)), page=page)


def _without_empty_rows(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    keep = [any(cell.text.strip() or cell.rowspan > 1 for cell in row) for row in rows]
    kept_before = [0]
    for is_kept in keep:
        kept_before.append(kept_before[-1] + is_kept)

    def rows_spanned(number: int, cell: Cell) -> int:
        return kept_before[min(number + cell.rowspan, len(rows))] - kept_before[number]

    return [
        [cell.model_copy(update={"rowspan": rows_spanned(number, cell)}) for cell in row]
        for number, row in enumerate(rows)
        if keep[number]
    ]


def _without_empty_columns(rows: list[list[Cell]]) -> list[list[Cell]]:
    starts: set[int] = set()
    covered: dict[int, set[int]] = {}
    for row in grid(rows):
        for column, cell in enumerate(row):
            if cell is None:
                continue
            if column == 0 or row[column - 1] is not cell:
                starts.add(column)
                covered[id(cell)] = set()
            covered[id(cell)].add(column)

    def columns_spanned(cell: Cell) -> int:
        return max(1, len(starts & covered.get(id(cell), set())))

    return [[cell.model_copy(update={"colspan": columns_spanned(cell)}) for cell in row] for row in rows]


@dataclass(slots=True)
class _MarkedLine:
    """A line, its mark (empty: none), the text after it, and the mark's rank: the outer ones come first."""

    line: Line
    mark: str
    text: str
    rank: int
    gap_before: bool

    @property
    def is_listed(self) -> bool:
        return bool(self.mark) or self.line.item or _NUMBER.match(self.text) is not None


def build_blocks(flow: Iterable[FlowItem]) -> list[Block]:
    """Returns the blocks of a page or a document, in the order of its lines."""
    items = list(_split_marks(flow))
    blocks: list[Block] = []
    paragraph: list[str] = []
    page = 1

    def end_paragraph() -> None:
        if paragraph:
            blocks.append(Paragraph(text="\n".join(paragraph), page=page))
            paragraph.clear()

    for item, level in zip(items, _heading_levels(items), strict=True):
        if isinstance(item, Table):
            end_paragraph()
            blocks.append(item)
            continue
        if level:
            end_paragraph()
            blocks.append(Heading(text=_without_brackets(item.text), level=level, page=item.line.page))
            continue
        is_item = bool(item.mark) or item.line.item
        # Items that stand apart are still one list, unless a page break separates them.
        continues_list = is_item and bool(paragraph) and paragraph[-1].startswith(BULLET)
        if item.line.page != page or (item.gap_before and not continues_list):
            end_paragraph()
        page = item.line.page
        paragraph.append(f"{BULLET if is_item else ''}{item.text}")
    end_paragraph()
    return blocks


def _split_marks(flow: Iterable[FlowItem]) -> Iterator[_MarkedLine | Table]:
    """Splits lines into mark and text. The order in which marks first appear is their rank."""
    ranks: dict[str, int] = {}
    gap = False
    for item in flow:
        if isinstance(item, Line):
            mark, text = ("", item.text) if item.level else _split_mark(item.text)
            rank = ranks.setdefault(mark, len(ranks)) if mark else len(ranks) + 1
            yield _MarkedLine(item, mark, text, rank, gap)
            gap = False
        else:
            gap = True
            if isinstance(item, Table):
                yield item


def _split_mark(text: str) -> tuple[str, str]:
    """Returns (the mark that a line begins with or nothing, the rest)."""
    match = _MARK.match(text)
    if match is None:
        return "", text
    kind = next((kind for kind, group in zip("-..:", match.groups(), strict=True) if group), "")
    return (match[2] or match[3] or kind), text[match.end() :]


def _heading_levels(items: list[_MarkedLine | Table]) -> list[int]:
    """Returns the heading level of each item, 0 for what is none.

    From the last to the first: whether a line is a heading depends on what follows it.
    """
    plain = [item.line for item in items if isinstance(item, _MarkedLine) and not item.line.level]
    bold_counts = sum(line.strong for line in plain) <= _MOSTLY * len(plain) or len(plain) <= 2  # noqa: PLR2004
    levels = [0] * len(items)
    after: _MarkedLine | Table | None = None
    for number in range(len(items) - 1, -1, -1):
        item = items[number]
        if isinstance(item, _MarkedLine):
            before = items[number - 1] if number else None
            over_heading = number + 1 < len(items) and levels[number + 1] > 0
            levels[number] = item.line.level or (
                INFERRED_LEVEL if _is_heading(item, before, after, over_heading, bold_counts) else 0
            )
        after = item
    return levels


def _is_heading(
    line: _MarkedLine,
    before: _MarkedLine | Table | None,
    after: _MarkedLine | Table | None,
    over_heading: bool,
    bold_counts: bool,
) -> bool:
    """Whether a line without heading markup is a heading. `over_heading`: the next line is one;
    `bold_counts`: bold lines are rare enough to mean something."""
    if line.line.item or after is None or len(line.text) > _LONGEST_HEADING:
        return False
    if _SECTION.fullmatch(_without_brackets(line.text)):
        return not (line.mark and _has_same_mark(line, before) and _has_same_mark(line, after))
    if line.mark:
        return line.mark != "-" and not over_heading and _is_marked_heading(line, before, after)
    if _BRACKETED.fullmatch(line.text):
        return True
    if _NUMBER.match(line.text) or line.text.endswith((".", ",")):
        return False
    over_list = isinstance(after, _MarkedLine) and after.is_listed and not over_heading
    if line.line.strong and bold_counts and (over_list or not _SENTENCE.search(line.text)):
        return True
    alone = (
        line.gap_before or not isinstance(before, _MarkedLine) or before.is_listed or bool(before.line.level)
    )
    short = len(line.text) <= _LONGEST_BARE_HEADING
    return short and alone and (over_list or (line.text.endswith(":") and not over_heading))


def _is_marked_heading(
    line: _MarkedLine, before: _MarkedLine | Table | None, after: _MarkedLine | Table
) -> bool:
    """Whether a marked line (`■ 자격요건`) is a heading: the marks beside it are not its own, and the next
    line is deeper than it."""
    if _has_same_mark(line, before) or _has_same_mark(line, after) or len(line.text) > _LONGEST_BARE_HEADING:
        return False
    if isinstance(after, Table):
        return True
    has_value = ":" in line.text.rstrip(" :") or "：" in line.text.rstrip(" ：")
    return not has_value and not _SENTENCE.search(line.text) and after.rank > line.rank


def _has_same_mark(line: _MarkedLine, other: _MarkedLine | Table | None) -> bool:
    return isinstance(other, _MarkedLine) and other.mark == line.mark


def _without_brackets(text: str) -> str:
    """A heading without its brackets and colon: `[담당업무]:` → `담당업무`."""
    match = _BRACKETED.fullmatch(text)
    bare = (match["inner"] if match else text).strip().rstrip(":：").strip()
    return bare or text
