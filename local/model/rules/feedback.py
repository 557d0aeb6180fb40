"""What a person asks of the next project in their own words, by simple cues."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tools.lexicon import find_skills

from .families import FAMILIES

_EASIER = re.compile(
    r"쉬[운웠]|쉽게|더\s*쉽|초보|초급|입문|어려워|어렵다|버거|easier|simpler|beginner|too (?:hard|difficult)",
    re.I,
)
_HARDER = re.compile(
    r"어렵게|더\s*어려운|심화|고급|난이도를?\s*(?:높|올)|도전적|너무\s*쉬"
    r"|harder|advanced|challenging|too easy|more difficult",
    re.I,
)
_SHORTER = re.compile(
    r"짧게|짧았으면|짧은\s*(?:기간|프로젝트|과제|일정|걸|거|것)|기간[을은이]?\s*(?:좀|조금|더)?\s*(?:줄|짧)"
    r"|(?:빨리|금방|빠르게)\s*끝|더\s*빨리|간단(?:한|하게|히)|작은\s*규모|규모[를로]?\s*(?:좀|조금|더)?\s*(?:줄|작)"
    r"|시간이\s*(?:\S+\s*)?(?:없|부족|적)|너무\s*(?:길|오래)|오래\s*걸(?!려도)"
    r"|\bshorter\b|\bshort (?:project|plan|one)\b|\bquick(?:er|ly)?\b|\bsmaller\b|\b(?:less|little|no) time\b"
    r"|\btoo long\b",
    re.I,
)
_LONGER = re.compile(
    r"길게|길었으면|더\s*긴|긴\s*(?:기간|프로젝트)|기간[을은이]?\s*(?:좀|조금|더)?\s*늘|오래\s*(?:할|하|걸려도)"
    r"|너무\s*짧|\blonger\b|\bbigger\b|\bmore time\b|\btoo short\b",
    re.I,
)
_TOO = re.compile(r"너무\s*짧|too short", re.I)
_WEEKS = re.compile(r"(\d{1,2}|일)\s*(?:주(?!\s*(?:차|년))|weeks?|wks?)", re.I)
_WEEKS_EN = re.compile(r"\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s+weeks?\b", re.I)
_MONTHS = re.compile(
    r"(\d|(?<![가-힣])[한두세]|\ba|\bone|\btwo|\bthree)\s*(?:개월|달(?!콤|러|성|력|리)|months?\b)", re.I
)
_BELOW = re.compile(r"보다\s*(?:더\s*)?짧|미만|shorter than|less than|fewer than", re.I)
_NUMBERS = {
    word: number
    for number, words in {
        1: "일 한 a one", 2: "두 two", 3: "세 three", 4: "four", 5: "five", 6: "six", 7: "seven",
        8: "eight", 9: "nine", 10: "ten", 12: "twelve",
    }.items()
    for word in words.split()
}  # fmt: skip
_TEAM = re.compile(
    r"팀\s*(?:으로|프로젝트|플|과제)|여럿|같이|함께|협업|\bteam\b|together|group project", re.I
)
_SOLO = re.compile(r"혼자|개인\s*(?:프로젝트|과제)|1인|\bsolo\b|alone|by myself|on my own|individual", re.I)
_NOT_KO = re.compile(
    r"((?:[^\s,.]+\s*,\s*)*[^\s,.]+(?:\s[^\s,.]+)?)\s*"
    r"(?:말고|빼(?!지|놓지)|제외(?!하지)|싫|아닌|대신|없이|없애|없었으면|삭제|필요\s*없|원하지\s*않|싶지\s*않"
    r"|(?:쓰|사용하|넣|다루|하)지\s*(?:않|말|마)|안\s*(?:쓰|써|넣|배우|다루))"
)
_WORD_EN = r"(?!(?:use|using|but|with|please|add|prefer|instead|only|i|let|just)\b)[\w+#][\w.+#/-]*"
_NOT_EN = re.compile(
    r"(?:\b(?:not|no|without|instead of|rather than|other than|except|avoid|exclude|remove|drop|skip"
    r"|leave out)|n['’]t)\s+(?:(?:really\s+)?(?:want|like|wish)\s+)?(?:to\s+)?"
    r"(?:(?:use|using|include|learn|have|do)\s+)?"
    rf"({_WORD_EN}(?:(?:\s*,\s*|\s+(?:and|or|nor)\s+|\s){_WORD_EN}){{0,3}})",
    re.I,
)
_WORD = re.compile(r"[a-z0-9.+#]{2,}|[가-힣]{2,}")
_MONTH_WEEKS = 4
_MOST_WEEKS = 26


@dataclass(frozen=True)
class Feedback:
    """Cues found. `shift`: -1 easier, 1 harder; `stretch`: -1 shorter, 1 longer."""

    shift: int = 0
    stretch: int = 0
    weeks: int | None = None
    team: bool = False
    solo: bool = False
    skills: tuple[str, ...] = ()
    unwanted_skills: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    unwanted_families: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    unwanted: str = ""


@lru_cache(maxsize=1024)
def understand(text: str) -> Feedback:
    """Returns the cues in a feedback text; of an empty or unclear one, none."""
    refused = [*_NOT_KO.findall(text), *_NOT_EN.findall(text)]
    unwanted = " ".join(refused).lower()
    rest = _NOT_EN.sub(" ", _NOT_KO.sub(" ", text))
    easier, harder = _EASIER.search(text) is not None, _HARDER.search(text) is not None
    shorter, longer = _SHORTER.search(text) is not None, _LONGER.search(text) is not None
    return Feedback(
        shift=int(harder) - int(easier and not harder),
        stretch=int(longer) if _TOO.search(text) else -1 if shorter else int(longer),
        weeks=_weeks(text),
        team=_TEAM.search(rest) is not None,
        solo=_SOLO.search(rest) is not None,
        skills=tuple(find_skills(rest)),
        unwanted_skills=tuple(find_skills(unwanted)),
        families=_families(rest),
        unwanted_families=_families(unwanted),
        words=frozenset(_WORD.findall(rest.lower())),
        unwanted=unwanted,
    )


def _weeks(text: str) -> int | None:
    weeks, months = _WEEKS.search(text) or _WEEKS_EN.search(text), _MONTHS.search(text)
    if weeks is None and months is None:
        return None
    amount = _number(weeks[1]) if weeks else _number(months[1]) * _MONTH_WEEKS if months else 0
    return min(max(amount - (_BELOW.search(text) is not None), 1), _MOST_WEEKS)


def _number(word: str) -> int:
    return _NUMBERS.get(word.lower()) or int(word)


_NICKNAMES = {
    "frontend": r"프론트|화면|front",
    "backend": r"백엔드|백앤드|서버|back",
    "data_engineering": r"데이터(?!\s*분석)|\bdata\b(?! anal)",
    "data_analysis": r"데이터\s*분석|분석|analy",
    "ai_ml": r"인공지능|머신|딥러닝|\bai\b|\bml\b|llm|모델",
    "mobile": r"모바일|앱\s|안드로이드|\bios\b|mobile|android",
    "devops": r"인프라|배포|클라우드|devops|infra|cloud|운영",
    "security": r"보안|security",
    "qa": r"테스트|품질|\bqa\b|testing",
    "game": r"게임|game",
    "embedded": r"임베디드|펌웨어|하드웨어|로봇|embedded|firmware|robot",
    "blockchain": r"블록체인|blockchain|web3",
    "marketing": r"마케팅|marketing",
    "design": r"디자인(?!\s*패턴)|\bui\b",
}
_NAMED = {key: re.compile(pattern, re.I) for key, pattern in _NICKNAMES.items() if key in FAMILIES}


def _families(text: str) -> tuple[str, ...]:
    return tuple(key for key, pattern in _NAMED.items() if pattern.search(f"{text} "))
