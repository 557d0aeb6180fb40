"""Blocks as HTML, Markdown and text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html

from ingest.blocks import MAX_GRID, block_lines, grid, to_html, to_markdown
from ingest.documents import Block, Cell, Heading, Paragraph, Table

NASTY = st.text(st.sampled_from(" \n-#|<>&*_`[]()\\~+=1.가a:!;\"'"), max_size=30)
TABLE = Table(
    rows=[
        [Cell(text="부문", header=True), Cell(text="요건", header=True, colspan=2)],
        [Cell(text="개발", rowspan=2), Cell(text="Java\nKotlin"), Cell(text="3년")],
        [Cell(text="Python | C"), Cell(text="")],
    ]
)


def test_blocks_become_html() -> None:
    blocks: list[Block] = [Heading(text="A & B", level=1), Paragraph(text="하는 일\n- <서버>\n- API"), TABLE]
    assert to_html(blocks).splitlines() == [
        "<h1>A &amp; B</h1>",
        "<p>하는 일</p><ul><li>&lt;서버&gt;</li><li>API</li></ul>",
        '<table><tr><th>부문</th><th colspan="2">요건</th></tr>'
        '<tr><td rowspan="2">개발</td><td>Java<br>Kotlin</td><td>3년</td></tr>'
        "<tr><td>Python | C</td><td></td></tr></table>",
    ]


def test_a_table_in_markdown_says_what_spans_rows_in_each_and_what_spans_columns_once() -> None:
    assert to_markdown([TABLE]).splitlines() == [
        "| 부문 | 요건 |  |",
        "| --- | --- | --- |",
        "| 개발 | Java<br>Kotlin | 3년 |",
        r"| 개발 | Python \| C |  |",
    ]


def test_what_markdown_would_take_for_signs_stays_as_it_is_written() -> None:
    text = "1~2년, 3~4년\n# 제목 아님\n1. 서류\n*별* a_b _x_ C++ [담당업무] [a](b) &amp; <b>\n---"
    assert to_markdown([Paragraph(text=text)]).split("  \n") == [
        r"1\~2년, 3\~4년",
        r"\# 제목 아님",
        r"1\. 서류",
        r"\*별\* a_b \_x\_ C++ [담당업무] [a\](b) \&amp; \<b\>",
        r"\---",
    ]


def test_a_list_between_lines_is_a_list() -> None:
    assert to_markdown([Paragraph(text="업무\n- a\n- b\n끝")]) == "업무\n\n- a\n- b\n\n끝"


def test_lines_have_every_line_also_those_of_cells() -> None:
    blocks: list[Block] = [Heading(text="제목"), TABLE]
    assert [line for block in blocks for line in block_lines(block)] == [
        "제목",
        *("부문", "요건", "개발", "Java", "Kotlin", "3년", "Python | C"),
    ]


@settings(max_examples=50)
@given(st.lists(NASTY.filter(str.strip), min_size=1, max_size=4))
def test_html_says_the_same_text_whatever_it_is(texts: list[str]) -> None:
    blocks: list[Block] = [Table(rows=[[Cell(text=text)]]) for text in texts]
    root = lxml_html.fromstring(f"<div>{to_html(blocks)}</div>")
    for line_break in root.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    assert [cell.text_content() for cell in root.iter("td")] == texts


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=4), max_size=5))
def test_every_cell_has_its_place_in_the_grid(spans: list[list[tuple[int, int]]]) -> None:
    rows = [
        [Cell(text=f"{r}.{c}", rowspan=high, colspan=wide) for c, (high, wide) in enumerate(row)]
        for r, row in enumerate(spans)
    ]
    places = grid(rows)
    assert len(places) == len(rows)
    for number, row in enumerate(rows):
        assert [cell for cell in row if cell not in places[number]] == []


def test_a_table_that_claims_a_billion_places_is_written_as_it_stands() -> None:
    rows = [[Cell(text="x", colspan=1000)] for _ in range(MAX_GRID // 1000 + 1)]
    began = time.process_time()
    assert len(to_markdown([Table(rows=rows)]).splitlines()) == len(rows) + 1
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("block", "said"),
    [(Heading(text="C #"), r"## C \#"), (Heading(text="C#"), "## C#"), (Heading(text="a\nb"), "## a b")],
)
def test_a_heading_is_one_line_with_all_its_signs(block: Block, said: str) -> None:
    assert to_markdown([block]) == said
    assert block_lines(block)
