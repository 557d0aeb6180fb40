"""The last day of what a posting says of its deadline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<{{0}}>{'|'.join(_MONTHS)})[a-z]*\.?"
_DATE = re.compile(
    r"(?<!\d)(?:(?P<year>20\d\d|['’]?\d\d(?=\s*[.년]\s*\d{1,2}\s*[.월]\s*\d))\s*[-./년]\s*)?"
    r"(?P<month>1[0-2]|0?[1-9])\s*[-./월]\s*(?P<day>3[01]|[12]\d|0?[1-9])(?![\d:])"
    rf"|{_MONTH.format('name')}\s+(?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<year_after>20\d\d))?"
    rf"|(?P<day_before>\d{{1,2}})(?:st|nd|rd|th)?\s+{_MONTH.format('name_after')}(?:,?\s+(?P<year_last>20\d\d))?",
    re.IGNORECASE,
)
_SEASON = re.compile(
    r"(20\d\d)\s*년?\s*도?\s*(?:상반기|하반기|[1-4]분기|신입|경력|수시|정기|공개|채용|공채|인턴|제\s*\d+)"
)


def last_day(text: str, year: int | None) -> date | None:
    """Returns the last date in `text` (`2024.03.01 ~ 03.15` gives 15 March 2024), None when it has
    none. A date without a year is in that of the date before it, or the next one when it would lie
    before that; the first of all is in `year`."""
    found: date | None = None
    for own_year, month, day in _dates(text):
        in_year = own_year or (found.year if found is not None else year)
        if in_year is None:
            continue
        if own_year is None and found is not None and (month, day) < (found.month, found.day):
            in_year += 1
        try:
            found = date(in_year, month, day)
        except ValueError:  # 30 February
            continue
    return found


def season_year(text: str) -> int | None:
    """Returns the year that a posting is of (`2024년 상반기 공채`), None when it names none or several."""
    years = {int(year) for year in _SEASON.findall(text)}
    return years.pop() if len(years) == 1 else None


def _dates(text: str) -> Iterator[tuple[int | None, int, int]]:
    for match in _DATE.finditer(text):
        named = match["name"] or match["name_after"]
        month = _MONTHS.index(named[:3].lower()) + 1 if named else int(match["month"])
        day = int(match["day"] or match["day_after"] or match["day_before"])
        digits = (match["year"] or match["year_after"] or match["year_last"] or "").lstrip("'’")
        yield (int(digits) if len(digits) > 2 else 2000 + int(digits)) if digits else None, month, day  # noqa: PLR2004 - digits of a year
