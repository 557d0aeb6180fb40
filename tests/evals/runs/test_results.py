"""Result files: written line by line, read as far as they go, found by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from evals.runs.results import Score, find, keep_as_baseline, latest, read, writing
from tests.evals.made_results import case, cases, header, outputs, write
from tools.core.errors import InvalidRequestError

THREE = cases({"evidence_valid": [1.0, 0.5, None]})


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    result = read(write(tmp_path, "run", THREE))
    assert result.header == header("run", 3)
    assert result.cases == THREE
    assert result.summary is not None
    assert result.summary.metrics["evidence_valid"].mean == 0.75
    assert result.incomplete() is None


def test_each_case_is_in_the_file_as_soon_as_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with writing(path, header("run", 3)) as writer:
        writer.write(THREE[0])
        so_far = read(path)
        writer.write(THREE[1])
    assert [one.case_id for one in so_far.cases] == ["case-000"]
    broken_off = read(path)
    assert len(broken_off.cases) == 2
    assert broken_off.incomplete() == "run broke off: it has 2 of 3 results"


def test_a_line_that_was_cut_off_is_left_out_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "run", THREE)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    result = read(path)
    assert [one.case_id for one in result.cases] == ["case-000", "case-001"]
    assert result.summary is None


def test_a_run_that_left_cases_out_says_so(tmp_path: Path) -> None:
    twice = write(tmp_path, "run", THREE, repeats=2)
    assert read(twice).incomplete() == "run left cases out: it has 3 of 6 results"


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        ([b'{"kind": "case"}'], 1, "does not begin with an experiment"),
        ([b"Title,Score"], 1, "not JSON"),
        ([b"[1]"], 1, "not a JSON object"),
        ([b'{"kind": "experiment", "name": "x"}'], 1, "suite: Field required"),
        ([b"HEADER", b'{"kind": "case", "case_id": "a"}'], 2, "scores: Field required"),
        ([b"HEADER", b"TURNS"], 2, "outputs: .* `turns` is no list of objects"),
        ([b"HEADER", b"CASE", b"CASE"], 3, "case case-000, repeat 0 stands twice"),
        ([b"HEADER", b"SUMMARY", b"CASE"], 3, "something follows the summary"),
        ([b"HEADER", b"CASE", b"{nonsense", b"SUMMARY"], 3, "not JSON"),
    ],
)
def test_what_is_no_result_file_is_refused_with_the_place(
    tmp_path: Path, lines: list[bytes], line: int, problem: str
) -> None:
    stands_for = {
        b"HEADER": orjson.dumps(header().model_dump(mode="json")),
        b"TURNS": orjson.dumps(case().model_dump(mode="json") | {"outputs": {"turns": ["easier"]}}),
        b"CASE": orjson.dumps(case().model_dump(mode="json")),
        b"SUMMARY": b'{"kind": "summary", "metrics": {}, "seconds": 1}',
    }
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(b"".join(stands_for.get(one, one) + b"\n" for one in lines))
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        read(path)
    assert caught.value.file == str(path)
    assert caught.value.line == line
    assert f"line {line}" in caught.value.message


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_is_not_there_or_empty_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=r"none\.jsonl (cannot be read|is empty)"):
        read(path)


def test_a_file_of_a_newer_version_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "run", [case(new_field={"a": 1})], region="seoul")
    result = read(path)
    assert (result.header.model_extra, result.cases[0].model_extra) == (
        {"region": "seoul"},
        {"new_field": {"a": 1}},
    )


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = write(tmp_path, "run", THREE)
    before = path.read_bytes()
    with pytest.raises(InvalidRequestError, match="is there already"), writing(path, header()):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_is_a_number_or_nothing(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Score(key="evidence_valid", score=value)


def test_a_result_is_found_by_its_path_and_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "shorter-prompt", THREE)
    assert find(str(path), tmp_path / "elsewhere") == path
    assert find("shorter-prompt", tmp_path) == find("shorter-prompt.jsonl", tmp_path) == path
    with pytest.raises(InvalidRequestError, match="There are: shorter-prompt"):
        find("short-prompt", tmp_path)
    with pytest.raises(InvalidRequestError, match="checkerboard eval run"):
        find("anything", tmp_path / "elsewhere")


def test_the_latest_is_the_newest_whole_run_of_its_suite(tmp_path: Path) -> None:
    def day(number: int) -> datetime:
        return datetime(2027, 3, number, tzinfo=UTC)

    write(tmp_path, "older", THREE, created_at=day(2))
    newest = write(tmp_path, "a-newer-one", THREE, created_at=day(3))
    write(tmp_path, "other", THREE, created_at=day(5), suite="retrieval")
    write(tmp_path, "baseline-profiles", THREE, created_at=day(6))
    with writing(tmp_path / "broken-off.jsonl", header("broken-off", created_at=day(7))):
        pass
    (tmp_path / "notes.jsonl").write_text("no result", encoding="utf-8")
    assert latest("profiles", tmp_path) == newest
    with pytest.raises(InvalidRequestError, match="No results of the suite judge"):
        latest("judge", tmp_path)


def test_only_what_may_be_the_latest_is_read_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    older = write(tmp_path, "older", THREE, created_at=datetime(2027, 1, 1, tzinfo=UTC))
    with older.open("ab") as file:
        file.write(b"nonsense\n")
    newest = write(tmp_path, "newest", THREE)
    assert latest("profiles", tmp_path) == newest
    assert not caplog.records


def test_a_baseline_keeps_scores_and_answers_and_drops_what_is_bulky(tmp_path: Path) -> None:
    bulky = outputs(postings={"p-1": {"responsibilities": "긴 글" * 1000}}, calls=[{"purpose": "embedding"}])
    result = read(write(tmp_path, "run", [case(values={"evidence_valid": 1.0}, outputs=bulky)]))
    path = tmp_path / "baseline-profiles.jsonl"
    path.write_text("an older one", encoding="utf-8")
    keep_as_baseline(result, path)
    kept = read(path)
    assert kept.cases[0].outputs == outputs()
    assert (kept.header, kept.summary, kept.cases[0].scores) == (
        result.header,
        result.summary,
        result.cases[0].scores,
    )
    assert {one.name for one in tmp_path.iterdir()} == {"run.jsonl", path.name}


def test_a_run_that_broke_off_cannot_be_a_baseline(tmp_path: Path) -> None:
    with writing(tmp_path / "run.jsonl", header("run", 3)) as writer:
        writer.write(THREE[0])
    with pytest.raises(InvalidRequestError, match="cannot be a baseline: run broke off"):
        keep_as_baseline(read(tmp_path / "run.jsonl"), tmp_path / "baseline.jsonl")
