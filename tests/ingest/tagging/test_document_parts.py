"""Blocks as rows of a prompt: self-contained, in parts, nothing left out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.documents import Cell, Heading, Paragraph, Table
from ingest.tagging.document_parts import PART_CHARACTERS, document_parts, is_korean
from tests.ingest.tagging.building import cell, heading, table, text


def test_a_merged_cell_reaches_each_of_its_rows_and_columns() -> None:
    blocks = [
        table(
            [cell("모집 요강", colspan=3, header=True)],
            [cell("부문", header=True), cell("직무", header=True), cell("업무", header=True)],
            [cell("개발", rowspan=2), "서버", "가"],
            ["앱", "나"],
            [cell("공통", colspan=2), "다"],
        )
    ]
    (part,) = document_parts(blocks)
    assert part.rows == [
        {"table": 1, "head": True, "cells": ["모집 요강"]},
        {"table": 1, "head": True, "cells": ["부문", "직무", "업무"]},
        {"table": 1, "cells": ["개발", "서버", "가"]},
        {"table": 1, "cells": ["개발", "앱", "나"]},
        {"table": 1, "cells": ["공통", "공통", "다"]},
    ]


def test_spans_that_lead_nowhere_cost_nothing() -> None:
    blocks = [table([cell("가", 1, 10**9)], [cell("나", 10**9)], ["다"])]
    (part,) = document_parts(blocks)
    assert sorted("".join(row["cells"]) for row in part.rows)[0] == "가"
    assert "다" in str(part.rows[-1])


def test_a_later_part_repeats_the_headings_above_it_and_the_head_of_its_table() -> None:
    rows = [[f"직무 {n}", "업무 " * 100] for n in range(100)]
    head = [cell("모집부문", header=True), cell("담당업무", header=True)]
    first, second, *_ = document_parts([heading("공채", 1), heading("개발", 2), table(head, *rows)])
    assert second.rows[:3] == [{**row, "again": True} for row in first.rows[:3]]
    assert not second.continues


def test_a_part_that_begins_in_the_midst_of_a_text_says_so() -> None:
    blocks = [heading("서버 개발자", 1), text(*(f"- {n}번째 서비스의 운영" for n in range(2000)))]
    parts = document_parts(blocks)
    assert [part.continues for part in parts] == [False] + [True] * (len(parts) - 1)


words = st.text(alphabet="가나다라 abc\n", max_size=60)
tables = st.lists(
    st.lists(st.builds(Cell, text=words, rowspan=st.integers(1, 4), colspan=st.integers(1, 4)), max_size=4),
    max_size=5,
)
blocks_of_any_kind = st.lists(
    st.one_of(
        st.builds(Heading, text=words, level=st.integers(1, 6)),
        st.builds(Paragraph, text=st.builds(lambda piece, times: piece * times, words, st.integers(1, 300))),
        st.builds(Table, rows=tables),
    ),
    max_size=6,
)


@settings(max_examples=20)
@given(blocks_of_any_kind)
def test_no_word_is_lost_and_no_part_is_much_too_long(blocks: list[Heading | Paragraph | Table]) -> None:
    parts = document_parts(blocks)
    told = "".join(
        "".join([row.get("heading", ""), row.get("text", ""), *row.get("cells", [])])
        for part in parts
        for row in part.rows
        if "again" not in row
    )
    for block in blocks:
        texts = [c.text for r in block.rows for c in r] if isinstance(block, Table) else [block.text]
        for wanted in texts:
            assert "".join(wanted.split()) in "".join(told.split())
    for part in parts:
        size = sum(len(str(row)) for row in part.rows)
        assert size < 2 * PART_CHARACTERS


def test_the_language_is_told_by_the_letters() -> None:
    assert is_korean("Kubernetes, Spring Boot, Kafka 기반의 결제 서버 개발")
    assert not is_korean("Work with our Seoul (서울) team")
