"""The last day in whatever is said of a deadline."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.postings.deadlines import KOREA, UnreadableDayError, last_day, season_year, stated_day

SEEN = date(2026, 11, 28)
LAST = date(2026, 12, 31)
SAID: list[tuple[Any, date | str | None]] = [
    ("2026.11.01 ~ 2026.12.31", LAST),
    (1798729199, LAST),
    ("20261231", LAST),
    ("2026.11.31", "unreadable"),
    ("~12/31(목)", LAST),
    ("2026년 12월 31일 (목) 23:59", LAST),
    ("Dec 31, 2026", LAST),
    ("접수기간 2026.11.01(일) 09:00 ~ 2026.12.31(목) 18:00", LAST),
    (1798729199.0, LAST),
    ("2026-11-01 ~ 채용시", None),
    ({"date": "2026-12-31"}, LAST),
    (True, "unreadable"),
    ("26.12.31", LAST),
    ("'26.12.31", LAST),
    ("‘26.12.31", LAST),
    ("12/31/2026", LAST),
    ("31 Dec 2026", LAST),
    ("Dec. 31st, 2026", LAST),
    ("2026-12-31T23:59:59+09:00", LAST),
    ("2026-12-31T14:59:59Z", LAST),
    ("2026-12-31T15:00:00Z", date(2027, 1, 1)),
    ("2026-12-30T15:00:00.000Z", LAST),
    ("Thu, 31 Dec 2026 23:59:59 +0900", LAST),
    ("Thu, 31 Dec 2026 14:59:59 GMT", LAST),
    ("오늘마감", SEEN),
    ("D-3", date(2026, 12, 1)),
    ("상시", None),
    ("채용시까지", None),
    ("상시채용", None),
    ("２０２６．１２．３１", LAST),
    ("2026년 12월 1일 ~ 31일", LAST),
    ("2026.12.01~31", LAST),
    ("12.1~12.31", LAST),
    ("12월 1일(화) ~ 12월 31일(목)", LAST),
    ("2026-11-01 ~", None),
    ("2026.11.01부터", None),
    ("2026. 12. 31.", LAST),
    ("2026.12.31(목) 18시까지", LAST),
    ("31/12/2026", LAST),
    ("31.12.2026", LAST),
    ("05/06/2026", date(2026, 5, 6)),
    ("31-Dec-26", LAST),
    ("31/Dec/2026", LAST),
    ("December 31 2026", LAST),
    ("Thursday, December 31, 2026", LAST),
    ("Nov 1 – Dec 31, 2026", LAST),
    ("Nov 1-30, 2026", date(2026, 11, 30)),
    ("46387", LAST),
    (46387, LAST),
    (46387.5, LAST),
    ("1798729199000", LAST),
    (1798729199000, LAST),
    ("1798729199.0", LAST),
    (20261231, LAST),
    ("20261231235959", LAST),
    ("202612312359", LAST),
    ("2026-12", LAST),
    ("2026년 12월", LAST),
    ("2026년 12월 말", LAST),
    ("12월 말까지", LAST),
    ("9999-12-31", None),
    ("0000-00-00", None),
    ("1970-01-01", "unreadable"),
    (0, "unreadable"),
    (["2026.11.01", "2026.12.31"], LAST),
    ([2026, 12, 31], LAST),
    ({"start": "2026-11-01", "end": "2026-12-31"}, LAST),
    ({"start": "2026-11-01", "end": None}, None),
    ({"$date": {"$numberLong": "1798729199000"}}, LAST),
    ("마감 2026.12.31 (등록 2026.11.01)", LAST),
    ("게시일 2026.11.01 / 마감일 2026.12.31", LAST),
    ("2026.11.01 ~ 2026.11.31", "unreadable"),
    ("2026.12.31 채용시 조기마감", LAST),
    ("2026.11.01 ~ 상시", None),
    ("2026.11.01 ~ 채용 시 마감", None),
    ("2026-11-01 - until filled", None),
    ("until filled", None),
    ("open", None),
    ("", None),
    ("-", None),
    ("26/12/31", LAST),
    ("12/31/26", LAST),
    ("26-12-31", LAST),
    ("2026/12/31", LAST),
    ("2026-12-31 24:00", LAST),
    ("내일마감", date(2026, 11, 29)),
    ("3일 남음", date(2026, 12, 1)),
    ("D-33 2026.12.31", LAST),
    ("2026년12월31일까지", LAST),
    ("12/31", LAST),
    ("12월 31일", LAST),
    ("1/5(화)", date(2027, 1, 5)),
    ("10/31", date(2027, 10, 31)),
    ("10/31(토)", date(2026, 10, 31)),
    ("2024년 12월 20일(금) ~ 1월 5일(일) 18:00", date(2025, 1, 5)),
    ("2024. 3. 4. ~ 2024. 3. 18. 17:00", date(2024, 3, 18)),
    ("'24.3.1~3.15", date(2024, 3, 15)),
    ("24.03.15(금) 18:00까지", date(2024, 3, 15)),
    ("by 3rd Apr 2025", date(2025, 4, 3)),
    ("2024.02.30", "unreadable"),
    ("2026-13-01", "unreadable"),
    ("foo 123", "unreadable"),
    ("abc", None),
    ({}, None),
    ([], None),
    ("2026年12月31日", LAST),
    ("~ 2026.12.31", LAST),
    ("2026.12.31.(목) 24시", LAST),
    ("2026.11.28(토) ~ 12.31(목) 17:00 도착분", LAST),
    ("2026-12-31 15:00:00 UTC", date(2027, 1, 1)),
    ("2026-12-31 00:00:00", LAST),
    ("2026-12-31T00:00:00+09:00", LAST),
    ("2026-12-31T23:59:59-05:00", LAST),
    ("서류접수: 2026.12.01 ~ 2026.12.31, 발표: 2027.01.15", LAST),
    ("2026.12.31 10:00 ~ 18:00", LAST),
    ("Apply by Dec 31", LAST),
    ("~2026.3.1", date(2026, 3, 1)),
    ("1798729199123456", LAST),
    (float("nan"), None),
    ({"deadline": None}, None),
    ("2026-02-29", "unreadable"),
    ("2/29", date(2028, 2, 29)),
    ("2026.12.31(목) ~ ", None),
    ("3월 15일", date(2027, 3, 15)),
    ("Marketing 12", "unreadable"),
    ("14-16시", "unreadable"),
    ("2026년 하반기", "unreadable"),
    ("26년 12월 31일", LAST),
    ("'26년 12월 31일", LAST),
    ("2026.12.31일", LAST),
    ("12.31.2026", LAST),
    ("D-day", SEEN),
    (" 2026-12-31\n", LAST),
    ("2026 12 31", LAST),
    ("12월31일(목)23:59", LAST),
    ("11/1(일)~12/31(목)", LAST),
    ("-1", "unreadable"),
    ("2026.12.31까지 (2027.01 입사)", LAST),
    ("모집기간 : 26.11.01 ~ 26.12.31", LAST),
    ("접수 마감일시 2026년 12월 31일 오후 6시", LAST),
    ({"from": "2026-11-01"}, None),
    ("2026-11-01~2026-12-31 (상시)", LAST),
    ("2026.11.1~2027.1.31", date(2027, 1, 31)),
    ("~'26.12.31(목)", LAST),
    ("2026. 12. 31(목요일)", LAST),
    ("31st of December 2026", LAST),
    ("2026.11.28 09:00 - 12.31 18:00", LAST),
]


@pytest.mark.parametrize(("said", "day"), SAID, ids=[str(said) for said, _ in SAID])
def test_the_last_day_of_what_is_said_counts(said: Any, day: date | str | None) -> None:
    if day == "unreadable":
        with pytest.raises(UnreadableDayError):
            stated_day(said, seen=SEEN)
    else:
        assert stated_day(said, seen=SEEN) == day


@pytest.mark.parametrize("said", ["12/31", "D-3", "오늘마감", "~ 3월 15일(금)", "2026.11.31", True])
def test_what_cannot_be_read_without_a_day_to_count_from_is_none_or_says_so(said: Any) -> None:
    assert last_day(said) is None
    with pytest.raises(UnreadableDayError):
        stated_day(said)


def test_a_day_without_a_year_is_in_the_year_of_its_posting() -> None:
    assert last_day("~ 3월 15일(금) 18:00", year=2027) == date(2027, 3, 15)
    assert last_day("12월 20일 ~ 1월 5일", year=2027) == date(2028, 1, 5)
    assert season_year("너른들소프트 2027년 상반기 공채") == 2027
    assert season_year("2019년에 설립") is None
    assert season_year("2026년 하반기, 2027 상반기 통합 채용") is None


def test_a_day_of_the_week_tells_the_year_better_than_the_calendar() -> None:
    assert last_day("~12/31(목)", seen=date(2027, 1, 4)) == LAST
    assert last_day("~12/31(금)", seen=date(2027, 1, 4)) == date(2027, 12, 31)
    assert last_day("~12/31", seen=date(2027, 1, 4)) == date(2027, 12, 31)


def test_a_moment_is_on_the_day_of_its_own_clock_and_utc_on_that_of_korea() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert last_day(datetime(2026, 12, 31, 23, 59, tzinfo=new_york)) == LAST
    assert last_day(datetime(2026, 12, 30, 15, 0, tzinfo=UTC)) == LAST
    assert last_day(datetime(2026, 12, 31, 23, 59)) == LAST


@given(st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 30)))
def test_every_way_to_write_a_moment_is_the_same_day(moment: datetime) -> None:
    there = moment.replace(tzinfo=KOREA, microsecond=0)
    seconds = int(there.timestamp())
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
        there.month - 1
    ]
    for said in (
        seconds,
        seconds * 1000,
        str(seconds),
        float(seconds),
        there.isoformat(),
        there.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        f"{there:%Y%m%d}",
        f"{there:%Y. %m. %d}",
        f"{there.year}년 {there.month}월 {there.day}일",
        f"{month} {there.day}, {there.year}",
        f"{there.day} {month}. {there.year}",
        f"2000.01.01 ~ {there:%Y.%m.%d} 18:00",
        {"start": "2000-01-01", "end": f"{there:%Y-%m-%d}"},
        ["2000-01-01", f"{there:%Y/%m/%d}"],
    ):
        assert stated_day(said) == there.date(), said


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
    | st.text(st.sampled_from("0123456789.-/~년월일()목 :'TZDJan+채용시까지"), max_size=30)
)
def test_whatever_is_said_is_a_day_none_or_unreadable(said: Any) -> None:
    day = last_day(said, seen=SEEN)
    assert day is None or 2000 <= day.year < 2100
