"""The last day in what postings write."""

from __future__ import annotations

from datetime import date

import pytest

from ingest.tagging.deadlines import last_day, season_year


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024.03.01 ~ 2024.03.15", date(2024, 3, 15)),
        ("2024년 12월 20일(금) ~ 1월 5일(일) 18:00", date(2025, 1, 5)),
        ("2024. 3. 4. ~ 2024. 3. 18. 17:00", date(2024, 3, 18)),
        ("'24.3.1~3.15", date(2024, 3, 15)),
        ("24.03.15(금) 18:00까지", date(2024, 3, 15)),
        ("2024-03-15T18:00", date(2024, 3, 15)),
        ("March 15, 2024", date(2024, 3, 15)),
        ("by 3rd Apr 2025", date(2025, 4, 3)),
        ("상시채용", None),
        ("D-3", None),
        ("3월 15일", None),
        ("2024.02.30", None),
    ],
)
def test_the_last_day_counts(written: str, day: date | None) -> None:
    assert last_day(written, None) == day


def test_a_day_without_a_year_is_in_the_year_of_its_posting() -> None:
    assert last_day("~ 3월 15일(금) 18:00", 2027) == date(2027, 3, 15)
    assert season_year("너른들소프트 2027년 상반기 공채") == 2027
    assert season_year("2019년에 설립") is None
    assert season_year("2026년 하반기, 2027 상반기 통합 채용") is None
