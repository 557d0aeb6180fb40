"""Company, career, employment and deadline where no label names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .heads import head
from .titles import is_job, is_sentence

_COMPANY = re.compile(
    r"(?:\(주\)|㈜|주식회사)\s*([가-힣A-Za-z0-9&.]+)|([가-힣A-Za-z0-9&.]+)\s*(?:\(주\)|㈜|주식회사)"
)
_BEFORE_SEASON = re.compile(
    r"^\W*(.{2,30}?)\s+(?:'?\d{2,4}\s*년?|상반기|하반기|신입|경력|공개|수시|대규모|IT|개발|채용|모집|인재|사원|기술직|전산직)"
)
_BRACKETED = re.compile(r"^\s*[\[【]([^\]】]{2,30})[\]】]")
_AT = re.compile(r"\b(?:at|join|@)\s+([A-Z][\w&.]*(?:\s+[A-Z][\w&.]*){0,3})")
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
    for pattern in (_BRACKETED, _BEFORE_SEASON, _AT, _ABOUT):
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
