"""From lines to blocks: which line is a heading, which an item, which lines belong together.

Most postings are written without markup for it: a bold line, `[담당업무]`, `■ 자격요건` or a bare short
line stands over a list. The rules here read them as a person does; they were written against postings
of Korean boards and against plain `<div>` pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest.blocks import BULLET
from ingest.documents import Block, Heading, Paragraph, Table
from ingest.parsers.flow import Flow, Line

INFERRED_LEVEL = 3
"""The level of a heading that no markup names: below the title and the parts that markup names."""

_LONGEST_HEADING = 60
_LONGEST_BARE_HEADING = 25
_MOSTLY = 0.5
"""A page of which more than this share is bold says nothing by it."""

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


@dataclass(slots=True)
class _Read:
    """A line and what it shows: its mark (empty: none), the text after it, its rank among the marks."""

    line: Line
    mark: str
    text: str
    rank: int = 0
    gap_before: bool = False

    @property
    def listed(self) -> bool:
        return bool(self.mark) or self.line.item or _NUMBER.match(self.text) is not None


def assemble(flow: Iterable[Flow]) -> list[Block]:
    """Returns the blocks of a page or a document, in the order of its lines."""
    read = list(_read(flow))
    blocks: list[Block] = []
    paragraph: list[str] = []
    page = 1

    def close() -> None:
        if paragraph:
            blocks.append(Paragraph(text="\n".join(paragraph), page=page))
            paragraph.clear()

    for here, level in zip(read, _levels(read), strict=True):
        if isinstance(here, Table):
            close()
            blocks.append(here)
            continue
        if level:
            close()
            blocks.append(Heading(text=_bare(here.text), level=level, page=here.line.page))
            continue
        is_item = bool(here.mark) or here.line.item
        # Items that stand apart are still one list; so is what a page break cuts in two not.
        goes_on = is_item and bool(paragraph) and paragraph[-1].startswith(BULLET)
        if here.line.page != page or (here.gap_before and not goes_on):
            close()
        page = here.line.page
        paragraph.append(f"{BULLET if is_item else ''}{here.text}")
    close()
    return blocks


def _read(flow: Iterable[Flow]) -> Iterator[_Read | Table]:
    """Reads the marks. The order in which they first appear is their rank: the outer one comes first."""
    ranks: dict[str, int] = {}
    gap = False
    for element in flow:
        if isinstance(element, Table):
            gap = True
            yield element
        elif isinstance(element, Line):
            mark, text = ("", element.text) if element.level else _split_mark(element.text)
            rank = ranks.setdefault(mark, len(ranks)) if mark else len(ranks) + 1
            yield _Read(element, mark, text, rank, gap)
            gap = False
        else:
            gap = True


def _split_mark(text: str) -> tuple[str, str]:
    """Returns (the mark that a line begins with or nothing, the rest)."""
    match = _MARK.match(text)
    if match is None:
        return "", text
    mark = next((kind for kind, found in zip("-..:", match.groups(), strict=True) if found), "")
    return (match[2] or match[3] or mark), text[match.end() :]


def _bold_says_something(read: list[_Read | Table]) -> bool:
    lines = [here.line for here in read if isinstance(here, _Read) and not here.line.level]
    return sum(line.strong for line in lines) <= _MOSTLY * len(lines) or len(lines) <= 2  # noqa: PLR2004


def _levels(read: list[_Read | Table]) -> list[int]:
    """Returns the heading level of each line, 0 for what is none.

    From the last line to the first: whether a line is a heading depends on what it stands over.
    """
    bold_says_something = _bold_says_something(read)
    levels = [0] * len(read)
    after: _Read | Table | None = None
    for number in range(len(read) - 1, -1, -1):
        here = read[number]
        if isinstance(here, _Read):
            before = read[number - 1] if number else None
            over_heading = number + 1 < len(read) and levels[number + 1] > 0
            levels[number] = here.line.level or (
                INFERRED_LEVEL if _is_heading(here, before, after, over_heading, bold_says_something) else 0
            )
        after = here
    return levels


def _is_heading(
    here: _Read, before: _Read | Table | None, after: _Read | Table | None, over_heading: bool, bold: bool
) -> bool:
    """Whether a line that no markup calls a heading is one. `over_heading`: the next line is one;
    `bold`: that a line is bold says something."""
    if here.line.item or after is None or len(here.text) > _LONGEST_HEADING:
        return False
    if _SECTION.fullmatch(_bare(here.text)):
        return not (here.mark and _alike(here, before) and _alike(here, after))
    if here.mark:
        return here.mark != "-" and not over_heading and _stands_over(here, before, after)
    if _BRACKETED.fullmatch(here.text):
        return True
    if _NUMBER.match(here.text) or here.text.endswith((".", ",")):
        return False
    over_list = isinstance(after, _Read) and after.listed and not over_heading
    if here.line.strong and bold and (over_list or not _SENTENCE.search(here.text)):
        return True
    alone = here.gap_before or not isinstance(before, _Read) or before.listed or bool(before.line.level)
    short = len(here.text) <= _LONGEST_BARE_HEADING
    return short and alone and (over_list or (here.text.endswith(":") and not over_heading))


def _stands_over(here: _Read, before: _Read | Table | None, after: _Read | Table) -> bool:
    """Whether a marked line (`■ 자격요건`) is a heading: the marks beside it are not its own, and what
    follows is deeper than it."""
    if _alike(here, before) or _alike(here, after) or len(here.text) > _LONGEST_BARE_HEADING:
        return False
    if isinstance(after, Table):
        return True
    says_a_value = ":" in here.text.rstrip(" :") or "：" in here.text.rstrip(" ：")
    return not says_a_value and not _SENTENCE.search(here.text) and after.rank > here.rank


def _alike(here: _Read, beside: _Read | Table | None) -> bool:
    return isinstance(beside, _Read) and beside.mark == here.mark


def _bare(text: str) -> str:
    """A heading without its brackets, its number's dot kept, its colon gone: `[담당업무]` → `담당업무`."""
    match = _BRACKETED.fullmatch(text)
    bare = (match["inner"] if match else text).strip().rstrip(":：").strip()
    return bare or text
