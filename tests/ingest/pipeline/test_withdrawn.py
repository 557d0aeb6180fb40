"""What vanishes from its source, what comes back, and what a run does when its claims are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ingest.documents import Collected, Listed, RawFile
from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from ingest.pipeline.store import retry
from tests.ingest.pipeline.runs import (
    MENU,
    POSTING,
    aside,
    ingested,
    rows,
    stages,
    until,
    write,
    write_postings,
)
from tests.offline import Offline
from tests.pace import time_limit
from tools.core.database import open_pool
from tools.core.errors import InvalidRequestError, StoreUnavailableError
from tools.core.settings import Settings

TAGGING = "PostingPositions"


class Board:
    """A source that lists what it has."""

    name = "board:acme"

    def __init__(self, *jobs: int) -> None:
        self._jobs = jobs

    async def documents(self) -> AsyncIterator[Collected | Listed]:
        for n in self._jobs:
            file = RawFile(f"{n}.md", "text/markdown", POSTING.format(n=n).encode())
            yield Collected("board", f"j{n}", (file,), scope="acme")
        yield Listed("board", "acme", frozenset(f"j{n}" for n in self._jobs))


async def listed(settings: Settings, *jobs: int) -> Counts:
    """Runs the ingest on a board that has these jobs."""
    counts = Counts()
    async with open_ingest(settings) as parts:
        parts.sources.append(Board(*jobs))
        await parts.tidy()
        await parts.collect_and_work(parts.runners(), counts)
    return counts


async def are_open(settings: Settings) -> Sequence[str]:
    found = await rows(settings, "select source_id from open_postings order by 1")
    return [row["source_id"] for row in found]


async def test_a_job_that_vanishes_is_withdrawn_and_comes_back_unpaid(
    empty_settings: Settings, offline: Offline
) -> None:
    await listed(empty_settings, 1, 2)
    gone = await listed(empty_settings, 2)
    assert gone.withdrawn == 1
    assert await are_open(empty_settings) == ["j2"]
    await offline.reset()
    await listed(empty_settings, 1, 2)
    assert await are_open(empty_settings) == ["j1", "j2"]
    assert (await offline.calls())["by_schema"] == {}


async def retried(settings: Settings, again_from: str) -> int:
    async with await open_pool(settings) as pool:
        return await retry(pool, ids=[], source=None, again_from=again_from)


async def test_a_withdrawn_job_stays_so_whatever_is_done_again(empty_settings: Settings) -> None:
    await listed(empty_settings, 1, 2)
    await listed(empty_settings, 2)
    assert await retried(empty_settings, "tag") == 1
    await ingested(empty_settings)
    assert await are_open(empty_settings) == ["j2"]


async def test_a_job_that_vanishes_while_it_is_worked_on_is_not_opened(
    empty_settings: Settings, offline: Offline
) -> None:
    await offline.behave(embedding_latency={"mean_seconds": 600})
    first = asyncio.create_task(listed(empty_settings, 1, 2))
    await until(lambda: _tagged(empty_settings))
    async with open_ingest(empty_settings) as parts:
        parts.sources.append(Board(2))
        await parts.collect_and_work([], Counts())
    first.cancel()
    await asyncio.wait([first], timeout=time_limit())
    await offline.reset()
    await ingested(empty_settings)
    assert await are_open(empty_settings) == ["j2"]


async def _tagged(settings: Settings) -> bool:
    return (await stages(settings)).get("tagged") == 2


async def test_a_run_whose_claims_are_lost_ends_and_the_next_goes_on(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.pipeline.store._GUARD_SECONDS", 0.1)
    write_postings(tmp_path, 2)
    await offline.behave(faults=[{"kind": "timeout", "schema": TAGGING}])
    run = asyncio.create_task(ingested(empty_settings, tmp_path))
    await until(lambda: _parsed(empty_settings))
    await rows(
        empty_settings,
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 2"
        " and database = (select oid from pg_database where datname = current_database())",
    )
    with pytest.raises(StoreUnavailableError, match="goes on where it was"):
        await run
    await offline.reset()
    assert (await ingested(empty_settings)).reached["loaded"] == 2


async def _parsed(settings: Settings) -> bool:
    return (await stages(settings)).get("parsed") == 2


async def test_equal_files_in_one_run_are_paid_once(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    for name in "abcd":
        write(tmp_path, f"{name}.md", POSTING.format(n=1))
    assert (await ingested(empty_settings, tmp_path)).reached["loaded"] == 4
    assert (await offline.calls())["by_schema"][TAGGING] == 1


async def test_doing_a_stage_again_never_skips_one(empty_settings: Settings, tmp_path: Path) -> None:
    write(tmp_path, "broken.pdf", b"%PDF-1.7 and then nothing")
    write(tmp_path, "menu.txt", MENU)
    await ingested(empty_settings, tmp_path)
    for stage in ("tag", "embed"):
        await retried(empty_settings, stage)
        await ingested(empty_settings)
        assert await aside(empty_settings) == {
            "broken.pdf": "document_unreadable",
            "menu.txt": "not_a_posting",
        }


async def test_a_vector_that_was_forgotten_is_made_again_before_its_posting_is_loaded(
    empty_settings: Settings, tmp_path: Path
) -> None:
    write_postings(tmp_path, 2)
    async with open_ingest(empty_settings, [f"folder:{tmp_path}"]) as parts:
        await parts.collect_and_work(parts.runners()[:3], Counts())
    await rows(empty_settings, "delete from embeddings returning 1")
    await ingested(empty_settings)
    [found] = await rows(
        empty_settings, "select count(*) as n from postings join embeddings using (text_hash)"
    )
    assert found["n"] == 2


async def test_an_answer_that_was_no_valid_one_is_asked_for_anew_by_the_next_try(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.pipeline.local_engine.BACKOFF_SECONDS", 0.01)
    write_postings(tmp_path, 1)
    await offline.behave(faults=[{"kind": "invalid_json", "schema": TAGGING, "times": 1}])
    counts = await ingested(empty_settings.model_copy(update={"output_retries": 0}), tmp_path)
    assert (counts.reached["loaded"], counts.errors["model_output_invalid"]) == (1, 1)
    assert counts.cost.output_tokens > 0


async def test_two_folders_of_one_name_are_refused(empty_settings: Settings, tmp_path: Path) -> None:
    for parent in ("a", "b"):
        write_postings(tmp_path / parent / "in", 1)
    with pytest.raises(InvalidRequestError, match="Two folders are named 'in'"):
        await ingested(empty_settings, tmp_path / "a" / "in", tmp_path / "b" / "in")
