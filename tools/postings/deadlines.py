"""The last day of what is said of a deadline: one reader for rows, boards and pages.

It takes what exports and people write: `2026-12-31T18:00`, `~ 12/31(목)`, `2026년 12월 1일 ~ 31일`,
`Dec. 31st, 2026`, `20261231`, Unix times, a spreadsheet's day numbers, `D-3`, `{"end": …}`. A period counts
by its end; one that has none (`2026.11.01 ~ 채용 시`) and words (`상시채용`) say no day.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from tools.core.text import one_line
from tools.postings.written_dates import Day, days_in, deciding

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
"""What is said where there is no deadline."""
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
    """Something is said of a day, but not which day it is; the message says why."""


def last_day(said: Any, *, year: int | None = None, seen: date | None = None) -> date | None:
    """As `stated_day`, with None for what cannot be read too."""
    try:
        return stated_day(said, year=year, seen=seen)
    except UnreadableDayError:
        return None


def stated_day(said: Any, *, year: int | None = None, seen: date | None = None) -> date | None:
    """Returns the last day of what is `said` of a deadline; None where it says none.

    A day without a year is in that of the day before it in the text, else in `year`; else it is the next
    such day from `seen` on, the day on which this was written or collected, unless a day of the week
    beside it tells better. `D-3` counts from `seen`.

    Raises:
        UnreadableDayError: it names a day that does not exist, or cannot be read.
    """
    return _read(said, _Known(year, seen), 0)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known beside the text."""

    year: int | None
    seen: date | None


def _read(said: Any, known: _Known, depth: int) -> date | None:
    if said is None:
        return None
    if isinstance(said, bool) or depth > _DEEPEST:
        raise UnreadableDayError("no day")
    if isinstance(said, datetime):
        return _in_range(_of_moment(said))
    if isinstance(said, date):
        return _in_range(said)
    if isinstance(said, int | float):
        return _of_number(said)
    if isinstance(said, str):
        return _of_text(said, known)
    if isinstance(said, Mapping):
        return _of_object(said, known, depth)
    if isinstance(said, Sequence):
        return _of_list(said, known, depth)
    raise UnreadableDayError("no day")


def _of_moment(moment: datetime) -> date:
    """UTC is how machines write a time: it is on the day that it is in Korea. Another offset is somebody's
    own clock, whose day counts."""
    return (moment if moment.utcoffset() else moment.astimezone(KOREA) if moment.tzinfo else moment).date()


def _of_object(said: Mapping[Any, Any], known: _Known, depth: int) -> date | None:
    """`{"start": …, "end": …}`, `{"date": …}`, `{"$date": {"$numberLong": …}}`."""
    ends = [value for key, value in said.items() if _END_KEY.search(str(key))]
    rest = [value for key, value in said.items() if not _START_KEY.search(str(key))]
    return _of_list(ends or rest, known, depth)


def _of_list(said: Sequence[Any], known: _Known, depth: int) -> date | None:
    """The parts of a period, or year, month and day one by one."""
    numbers = [item for item in said[:3] if isinstance(item, int) and not isinstance(item, bool)]
    if len(numbers) == 3 and _FIRST_YEAR <= numbers[0] < _ENDLESS_YEAR:  # noqa: PLR2004 - a day has three
        return _day_of(*numbers)
    if not said or said[-1] in (None, ""):
        return None
    problem: UnreadableDayError | None = None
    days: list[date] = []
    for item in said:
        try:
            day = _read(item, known, depth + 1)
        except UnreadableDayError as error:
            problem = error
        else:
            days += [day] if day else []
    if problem is not None and not days:
        raise problem
    return max(days, default=None)


def _of_number(said: float) -> date | None:
    """A Unix time in seconds or finer, `20261231`, `261231`, or a spreadsheet's number of a day."""
    if said != said or said in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        return None
    whole = int(said)
    digits = str(whole)
    if len(digits) in (8, 12, 14) and digits[:2] == "20":
        return _day_of(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    if len(digits) == 6:  # noqa: PLR2004 - yymmdd
        return _day_of(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    if len(digits) == 5:  # noqa: PLR2004 - 1927 to 2173
        return _in_range(date(1899, 12, 30) + timedelta(days=whole))
    for per_second in (1, 10**3, 10**6, 10**9):
        seconds = said / per_second
        if 10**8 <= seconds < 10**11:
            try:
                return _in_range(datetime.fromtimestamp(seconds, KOREA).date())
            except (ValueError, OverflowError, OSError):
                return None
    raise UnreadableDayError("no day")


def _of_text(said: str, known: _Known) -> date | None:
    text = unicodedata.normalize("NFKC", one_line(said[:_LONGEST])).replace("’", "'").replace("‘", "'")
    text = re.sub("[∼〜～]", "~", text)
    if not text or _NONE.fullmatch(text):
        return None
    if re.fullmatch(r"-?\d{5,19}(?:\.\d+)?", text):
        return _of_number(float(text) if "." in text else int(text))
    text = _MAIL_TIME.sub(_as_day, _INSTANT.sub(_as_day, text))
    days = list(days_in(text))
    if not days:
        return _without_date(text, known)
    chosen = deciding(text, days)
    return None if chosen is None else _dated(chosen, days, known)


def _as_day(match: re.Match[str]) -> str:
    """A moment as its day."""
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


def _dated(chosen: Day, days: list[Day], known: _Known) -> date | None:
    """The day with its year."""
    if chosen.year is not None:
        return _day_of(chosen.year, chosen.month, chosen.day)
    before = [day for day in days if day.end <= chosen.start]
    if before and (first := _before(before, known)) is not None:
        later = (chosen.month, chosen.day) >= (first.month, first.day)
        return _day_of(first.year + (not later), chosen.month, chosen.day)
    if known.year is not None:
        return _day_of(known.year, chosen.month, chosen.day)
    if known.seen is None:
        raise UnreadableDayError("a day without a year")
    return _next(chosen, known.seen)


def _before(days: list[Day], known: _Known) -> date | None:
    """The day before in the text, where its year is known without looking at a calendar."""
    try:
        return _dated(days[-1], days[:-1], _Known(known.year, None))
    except UnreadableDayError:
        return None


def _next(chosen: Day, seen: date) -> date:
    """The next such day from `seen` on; where a day of the week is named, the nearest that is one."""
    years = [seen.year + years for years in (0, 1, -1, 2, 3, 4)]
    found = [day for year in years if (day := _possible(year, chosen.month, chosen.day)) is not None]
    if chosen.weekday is not None:
        fitting = [day for day in found if day.weekday() == chosen.weekday and abs((day - seen).days) <= 400]  # noqa: PLR2004 - about a year
        if fitting:
            return min(fitting, key=lambda day: abs((day - seen).days))
    coming = [day for day in found if day >= seen]
    if not coming:
        raise UnreadableDayError("no such day")
    return min(coming)


def _without_date(text: str, known: _Known) -> date | None:
    days = None
    if countdown := _COUNTDOWN.search(text):
        days = int(next(filter(None, countdown.groups())))
    elif _TODAY.search(text):
        days = 0
    elif _TOMORROW.search(text):
        days = 1
    if days is not None:
        if known.seen is None:
            raise UnreadableDayError("counts from a day that is not known")
        return known.seen + timedelta(days=days)
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
    found = _possible(year, month, day)
    if found is None:
        raise UnreadableDayError("there is no such day")
    return _in_range(found)


def _in_range(day: date) -> date | None:
    if day.year < _FIRST_YEAR:
        raise UnreadableDayError(f"before {_FIRST_YEAR}")
    return day if day.year < _ENDLESS_YEAR else None


_SEASON = re.compile(
    r"(20\d\d)\s*년?\s*도?\s*(?:상반기|하반기|[1-4]분기|신입|경력|수시|정기|공개|채용|공채|인턴|제\s*\d+)"
)


def season_year(text: str) -> int | None:
    """Returns the year that a posting is of (`2024년 상반기 공채`), None when it names none or several."""
    years = {int(year) for year in _SEASON.findall(text)}
    return years.pop() if len(years) == 1 else None
