"""The lines of a posting that tell of the work: what prompts show of it, and what quotes come out of.

Introductions of the company, hiring steps and benefits are passed over. Every line is, letter for letter, a
part of the posting's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tools.core.text import cut
from tools.lexicon import find_skills
from tools.lexicon.stems import COMMON, stems
from tools.postings.contracts import TEXT_FIELDS, StoredPosting

_SHORTEST_PIECE = 40
"""Characters: a shorter piece of a line says nothing without the rest."""
_SHORTEST_LINE = 6
"""Characters of a line that can tell of work."""
_LONG_LINE = 160
"""Characters from which a line is taken for a paragraph, and parted into its sentences."""
_LONGEST_LINE = 240
"""Characters of one line in a prompt."""
_CACHED = 4_096
"""Postings whose lines are kept, some 6 kB each: finding them costs about a millisecond a posting."""

_BULLET = re.compile(r"^[\s\-–—•·∙ㆍ▪▶►◆■□○●◦※*>✓✔☑#~ㅇ]+\s*|^\(?\d{1,2}[.)]\s+|^[①-⑳]\s*")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])\s+|(?<=니다)\s+|(?<=어요)\s+|\s+[•▪■●ㆍ·]\s+|\s[-–]\s(?=\S)|\s*[;；]\s+"
)
_HEADING = re.compile(r"^[\[<【〔({《].{0,40}[\]>】〕)}》]$|[:：]$")
_INTRODUCTION = re.compile(
    r"(?:팀|본부|조직|회사|부서|그룹|셀|스쿼드|챕터)(?:은|는|에서는|이란|이에요|입니다)(?:\s|[.!]|$)"
    r"|(?:저희|우리)\s?(?:팀|회사|는|가|와)|팀을?\s*소개|합류(?:하|해|할)|함께\s*(?:할|성장|만들어|일할)"
    r"|모시고|찾고\s*있|모십니다|모여\s*있|이런\s*분|이런\s*(?:업무|일)를|여정|비전과|미션|궁금해요"
    r"|about (?:us|the (?:team|company|role))|who we are|\bjoin (?:us|our)\b"
    r"|\bwe(?:'re| are| believe| offer)\b|\bour (?:mission|vision|team|company)\b",
    re.IGNORECASE,
)
_HIRING = re.compile(
    r"서류\s*(?:전형|접수|심사|합격)|전형\s*(?:절차|방법|일정)?|면접|제출\s*(?:서류|해)|이력서|자기소개서|경력기술서"
    r"|지원하는\s*이유|입사\s*시|지원\s*(?:방법|서류)|채용\s*(?:절차|프로세스)|입사\s*(?:지원|일)|절차는"
    r"|접수|마감|수습\s*기간|급여|연봉|복지|복리|4대\s*보험|근무\s*(?:지|시간|형태|요일|조건)|연차|휴가|식대"
    r"|보훈|장애인|병역|군필|결격\s*사유|해외\s*여행|학력"
    r"|hiring process|interview(?:s| process)|\bapply\b|application (?:process|deadline)|resume|cover letter"
    r"|salary|benefits|equal opportunity|paid time off|health insurance",
    re.IGNORECASE,
)
_WEIGHT = {"responsibilities": 0.6, "preferred": 0.3, "requirements": 0.2}
"""What the work is tells a project more than what one must bring along."""
_MOST_SKILLS = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line that tells of the work: its text, the field it stands in, what it names."""

    text: str
    field: str
    skills: frozenset[str]
    stems: frozenset[str]

    def worth(self, skills: frozenset[str], words: frozenset[str]) -> float:
        """Returns how much the line tells of `skills` (canonical names) and `words` (stems)."""
        named = min(len(self.skills), _MOST_SKILLS)
        return (
            0.5 * named
            + 1.5 * min(len(self.skills & skills), _MOST_SKILLS)
            + 0.5 * min(len((self.stems & words) - COMMON), 4)
            + _WEIGHT[self.field]
        )


def lines_of(posting: StoredPosting) -> tuple[Line, ...]:
    """Returns the lines of a posting that tell of the work, in its order; of a posting with no such line,
    all of its lines."""
    return _lines_of(posting.job_title, tuple(getattr(posting, name) for name in TEXT_FIELDS))


@lru_cache(maxsize=_CACHED)
def _lines_of(job_title: str, texts: tuple[str, ...]) -> tuple[Line, ...]:
    title = job_title.strip()
    found = [
        Line(text, name, frozenset(find_skills(text)), stems(text))
        for name, whole in zip(TEXT_FIELDS, texts, strict=True)
        for text in work_lines(whole)
        if text != title
    ]
    return tuple(found)


def skills_of(posting: StoredPosting) -> frozenset[str]:
    """Returns the canonical names of the skills that a posting names in its texts or its list."""
    listed = frozenset(skill for name in posting.skills for skill in find_skills(name))
    in_title = frozenset(find_skills(posting.job_title))
    return listed.union(in_title, *(find_skills(getattr(posting, name)) for name in TEXT_FIELDS))


def work_lines(text: str) -> list[str]:
    """Returns the lines of a text that tell of the work, without bullets; paragraphs by sentence. Where none
    does, all of its lines: a short posting may have nothing but its introduction."""
    every = list(_pieces(text))
    return [line for line in every if not _is_boilerplate(line)] or every


def _pieces(text: str) -> Iterator[str]:
    for raw in text.split("\n"):
        parts = _SENTENCE_END.split(raw) if len(raw) > _LONG_LINE else [raw]
        for part in parts:
            line = _BULLET.sub("", part.strip())
            if len(line) >= _SHORTEST_LINE:
                yield line


def _is_boilerplate(line: str) -> bool:
    if _HEADING.search(line):
        return True
    about = _INTRODUCTION.search(line) or _HIRING.search(line)
    # "결제팀은 Kafka로 …": a line that names what is worked with is kept, whoever it introduces.
    return about is not None and not find_skills(line)


def excerpt(text: str, limit: int) -> str:
    """Returns the beginning of `text` that fits into `limit` characters.

    The line that no longer fits is cut between words, and left out where only a scrap of it would fit.
    What is quoted of the excerpt stands in the text.
    """
    kept: list[str] = []
    left = limit
    for line in text.split("\n"):
        whole = len(line) <= left
        if not whole and (kept and left < _SHORTEST_PIECE):
            break
        kept.append(line if whole else cut(line, left))
        left -= len(line) + 1
        if left < 0:
            break
    return "\n".join(kept)


def telling_lines(
    posting: StoredPosting, skills: frozenset[str], words: frozenset[str], limit: int
) -> list[str]:
    """Returns the lines of a posting that tell most of `skills` and `words`, in the posting's order, in
    `limit` characters; at least one where the posting has any."""
    ranked = sorted(lines_of(posting), key=lambda line: -line.worth(skills, words))
    chosen: dict[str, None] = {}
    left = limit
    for line in ranked:
        text = cut(line.text, _LONGEST_LINE)
        if chosen and len(text) > left:
            continue
        chosen[text] = None
        left -= len(text)
        if left < _SHORTEST_LINE:
            break
    shown = (cut(line.text, _LONGEST_LINE) for line in lines_of(posting))
    return [text for text in dict.fromkeys(shown) if text in chosen]


def supports(line: str, posting: StoredPosting) -> bool:
    """Whether a posting says what `line` says: it names every skill of the line, and of the line's other
    words at least a half stand in its text."""
    named = frozenset(find_skills(line))
    if not named <= skills_of(posting):
        return False
    text = _plain(posting.text())
    words = [word for word in stems(line) if not (named and find_skills(word))]
    return sum(word in text for word in words) * 2 >= len(words)


def named_in(names: Iterable[str], text: str) -> list[str]:
    """Returns those of `names` that stand in `text` letter for letter, but for case and white space."""
    plain = _plain(text)
    return [name for name in names if _plain(name) in plain]


@lru_cache(maxsize=_CACHED)
def _plain(text: str) -> str:
    return "".join(text.lower().split())
