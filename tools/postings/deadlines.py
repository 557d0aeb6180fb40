"""The last day of a deadline, for rows, boards and pages.

It reads what exports and people write: `2026-12-31T18:00`, `~ 12/31(목)`, `2026년 12월 1일 ~ 31일`,
`Dec. 31st, 2026`, `20261231`, Unix times, a spreadsheet's day numbers, `D-3`, `{"end": …}`. The day of a
period is its end; one without an end (`2026.11.01 ~ 채용 시`) and words (`상시채용`) have no day.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from tools.core.text import one_line

KOREA = timezone(timedelta(hours=9), "KST")

_FIRST_YEAR, _ENDLESS_YEAR = 2000, 2100
"""Deadlines before these years are mistakes; from the second on they mean that there is none (9999-12-31)."""

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)(?![\w:])",
    re.IGNORECASE,
)
_MAIL_TIME = re.compile(
    r"(?:[a-z]{3},?\s+)?\d{1,2}\s+[a-z]{3}\s+\d{4}\s+\d\d:\d\d(?::\d\d)?\s+(?:GMT|UTC|UT|Z|[+-]\d{4})(?!\d)",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"상시|수시|채용\s*시|충원|선착순|미정|별도|추후|없음|until|filled|ongoing|rolling|open|asap|tbd|always|any\s*time",
    re.IGNORECASE,
)
"""Words for no deadline."""
_COUNTDOWN = re.compile(
    r"(?<![a-z])D\s*-\s*(\d{1,3})(?!\d)|(\d{1,3})\s*일\s*(?:남음|남았|전|후\s*마감)"
    r"|(\d{1,3})\s*days?\s*(?:left|to\s*go|remaining)",
    re.IGNORECASE,
)
_TODAY = re.compile(r"(?<![a-z])D\s*-?\s*day|오늘|금일|today", re.IGNORECASE)
_TOMORROW = re.compile(r"내일|명일|익일|tomorrow", re.IGNORECASE)

_END_KEY = re.compile(r"end|clos|until|due|deadline|expir|through|^to$|^lte?$|마감|종료|만료", re.IGNORECASE)
_START_KEY = re.compile(
    r"start|begin|open|from|since|post|creat|publish|^gte?$|시작|게시|등록", re.IGNORECASE
)
_DEEPEST = 5
_LONGEST = 500
"""Characters in which a deadline is looked for."""

_NONE = re.compile(r"[-–—_.]*|0{4}[-./]?00?[-./]?00?(?:[T ].*)?")


class UnreadableDayError(ValueError):
    """A day that cannot be read; the message says why."""


def last_day(value: Any, *, year: int | None = None, seen: date | None = None) -> date | None:
    """As `stated_day`, with None also for a day that cannot be read."""
    try:
        return stated_day(value, year=year, seen=seen)
    except UnreadableDayError:
        return None


def stated_day(value: Any, *, year: int | None = None, seen: date | None = None) -> date | None:
    """Returns the last day of a deadline in any form; None where there is none.

    A day without a year has that of the day before it in the text, else `year`; else it is the next such
    day from `seen` on, the day on which this was written or collected, unless a day of the week beside it
    names another year. `D-3` counts from `seen`.

    Raises:
        UnreadableDayError: it names a day that does not exist, or cannot be read.
    """
    return _read(value, _Context(year, seen), 0)


@dataclass(frozen=True, slots=True)
class _Context:
    year: int | None
    seen: date | None


def _read(value: Any, context: _Context, depth: int) -> date | None:
    if value is None:
        return None
    if isinstance(value, bool) or depth > _DEEPEST:
        raise UnreadableDayError("no day")
    if isinstance(value, datetime):
        return _in_range(_of_moment(value))
    if isinstance(value, date):
        return _in_range(value)
    if isinstance(value, int | float):
        return _of_number(value)
    if isinstance(value, str):
        return _of_text(value, context)
    if isinstance(value, Mapping):
        return _of_object(value, context, depth)
    if isinstance(value, Sequence):
        return _of_list(value, context, depth)
    raise UnreadableDayError("no day")


def _of_moment(moment: datetime) -> date:
    """Returns the day of a time: of one in UTC, as machines write it, the day in Korea; of one with another
    offset, its own day."""
    return (moment if moment.utcoffset() else moment.astimezone(KOREA) if moment.tzinfo else moment).date()


def _of_object(value: Mapping[Any, Any], context: _Context, depth: int) -> date | None:
    """`{"start": …, "end": …}`, `{"date": …}`, `{"$date": {"$numberLong": …}}`."""
    ends = [item for key, item in value.items() if _END_KEY.search(str(key))]
    rest = [item for key, item in value.items() if not _START_KEY.search(str(key))]
    return _of_list(ends or rest, context, depth)


def _of_list(value: Sequence[Any], context: _Context, depth: int) -> date | None:
    """Returns the end of a period, or the day of a list of year, month and day."""
    numbers = [item for item in value[:3] if isinstance(item, int) and not isinstance(item, bool)]
    if len(numbers) == 3 and _FIRST_YEAR <= numbers[0] < _ENDLESS_YEAR:  # noqa: PLR2004 - a day has three
        return _day_of(*numbers)
    if not value or value[-1] in (None, ""):
        return None
    problem: UnreadableDayError | None = None
    days: list[date] = []
    for item in value:
        try:
            day = _read(item, context, depth + 1)
        except UnreadableDayError as error:
            problem = error
        else:
            days += [day] if day else []
    if problem is not None and not days:
        raise problem
    return max(days, default=None)


def _of_number(value: float) -> date | None:
    """Reads a Unix time in seconds or finer, `20261231`, `261231`, or a spreadsheet's number of a day."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        return None
    whole = int(value)
    digits = str(whole)
    if len(digits) in (8, 12, 14) and digits[:2] == "20":
        return _day_of(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    if len(digits) == 6:  # noqa: PLR2004 - yymmdd
        return _day_of(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    if len(digits) == 5:  # noqa: PLR2004 - 1927 to 2173
        return _in_range(date(1899, 12, 30) + timedelta(days=whole))
    for per_second in (1, 10**3, 10**6, 10**9):
        seconds = value / per_second
        if 10**8 <= seconds < 10**11:
            try:
                return _in_range(datetime.fromtimestamp(seconds, KOREA).date())
            except (ValueError, OverflowError, OSError):
                return None
    raise UnreadableDayError("no day")


def _of_text(value: str, context: _Context) -> date | None:
    text = unicodedata.normalize("NFKC", one_line(value[:_LONGEST])).replace("’", "'").replace("‘", "'")
    text = re.sub("[∼〜～]", "~", text)
    if not text or _NONE.fullmatch(text):
        return None
    if re.fullmatch(r"-?\d{5,19}(?:\.\d+)?", text):
        return _of_number(float(text) if "." in text else int(text))
    text = _MAIL_TIME.sub(_as_day, _INSTANT.sub(_as_day, text))
    days = list(_days_in(text))
    if not days:
        return _without_date(text, context)
    chosen = _deciding_day(text, days)
    return None if chosen is None else _dated(chosen, days, context)


def _as_day(match: re.Match[str]) -> str:
    written = match[0]
    try:
        if written[:4].isdecimal():
            iso = re.sub(r"\s*(?:UTC|GMT)$", "Z", written.upper().replace(",", "."))
            moment = datetime.fromisoformat(iso.replace(" ", "T", 1).replace(" ", ""))
        else:
            moment = parsedate_to_datetime(written)
        return _of_moment(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    except (ValueError, OverflowError, TypeError):
        return written


def _dated(chosen: _Day, days: list[_Day], context: _Context) -> date | None:
    if chosen.year is not None:
        return _day_of(chosen.year, chosen.month, chosen.day)
    before = [day for day in days if day.end <= chosen.start]
    if before and (first := _before(before, context)) is not None:
        later = (chosen.month, chosen.day) >= (first.month, first.day)
        return _day_of(first.year + (not later), chosen.month, chosen.day)
    if context.year is not None:
        return _day_of(context.year, chosen.month, chosen.day)
    if context.seen is None:
        raise UnreadableDayError("a day without a year")
    return _next(chosen, context.seen)


def _before(days: list[_Day], context: _Context) -> date | None:
    """Returns the day before in the text, where its year is known without `seen`."""
    try:
        return _dated(days[-1], days[:-1], _Context(context.year, None))
    except UnreadableDayError:
        return None


def _next(chosen: _Day, seen: date) -> date:
    """Returns the next such day from `seen` on; with a day of the week, the nearest that falls on it."""
    years = [seen.year + years for years in (0, 1, -1, 2, 3, 4)]
    days = [day for year in years if (day := _possible(year, chosen.month, chosen.day)) is not None]
    if chosen.weekday is not None:
        fitting = [day for day in days if day.weekday() == chosen.weekday and abs((day - seen).days) <= 400]  # noqa: PLR2004 - about a year
        if fitting:
            return min(fitting, key=lambda day: abs((day - seen).days))
    coming = [day for day in days if day >= seen]
    if not coming:
        raise UnreadableDayError("no such day")
    return min(coming)


def _without_date(text: str, context: _Context) -> date | None:
    days = None
    if countdown := _COUNTDOWN.search(text):
        days = int(next(filter(None, countdown.groups())))
    elif _TODAY.search(text):
        days = 0
    elif _TOMORROW.search(text):
        days = 1
    if days is not None:
        if context.seen is None:
            raise UnreadableDayError("counts from a day that is not known")
        return context.seen + timedelta(days=days)
    if _WORDS.search(text) or not any(letter.isdecimal() for letter in text):
        return None
    raise UnreadableDayError("no day")


def _possible(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _day_of(year: int, month: int, day: int) -> date | None:
    if year >= _ENDLESS_YEAR:
        return None
    possible = _possible(year, month, day)
    if possible is None:
        raise UnreadableDayError("there is no such day")
    return _in_range(possible)


def _in_range(day: date) -> date | None:
    if day.year < _FIRST_YEAR:
        raise UnreadableDayError(f"before {_FIRST_YEAR}")
    return day if day.year < _ENDLESS_YEAR else None


_SEASON = re.compile(
    r"(20\d\d)\s*년?\s*도?\s*(?:상반기|하반기|[1-4]분기|신입|경력|수시|정기|공개|채용|공채|인턴|제\s*\d+)"
)


def season_year(text: str) -> int | None:
    """Returns the year of a posting's season (`2024년 상반기 공채`); None where it has none or several."""
    years = {int(year) for year in _SEASON.findall(text)}
    return years.pop() if len(years) == 1 else None


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
"""The end of a period whose second day has no month: `12월 1일 ~ 31일`."""
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
"""A period without an end: `2026.11.01 ~ 채용 시`."""
_NEAR = 20
"""Characters before a date in which a word for a beginning or an end is looked for."""


@dataclass(frozen=True, slots=True)
class _Day:
    """A day in a text, from `start` to `end`. `year` and `weekday` (Monday is 0) may be missing; `month`
    and `day` may be none that exist."""

    year: int | None
    month: int
    day: int
    start: int
    end: int
    weekday: int | None = None


def _days_in(text: str) -> Iterator[_Day]:
    at = 0
    while (match := _DATE.search(text, at)) is not None:
        at = match.end()
        year, month, day = _numbers(match)
        weekday = _WEEKDAY.match(text, at)
        number = _WEEKDAYS[weekday[1] or weekday[2]] if weekday else None
        yield _Day(year, month, day, match.start(), at, number)
        if match["bare_day"] or match["day"] or match["three"]:
            last = _SAME_MONTH.match(text, at)
            if last is not None:
                at = last.end()
                yield _Day(year, month, int(last["day"]), last.start("day"), at)


def _deciding_day(text: str, days: Sequence[_Day]) -> _Day | None:
    """Returns the day of a deadline out of its days: the last that is an end, else the last that is no
    beginning; None where the period has no end."""
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
    """Takes the month first with a slash, as in America, else the day first, unless only the other order is
    a date."""
    month_first = (first, second)
    day_first = (second, first)
    likely, other = (month_first, day_first) if sign == "/" else (day_first, month_first)
    return likely if likely[0] <= 12 else other  # noqa: PLR2004 - months


def _two_digit_year(match: re.Match[str]) -> tuple[int, int, int]:
    """Reads `26.12.31`, as in Korea, or `12/31/26`."""
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
