"""What the measure of tagging counts, on positions whose faults are known."""

from __future__ import annotations

from typing import Any

from evals.bench.parsers import Poster
from evals.bench.tagging import count, shown
from tools.postings.contracts import Position

TRUE: dict[str, Any] = {
    "company": "(주)한빛",
    "job_title": "[신입] 서버 개발자",
    "responsibilities": "예약 API 개발\n배치 운영",
    "requirements": "Java 경험",
    "preferred": None,
    "skills": ["Java", "Redis"],
}
OTHER = {**TRUE, "job_title": "데이터 분석가", "responsibilities": "지표 분석"}
PRINTED = [{"lines": ["(주)한빛 채용"], "tables": []}]


def position(**fields: Any) -> Position:
    return Position(**{**{name: value for name, value in TRUE.items() if value}, **fields})


def test_a_perfect_position_counts_in_full() -> None:
    counts = count(Poster([], PRINTED, [TRUE]), [position()])
    assert (counts.positions, counts.of_positions, counts.tagged) == (1, 1, 1)
    assert (counts.items, counts.of_items, counts.lines, counts.of_lines) == (3, 3, 3, 3)
    assert (counts.titles, counts.literal_titles, counts.companies, counts.literal_companies) == (1, 1, 1, 1)
    assert (counts.skills, counts.of_skills, counts.true_skills, counts.of_named) == (1, 1, 2, 2)
    assert shown(counts).row_count == 10


def test_lines_that_run_on_are_no_items_and_lines_elsewhere_are_in_another_field() -> None:
    run_on = position(responsibilities="예약 API 개발배치 운영", requirements="", preferred="Java 경험")
    counts = count(Poster([], PRINTED, [TRUE]), [run_on], dropped=2)
    assert (counts.items, counts.of_items, counts.lines, counts.of_lines) == (0, 3, 0, 2)
    assert counts.dropped == 2


def test_a_line_counts_with_its_own_position_only() -> None:
    swapped = [
        position(responsibilities="지표 분석"),
        position(job_title="데이터 분석가", responsibilities="예약 API 개발\n배치 운영"),
    ]
    counts = count(Poster([], PRINTED, [TRUE, OTHER]), swapped)
    assert (counts.positions, counts.items, counts.of_items) == (2, 2, 5)


def test_a_name_counts_as_it_is_searched_by_and_a_company_only_where_it_is_printed() -> None:
    misread = position(job_title="서 버 개발자", company="한 빛")
    counts = count(Poster([], PRINTED, [TRUE]), [misread])
    assert (counts.titles, counts.literal_titles) == (0, 0)  # two syllables apart are words
    assert (counts.companies, counts.literal_companies, counts.of_companies) == (1, 0, 1)
    unprinted = count(Poster([], [{"lines": [], "tables": []}], [TRUE]), [position()])
    assert (unprinted.companies, unprinted.of_companies) == (0, 0)


def test_what_was_not_found_and_what_was_made_up_both_count() -> None:
    nothing = count(Poster([], PRINTED, [TRUE]), [])
    assert (nothing.positions, nothing.items, nothing.of_items) == (0, 0, 3)
    invented = count(Poster([], PRINTED, []), [position()])
    assert (invented.tagged, invented.lines, invented.of_lines) == (1, 0, 3)
