"""`ingest load`: postings from files, whatever state the files are in."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.commands import app
from ingest.load import Refused, load, read
from tests.offline import Offline
from tools.contracts import Posting
from tools.embeddings import BATCH
from tools.errors import InvalidRequestError, ModelUnavailableError
from tools.services import Services, open_services
from tools.settings import Settings

ROW = {"source": "test", "source_id": "1", "company": "Co", "job_title": "백엔드 개발자"}
COLUMNS = ["source", "source_id", "job_title", "responsibilities", "skills", "deadline"]


def jsonl(path: Path, *rows: Any, encoding: str = "utf-8") -> Path:
    """A file with a line for each row; text is written as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def table(path: Path, *rows: dict[str, str], columns: list[str] = COLUMNS, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as text:
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(source_id: str, **fields: Any) -> dict[str, Any]:
    return {**ROW, "source_id": source_id, **fields}


def postings(path: Path) -> list[Posting]:
    return [found for found in read(path) if isinstance(found, Posting)]


def refused(path: Path) -> list[Refused]:
    return [found for found in read(path) if isinstance(found, Refused)]


# Reading


def test_every_line_of_a_jsonl_file_is_a_posting(tmp_path: Path) -> None:
    whole = row("1", skills=["Java"], deadline="2026-12-31", responsibilities="a\nb", url="https://x.org")
    assert list(read(jsonl(tmp_path / "a.jsonl", whole, "", row("2")))) == [
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
        (row("9", deadline="soon"), "deadline"),
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
        list(read(tmp_path / name))
    assert ".jsonl" in wrong.value.message


def test_the_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    assert postings(jsonl(tmp_path / "A.JSONL", row("1")))


@pytest.mark.parametrize("name", ["missing.jsonl", "folder.csv"])
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidRequestError, match=name):
        list(read(tmp_path / name))


def test_a_file_that_is_no_utf_8_is_refused_and_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "korean.jsonl", row("1"), encoding="cp949")
    with pytest.raises(InvalidRequestError, match="utf-8"):
        list(read(path))


def test_an_empty_file_has_no_postings(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).write_text("", encoding="utf-8")
        assert list(read(tmp_path / name)) == []


# Loading


@pytest.fixture
async def services(empty_settings: Settings) -> AsyncIterator[Services]:
    async with open_services(empty_settings) as opened:
        yield opened


async def stored(services: Services) -> dict[str, Any]:
    corpus = await services.postings.corpus()
    found = await services.postings.by_ids([f"p-{n}" for n in range(1, corpus.postings + 20)])
    return {posting.source_id: posting for posting in found.values()}


async def test_a_loaded_posting_is_found_by_what_it_says(services: Services, tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        row("cook", job_title="요리사", responsibilities="한식 메뉴 조리"),
        row("api", responsibilities="결제 API 서버 개발"),
    )
    loaded = await load(services, [path])
    assert (loaded.postings, loaded.refused, loaded.revision) == (2, [], 1)
    vector = await services.embedder.query("결제 API 서버 개발자")
    nearest = await services.postings.nearest(vector, k=1)
    assert [posting.source_id for posting in nearest] == ["api"]


async def test_bad_rows_are_listed_and_the_rest_is_loaded(services: Services, tmp_path: Path) -> None:
    loaded = await load(services, [jsonl(tmp_path / "a.jsonl", row("1"), "{", row("2"), {"source_id": "3"})])
    assert [found.line for found in loaded.refused] == [2, 4]
    assert loaded.postings == 2
    assert set(await stored(services)) == {"1", "2"}


@pytest.mark.parametrize("field", ["company", "responsibilities", "url", "location", "skills"])
async def test_a_nul_character_anywhere_in_a_posting_stops_nothing(
    services: Services, tmp_path: Path, field: str
) -> None:
    bad = ["C\x00"] if field == "skills" else "a\x00b"
    loaded = await load(services, [jsonl(tmp_path / "a.jsonl", row("1", **{field: bad}), row("2"))])
    assert loaded.postings == 2
    assert set(await stored(services)) == {"1", "2"}


async def test_loading_again_adds_nothing_and_takes_what_changed(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    await load(services, [jsonl(path, row("1"), row("2"))])
    before = await stored(services)
    again = await load(services, [jsonl(path, row("1", company="New"), row("2"))])
    after = await stored(services)
    assert again.revision == 2
    assert {key: posting.posting_id for key, posting in after.items()} == {
        key: posting.posting_id for key, posting in before.items()
    }
    assert after["1"].company == "New"


async def test_of_a_posting_that_stands_twice_in_a_file_the_last_counts(
    services: Services, tmp_path: Path
) -> None:
    path = jsonl(tmp_path / "a.jsonl", row("1", company="Old"), row("2"), row("1", company="New"))
    assert (await load(services, [path])).postings == 2
    assert (await stored(services))["1"].company == "New"


async def test_of_a_posting_that_stands_twice_across_batches_the_last_counts_and_it_is_one(
    services: Services, tmp_path: Path
) -> None:
    others = [row(f"x{n}") for n in range(BATCH)]
    path = jsonl(tmp_path / "a.jsonl", row("1", company="Old"), *others, row("1", company="New"))
    await load(services, [path])
    assert (await stored(services))["1"].company == "New"
    assert (await services.postings.corpus()).postings == BATCH + 1


async def test_progress_adds_up_to_what_was_loaded(services: Services, tmp_path: Path) -> None:
    steps: list[int] = []
    path = jsonl(tmp_path / "a.jsonl", *(row(str(n)) for n in range(BATCH + 3)))
    loaded = await load(services, [path], steps.append)
    assert steps == [BATCH, 3]
    assert loaded.postings == BATCH + 3


async def test_files_of_both_kinds_are_loaded_together(services: Services, tmp_path: Path) -> None:
    cells = {"source": "s", "source_id": "2", "job_title": "QA"}
    loaded = await load(services, [jsonl(tmp_path / "a.jsonl", row("1")), table(tmp_path / "b.csv", cells)])
    assert loaded.postings == 2


async def test_a_file_of_bad_rows_only_asks_for_no_embedding_and_raises_no_revision(
    services: Services, tmp_path: Path, offline: Offline
) -> None:
    loaded = await load(services, [jsonl(tmp_path / "a.jsonl", "{", "[]")])
    assert (loaded.postings, loaded.revision, len(loaded.refused)) == (0, None, 2)
    assert (await offline.calls())["total"] == 0


async def test_a_load_that_broke_off_is_finished_by_loading_again(
    services: Services, tmp_path: Path, offline: Offline
) -> None:
    path = jsonl(tmp_path / "a.jsonl", row("1"), row("2"))
    await offline.behave(faults=[{"kind": "server_error", "schema": "embeddings"}])
    with pytest.raises(ModelUnavailableError):
        await load(services, [path])
    await offline.behave()
    assert (await load(services, [path])).postings == 2


# The command


@pytest.fixture
def command(empty_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """`checkerboard ingest …` on the test's database."""
    monkeypatch.setenv("CHECKERBOARD_HOME", str(empty_settings.home))
    monkeypatch.setenv("DATABASE_URL", empty_settings.database_url or "")
    monkeypatch.setenv("REDIS_URL", empty_settings.redis_url or "")
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_the_command_says_how_many_were_loaded_and_ends_well(command: CliRunner, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row("1"), "{", row("2"))
    result = command.invoke(app, ["load", str(path)])
    assert "2 postings loaded, 1 rows refused." in result.output
    assert "a.jsonl, line 2: not JSON" in result.output
    assert result.exit_code == 0


def test_the_command_fails_when_every_row_was_refused(command: CliRunner, tmp_path: Path) -> None:
    result = command.invoke(app, ["load", str(jsonl(tmp_path / "a.jsonl", *["{"] * 12))])
    assert result.exit_code == 1
    assert "0 postings loaded, 12 rows refused." in result.output
    assert "… and 2 more" in result.output


def test_the_command_loads_nothing_when_one_of_its_files_cannot_be_read(
    command: CliRunner, tmp_path: Path
) -> None:
    good = jsonl(tmp_path / "a.jsonl", row("1"))
    result = command.invoke(app, ["load", str(good), str(tmp_path / "missing.jsonl")])
    assert isinstance(result.exception, InvalidRequestError)
    assert result.exit_code == 1
    assert "postings loaded" not in result.output


def test_the_command_wants_a_file(command: CliRunner) -> None:
    result = command.invoke(app, ["load"])
    assert result.exit_code == 2
    assert "--samples" in result.output
