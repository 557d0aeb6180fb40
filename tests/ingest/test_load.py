"""`ingest load`: postings from files, whatever state the files are in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.commands import app
from ingest.load import SAMPLES, load
from ingest.pipeline.store import remove
from tests.ingest.files import jsonl, row, table
from tests.offline import Offline
from tools.core.errors import InvalidRequestError, ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.embeddings import BATCH
from tools.services import Services, open_services


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


def test_the_sample_postings_can_be_removed_again(command: CliRunner, tmp_path: Path) -> None:
    own = jsonl(tmp_path / "a.jsonl", row("1"))
    assert command.invoke(app, ["load", "--samples", str(own)]).exit_code == 0
    removed = command.invoke(app, ["remove", "--source", "samples"])
    assert removed.exit_code == 0, removed.output
    number = len(SAMPLES.read_text(encoding="utf-8").splitlines())
    assert f"{number} postings and 0 documents removed." in removed.output
    again = command.invoke(app, ["remove", "--source", "samples"])
    assert isinstance(again.exception, InvalidRequestError)
    # Whose names it could have been is said.
    assert row("1")["source"] in again.exception.message


async def test_what_was_a_duplicate_of_a_removed_posting_is_found(services: Services, tmp_path: Path) -> None:
    lines = "결제 승인과 취소 API 개발\n정산 배치의 성능 개선과 운영\n가맹점 관리 화면의 백엔드 개발"
    same = {"company": "가게", "job_title": "결제 서버 개발자", "responsibilities": lines}
    rows = [row("1", **same), row("2", source="own", **same), row("3", source="own", **same)]
    await load(services, [jsonl(tmp_path / "a.jsonl", *rows)])
    vector = await services.embedder.query("결제 서버")
    assert [one.source_id for one in await services.postings.nearest(vector, k=9)] == ["1"]
    assert await remove(services.pool, rows[0]["source"]) == (1, 0)
    assert [one.source_id for one in await services.postings.nearest(vector, k=9)] == ["2"]
    # A loader sees that the corpus is another one.
    assert (await services.postings.corpus()).revision == 2
