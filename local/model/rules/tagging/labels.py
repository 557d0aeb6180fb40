"""What short texts are: a head or label, the name of a job, or a fact that no label names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from local.model.rules.text import load_yaml

LINE_KINDS = ("responsibilities", "requirements", "preferred")
FACT_KINDS = ("company", "employment_type", "experience", "location", "deadline")
_LONGEST = 45
_LONGEST_FACT = 150
_SHORT_WORD = 2
_FUZZY_LENGTH = 4
"""Shortest Hangul head in which one misread syllable is forgiven."""

_NOISE = re.compile(r"[\W_]+")
_ASIDE = re.compile(r"[(（\[【<「]([^)）\]】>」]*)[)）\]】>」]?")
_SPLIT = re.compile(r"\s*(?:[/|&+,·・ㆍ]|\s및\s|\band\b|\s-\s|–)\s*")
_NUMBERED = re.compile(r"^\s*[\[(]?\d{1,2}[.)\]]\s*")
_ENDINGS = ("은", "는", "이란", "안내", "상세", "요약")
_COMMON = re.compile(
    r"공통|전\s*직무|전\s*부문|모든\s*(?:직무|부문|포지션)|\ball (?:positions|roles)\b|\bgeneral\b",
    re.IGNORECASE,
)
_COMMON_PREFIX = re.compile(r"^(?:공통|전직무|전부문|모든직무|모든부문|모든포지션)(?:적용)?(?=.)")


@dataclass(frozen=True, slots=True)
class Head:
    """What stands under a head. `kinds` in the order named; `common`: it says it holds for all."""

    kinds: tuple[str, ...]
    common: bool = False

    @property
    def lines(self) -> bool:
        """Whether the lines of a position stand under it."""
        return self.kinds[0] in LINE_KINDS


def _load() -> tuple[dict[str, str], dict[str, str]]:
    listed: dict[str, list[str]] = load_yaml("heads.yaml")
    exact = {_key(head): kind for kind, lines in listed.items() for line in lines for head in line.split("|")}
    fuzzy: dict[str, set[str]] = {}
    for head, kind in exact.items():
        if len(head) >= _FUZZY_LENGTH and "가" <= head[0] <= "힣":
            for place in range(len(head)):
                fuzzy.setdefault(_without(head, place), set()).add(kind)
            # 지 and ㅣ before a head are taken for a bullet by those who read pictures.
            fuzzy.setdefault(head[1:], set()).add(kind)
    return exact, {pattern: kinds.pop() for pattern, kinds in fuzzy.items() if len(kinds) == 1}


def _key(text: str) -> str:
    return _NOISE.sub("", text).casefold()


def _without(word: str, place: int) -> str:
    return f"{word[:place]}?{word[place + 1 :]}"


_EXACT, _FUZZY = _load()


@lru_cache(maxsize=8192)
def head(text: str) -> Head | None:
    """Returns what a line announces when it is a head and nothing more, None otherwise."""
    bare = _NUMBERED.sub("", text.strip())
    if len(bare) > _LONGEST or "\n" in bare:
        return None
    common = _COMMON.search(bare) is not None
    if (kind := _kind(bare)) is not None:
        return Head((kind,), common)
    aside = _ASIDE.search(bare)
    if aside is not None:
        outside = _ASIDE.sub("", bare)
        inside = _kind(aside[1])
        kind = _kind(outside) if _key(outside) else inside
        if kind is not None:
            # 자격요건 (우대): the aside narrows it. 담당업무 (Duties): it repeats it.
            narrowed = inside if kind == "requirements" and inside == "preferred" else kind
            return Head((narrowed,), common)
    parts = [part for part in _SPLIT.split(bare) if _key(part)]
    kinds = tuple(dict.fromkeys(kind for part in parts if (kind := _kind(part)) is not None))
    unknown = [part for part in parts if _kind(part) is None]
    # 접수기간 및 방법: a word beside what is known takes nothing from it.
    told = kinds and _kind(parts[0]) is not None and all(len(_key(part)) <= _SHORT_WORD for part in unknown)
    return Head(kinds, common) if told else None


def label(text: str) -> tuple[Head, str] | None:
    """Splits `근무지: 서울` into what the label announces and its value, None when it is no such line."""
    for match in re.finditer(r"[:：|]|\s{2,}|\t", text[: _LONGEST + 1]):
        named = head(text[: match.start()]) if _key(text[: match.start()]) else None
        if named is not None:
            return named, text[match.end() :].strip(" :：|")
    bracketed = re.match(r"\s*[\[【<(]([^\]】>)]{2,20})[\]】>)]\s*(\S.*)$", text)
    if bracketed is not None and (named := head(bracketed[1])) is not None:
        return named, bracketed[2]
    spaced = re.match(r"[\W_]*(\S{3,})\s+((?!및|와|과)\S.*)$", text[:_LONGEST_FACT])
    kind = _EXACT.get(_key(spaced[1])) if spaced is not None else None
    if spaced is not None and kind in ("deadline", "location", "employment_type"):
        return Head((kind,)), spaced[2]
    return None


def _kind(text: str) -> str | None:
    key = _key(text)
    for candidate in (key, _COMMON_PREFIX.sub("", key)):
        for ending in ("", *_ENDINGS):
            stem = candidate.removesuffix(ending) if ending else candidate
            if stem in _EXACT:
                return _EXACT[stem]
    if len(key) >= _FUZZY_LENGTH - 1 and key in _FUZZY:
        return _FUZZY[key]
    if len(key) >= _FUZZY_LENGTH and all("가" <= letter <= "힣" for letter in key):
        near = {kind for place in range(len(key)) if (kind := _FUZZY.get(_without(key, place)))}
        if len(near) == 1:
            return near.pop()
    return None


LONGEST = 60
_LONGEST_WITH_ALL = 150
"""A name with all that a heading says beside it."""

_KOREAN_ROLE = (
    "개발자|개발|엔지니어|프로그래머|아키텍트|디자이너|기획자|기획|매니저|분석가|분석|사이언티스트|애널리스트|연구원|연구"
    "|운영자|운영|관리자|관리|컨설턴트|컨설팅|테스터|리드|담당자|담당|전문가|마케터|작가|아티스트|에디터|설계|구축|보안"
    "|백엔드|프론트엔드|풀스택|서버|클라이언트|안드로이드|인프라|데이터|네트워크|임베디드|퍼블리셔|강사|상담원|직원|영업"
    "|회계|인사|마케팅|디자인|책임|선임|수석|요원|팀원|사원|기사|기술자|코디네이터|팀장|파트장|실장"
    "|PM|PO|QA|DBA|SRE|iOS|AI|DevOps|데브옵스"
)
_SUFFIX = (
    r"(?:\s*[\[(（][^)\]）]*[)\]）]|\s*[/·,&]\s*[^\s/·,&]++"
    r"|\s+(?:신입|경력|인턴|인턴십|정규직|계약직|시니어|주니어|직무|부문|분야|포지션|파트|[IVX]{1,3}"
    r"|\d+\s*명|[OoＯ○0]{1,3}\s*명))*"
)
_KOREAN = re.compile(rf"(?:{_KOREAN_ROLE}){_SUFFIX}$", re.IGNORECASE)
_ENGLISH = re.compile(
    r"\b(?:engineer|developer|programmer|architect|designer|manager|analyst|scientist|researcher"
    r"|administrator|consultant|specialist|tester|lead|director|head of|devops|sre|dba|intern|officer"
    r"|coordinator|technician"
    r"|engineering manager|sysadmin|marketer|recruiter|representative|accountant|writer)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?:[다요죠]|세요|십시오)[.!]?$|[.!?]$|:$|^(?:our|we|the|you|what|why|how|about|meet|as an?)\b",
    re.IGNORECASE,
)
_ENGLISH_WORDS = 10

_HIRING_END = re.compile(
    r"\s*(?:직무|부문|분야|포지션)?\s*(?:신입\s*[/·및]\s*경력|신입|경력직|경력|신입직|수시|상시|공개|정규직)?\s*"
    r"(?:사원|직원|인재)?\s*(?:(?:을|를)?\s*(?:모집|채용|구)합니다|(?:을|를)?\s*(?:모십니다|찾습니다|채용해요|모집해요|찾아요)"
    r"|(?:공개\s*)?(?:채용|모집|구인|초빙)(?:\s*(?:공고|안내|중|공지|요강))*)\s*[!.~]*$"
)
_HIRING_START = re.compile(
    r"^\s*(?:we(?:'re| are)\s+(?:hiring|looking for)(?:\s+an?)?|now hiring|hiring"
    r"|job opening|job|position|opening|채용|모집)\s*[:\-–]?\s+(?=\S)",
    re.IGNORECASE,
)
_AT = re.compile(r"\s+(?:at|@)\s+[^,]+$", re.IGNORECASE)
_COUNT = re.compile(r"\s*(?:[(\[]\s*(?:[OoＯ○0]+|\d+)\s*명\s*[)\]]|(?:[OoＯ○0]{1,3}|\d+)\s*명)\s*$")
_BRACKET = re.compile(r"^\s*[\[【]([^\]】]+)[\]】]\s*(?=\S)")
_SEASON = re.compile(r"^.*?20\d\d\s*년?도?\s*(?:상반기|하반기|[1-4]분기)?\s*")
_MARK = re.compile(r"^[\s\-–—•·∙ㆍ▪▶▷►◆◇■□○●◦※*>#]+|^\(?\d{1,2}[.)]\s+|^[①-⑳]\s*")
_OF_THE_JOB = re.compile(r"신입|경력|인턴|계약|정규|주니어|시니어|junior|senior|intern", re.IGNORECASE)


def is_job(text: str) -> bool:
    """Whether a short text names a job rather than saying something of it."""
    bare = clean(text) if len(text) <= _LONGEST_WITH_ALL else ""
    if not bare or len(bare) > LONGEST or _SENTENCE.search(bare):
        return False
    if _KOREAN.search(bare) is not None:
        return True
    return _ENGLISH.search(bare) is not None and len(bare.split()) <= _ENGLISH_WORDS


def is_sentence(text: str) -> bool:
    """Whether a text says something rather than naming it."""
    return _SENTENCE.search(text) is not None


def uncounted(text: str) -> str:
    """Returns the name of a job without its mark and the number of people: as a table has it."""
    return _COUNT.sub("", _MARK.sub("", " ".join(text.split()))).strip(" -–|:")


def clean(text: str, company: str = "") -> str:
    """Returns the name of the job in a title: without the mark, the number of people, who hires and
    the word "hiring". Always a piece of the text."""
    bare = uncounted(text)
    hiring = _HIRING_END.search(bare)
    stripped = _AT.sub("", _HIRING_START.sub("", _HIRING_END.sub("", bare))).strip(" -–|:")
    bracket = _BRACKET.match(stripped)
    if bracket is not None and not _OF_THE_JOB.search(bracket[1]) and (hiring or bracket[1] == company):
        stripped = stripped[bracket.end() :]
    if company and stripped.startswith(company):
        stripped = stripped[len(company) :]
    # A bracket around all of it is a decoration.
    whole = re.fullmatch(r"[\[【<「]([^\[\]【】]+)[\]】>」]", stripped.strip())
    stripped = whole[1] if whole else stripped
    return uncounted(_SEASON.sub("", stripped) or stripped)


_COMPANY = re.compile(
    r"(?:\(주\)|㈜|주식회사)\s*([가-힣A-Za-z0-9&.]+)|([가-힣A-Za-z0-9&.]+)\s*(?:\(주\)|㈜|주식회사)"
)
_BEFORE_SEASON = re.compile(
    r"^\W*(.{2,30}?)\s+(?:'?\d{2,4}\s*년?|상반기|하반기|신입|경력|공개|수시|대규모|IT|개발|채용|모집|인재|사원|기술직|전산직)"
)
_BRACKETED = re.compile(r"^\s*[\[【]([^\]】]{2,30})[\]】]")
_AT_COMPANY = re.compile(r"\b(?:at|join|@)\s+([A-Z][\w&.]*(?:\s+[A-Z][\w&.]*){0,3})")
_ABOUT = re.compile(r"^about\s+(?!us\b|the\b|you\b|our\b)([A-Z][\w&. ]{1,40})$", re.IGNORECASE)
_NO_COMPANY = re.compile(r"부문|직군|직무|분야|개발|신인|경력|\d+\s*년|^\W*\d|^IT$")
_HIRING = re.compile(r"채용|모집|공채|구인|hiring|careers|join|openings|\bgrow", re.IGNORECASE)
_COMPANY_WORDS = 3
_EMPLOYMENT = re.compile(
    r"무기계약직|정규직|계약직|(?:체험형|채용\s*연계형)\s*인턴|인턴십?|파견직|프리랜서|아르바이트|위촉직"
    r"|full[- ]time|part[- ]time|permanent|fixed[- ]term|internship",
    re.IGNORECASE,
)
_YEARS = r"\d+\s*(?:[~\-–]\s*\d+)?\s*년"
_EXPERIENCE = re.compile(
    r"신입\s*[/·및,]\s*경력|경력\s*[/·및,]\s*신입|경력\s*무관"
    rf"|경력\s*\(?{_YEARS}\s*(?:차\s*)?(?:이상|이하|차)?|{_YEARS}\s*(?:차\s*)?이상"
    r"|\d+\s*\+?\s*(?:[-–]\s*\d+\s*)?(?:or more\s+)?years?"
    r"|신입|경력직|인턴|entry[- ]level|\bsenior\b|\bjunior\b",
    re.IGNORECASE,
)
_DEADLINE = re.compile(
    r"접수|마감|모집\s*기간|지원\s*기간|채용\s*기간|deadline|apply by|apply before|closing|까지",
    re.IGNORECASE,
)
_DAY = re.compile(
    r"~?\s*(?:20\d\d|['’]?\d\d)\s*[-./년]\s*\d{1,2}\s*[-./월]\s*\d{1,2}.*|~\s*\d{1,2}\s*[./월]\s*\d{1,2}.*|\d{1,2}\s*월\s*\d{1,2}\s*일.*"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}.*|상시\s*채용|채용\s*시\s*(?:까지|마감)",
    re.IGNORECASE,
)
_LONGEST_DEADLINE = 80


def company_in(opening: Sequence[str], headings: Iterable[str]) -> str | None:
    """Returns the company that a document's first lines or its headings name, None when none does."""
    listed = list(headings)
    for text in [*opening, *listed]:
        if (match := _COMPANY.search(text)) is not None:
            return match[0].strip()
    for pattern in (_BRACKETED, _BEFORE_SEASON, _AT_COMPANY, _ABOUT):
        for text in listed:
            match = pattern.search(text)
            job = pattern is _BEFORE_SEASON and is_job(text)
            if match is not None and not job and _names_company(match[1]):
                return match[1].strip()
    first, *others = [*opening, ""]
    # A poster begins with who hires, then says that they do.
    hiring = any(_HIRING.search(text) or is_job(text) for text in others)
    alone = 0 < len(first.split()) <= _COMPANY_WORDS and not _HIRING.search(first) and not is_job(first)
    return first.strip() if hiring and alone and not is_sentence(first) and _names_company(first) else None


def _names_company(text: str) -> bool:
    other = _EMPLOYMENT.search(text) or _EXPERIENCE.search(text) or _NO_COMPANY.search(text)
    return head(text) is None and not other


def employment_in(text: str) -> str | None:
    """Returns the kind of employment that a text names."""
    match = _EMPLOYMENT.search(text)
    return match[0] if match else None


def experience_in(text: str) -> str | None:
    """Returns the career that a text asks for."""
    match = _EXPERIENCE.search(text)
    return match[0].strip() if match else None


def deadline_in(lines: Iterable[str]) -> str | None:
    """Returns the period or day of application that lines name."""
    for line in lines:
        if len(line) <= _LONGEST_DEADLINE and _DEADLINE.search(line) and (match := _DAY.search(line)):
            return match[0].strip(" ~")
    return None
