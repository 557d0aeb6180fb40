"""What a cell of a row says, whatever an export wrote into it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.structured import cells
from ingest.structured.columns import stated
from tests.pace import scaled

ROBOTS = ["C++", "ROS 2", "Python"]


@pytest.mark.parametrize(
    "cell",
    [
        "C++, ROS 2, Python",
        "['C++', 'ROS 2', 'Python']",
        '["C++", "ROS 2", "Python"]',
        "('C++', 'ROS 2', 'Python')",
        "['C++' 'ROS 2' 'Python']",
        '{C++,"ROS 2",Python}',
        ["C++", "ROS 2", "Python"],
        ["C++, ROS 2, Python"],
        [{"name": "C++"}, {"name": "ROS 2"}, {"id": 3, "title": "Python"}],
        '[{"name": "C++"}, {"name": "ROS 2"}, {"name": "Python"}]',
        "C++/ROS 2/Python",
        "C++ / ROS 2 / Python",
        "C++|ROS 2|Python",
        "C++; ROS 2; Python",
        "C++ · ROS 2 · Python",
        "C++ㆍROS 2•Python",
        "C++\nROS 2\r\nPython",
        "C++\\nROS 2\\nPython",
        "C++、ROS 2，Python",
        "#C++ #ROS 2 #Python",
        "#C++,#ROS 2,#Python",
        "<ul><li>C++</li><li>ROS 2</li><li>Python</li></ul>",
        "&lt;p&gt;C++&lt;/p&gt;&lt;p&gt;ROS 2&lt;/p&gt;&lt;p&gt;Python&lt;/p&gt;",
        "C++<br>ROS 2<br/>Python",
        "• C++\n- ROS 2\n3) Python",
        "C++, ROS 2, Python 등",
        "C++, , ROS 2, nan, Python, c++",
        ["C++", None, "ROS 2", "nan", "", "Python"],
        "C++_x000D_\nROS 2_x000D_\nPython",
        "\ufeffC++, ROS\u00a02, Py\u200bthon",
    ],
)
def test_skills_are_told_apart_whatever_separates_them(cell: Any) -> None:
    assert cells.names(cell) == ROBOTS


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("CI/CD, TCP/IP, PL/SQL", ["CI/CD", "TCP/IP", "PL/SQL"]),
        ("A/B 테스트, HTTP/2, S/W", ["A/B 테스트", "HTTP/2", "S/W"]),
        ("C/C++, C#", ["C", "C++", "C#"]),
        ("AWS(EC2, S3), Docker", ["AWS(EC2, S3)", "Docker"]),
        ("Node.js, .NET", ["Node.js", ".NET"]),
        (["C/C++ 개발", "CI/CD"], ["C/C++ 개발", "CI/CD"]),
        ("Java", ["Java"]),
    ],
)
def test_a_name_with_a_separator_in_it_stays_one(cell: Any, names: list[str]) -> None:
    assert cells.names(cell) == names


@pytest.mark.parametrize(
    "cell",
    [
        "경로 계획\n현장 시운전",
        "['경로 계획', '현장 시운전']",
        '["경로 계획", "현장 시운전"]',
        ["경로 계획", "현장 시운전"],
        [["경로 계획"], {"text": "현장 시운전"}],
        "• 경로 계획\r\n• 현장 시운전",
        "1. 경로 계획\n2. 현장 시운전",
        "|* 경로 계획|* 현장 시운전",
        "경로 계획_x000D_\n현장 시운전_x000D_",
        "경로 계획<br>현장 시운전",
        "<p>경로 계획</p><p>현장 <b>시운전</b></p>",
        "&lt;ul&gt;&lt;li&gt;경로 계획&lt;/li&gt;&lt;li&gt;현장 시운전&lt;/li&gt;&lt;/ul&gt;",
        "&amp;lt;p&amp;gt;경로 계획&amp;lt;/p&amp;gt;현장 시운전",
        "경로 계획\\n현장 시운전",
        "경로 계획\\r\\n- 현장 시운전",
        "**경로 계획**\n\n*   현장 시운전",
        "경로 계획\u2028현장&nbsp;시운전",
        "경로 계획\nnan\n-\n현장 시운전",
    ],
)
def test_a_text_is_its_items_a_line_each(cell: Any) -> None:
    assert cells.lines(cell) == "경로 계획\n현장 시운전"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("R&amp;D 과제, Q&A, A&nothing", "R&D 과제, Q&A, A&nothing"),
        ("List<String> 과 a < b<br>C++", "List<String> 과 a < b\nC++"),
        (
            "<header>, <main> 구조와 <script> 격리, 100KB > 40KB",
            "<header>, <main> 구조와 <script> 격리, 100KB > 40KB",
        ),
        ("<header> 구조<br>C++", "<header> 구조\nC++"),
        ("~3년 경력", "~3년 경력"),
        ("[필수] C++ (우대) ROS", "[필수] C++ (우대) ROS"),
        ("[필수]", "[필수]"),
        ("C:\\new 폴더", "C:\\new 폴더"),
        (8.0, "8"),
        (17, "17"),
        ("2 * 3 * 4", "2 * 3 * 4"),
    ],
)
def test_what_only_looks_like_markup_stays(cell: Any, text: str) -> None:
    assert cells.lines(cell) == text


def test_a_name_keeps_what_a_text_would_lose() -> None:
    assert cells.line("[신입](정규직) 백엔드<br>개발자") == "[신입](정규직) 백엔드 개발자"
    assert cells.line("~5년") == "~5년"
    assert cells.line(["서울", "판교"]) == "서울, 판교"
    assert cells.line({"name": "에이스"}) == "에이스"


NOTHING = [
    *(
        "",
        " ",
        "nan",
        "NaN",
        "None",
        "NULL",
        "null",
        "N/A",
        "n/a",
        "#N/A",
        "NaT",
        "-",
        "—",
        "[]",
        "{}",
        "\\N",
    ),
    *("undefined", "\u200b"),
]


@pytest.mark.parametrize("cell", [*NOTHING, None, float("nan"), [], {}])
def test_a_word_for_nothing_says_nothing(cell: Any) -> None:
    assert cells.is_blank(cell)
    assert cells.names(["Java", cell]) == ["Java"] if not isinstance(cell, float) else True
    assert stated({"company": cell, "job_title": "QA"}) == {"job_title": "QA"}


@pytest.mark.parametrize(
    ("cell", "identifier"),
    [
        ("8.0", "8"),
        (8.0, "8"),
        ("8", "8"),
        (8, 8),
        ("1.10", "1.10"),
        ('="0012"', "0012"),
        ("'0012", "0012"),
        (" a ", "a"),
    ],
)
def test_an_id_is_what_it_was_before_the_spreadsheet(cell: Any, identifier: Any) -> None:
    assert cells.identifier(cell) == identifier


def test_a_list_without_its_end_is_broken_and_a_bracket_is_none() -> None:
    assert cells.is_broken("['경로 계획', '현장 시")
    assert not cells.is_broken("[필수] C++")
    assert not cells.is_broken("['경로 계획']")


@pytest.mark.parametrize("cell", [True, object()])
def test_what_is_no_text_says_so(cell: Any) -> None:
    with pytest.raises(ValueError, match="no text"):
        cells.lines(cell)


@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
def test_every_cell_of_json_can_be_read(cell: Any) -> None:
    assert all(name.strip() == name and name for name in cells.names(cell))
    assert not any(cells.is_blank(line) for line in cells.lines(cell).split("\n")) or not cells.lines(cell)
    assert "\n" not in cells.line(cell)


def test_lists_within_lists_have_an_end() -> None:
    deep: Any = "C++"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValueError, match="no text"):
        cells.lines(deep)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (
            {"회사명": "에이스", "공고명": "QA", "마감일": "2026-12-31"},
            {"company": "에이스", "job_title": "QA", "deadline": "2026-12-31"},
        ),
        (
            {"companyName": "에이스", "Job Title": "QA", "TECH_STACK": "C++"},
            {"company": "에이스", "job_title": "QA", "skills": "C++"},
        ),
        ({"job_title": "QA", "title": "other"}, {"job_title": "QA"}),
        ({"job_title": "nan", "title": "QA"}, {"job_title": "QA"}),
        ({"position": "QA"}, {"job_title": "QA"}),
        ({"position": 2, "title": "QA"}, {"position": 2, "job_title": "QA"}),
        ({"id": 8.0, "title": "QA"}, {"source_id": "8", "job_title": "QA"}),
        ({"source_id": "a", "id": "b"}, {"source_id": "a"}),
        (
            {"주요업무": "a", "자격요건": "b", "우대사항": "c"},
            {"responsibilities": "a", "requirements": "b", "preferred": "c"},
        ),
        ({"colour": "blue"}, {}),
    ],
)
def test_a_column_is_known_by_its_names(row: dict[str, Any], fields: dict[str, Any]) -> None:
    assert stated(row) == fields


@pytest.mark.parametrize(
    "piece", ["<p>", "<b>", "<b ", "<span>a", "<", "[", "['", "|*", "&lt;", "1. ", "#a ", "a/"]
)
def test_a_cell_that_repeats_itself_is_read_in_time(piece: str) -> None:
    cell = piece * (40_000 // len(piece))
    began = time.perf_counter()
    for read in (cells.lines, cells.line, cells.names, cells.is_broken):
        with contextlib.suppress(ValueError):
            read(cell)
    assert time.perf_counter() - began < scaled(10)
