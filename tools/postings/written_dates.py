"""Dates as people write them: `2026. 12. 31.(목)`, `12월 1일 ~ 31일`, `Dec. 31st, 2026`, `31/12/2026`."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = (
    r"(?<![a-z])(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![a-z])\.?"
)
_MONTH, _DAY = r"(?:1[0-2]|0?[1-9])", r"(?:3[01]|[12]\d|0?[1-9])"
_TO_MONTH, _TO_DAY = r"\s*[-./년年]\s*", r"\s*[-./월月]\s*"
_TH = r"(?:st|nd|rd|th)?"
_ALONE = r"(?<![\d./:-])"
_NOT_TIME = r"(?!\d|\s*(?:시(?!험)|:))"
_DATE = re.compile(
    rf"""
    # 20261231, 20261231T235959
      (?<!\d)(?P<compact>(?:19|20|21|99)\d\d(?:0[1-9]|1[0-2])\d\d)(?:T?\d{{4}}(?:\d\d)?)?(?!\d)
    # 2026-12-31, 2026. 12. 31, 2026년 12월 31일
    | (?<!\d)(?P<year>\d{{4}})\s*[-./년年\s]\s*(?P<month>\d{{1,2}})\s*[-./월月\s]\s*(?P<day>\d{{1,2}})(?!\d)
    # 12/31/2026, 31.12.2026
    | {_ALONE}(?P<first>\d{{1,2}})\s*(?P<sign>[-./])\s*(?P<second>\d{{1,2}})
      \s*(?P=sign)\s*(?P<year_last>\d{{4}})(?!\d)
    # '26.12.31, 26년 12월 31일, 12/31/26
    | {_ALONE}(?P<mark>')?\s*(?P<one>\d\d)\s*(?P<between>[-./년年])\s*(?P<two>\d{{1,2}})
      {_TO_DAY}(?P<three>\d{{1,2}}){_NOT_TIME}
    # Dec. 31st, 2026; Dec 1-31, 2026
    | (?P<name>{_NAME})\s*(?P<name_day>\d{{1,2}}){_TH}(?![\d:])
      (?:\s*[-–~]\s*(?P<name_last>\d{{1,2}}){_TH}(?![\d:]))?
      (?:[,\s]\s*(?P<name_year>\d{{4}}|'\d\d)(?!\d))?
    # 31 Dec 2026, 31-Dec-26
    | (?<!\d)(?P<day_name>\d{{1,2}}){_TH}[\s./-]*(?:of\s+)?(?P<after>{_NAME})
      (?:[\s,./-]*(?P<after_year>\d{{4}}|'?\d\d)(?![\d:]))?
    # 2026-12, 2026년 12월 말
    | (?<!\d)(?P<whole_year>20\d\d){_TO_MONTH}(?P<whole_month>{_MONTH})
      (?:\s*[월月]\s*(?:말일?|중|내)?)?(?!\s*[\d초상중하])
    # 12/31, 12월 31일
    | {_ALONE}(?P<bare_month>{_MONTH}){_TO_DAY}(?P<bare_day>{_DAY}){_NOT_TIME}(?!\s*[./-]\s*\d)
    # 12월 말
    | (?<!\d)(?P<end_month>{_MONTH})\s*월\s*말
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SAME_MONTH = re.compile(
    rf"\s*일?\s*(?:\([^()]{{1,4}}\))?\s*(?:~|-|–|—|부터)\s*(?P<day>{_DAY})(?!\s*[./월月-])\s*일?{_NOT_TIME}"
)
"""How a period ends whose second day has no month: `12월 1일 ~ 31일`."""
_WEEKDAY = re.compile(
    r"\s*[일日.]?\s*[,.]?\s*[(\[]?\s*([월화수목금토일月火水木金土日])(?:요일|曜日)?\s*[)\]]"
    r"|\s*일?\s*([월화수목금토일])요일"
)
_WEEKDAYS = {
    letter: number
    for letters in ("월화수목금토일", "月火水木金土日")
    for number, letter in enumerate(letters)
}
_BEGINS_BEFORE = re.compile(
    r"(?:시작|개시|오픈|게시|등록|작성|발표|입사(?:예정)?|착수|start(?:s|ing)?|opens?|begin(?:s|ning)?|from|since|posted"
    r"|published|created)(?:일자?|일시|일정|\s*date)?\s*(?:on\s*)?[:\s(]*$",
    re.IGNORECASE,
)
_BEGINS_AFTER = re.compile(
    r"[^\d~]{0,12}?(?:부터|시작|오픈|게시|등록|이후|발표|입사|(?<![a-z])(?:start|onwards?))", re.IGNORECASE
)
_ENDS_BEFORE = re.compile(
    r"(?:마감|종료|만료|until|till|by|through|due|clos(?:es|ing|e)|ends?|expires?|deadline|~)"
    r"(?:일자?|일시|\s*date)?\s*(?:on\s*)?[:\s(]*$",
    re.IGNORECASE,
)
_ENDS_AFTER = re.compile(r"[^\d~]{0,12}?(?:까지|마감|종료)")
_OPEN_END = re.compile(
    r"[^\d~]{0,14}?(?:~|–|—|부터|\s-)\s*(?:$|[)\]]|(?:상시|수시|채용|충원|모집|적임자|인원|선발|마감|미정|별도|추후"
    r"|현재|계속|open|ongoing|until|filled|present|tbd)(?!\s*일))",
    re.IGNORECASE,
)
"""A period that ends with no day: `2026.11.01 ~ 채용 시`."""
_NEAR = 20
"""Characters before a date in which a word says what it is the date of."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it stands in a text, from `start` to `end`. `year` and `weekday` (Monday is 0) may not stand
    there; `month` and `day` may be none that exist."""

    year: int | None
    month: int
    day: int
    start: int
    end: int
    weekday: int | None = None


def days_in(text: str) -> Iterator[Day]:
    """Yields the days that a text names, in order."""
    at = 0
    while (match := _DATE.search(text, at)) is not None:
        at = match.end()
        year, month, day = _numbers(match)
        weekday = _WEEKDAY.match(text, at)
        number = _WEEKDAYS[weekday[1] or weekday[2]] if weekday else None
        yield Day(year, month, day, match.start(), at, number)
        if match["bare_day"] or match["day"] or match["three"]:
            last = _SAME_MONTH.match(text, at)
            if last is not None:
                at = last.end()
                yield Day(year, month, int(last["day"]), last.start("day"), at)


def deciding(text: str, days: Sequence[Day]) -> Day | None:
    """Returns which of a deadline's days counts: the last that ends something, else the last that begins
    nothing; None where the period has no end."""
    last = days[-1]
    if _OPEN_END.match(text, last.end) and not _ENDS_BEFORE.search(text, 0, last.start):
        return None
    followed = zip(days, [*(day.start for day in days[1:]), len(text)], strict=True)
    ends, begins = [], []
    for day, until in followed:
        before, after = text[max(0, day.start - _NEAR) : day.start], text[day.end : until]
        if _ENDS_AFTER.match(after) or _ENDS_BEFORE.search(before):
            ends.append(day)
        elif _BEGINS_AFTER.match(after) or _BEGINS_BEFORE.search(before):
            begins.append(day)
    if ends:
        return ends[-1]
    rest = [day for day in days if day not in begins]
    return rest[-1] if rest else None


def _numbers(match: re.Match[str]) -> tuple[int | None, int, int]:
    """Year, month and day of a date, whichever way it is written."""
    if written := match["compact"]:
        return int(written[:4]), int(written[4:6]), int(written[6:8])
    if match["year"]:
        return int(match["year"]), int(match["month"]), int(match["day"])
    if match["year_last"]:
        return int(match["year_last"]), *_month_and_day(
            int(match["first"]), int(match["second"]), match["sign"]
        )
    if match["one"]:
        return _two_digit_year(match)
    if match["name"]:
        return _year(match["name_year"]), _named(match["name"]), int(match["name_last"] or match["name_day"])
    if match["after"]:
        return _year(match["after_year"]), _named(match["after"]), int(match["day_name"])
    if match["whole_year"]:
        year, month = int(match["whole_year"]), int(match["whole_month"])
        return year, month, monthrange(year, month)[1]
    if match["bare_month"]:
        return None, int(match["bare_month"]), int(match["bare_day"])
    month = int(match["end_month"])
    return None, month, monthrange(2001, month)[1]


def _month_and_day(first: int, second: int, sign: str) -> tuple[int, int]:
    """Month first before a slash, as in America, else the day, unless only the other way is a date."""
    month_first = (first, second)
    day_first = (second, first)
    likely, other = (month_first, day_first) if sign == "/" else (day_first, month_first)
    return likely if likely[0] <= 12 else other  # noqa: PLR2004 - months


def _two_digit_year(match: re.Match[str]) -> tuple[int, int, int]:
    """`26.12.31` as Koreans write, or `12/31/26`."""
    one, two, three = int(match["one"]), int(match["two"]), int(match["three"])
    korean = match["mark"] or match["between"] in ".년年" or one >= 20  # noqa: PLR2004 - 2020: no older ones
    if korean and (two <= 12 or match["mark"]):  # noqa: PLR2004 - months
        return 2000 + one, two, three
    return 2000 + three, one, two


def _year(digits: str | None) -> int | None:
    if not digits:
        return None
    number = int(digits.lstrip("'"))
    return number if number > 99 else 2000 + number  # noqa: PLR2004 - digits of a year


def _named(name: str) -> int:
    return _NAMES.index(name[:3].lower()) + 1
