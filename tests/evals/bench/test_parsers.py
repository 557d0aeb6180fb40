"""The measures of parsers: what they count, on readings whose faults are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evals.bench.parser_scores import (
    field_lines_found,
    line_errors,
    lines_found,
    nearest,
    score_tables,
    score_text,
    similarity,
    tree_of_html,
    trees_of,
)
from evals.bench.parsers import Poster, measure, posters_of, shown
from ingest.documents import Cell, Paragraph, Parsed, RawFile, Table
from samples.programs.draw_posters import POSTERS
from tools.postings.contracts import Position

TABLE = '<table><tr><td rowspan="2">모집부문</td><td>담당업무</td></tr><tr><td>서버<br>개발</td></tr></table>'


def test_lines_may_come_in_any_order_but_not_be_invented() -> None:
    assert line_errors(["담당업무", "서버개발"], ["서버개발", "담당업무"]) == 0
    assert line_errors(["담당업무", "서버개발"], ["담당업무서버개발"]) == 0
    assert line_errors(["담당업무"], ["담당엄무"]) == 1
    assert line_errors(["담당업무"], []) == 4
    assert line_errors(["담당업무"], ["담당업무", "없는말"]) == 3


def test_the_nearest_stretch_is_found_with_its_edges() -> None:
    assert nearest("지원자격", "담당업무지원차격우대") == (1, 4, 8)
    assert nearest("abc", "") == (3, 0, 0)


def test_bullets_and_spaces_do_not_count_but_words_do() -> None:
    score = score_text(["· 서버 개발 경험", "React와 Redis"], ["- 서버개발 경험", "- React와 Redis"])
    assert (score.errors, score.ordered_errors) == (0, 0)
    assert (score.words_found, score.words) == (2, 4)
    assert (score.skills_found, score.skills) == (2, 2)


def test_order_counts_where_it_is_measured() -> None:
    score = score_text(["가나다라", "마바사아"], ["마바사아", "가나다라"])
    assert score.errors == 0
    assert score.ordered_errors > 0


def test_tables_are_compared_by_structure_and_text() -> None:
    truth = tree_of_html(TABLE)
    rows = [
        [Cell(text="모집부문", rowspan=2), Cell(text="담당업무")],
        [Cell(text="- 서버\n- 개발")],
    ]
    same = trees_of(Parsed(blocks=[Table(rows=rows)], parser="x"))
    assert score_tables([truth], same) == ([1.0], [1.0])

    misread = tree_of_html(TABLE.replace("담당업무", "담당엄무"))
    assert similarity(truth, misread, structure=True) == 1.0
    assert similarity(truth, misread) == pytest.approx(1 - 0.25 / 6)

    flat = tree_of_html(TABLE.replace(' rowspan="2"', ""))
    assert similarity(truth, flat, structure=True) == pytest.approx(1 - 1 / 6)


def test_a_table_missed_and_a_table_invented_score_nothing() -> None:
    truth, other = tree_of_html(TABLE), tree_of_html("<table><tr><td>x</td></tr></table>")
    assert score_tables([truth], []) == ([0.0], [0.0])
    assert score_tables([truth], [truth, other])[1] == [1.0, 0.0]


def test_a_line_counts_in_its_own_field_only() -> None:
    truth = [
        {"job_title": "서버 개발자", "responsibilities": "API 개발", "requirements": "", "preferred": None}
    ]
    right = Position(job_title="서버 개발자", responsibilities="- API 개발")
    wrong = Position(job_title="서버 개발자", requirements="API 개발")
    assert field_lines_found(truth, [right]) == (2, 2)
    assert field_lines_found(truth, [wrong]) == (1, 2)


class Reader:
    """A parser that knows the truth."""

    name = "truth"

    def __init__(self, posters: list[Poster]) -> None:
        self._pages = {
            file.name: page
            for poster in posters
            for file, page in zip(poster.files, poster.pages, strict=True)
        }

    async def parse(self, file: RawFile) -> Parsed:
        text = "\n".join(self._pages[file.name]["lines"])
        return Parsed(blocks=[Paragraph(text=text)], parser="truth")


async def test_any_parser_can_be_measured() -> None:
    posters = posters_of(POSTERS)[:2]

    async def tag(parsed: Parsed) -> list[Position]:
        return [Position(job_title="없음")]

    posters = [
        replace(poster, layout=layout) for poster, layout in zip(posters, ("cards", "plain"), strict=True)
    ]
    figures, cards, plain = await measure(Reader(posters), "two samples", posters, tag)

    assert (figures.line_cer, figures.ordered_cer) == (0.0, 0.0)
    assert (figures.word_recall, figures.skill_recall) == (1.0, 1.0)
    assert figures.teds == 0.0  # it gives text only
    assert figures.field_recall == 0.0
    assert figures.lines_found == 1.0
    assert [cards.posters, plain.posters] == ["two samples: cards", "two samples: plain"]
    assert cards.images + plain.images == figures.images
    assert shown([figures, cards, plain]).row_count == 3


def test_a_line_is_found_with_one_letter_in_five_wrong() -> None:
    read = ["담당엄무", "서버를개발하고운영하는일입니다", "웹"]
    assert lines_found(["담당업무"], read) == 0
    assert lines_found(["서버를개발하고운영하는힐힘니다", "웹", ""], read) == 2
