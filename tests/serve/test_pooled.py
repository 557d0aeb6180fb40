"""The service behind PgBouncer, which gives each transaction another connection of the server's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.rows import scalar_row

from ingest.load import SAMPLES, load
from tests.ingest.pipeline.runs import ingested, rows, write_postings
from tests.offline import Offline
from tests.pgbouncer import pooled
from tests.serve.conftest import client_of
from tests.serve.processes import GENERATE
from tools.core import database
from tools.core.database import migrate, probe_postgres
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.services import open_services


@pytest.fixture(scope="module")
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A worker behind a pooler, with every default."""
    with pooled(settings) as behind:
        async with client_of(behind) as opened:
            yield opened


async def locks(settings: Settings) -> int:
    """How many advisory locks are held in the database, whoever holds them."""
    async with await psycopg.AsyncConnection.connect(
        settings.database_url or "", autocommit=True, row_factory=scalar_row
    ) as connection:
        found = await connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        return int(await found.fetchone() or 0)


async def test_every_request_is_answered(client: httpx.AsyncClient, offline: Offline) -> None:
    """So many that each statement comes on each connection, more often than a driver takes to prepare it."""

    async def asked(number: int) -> tuple[str, int]:
        if number % 5 == 0:
            return "generate", (await client.post("/generate/invoke", json={"input": GENERATE})).status_code
        if number % 5 == 1:
            return "prompts", (await client.get("/prompts")).status_code
        if number % 5 == 2:
            return "ready", (await client.get("/readyz")).status_code
        params = {"q": f"백엔드 {number}", "k": 3}
        return "search", (await client.get("/postings/search", params=params)).status_code

    answers: Counter[tuple[str, int]] = Counter()
    for rounds in range(6):
        answers.update(await asyncio.gather(*(asked(10 * rounds + number) for number in range(10))))
    assert {status for _, status in answers} == {200}, answers


async def test_starts_one_after_another_and_together_leave_no_lock_behind(empty_settings: Settings) -> None:
    with pooled(empty_settings) as behind:
        assert behind.database_url is not None
        await asyncio.gather(*(migrate(behind.database_url) for _ in range(3)))
        await migrate(behind.database_url)
        # The pooler's connections are still there, and nothing is left on them.
        assert await locks(empty_settings) == 0


async def test_postings_are_loaded_and_documents_ingested(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write_postings(tmp_path, 4)
    with pooled(empty_settings) as behind:
        async with open_services(behind) as services:
            for _ in range(2):
                await load(services, [SAMPLES])
            loaded = (await services.postings.corpus()).postings
            assert loaded > 300
        await ingested(behind, tmp_path)
        assert {row["stage"] for row in await rows(behind, "select stage from documents")} == {"loaded"}
        assert await locks(empty_settings) == 0


async def test_a_lock_that_somebody_keeps_is_named_and_not_waited_for_for_ever(
    empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a version that locked for a session has left it on a pooler's connection."""
    monkeypatch.setattr(database, "MIGRATION_WAIT_SECONDS", 0.5)
    url = empty_settings.database_url or ""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as holder:
        await holder.execute("select pg_advisory_lock(%s)", [database._MIGRATION_LOCK])
        with pytest.raises(SetupError, match=rf"Process {holder.info.backend_pid} .*pg_terminate_backend"):
            await migrate(url)
    await migrate(url)


async def test_a_lock_of_somebody_else_does_not_matter_where_nothing_is_to_be_migrated(
    settings: Settings,
) -> None:
    url = settings.database_url or ""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as holder:
        await holder.execute("select pg_advisory_lock(%s)", [database._MIGRATION_LOCK])
        await asyncio.wait_for(migrate(url), 10)


async def test_a_pooler_that_ends_a_transaction_with_each_statement_is_refused_in_words(
    empty_settings: Settings,
) -> None:
    with pooled(empty_settings, mode="statement") as behind:
        with pytest.raises(SetupError, match=r"statement pooling.*Nothing was written"):
            await probe_postgres(behind.database_url or "")
        with pytest.raises(SetupError, match="statement pooling"):
            await migrate(behind.database_url or "")
