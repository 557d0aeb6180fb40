"""Reading: postings from files, whatever state the files are in."""

from __future__ import annotations

import json
import os
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.structured.files import RefusedRow, UnreadCell, read_postings
from tests.ingest.files import jsonl, row, table
from tools.core.errors import InvalidRequestError
from tools.postings.contracts import Posting


def postings(path: Path) -> list[Posting]:
    return [found for found in read_postings(path) if isinstance(found, Posting)]


def refused(path: Path) -> list[RefusedRow]:
    return [found for found in read_postings(path) if isinstance(found, RefusedRow)]


def test_every_line_of_a_jsonl_file_is_a_posting(tmp_path: Path) -> None:
    whole = row("1", skills=["Java"], deadline="2026-12-31", responsibilities="a\nb", url="https://x.org")
    assert list(read_postings(jsonl(tmp_path / "a.jsonl", whole, "", row("2")))) == [
        Posting.model_validate(whole),
        Posting.model_validate(row("2")),
    ]


def test_every_row_of_a_csv_file_is_a_posting(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv",
        {
            "source": "s",
            "source_id": "1",
            "job_title": "QA",
            "responsibilities": "a\nb, c",
            "skills": "Java, C++ ,",
        },
        {"source": "s", "source_id": "2", "job_title": "DBA", "deadline": ""},
    )
    first, second = postings(path)
    assert (first.responsibilities, first.skills) == ("a\nb, c", ["Java", "C++"])
    assert (second.deadline, second.skills, second.company) == (None, [], "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_field(tmp_path: Path, encoding: str) -> None:
    cells = {"source": "s", "source_id": "1", "job_title": "QA"}
    for path in (
        jsonl(tmp_path / "a.jsonl", row("1"), encoding=encoding),
        table(tmp_path / "a.csv", cells, encoding=encoding),
    ):
        assert [posting.source_id for posting in postings(path)] == ["1"]


@pytest.mark.parametrize("identifier", ["17", 17])
def test_a_plain_id_is_the_source_id_and_the_file_its_source(tmp_path: Path, identifier: str | int) -> None:
    [posting] = postings(jsonl(tmp_path / "jobs.jsonl", {"id": identifier, "job_title": "QA"}))
    assert (posting.source, posting.source_id) == ("jobs", "17")


def test_a_plain_id_is_the_source_id_in_a_csv_too(tmp_path: Path) -> None:
    [posting] = postings(
        table(tmp_path / "jobs.csv", {"id": "17", "job_title": "QA"}, columns=["id", "job_title"])
    )
    assert (posting.source, posting.source_id) == ("jobs", "17")


def test_a_null_is_as_good_as_absence(tmp_path: Path) -> None:
    nulls = dict.fromkeys(Posting.model_fields) | {"id": "17", "job_title": "QA"}
    [posting] = postings(jsonl(tmp_path / "jobs.jsonl", nulls))
    assert (posting.source, posting.source_id) == ("jobs", "17")


def test_an_own_source_id_comes_before_a_plain_id(tmp_path: Path) -> None:
    [posting] = postings(jsonl(tmp_path / "jobs.jsonl", row("own", id="plain")))
    assert posting.source_id == "own"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{not json", "not JSON"),
        ("[1]", "not a JSON object"),
        ('"a string"', "not a JSON object"),
        ("null", "not a JSON object"),
        ({"source_id": "9"}, "job_title"),
        ({"job_title": "QA"}, "source_id"),
        (row("9", job_title="  "), "job_title"),
        (row("9", responsibilities="x" * 50_001), "responsibilities"),
    ],
)
def test_a_row_that_is_no_posting_is_refused_with_its_line_and_the_others_are_read(
    tmp_path: Path, bad: Any, problem: str
) -> None:
    path = jsonl(tmp_path / "a.jsonl", row("1"), "", bad, row("2"))
    assert [posting.source_id for posting in postings(path)] == ["1", "2"]
    [found] = refused(path)
    assert (found.file, found.line) == ("a.jsonl", 3)
    assert problem in found.problem


def test_the_line_of_a_csv_row_counts_the_lines_within_cells_above_it(tmp_path: Path) -> None:
    good = {"source": "s", "source_id": "1", "job_title": "QA", "responsibilities": "a\nb\nc"}
    path = table(tmp_path / "a.csv", good, {"source": "s", "source_id": "2"})
    assert path.read_text(encoding="utf-8").splitlines()[4].startswith("s,2")
    assert [found.line for found in refused(path)] == [5]


def test_the_line_of_a_csv_row_counts_the_empty_lines_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,job_title\n1,QA\n\n2,\n", encoding="utf-8")
    assert [found.line for found in refused(path)] == [4]


def test_a_csv_row_with_too_many_or_too_few_cells_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,job_title,company\n1,QA\n2,DBA,Co,more,and more\n", encoding="utf-8")
    assert [(p.job_title, p.company) for p in postings(path)] == [("QA", ""), ("DBA", "Co")]


def test_a_csv_cell_of_any_length_stops_no_other_row(tmp_path: Path) -> None:
    cells = {"source": "s", "job_title": "QA"}
    path = table(
        tmp_path / "a.csv",
        {**cells, "source_id": "1", "responsibilities": "x" * 140_000},
        {**cells, "source_id": "2"},
    )
    assert [posting.source_id for posting in postings(path)] == ["2"]
    assert [found.line for found in refused(path)] == [2]


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a", "a.jsonl.gz"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=name) as wrong:
        list(read_postings(tmp_path / name))
    assert ".jsonl" in wrong.value.message


def test_the_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    assert postings(jsonl(tmp_path / "A.JSONL", row("1")))


@pytest.mark.parametrize("name", ["missing.jsonl", "folder.csv"])
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidRequestError, match=name):
        list(read_postings(tmp_path / name))


def left_empty(path: Path) -> list[tuple[int, str, str]]:
    return [(one.line, one.field, one.value) for one in read_postings(path) if isinstance(one, UnreadCell)]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_field_that_cannot_be_read_is_empty_and_told_and_the_posting_is_there(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        row("1", deadline="2026-13-01", url="javascript:alert(1)"),
        row("2", deadline=True, responsibilities=True, skills={"a": "x", "b": True}),
        row("3", deadline="상시채용", url="-"),
    )
    assert [(p.source_id, p.deadline, p.url) for p in postings(path)] == [
        ("1", None, None),
        ("2", None, None),
        ("3", None, None),
    ]
    assert sorted(left_empty(path)) == [
        (1, "deadline", "2026-13-01"),
        (1, "url", "javascript:alert(1)"),
        (2, "deadline", "True"),
        (2, "responsibilities", "True"),
        (2, "skills", "{'a': 'x', 'b': True}"),
    ]


@pytest.mark.parametrize(
    ("fields", "day"),
    [
        ({"deadline": "~12/31(목)", "posted_at": "2026-11-20"}, date(2026, 12, 31)),
        ({"deadline": "D-3", "posted_at": "2026-11-20"}, date(2026, 11, 23)),
        ({"deadline": "오늘마감", "등록일": "2026.11.20"}, date(2026, 11, 20)),
        ({"deadline": "1/5", "collected_at": "2026-11-20T10:00:00Z"}, date(2027, 1, 5)),
    ],
)
def test_a_day_without_a_year_counts_from_the_day_that_the_row_names(
    tmp_path: Path, fields: dict[str, str], day: date
) -> None:
    [posting] = postings(jsonl(tmp_path / "a.jsonl", row("1", **fields)))
    assert posting.deadline == day


def test_a_day_without_a_year_counts_from_that_of_the_file_where_the_row_names_none(
    tmp_path: Path,
) -> None:
    path = jsonl(tmp_path / "a.jsonl", row("1", deadline="12/31"))
    then = datetime(2031, 12, 1, tzinfo=UTC).timestamp()
    os.utime(path, (then, then))
    [posting] = postings(path)
    assert posting.deadline == date(2031, 12, 31)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "\n", "sep={}\n"])
def test_the_cells_of_a_csv_may_be_separated_in_any_of_four_ways(
    tmp_path: Path, separator: str, first: str
) -> None:
    lines = [["id", "job_title", "skills"], ["1", "QA", "Java"], ["2", "DBA", "SQL"]]
    text = first.format(separator) + "\n".join(map(separator.join, lines))
    found = postings(written(tmp_path / "a.csv", text))
    assert [(p.source_id, p.job_title, p.skills) for p in found] == [
        ("1", "QA", ["Java"]),
        ("2", "DBA", ["SQL"]),
    ]
    assert [p.source_id for p in postings(written(tmp_path / "a.tsv", text))] == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_a_csv_is_read_in_the_encodings_in_which_spreadsheets_write_it(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "a.csv", "번호,공고명\n1,똠방 개발자\n", encoding)
    assert [(p.source_id, p.job_title) for p in postings(path)] == [("1", "똠방 개발자")]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1, "title": "QA"}, {"id": 2, "title": "DBA"}]',
        '\ufeff[\n  {"id": 1,\n "title": "QA"},\n  {"id": 2, "title": "DBA"}\n]\n',
        '{"jobs": [{"id": 1, "title": "QA"}, {"id": 2, "title": "DBA"}], "total": 2}',
        '{\n"jobs": [{"id": 1, "title": "QA"}, {"id": 2, "title": "DBA"}]}',
    ],
)
def test_a_file_that_is_one_array_has_a_posting_for_each_object(tmp_path: Path, text: str) -> None:
    found = postings(written(tmp_path / "a.jsonl", text))
    assert [(p.source_id, p.job_title) for p in found] == [("1", "QA"), ("2", "DBA")]


def test_a_first_line_that_is_broken_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", "[{broken", row("1"), "", row("2"))
    assert [p.source_id for p in postings(path)] == ["1", "2"]
    assert [found.line for found in refused(path)] == [1]


def test_a_quote_that_is_never_closed_takes_no_other_row_with_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'id,title\n1,QA\n2,"DBA\n3,"multi\nline"\n4,Dev\n')
    kept = {p.source_id for p in postings(path)}
    assert {"1", "4"} <= kept
    told = [(found.line, found.problem) for found in refused(path)]
    assert told
    lost = written(tmp_path / "b.csv", 'id,title\n1,QA\n2,"DBA\n3,Dev\n4,Ops\n')
    assert [p.source_id for p in postings(lost)] == ["1", "3", "4"]
    [one] = refused(lost)
    assert one.line == 3
    assert "quote" in one.problem


def test_cells_beyond_the_columns_and_columns_that_stand_twice_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,title,company,company\n1,QA,A,B,more\n2,DBA,,B\n3,Dev,A,A,,\n")
    assert [(p.source_id, p.company) for p in postings(path)] == [("1", "A"), ("2", "B"), ("3", "A")]
    assert left_empty(path) == [(2, "company", "B"), (2, "column 5", "more")]


def test_rows_without_a_word_and_columns_named_again_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,title\n1,QA\n,,\nid,title\n2,DBA\nnan,-\n")
    assert [p.source_id for p in postings(path)] == ["1", "2"]
    assert refused(path) == []


def test_a_path_may_be_typed_composed_and_stand_in_pieces_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "공고")
    folder.mkdir()
    jsonl(folder / unicodedata.normalize("NFD", "목록.jsonl"), {"id": 1, "job_title": "QA"})
    [posting] = postings(tmp_path / "공고" / "목록.jsonl")
    assert posting.source == "목록"


def test_a_file_that_is_no_utf_8_is_refused_and_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "korean.jsonl", row("1"), encoding="cp949")
    with pytest.raises(InvalidRequestError, match="UTF-8"):
        list(read_postings(path))


def test_an_empty_file_has_no_postings(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).write_text("", encoding="utf-8")
        assert list(read_postings(tmp_path / name)) == []


def test_what_pythons_json_writes_and_json_does_not_know_loses_no_posting(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    cells = {"id": "1", "job_title": "QA \ud83d 엔지니어", "deadline": float("nan"), "company": float("inf")}
    path.write_text(json.dumps(cells) + "\n", encoding="utf-8")
    [posting] = postings(path)
    assert (posting.job_title, posting.deadline, posting.company) == ("QA 엔지니어", None, "")
