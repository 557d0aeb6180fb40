"""A PostgreSQL that hangs or cannot be written to, and what `/readyz` says while a store cannot serve."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from local.servers import embedded_servers
from local.servers.postgres import SYSTEM_USER
from serve.readiness import ANSWER_SECONDS
from tests.databases import cloned, environment, with_database
from tests.disks import full, small_disk
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import COMMAND, GENERATE, Worker, answer_of, code_of, working
from tests.stalling import Stalling, stalling
from tools.core.database import migrate
from tools.core.settings import Settings

STATEMENT_SECONDS = scaled(1)
HUNG_SECONDS = STATEMENT_SECONDS + scaled(25)
"""Within this a request to a worker whose PostgreSQL hangs is answered: a statement's limit, three waits for
a connection, and what a loaded machine adds."""


@pytest.fixture(scope="module")
async def hanging(settings: Settings) -> AsyncIterator[tuple[Worker, Stalling]]:
    """A worker, a process of its own, and the way to its PostgreSQL."""
    async with (
        stalling(settings) as (behind, way),
        working(behind, CHECKERBOARD_DATABASE_TIMEOUT_SECONDS=str(STATEMENT_SECONDS)) as worker,
    ):
        yield worker, way


async def test_a_postgresql_that_hangs_is_a_503_and_then_serves_again(
    hanging: tuple[Worker, Stalling], offline: Offline
) -> None:
    worker, way = hanging
    asked = ("/postings/p-1", "/postings/search?q=java", "/prompts")
    for path in asked:
        assert (await worker.client.get(path)).status_code == 200
    way.stall()
    async with asyncio.timeout(HUNG_SECONDS):
        answers = await asyncio.gather(
            *(worker.client.get(path) for path in asked * 3), worker.ask("/generate/invoke", GENERATE)
        )
    for answer in answers:
        assert (answer.status_code, code_of(answer)) == (503, "store_unavailable"), answer.text
        assert answer.json()["error"]["details"]["store"] == "postgresql"
    began = time.monotonic()
    ready = await worker.client.get("/readyz")
    assert time.monotonic() - began < ANSWER_SECONDS + scaled(0.5)
    part = ready.json()["parts"]["postgres"]
    assert ready.status_code == 503
    assert part["ok"] is False
    assert "no answer" in part["message"]
    way.resume()
    async with asyncio.timeout(time_limit()):
        while (await worker.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)
    assert {(await worker.client.get(path)).status_code for path in asked} == {200}
    answer_of(await worker.ask("/generate/invoke", GENERATE))


async def test_readiness_asks_the_model_once_and_never_waits_for_it(
    settings: Settings, offline: Offline
) -> None:
    await offline.behave(embedding_latency={"mean_seconds": FOR_EVER})
    async with client_of(settings) as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(200)))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["parts"]["model"]["ok"] for answer in answers} == {None}
        await offline.working_on("embeddings")
        assert (await offline.calls())["by_schema"]["embeddings"] == 1


async def test_a_model_that_fails_is_told_and_remembered_and_leaves_the_worker_ready(
    settings: Settings, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "embeddings"}])
    async with client_of(settings.model_copy(update={"model_retries": 0})) as client:
        async with asyncio.timeout(time_limit()):
            while (ready := await client.get("/readyz")).json()["parts"]["model"]["ok"] is None:
                await asyncio.sleep(0.02)
        for _ in range(5):
            ready = await client.get("/readyz")
            assert ready.status_code == 200
            model = ready.json()["parts"]["model"]
            assert model["ok"] is False
            assert model["message"]
            assert model["asked_seconds_ago"] >= 0
        assert (await offline.calls())["by_schema"]["embeddings"] == 1


@pytest.fixture
def full_disk() -> Iterator[Path]:
    """The folder of a disk that a test may fill, for Redis alone."""
    with small_disk(24) as folder:
        yield folder


async def test_a_redis_whose_disk_is_full_is_named_and_serves_again_when_there_is_room(
    settings: Settings, offline: Offline, full_disk: Path
) -> None:
    unused = Settings(home=full_disk / "h", database_url="postgresql://", openai_api_key=SecretStr("unused"))
    with embedded_servers(unused) as own:
        async with client_of(settings.model_copy(update={"redis_url": own.redis_url})) as client:
            worker = Worker(None, client)
            session_id = (await worker.generated())["session_id"]
            with full(full_disk):
                ready = await _unready(client)
                assert "disk" in ready["parts"]["redis"]["message"]
                assert ready["parts"]["postgres"]["ok"]
                refused = await worker.ask("/generate/invoke", GENERATE)
                assert (refused.status_code, code_of(refused)) == (503, "store_unavailable"), refused.text
                assert "disk" in refused.json()["error"]["message"]
            async with asyncio.timeout(time_limit()):
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            answer_of(await worker.ask("/regenerate/invoke", {"session_id": session_id}))


async def _unready(client: httpx.AsyncClient) -> dict[str, Any]:
    """Asks until a store is found wanting: a server notices a full disk by its next write."""
    async with asyncio.timeout(time_limit()):
        while (ready := await client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.02)
    report: dict[str, Any] = ready.json()
    return report


async def test_a_load_onto_a_full_disk_ends_with_one_line(embedded: Settings) -> None:
    with small_disk(32) as folder:
        place = folder / "tablespace"
        place.mkdir()
        if os.geteuid() == 0:
            shutil.chown(place, SYSTEM_USER, SYSTEM_USER)
        name = f"small_{uuid.uuid4().hex}"
        url = embedded.database_url or ""
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"create tablespace {name} location '{place}'")
            await connection.execute(f"create database {name} template template1 tablespace {name}")
            try:
                own = with_database(embedded, name)
                await migrate(own.database_url or "")
                with full(folder):
                    process = await asyncio.create_subprocess_exec(
                        COMMAND,
                        "ingest",
                        "load",
                        "--samples",
                        env=os.environ | environment(own) | {"COLUMNS": "300"},
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.PIPE,
                    )
                    _, said = await process.communicate()
                    assert process.returncode == 1
                    lines = said.decode().strip().splitlines()
                    assert lines == [
                        "store_unavailable: PostgreSQL's disk is full. The operator has to make room there."
                    ]
            finally:
                await connection.execute(f"drop database {name} with (force)")
                await connection.execute(f"drop tablespace {name}")


async def test_a_postgresql_that_is_read_only_serves_and_says_so(
    embedded: Settings, samples_template: str
) -> None:
    async with cloned(embedded, samples_template) as own:
        url = own.database_url or ""
        name = urlsplit(url).path.strip("/")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
        async with client_of(own) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 200
            assert "read-only" in ready.json()["parts"]["postgres"]["warning"]
            await Worker(None, client).generated()
