"""A run that is killed at any stage: the next goes on there, and pays for nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from tests.ingest.parsers.files import image
from tests.ingest.parsers.standins import Fault, upstage
from tests.ingest.pipeline.runs import ingested, killed, rows, running, stages, until, write, write_postings
from tests.offline import Offline
from tools.core.settings import Settings

NUMBER = 4
ROWS = 300
TAGGING, EMBEDDING = "PostingPositions", "embeddings"


async def loaded(settings: Settings) -> list[str]:
    """The documents that have postings, one entry a posting."""
    found = await rows(settings, "select source_id from postings order by source_id")
    return [row["source_id"] for row in found]


def names(number: int) -> list[str]:
    return [f"{n:03}.md" for n in range(number)]


async def reached(settings: Settings, stage: str, number: int) -> bool:
    return (await stages(settings)).get(stage, 0) >= number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_postings(tmp_path / "in", NUMBER)
    return tmp_path / "in"


async def test_killed_while_it_collects(empty_settings: Settings, offline: Offline, tmp_path: Path) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": EMBEDDING}])
    row = '{{"id": "{n}", "job_title": "개발자 {n}", "responsibilities": "{n}번 서비스 개발"}}\n'
    write(tmp_path / "in", "rows.jsonl", "".join(row.format(n=n) for n in range(ROWS)))
    async with running(empty_settings, tmp_path / "in") as process:
        await until(lambda: _documents(empty_settings, 10))
        await killed(process)
    before = sum((await stages(empty_settings)).values())
    await offline.reset()
    counts = await ingested(empty_settings, tmp_path / "in")
    assert (counts.collected["new"], counts.collected["unchanged"]) == (ROWS - before, before)
    assert len(set(await loaded(empty_settings))) == len(await loaded(empty_settings)) == ROWS


async def _documents(settings: Settings, number: int) -> bool:
    return sum((await stages(settings)).values()) >= number


async def test_killed_while_it_parses(empty_settings: Settings, tmp_path: Path) -> None:
    """Two posters are with Upstage when the power goes: one was answered, for the other the call was out."""
    for n in range(2):
        write(tmp_path / "in", f"{n}.png", image(size=(40 + n, 30)))
    async with upstage() as provider:
        never = asyncio.Event()
        provider.faults += [Fault(), Fault(hold=never)]
        settings = provider.settings(empty_settings, upstage_per_second=100.0)
        async with running(settings, tmp_path / "in") as process:
            await until(lambda: reached(settings, "loaded", 1))
            await killed(process)
        assert provider.calls["sync"] == 2
        await ingested(settings)
        # The one that was out is asked again, the other not.
        assert (provider.calls["sync"], provider.paid_pages) == (3, 2)
        never.set()
    assert await loaded(empty_settings) == ["0.png", "1.png"]


async def test_killed_while_it_tags(empty_settings: Settings, offline: Offline, folder: Path) -> None:
    # One call never ends; the other documents go on past it.
    await offline.behave(faults=[{"kind": "timeout", "schema": TAGGING, "times": 1}])
    async with running(empty_settings, folder) as process:
        await until(lambda: reached(empty_settings, "loaded", NUMBER - 1))
        await killed(process)
    await offline.reset()
    counts = await ingested(empty_settings)
    assert (await offline.calls())["by_schema"] == {TAGGING: 1, EMBEDDING: 1}
    assert dict(counts.reached) == {"tagged": 1, "embedded": 1, "loaded": 1}
    assert await loaded(empty_settings) == names(NUMBER)


async def test_killed_between_two_questions_about_one_document(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    """The first answer was no valid one, and paid for all the same."""
    write_postings(tmp_path / "in", 1)
    refused = {"kind": "schema_violation", "schema": TAGGING, "times": 1}
    await offline.behave(faults=[refused, {"kind": "timeout", "schema": TAGGING, "times": 1}])
    async with running(empty_settings, tmp_path / "in") as process:
        await until(lambda: _asked(offline, 2))
        await killed(process)
    await offline.reset()
    await ingested(empty_settings)
    assert (await offline.calls())["by_schema"][TAGGING] == 1
    assert await loaded(empty_settings) == names(1)


async def _asked(offline: Offline, number: int) -> bool:
    return (await offline.calls())["by_schema"].get(TAGGING, 0) >= number


async def test_killed_while_it_embeds(empty_settings: Settings, offline: Offline, folder: Path) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": EMBEDDING}])
    async with running(empty_settings, folder) as process:
        await until(lambda: reached(empty_settings, "tagged", NUMBER))
        await killed(process)
    await offline.reset()
    counts = await ingested(empty_settings)
    assert (await offline.calls())["by_schema"] == {EMBEDDING: 1}
    assert dict(counts.reached) == {"embedded": NUMBER, "loaded": NUMBER}
    assert await loaded(empty_settings) == names(NUMBER)


async def test_killed_while_it_loads(empty_settings: Settings, offline: Offline, folder: Path) -> None:
    await ingested(empty_settings)
    assert empty_settings.database_url is not None
    async with await psycopg.AsyncConnection.connect(empty_settings.database_url) as held:
        await held.execute("lock table corpus in exclusive mode")
        async with running(empty_settings, folder) as process:
            await until(lambda: reached(empty_settings, "embedded", NUMBER))
            await killed(process)
        await held.rollback()
    assert await loaded(empty_settings) == []
    await offline.reset()
    counts = await ingested(empty_settings)
    assert (await offline.calls())["by_schema"] == {}
    assert dict(counts.reached) == {"loaded": NUMBER}
    assert await loaded(empty_settings) == names(NUMBER)


async def test_two_runs_at_once_share_the_work(
    empty_settings: Settings, offline: Offline, folder: Path
) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": TAGGING, "times": 1}])
    async with running(empty_settings, folder) as process:
        await until(lambda: reached(empty_settings, "loaded", NUMBER - 1))
        # The living run has the last one in its hands: this one leaves it there.
        counts = await ingested(empty_settings, folder)
        assert dict(counts.reached) == {}
        assert (await offline.calls())["by_schema"][TAGGING] == NUMBER
        await killed(process)
    await offline.reset()
    assert (await ingested(empty_settings)).reached["loaded"] == 1
